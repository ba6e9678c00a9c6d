"""The OpenAPI document, made from the routes' own notes (`headrace_api.operations`) when somebody asks for it."""

import re
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from headrace.contracts._entity_message import EntityChangeMessage
from headrace.core.authoring import document as workflow_document
from headrace_api import bodies, catalog_schemas, problems, schemas
from headrace_api.operations import Note, note_of, strip_note
from headrace_api.problems import CODES

_REF = "#/components/schemas/{model}"
_DESCRIPTION = """\
Workflows that react to events, as Port Workflows' API describes them; see docs/api.md for a guided tour.

Get a token from `POST /v1/auth/access_token` and send it as `Authorization: Bearer <accessToken>`.
Every error is a problem document; `error` is a stable code, `errors` lists everything that is wrong, with JSON
Pointers, lines and columns. Bodies may have 1 MiB. Unknown query parameters are refused.
"""
_TAGS = {
    "auth": "Logging in.",
    "runs": "Start, list, read, follow and cancel runs.",
    "node runs": "What workers report about the steps they perform.",
    "workflows": "Definitions and their versions.",
    "catalog": "Blueprints and entities: what workflows act on, and what wakes them.",
    "events": "Entity changes, and why triggers did or did not fire.",
    "integrations": "Webhooks of GitHub and GitLab, which prove themselves by a secret of their own.",
    "health": "Probes and metrics, without a token.",
}
_BODIES: tuple[type[BaseModel], ...] = (
    bodies.Credentials, bodies.StartRequest, bodies.RerunRequest, bodies.CancelRequest,
    bodies.ResponseRequest, bodies.ClaimRequest, bodies.AckRequest, bodies.LogsRequest,
    bodies.NodeRunReport, EntityChangeMessage, workflow_document.WorkflowDocument, *catalog_schemas.BODIES,
)  # fmt: skip
_EVERYWHERE = ("internal_error",)
_GUARDED = ("unauthorized", "invalid_parameter", "unavailable")
_HEADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "If-Match": ("Change it only if this is still its ETag.", {"type": "string", "examples": ['"v7"']}),
    "Idempotency-Key": (
        "Repeating the request with the same key does nothing twice.",
        {"type": "string", "minLength": 1, "maxLength": 255, "examples": ["4f9c1c0e-deploy-42"]},
    ),
    "traceparent": (
        "W3C trace context: what follows belongs to this trace. A malformed one is ignored.",
        {"type": "string", "examples": ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]},
    ),
    "X-Hub-Signature-256": (
        "`sha256=` and the hexadecimal HMAC-SHA256 of the body.",
        {"type": "string", "examples": ["sha256=" + "0" * 64]},
    ),
    "X-Gitlab-Token": ("The webhook's secret token.", {"type": "string"}),
    "Last-Event-ID": ("The id of the last event that was received.", {"type": "string", "examples": ["12"]}),
    "ETag": ("The version, for If-Match.", {"type": "string", "examples": ['"v7"']}),
    "Location": ("Where to find it.", {"type": "string"}),
    "Idempotent-Replayed": ("`true` when an earlier request with this key started the run.", {"type": "string"}),
    "Retry-After": ("Seconds to wait.", {"type": "integer"}),
    "WWW-Authenticate": ("How to authenticate.", {"type": "string"}),
}
_ANSWERS_WITH = {"unauthorized": "WWW-Authenticate", "too_many_requests": "Retry-After", "unavailable": "Retry-After"}

EXAMPLE_WORKFLOW: dict[str, Any] = {
    "identifier": "restart_service",
    "title": "Restart a service",
    "nodes": [
        {
            "identifier": "start",
            "config": {
                "type": "SELF_SERVE_TRIGGER",
                "userInputs": {"properties": {"service": {"type": "string"}}, "required": ["service"]},
            },
        },
        {
            "identifier": "restart",
            "config": {
                "type": "WEBHOOK",
                "url": "https://ops.example.com/restart",
                "body": {"service": "{{ .outputs.start.service }}"},
            },
        },
    ],
    "connections": [{"sourceIdentifier": "start", "targetIdentifier": "restart"}],
}
EXAMPLE_EVENT: dict[str, Any] = {
    "action": "UPDATE",
    "resourceType": "entity",
    "trigger": {"by": {"userId": "u_7"}, "origin": "UI", "at": "2026-11-22T08:59:58.477Z"},
    "context": {"blueprintIdentifier": "service", "entityIdentifier": "billing"},
    "diff": {
        "before": {"identifier": "billing", "blueprint": "service", "properties": {"tier": "silver"}},
        "after": {"identifier": "billing", "blueprint": "service", "properties": {"tier": "gold"}},
    },
}


def document() -> dict[str, Any]:
    """The OpenAPI document of this release, without a running service; the same at every call."""
    from headrace_api.app import bare_app

    return describe(bare_app())


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of the app's routes."""
    described = get_openapi(
        title=app.title,
        version=version("headrace"),
        description=_DESCRIPTION,
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    for path, methods in described["paths"].items():
        for operation in methods.values():
            _rework(operation, path)
    described["components"] = {
        "schemas": _schemas(),
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "The accessToken of POST /v1/auth/access_token.",
            }
        },
    }
    described["security"] = [{"bearer": []}]
    return described


