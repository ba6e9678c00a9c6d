"""The messages of the hot path, read without their models when they look exactly as this release writes them.

Every function here answers None when anything at all is unusual: then the model reads the message, which takes more
shapes and says precisely what is wrong. So nothing is accepted here that the model would refuse (a property test).
"""

from operator import itemgetter
from typing import Any, get_args

from headrace.core.commands import Accepted, InvokeNode, Outcome, ReportAttempt, StartRun, Succeeded
from headrace.core.definition import Delivery, OnTimeout
from headrace.core.run import Causation, LogLevel, LogLine

_NO_NAMES: tuple[str, ...] = ()

_cause = itemgetter("eventId", "rootEventId", "depth", "chain")
_CAUSE = (str, str, int, list)

_start = itemgetter("runId", "at", "workflow", "version", "trigger", "output", "createdBy")
_START = (str, int, str, int, str, dict, str)
_UNUSUAL_START = frozenset(("parent", "rerunOf", "carried", "gate", "held"))

_request = itemgetter(
    "id", "runId", "workflow", "version", "node", "nodeRunId", "attempt", "nodeType", "synchronized", "onTimeout",
    "timeoutSeconds", "delivery",
)  # fmt: skip
_REQUESTS = {
    (str, str, str, int, str, str, int, str, bool, str, kind, str) for kind in (float, type(None))
}  # fmt: skip
_ON_TIMEOUT = frozenset(get_args(OnTimeout))
_DELIVERY = frozenset(get_args(Delivery))

_result = itemgetter("runId", "at", "node", "nodeRunId", "attempt")
_RESULT = (str, int, str, str, int)

_log = itemgetter("at", "level", "message", "tags")
_LOG = (int, str, str, dict)
_LEVELS = frozenset(get_args(LogLevel))


def read_start(data: dict[str, Any]) -> StartRun | None:
    try:
        fields = _start(data)
        causation = _read_causation(data["causation"])
    except (KeyError, TypeError):
        return None
    if causation is None or tuple(map(type, fields)) != _START:
        return None
    if not _UNUSUAL_START.isdisjoint(data):
        return None
    run, at, workflow, version, trigger, output, created_by = fields
    return StartRun(run, at, workflow, version, trigger, output, created_by, causation)


def read_request(data: dict[str, Any]) -> InvokeNode | None:
    try:
        fields = _request(data)
        config = data["config"]
        causation = _read_causation(data["causation"])
    except (KeyError, TypeError):
        return None
    if causation is None or data.get("type") != "invokeNode" or tuple(map(type, fields)) not in _REQUESTS:
        return None
    if "poll" in data or "origin" in data:
        return None
    id_, run, workflow, version, node, node_run, attempt, type_, synchronized, on_timeout, timeout, delivery = fields
    if on_timeout not in _ON_TIMEOUT or delivery not in _DELIVERY:
        return None
    return InvokeNode(
        id_, run, workflow, version, node, node_run, attempt, type_, config, synchronized, on_timeout, timeout,
        delivery, causation,
    )  # fmt: skip


def read_result(data: dict[str, Any]) -> ReportAttempt | None:
    try:
        fields = _result(data)
        outcome = _read_outcome(data["outcome"])
        logs = _read_logs(data["logs"])
    except (KeyError, TypeError):
        return None
    if outcome is None or logs is None or data.get("type") != "reportAttempt" or tuple(map(type, fields)) != _RESULT:
        return None
    if "poll" in data:
        return None
    run, at, node, node_run, attempt = fields
    return ReportAttempt(run, at, node, node_run, attempt, outcome, logs)


def _read_causation(part: Any) -> Causation | None:
    event_id, root_event_id, depth, chain = fields = _cause(part)
    if tuple(map(type, fields)) != _CAUSE:
        return None
    traceparent = part.get("traceparent")
    if traceparent is not None and type(traceparent) is not str:
        return None
    if not chain:
        return Causation(event_id, root_event_id, depth, _NO_NAMES, traceparent)
    if not all(type(name) is str for name in chain):
        return None
    return Causation(event_id, root_event_id, depth, tuple(chain), traceparent)


def _read_outcome(part: Any) -> Outcome | None:
    kind = part["type"]
    if kind != "succeeded" and kind != "accepted":
        return None
    output = part["output"]
    if type(output) is not dict or len(part) != 2:
        return None
    return Succeeded(output) if kind == "succeeded" else Accepted(output)


def _read_logs(parts: Any) -> tuple[LogLine, ...] | None:
    if type(parts) is not list:
        return None
    lines = []
    for part in parts:
        at, level, message, tags = fields = _log(part)
        if tuple(map(type, fields)) != _LOG or level not in _LEVELS:
            return None
        if tags and not all(type(value) is str for value in tags.values()):
            return None
        lines.append(LogLine(at, level, message, tuple(tags.items()) if tags else ()))
    return tuple(lines)
