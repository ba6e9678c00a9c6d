"""The published contracts: nothing has drifted, every message fits its schema, and old messages stay readable."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest
import yaml

from headrace.contracts import codec, documents, topics
from headrace.contracts.messages import MESSAGES, DeadLetterHeaders
from headrace.core.events import fold
from headrace.ports.log import Message
from headrace.runtime.dead_letters import dead_letter
from schemas import generate
from tests.contract import samples

VENDOR = Path(__file__).parent / "vendor"
VALUES = {message.name: message for message in MESSAGES if not message.in_headers}
GOLDEN = samples.golden_files()
VERSIONED = [name for name in GOLDEN if name not in ("entity-change", "kafka-action")]
"""The messages whose shape is ours, with `v`."""


def schema(name: str) -> Any:
    return json.loads((generate.HERE / "messages" / f"{name}.v1.json").read_text(encoding="utf-8"))


def schema_of(golden: str) -> Any:
    """The schema of a golden file; `attempt-result-failed` is one more sample of `attempt-result`, and so on."""
    return schema(max((name for name in VALUES if golden.startswith(name)), key=len))


def test_no_published_contract_has_drifted_from_its_source() -> None:
    assert generate.drifted(generate.generated()) == []


def test_drift_is_noticed_when_a_file_changes_is_missing_or_is_left_over(tmp_path: Path) -> None:
    (tmp_path / "same.json").write_text("1")
    (tmp_path / "changed.json").write_text("1")
    (tmp_path / "left-over.json").write_text("1")

    drifted = generate.drifted({"same.json": "1", "changed.json": "2", "missing.json": "3"}, tmp_path)

    assert drifted == ["changed.json", "left-over.json", "missing.json"]


@pytest.mark.parametrize("name", [message.name for message in MESSAGES])
def test_every_message_schema_is_valid_json_schema_with_its_own_id(name: str) -> None:
    published = schema(name)

    jsonschema_rs.meta.validate(published)
    assert published["$id"] == f"urn:headrace:schema:{name}.v1"


def test_every_message_has_a_golden_file_and_every_golden_file_a_sample() -> None:
    assert VALUES.keys() <= GOLDEN.keys()
    assert GOLDEN.keys() == samples.samples().keys()


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_message_decodes_to_what_it_meant_when_it_was_written(name: str) -> None:
    sample = samples.samples()[name]

    decoded = sample.decode(samples.record(samples.read(GOLDEN[name])))

    assert repr(decoded) == repr(sample.expected)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_message_fits_its_published_schema(name: str) -> None:
    jsonschema_rs.validator_for(schema_of(name)).validate(orjson.loads(samples.read(GOLDEN[name]).value or b""))


@pytest.mark.parametrize("name", GOLDEN)
def test_a_message_of_today_is_the_golden_one(name: str) -> None:
    """What we write changes only together with the version of the message: this file is the witness."""
    today, golden = samples.samples()[name].message, samples.read(GOLDEN[name])

    assert orjson.loads(today.value or b"") == orjson.loads(golden.value or b"")
    assert (today.topic, today.key, today.headers) == (golden.topic, golden.key, golden.headers)


@pytest.mark.parametrize("name", VERSIONED)
def test_fields_that_a_newer_release_adds_are_ignored(name: str) -> None:
    sample = samples.samples()[name]
    value = orjson.loads(samples.read(GOLDEN[name]).value or b"")
    newer = {**value, "addedLater": {"a": [1]}}
    for part in ("causation", "outcome", "retry"):
        if part in newer:
            newer[part] = {**newer[part], "addedLater": True}

    decoded = sample.decode(samples.record(Message("t", "k", orjson.dumps(newer))))

    assert decoded == sample.expected


@pytest.mark.parametrize("name", VERSIONED)
def test_a_message_of_a_newer_version_is_refused_with_what_to_do(name: str) -> None:
    sample = samples.samples()[name]
    value = {**orjson.loads(sample.message.value or b""), "v": 2}

    with pytest.raises(codec.UndecodableMessageError, match="newer than this release reads") as refusal:
        sample.decode(samples.record(Message("t", "k", orjson.dumps(value))))

    assert refusal.value.pointer == "/v"


def test_the_golden_run_events_fold_to_the_sample_run() -> None:
    decoded = [codec.decode_event(samples.record(samples.read(GOLDEN[name]))) for name in samples.HISTORY]

    assert documents.encode_run(fold(None, decoded) or samples.run()) == documents.encode_run(samples.run())


def test_a_stored_run_of_version_1_stays_readable() -> None:
    """The document as the first release wrote it: runs wait for months, so this file never changes."""
    stored = (samples.GOLDEN / "run.document.v1").read_bytes()

    assert repr(documents.decode_run(stored)) == repr(samples.run())


def test_headers_of_dead_letters_fit_their_schema() -> None:
    record = samples.record(Message("headrace.run.commands.v1", "k", b"{"))
    letter = dead_letter(record, codec.UndecodableMessageError("not JSON"), "orchestrator", samples.AT)

    headers = {name: value.decode() for name, value in letter.headers}

    jsonschema_rs.validator_for(schema("dead-letter-headers")).validate(headers)
    assert DeadLetterHeaders.model_validate(headers).message == "not JSON"


def test_the_asyncapi_document_is_valid() -> None:
    specification = json.loads((VENDOR / "asyncapi-3.0.0.json").read_text(encoding="utf-8"))
    published = yaml.safe_load((generate.HERE / "asyncapi.yaml").read_text(encoding="utf-8"))

    errors = [error.message[:200] for error in jsonschema_rs.validator_for(specification).iter_errors(published)]

    assert errors == []


def test_the_asyncapi_check_finds_a_mistake() -> None:
    specification = json.loads((VENDOR / "asyncapi-3.0.0.json").read_text(encoding="utf-8"))
    published = yaml.safe_load((generate.HERE / "asyncapi.yaml").read_text(encoding="utf-8"))
    published["operations"]["receiveEntityChanges"]["action"] = "swallow"

    assert not jsonschema_rs.validator_for(specification).is_valid(published)


def test_the_asyncapi_document_names_every_topic_and_every_reference_leads_somewhere() -> None:
    published = yaml.safe_load((generate.HERE / "asyncapi.yaml").read_text(encoding="utf-8"))

    addresses = {channel["address"] for channel in published["channels"].values()}
    assert addresses == {generate.NAMES.name(topic) for topic in topics.TOPICS} | {"{topic}.dlq"}
    for reference in _references(published):
        if reference.startswith("#/"):
            target = published
            for part in reference[2:].split("/"):
                target = target[part]
        else:
            assert (generate.HERE / reference).is_file()


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        inner = [reference for item in value.values() for reference in _references(item)]
        return [*inner, value["$ref"]] if "$ref" in value else inner
    if isinstance(value, list):
        return [reference for item in value for reference in _references(item)]
    return []