def operations_of(described: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every operation of an OpenAPI document."""
    for path in described["paths"].values():
        for method in ("get", "put", "post", "delete", "patch"):
            if method in path:
                yield path[method]


def _rework(operation: dict[str, Any], path: str) -> None:
    """Replace what FastAPI guessed by what the route's note says."""
    note = note_of(operation)
    strip_note(operation)
    operation["parameters"] = [
        *(_in_path(name) for name in re.findall(r"{(\w+)}", path)),
        *(parameter.document() for parameter in note.parameters),
        *(_header(name) for name in note.headers),
    ]
    if note.is_open:
        operation["security"] = []
    operation.pop("requestBody", None)
    if note.body:
        operation["requestBody"] = _request_body(note.body, note.body_required)
    operation["responses"] = {str(note.status): _success(note), **_failures(_codes(note))}
    if note.media_type == "text/event-stream":
        operation["responses"]["204"] = {"description": "The run is completed and there is no news."}


def _codes(note: Note) -> list[str]:
    codes = [*note.errors, *_EVERYWHERE]
    if not note.is_open:
        codes += _GUARDED
    if note.body:
        codes.append("unavailable")
    return list(dict.fromkeys(codes))


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _header(name: str) -> dict[str, Any]:
    summary, schema = _HEADERS[name]
    return {"name": name, "in": "header", "required": False, "description": summary, "schema": schema}


def _request_body(name: str, required: bool) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": _REF.format(model=name)}}
    examples = {"Workflow": EXAMPLE_WORKFLOW, "WorkflowPatch": {"title": "Restart any service"}, "Event": EXAMPLE_EVENT}
    examples |= catalog_schemas.EXAMPLES
    if name in examples:
        content["example"] = examples[name]
    media_types = ["application/json"]
    if name == "Event":
        media_types.append("application/cloudevents+json")
    return {"required": required, "content": dict.fromkeys(media_types, content)}


def _success(note: Note) -> dict[str, Any]:
    success: dict[str, Any] = {
        "description": "Done.",
        "content": {note.media_type: {"schema": {"$ref": _REF.format(model=note.returns)}}},
    }
    if note.answers_with:
        success["headers"] = {name: _response_header(name) for name in note.answers_with}
    return success


def _response_header(name: str) -> dict[str, Any]:
    summary, schema = _HEADERS[name]
    return {"description": summary, "schema": schema}


def _failures(codes: Iterable[str]) -> dict[str, Any]:
    """One response per status; several codes may share one."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(CODES[code].status, []).append(code)
    return {str(status): _failure(by_status[status]) for status in sorted(by_status)}


def _failure(codes: list[str]) -> dict[str, Any]:
    failure: dict[str, Any] = {
        "description": "\n".join(f"`{code}`: {CODES[code].title}. {CODES[code].remedy}" for code in codes),
        "content": {problems.CONTENT_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}},
    }
    headers = {_ANSWERS_WITH[code] for code in codes if code in _ANSWERS_WITH}
    if headers:
        failure["headers"] = {name: _response_header(name) for name in sorted(headers)}
    return failure


def _schemas() -> dict[str, Any]:
    models = [(model, "serialization") for model in (*schemas.ANSWERS, *catalog_schemas.ANSWERS)]
    models += [(model, "validation") for model in _BODIES]
    _, made = models_json_schema(models, by_alias=True, ref_template=_REF)  # type: ignore[arg-type]
    components: dict[str, Any] = made["$defs"]
    components["Workflow"] = {"$ref": _REF.format(model="WorkflowDocument")}
    components["WorkflowPatch"] = {
        "type": "object",
        "description": "Some of a workflow's top-level fields. Each replaces the old one as a whole; null removes it.",
        "additionalProperties": True,
    }
    components["BlueprintPatch"] = {
        "type": "object",
        "description": "Some of a blueprint's top-level fields. Each replaces the old one as a whole; null removes it.",
        "additionalProperties": True,
    }
    components["Event"] = {
        "description": "An entity change (spec 11.1), or a CloudEvent that holds one.",
        "anyOf": [{"$ref": _REF.format(model="EntityChangeMessage")}, {"$ref": _REF.format(model="CloudEvent")}],
    }
    components["CloudEvent"] = _cloud_event()
    for name, text in (("GithubEvent", "What GitHub sends to a webhook."), ("GitlabEvent", "What GitLab sends.")):
        components[name] = {"type": "object", "description": text, "additionalProperties": True}
    components["RunStream"] = {
        "type": "string",
        "description": "Events named `run`; `id` is the run's seq, `data` a Run as JSON.",
        "examples": ["id: 3\nevent: run\ndata: {...}\n\n"],
    }
    components["MetricsText"] = {"type": "string", "description": "Prometheus' text format."}
    return dict(sorted(components.items()))


def _cloud_event() -> dict[str, Any]:
    text = {"type": "string", "minLength": 1}
    return {
        "type": "object",
        "description": "CloudEvents 1.0 in structured mode.",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": text,
            "source": text,
            "type": text,
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "data": {"$ref": _REF.format(model="EntityChangeMessage")},
        },
        "required": ["specversion", "id", "source", "type", "data"],
    }


__all__ = ["EXAMPLE_EVENT", "EXAMPLE_WORKFLOW", "describe", "document", "operations_of"]
