"""A run as the API tells it, read into one shape that renderers can rest on. Missing fields read as their absence."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from headrace_cli.client import JsonDict


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    attempt: int
    at: int | None
    error: str


@dataclass(frozen=True, slots=True)
class LogLine:
    at: int | None
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class NodeSnapshot:
    """One node run. Instants are milliseconds since the epoch; `state` is one word."""

    id: str
    node: str
    type: str
    state: str
    created_at: int | None
    completed_at: int | None
    attempt: int
    failed_attempts: tuple[FailedAttempt, ...]
    next_attempt_at: int | None
    outlet: str | None
    waits_for: str | None
    error: str | None
    output: Any
    links: tuple[str, ...]
    logs: tuple[LogLine, ...]
    children: str = ""
    """The child runs in a few words; empty for most node runs."""
    failed_children: tuple[str, ...] = ()
    carried: bool = False

    @property
    def is_over(self) -> bool:
        return self.completed_at is not None


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    id: str
    workflow: str
    version: int | None
    state: str
    is_over: bool
    label: str | None
    created_by: str
    created_at: int | None
    updated_at: int | None
    completed_at: int | None
    nodes: tuple[NodeSnapshot, ...]
    origin: str = ""
    """The run that started this one, or that it repeats, in words; empty for most."""


def read(run: JsonDict) -> RunSnapshot:
    """The snapshot in a `workflowRun` object."""
    outputs = _mapping(_mapping(run.get("variables")).get("outputs"))
    workflow = _mapping(run.get("workflow"))
    version = workflow.get("version", run.get("workflowVersionId"))
    status, result = run.get("status"), run.get("result")
    return RunSnapshot(
        id=str(run.get("identifier", "")),
        workflow=str(workflow.get("identifier") or run.get("title") or ""),
        version=version if isinstance(version, int) else None,
        state=str(result or {"IN_PROGRESS": "RUNNING"}.get(str(status), status)),
        is_over=status == "COMPLETED",
        label=_label(run.get("statusLabel")),
        created_by=str(run.get("createdBy") or ""),
        created_at=instant(run.get("createdAt")),
        updated_at=instant(run.get("updatedAt")),
        completed_at=instant(run.get("completedAt")),
        nodes=tuple(_node(node, outputs) for node in run.get("nodeRuns") or () if isinstance(node, dict)),
        origin=_origin(run),
    )


def instant(value: object) -> int | None:
    """Milliseconds since the epoch of an ISO 8601 text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        return None
    try:
        return round(datetime.fromisoformat(value).timestamp() * 1000)
    except ValueError:
        return None


def node_name(node: JsonDict) -> str:
    """The name of the node that a node run ran."""
    return str(_mapping(node.get("node")).get("identifier") or node.get("nodeTitle") or node.get("identifier") or "")


def log_line(entry: JsonDict) -> LogLine:
    """A log entry under either of its names (spec 7.3)."""
    return LogLine(
        at=instant(entry.get("createdAt")),
        level=str(entry.get("level") or entry.get("logLevel") or "INFO"),
        message=str(entry.get("message") or entry.get("log") or ""),
    )


def _node(node: JsonDict, outputs: Mapping[str, Any]) -> NodeSnapshot:
    name = node_name(node)
    blocked = _mapping(node.get("blockedOn"))
    output = outputs.get(name, node.get("output"))
    return NodeSnapshot(
        id=str(node.get("identifier", "")),
        node=name,
        type=str(node.get("nodeConfigType") or ""),
        state=_state(node),
        created_at=instant(node.get("createdAt")),
        completed_at=instant(node.get("completedAt")) if node.get("status") == "COMPLETED" else None,
        attempt=_count(node.get("attempt")) or 1,
        failed_attempts=tuple(
            FailedAttempt(_count(each.get("attempt")), instant(each.get("at")), str(each.get("error") or "failed"))
            for each in node.get("failedAttempts") or ()
            if isinstance(each, dict)
        ),
        next_attempt_at=instant(blocked.get("until")) if blocked.get("kind") == "retry" else None,
        outlet=_outlet(node, output),
        waits_for=_waits_for(blocked),
        error=_error(node, output),
        output=output,
        links=tuple(str(link) for link in node.get("links") or ()),
        logs=tuple(log_line(entry) for entry in node.get("nodeRunLogs") or () if isinstance(entry, dict)),
        children=_children(_mapping(node.get("children"))),
        failed_children=tuple(
            f"{each.get('runIdentifier')} (item {each.get('index')}): {each.get('message')}"
            for each in _mapping(node.get("children")).get("failures") or ()
            if isinstance(each, dict)
        ),
        carried=node.get("carried") is True,
    )


def _origin(run: JsonDict) -> str:
    parent = _mapping(run.get("parent")).get("runIdentifier")
    if parent:
        return f"child of {parent}"
    return f"repeats {run['rerunOf']}" if run.get("rerunOf") else ""


def _children(children: Mapping[str, Any]) -> str:
    """How many child runs there are and what became of them, and the first of those at work."""
    if not children:
        return ""
    succeeded, failed, total = (_count(children.get(name)) for name in ("succeeded", "failed", "total"))
    said = f"{succeeded + failed} of {total} child runs over"
    if failed:
        said += f", {failed} failed"
    running = [str(each.get("runIdentifier")) for each in children.get("running") or () if isinstance(each, dict)]
    shown = ", ".join(running[:3]) + (", ..." if len(running) > 3 else "")
    return f"{said}; at work: {shown}" if running else said


_WAITS = {
    "report": "WAITING",
    "person": "WAITING",
    "children": "RUNNING",
    "delay": "WAITING",
    "turn": "WAITING",
    "retry": "RETRYING",
}


def _waits_for(blocked: Mapping[str, Any]) -> str | None:
    """What the node run waits for, in words."""
    words = {
        "report": "a report", "person": "a person", "children": "child runs", "delay": "its time", "turn": "its turn",
    }  # fmt: skip
    text = words.get(str(blocked.get("kind")))
    return None if text is None else str(blocked.get("reason") or text)


def _state(node: JsonDict) -> str:
    if node.get("status") == "COMPLETED":
        return str(node.get("result") or "COMPLETED")
    return _WAITS.get(str(_mapping(node.get("blockedOn")).get("kind")), "RUNNING")


def _outlet(node: JsonDict, output: Any) -> str | None:
    for value in (node.get("outlet"), _mapping(output).get("selectedOutlet"), _mapping(output).get("selected")):
        if isinstance(value, dict):
            value = value.get("title") or value.get("identifier")
        if isinstance(value, str) and value:
            return value
    return None


def _error(node: JsonDict, output: Any) -> str | None:
    value = node.get("error") or _mapping(output).get("error")
    if isinstance(value, dict):
        value = value.get("message")
    return value if isinstance(value, str) and value and node.get("result") != "SUCCESS" else None


def _label(value: object) -> str | None:
    if isinstance(value, dict):
        value = value.get("text")
    return value if isinstance(value, str) and value else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
