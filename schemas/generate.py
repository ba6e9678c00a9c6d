"""Write the published contracts from their sources: `python schemas/generate.py`, or `--check` for what has drifted.

| file | source |
|---|---|
| `messages/<name>.v1.json` | the models of `headrace.contracts.messages` |
| `definition.v1.json` | the models of `headrace.core.authoring.document` |
| `asyncapi.yaml` | `headrace.contracts.topics` and the messages |
| `openapi.json` | `headrace_api.openapi` |

Every JSON Schema is of draft 2020-12. Its `$id` is `urn:headrace:schema:<name>.v1`: a name, not an address, since every
installation serves its own copies.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic.json_schema import GenerateJsonSchema

from headrace.contracts import topics
from headrace.contracts.messages import MESSAGES, MessageType
from headrace.contracts.topics import Topic, TopicNames
from headrace.core.authoring import document

HERE = Path(__file__).parent
DIALECT = "https://json-schema.org/draft/2020-12/schema"
ASYNCAPI_VERSION = "3.0.0"
KAFKA_BINDING = "0.5.0"
DAY_MILLISECONDS = 86_400_000
NAMES = TopicNames()

CLOUD_EVENT_HEADERS: dict[str, Any] = {
    "type": "object",
    "description": "CloudEvents 1.0, binary mode.",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "content-type"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {
            "type": "string",
            "description": "With `ce_source` it names the event: the same pair is a repetition.",
        },
        "ce_source": {"type": "string"},
        "ce_type": {"type": "string", "description": "Reverse DNS and past tense."},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_subject": {"type": "string", "description": "The run, or `<blueprint>/<entity>`."},
        "content-type": {"const": "application/json"},
        "traceparent": {"type": "string", "description": "W3C trace context."},
    },
}


class _Untitled(GenerateJsonSchema):
    """Without a title per field: it only repeats the field's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def generated() -> dict[str, str]:
    """Every file by its path below `schemas/`, the same on every machine."""
    files = {f"messages/{message.name}.v1.json": _json(message_schema(message)) for message in MESSAGES}
    files["definition.v1.json"] = _json(document.json_schema())
    files["asyncapi.yaml"] = _yaml(asyncapi_document())
    files["openapi.json"] = _json(openapi_document())
    return files


def message_schema(message: MessageType) -> dict[str, Any]:
    """The JSON Schema of a message's value, or of its headers."""
    schema = message.model.model_json_schema(schema_generator=_Untitled)
    return {"$schema": DIALECT, "$id": message.schema_id, **schema, "title": _title(message.name)}


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document of the HTTP API; imported late, since only this needs the web framework."""
    made: dict[str, Any] = importlib.import_module("headrace_api.openapi").document()
    return made


def asyncapi_document() -> dict[str, Any]:
    """The topics and their messages, seen from the engine: what it receives and what it sends."""
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "Headrace topics",
            "version": "1",
            "description": (
                "Entity changes in, run events out; the topics in between are internal. Names are shown with the "
                "default prefix. docs/events.md says how to produce and consume them, and what can repeat."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            **{_camel(topic.name): _channel(topic) for topic in topics.TOPICS},
            "deadLetters": _dead_letters(),
        },
        "operations": _operations(),
        "components": {
            "messages": {
                **{_camel(message.name): _message(message) for message in MESSAGES if not message.in_headers},
                "deadLetter": _dead_letter(),
            }
        },
    }


def _channel(topic: Topic) -> dict[str, Any]:
    return {
        "address": NAMES.name(topic),
        "title": topic.name,
        "summary": topic.summary,
        "description": (
            f"Key: {topic.key}. Audience: {topic.audience}. Written by {', '.join(topic.writers)}; "
            f"read by {', '.join(topic.readers)}."
        ),
        "messages": {
            _camel(message.name): {"$ref": f"#/components/messages/{_camel(message.name)}"}
            for message in MESSAGES
            if message.topic is topic
        },
        "bindings": {"kafka": _kafka_topic(topic.retention_days)},
    }


def _dead_letters() -> dict[str, Any]:
    return {
        "address": "{topic}" + topics.DEAD_LETTER_SUFFIX,
        "title": "Dead letters",
        "summary": "Records that could not be handled: untouched, with the reason in headers.",
        "parameters": {
            "topic": {"description": "The topic the record came from.", "enum": [NAMES.name(t) for t in topics.TOPICS]}
        },
        "messages": {"deadLetter": {"$ref": "#/components/messages/deadLetter"}},
        "bindings": {"kafka": _kafka_topic(topics.DEAD_LETTER_RETENTION_DAYS)},
    }


def _kafka_topic(retention_days: int) -> dict[str, Any]:
    return {
        "topicConfiguration": {"cleanup.policy": ["delete"], "retention.ms": retention_days * DAY_MILLISECONDS},
        "bindingVersion": KAFKA_BINDING,
    }


def _operations() -> dict[str, Any]:
    operations: dict[str, Any] = {}
    for topic in topics.TOPICS:
        name = _camel(topic.name)
        reference = {"$ref": f"#/channels/{name}"}
        if topic.audience != "public out":
            operations[f"receive{_capital(name)}"] = {"action": "receive", "channel": reference}
        operations[f"send{_capital(name)}"] = {"action": "send", "channel": reference}
    operations["sendDeadLetters"] = {"action": "send", "channel": {"$ref": "#/channels/deadLetters"}}
    return operations


def _message(message: MessageType) -> dict[str, Any]:
    assert message.topic is not None
    made: dict[str, Any] = {
        "name": message.name,
        "title": _title(message.name),
        "summary": (message.model.__doc__ or "").partition("\n")[0],
        "contentType": "application/json",
    }
    if message.topic is topics.RUN_EVENTS:
        made["headers"] = CLOUD_EVENT_HEADERS
    made["payload"] = _reference(message)
    made["bindings"] = {
        "kafka": {
            "key": {"type": "string", "description": message.topic.key},
            "bindingVersion": KAFKA_BINDING,
        }
    }
    return made


def _dead_letter() -> dict[str, Any]:
    headers = next(message for message in MESSAGES if message.in_headers)
    return {
        "name": "dead-letter",
        "title": "Dead letter",
        "summary": (headers.model.__doc__ or "").partition("\n")[0],
        "headers": _reference(headers),
        "payload": {"description": "The value of the record as it came; it may be anything, or nothing."},
        "bindings": {
            "kafka": {"key": {"type": "string", "description": "as it came"}, "bindingVersion": KAFKA_BINDING}
        },
    }


def _reference(message: MessageType) -> dict[str, Any]:
    return {
        "schemaFormat": "application/schema+json;version=draft-2020-12",
        "schema": {"$ref": f"./messages/{message.name}.v1.json"},
    }


def _camel(name: str) -> str:
    """`run.events.v1` → `runEvents`, `start-run` → `startRun`."""
    first, *rest = name.removesuffix(".v1").replace("-", ".").split(".")
    return first + "".join(map(_capital, rest))


def _title(name: str) -> str:
    """`run-started` → `Run started`."""
    return name.replace("-", " ").capitalize()


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


class _Dumper(yaml.SafeDumper):
    """Writes shared parts out in full, and never as anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _yaml(value: Any) -> str:
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return f"# Generated by schemas/generate.py. Do not edit.\n{text}"


def drifted(files: dict[str, str], root: Path = HERE) -> list[str]:
    """The files that differ from what they should be, are missing, or should not be there."""
    differing = [
        path
        for path, text in files.items()
        if not (root / path).is_file() or (root / path).read_text(encoding="utf-8") != text
    ]
    present = {str(path.relative_to(root)) for path in root.rglob("*") if path.suffix in (".json", ".yaml")}
    return sorted([*differing, *(present - files.keys())])


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the published contracts from their sources.")
    parser.add_argument("--check", action="store_true", help="write nothing; list the files that have drifted")
    options = parser.parse_args()
    files = generated()
    paths = drifted(files)
    if options.check:
        for path in paths:
            print(f"schemas/{path} has drifted: run python schemas/generate.py", file=sys.stderr)
        return 1 if paths else 0
    for path in paths:
        if path not in files:
            (HERE / path).unlink()
            continue
        (HERE / path).parent.mkdir(parents=True, exist_ok=True)
        (HERE / path).write_text(files[path], encoding="utf-8")
    print(f"{len(files)} files, {len(paths)} of them changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
