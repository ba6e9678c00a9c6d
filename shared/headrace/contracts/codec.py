"""The only bridge between the wire and the core: commands, requests and results as records, and back.

Written from hand-built objects, because that is fastest. Read by hand too when a message of the hot path looks exactly
as this release writes it; else through the models of `headrace.contracts.messages`, which say precisely what is wrong.
Tests hold all three to each other. Run events are next door and exported here.
"""

from collections.abc import Callable
from typing import Any, assert_never

from pydantic import ValidationError

from headrace.contracts import _fast, _reading
from headrace.contracts._event_codec import decode_event, encode_event
from headrace.contracts._lineage import start_object
from headrace.contracts._parts import causation_object, followed_object, log_objects, origin_object
from headrace.contracts.envelope import (
    UndecodableMessageError,
    UnencodableMessageError,
    dump,
    explain,
    parse,
    trace_headers,
)
from headrace.contracts.record import Message, Record
from headrace.contracts.topics import TopicNames
from headrace.core.commands import (
    Accepted,
    AdmitRun,
    CancelRun,
    Command,
    Failed,
    FireTimer,
    InvokeNode,
    LeaveGate,
    Outcome,
    ReportAttempt,
    ReportChild,
    ReportNode,
    RespondNode,
    StartRun,
    Succeeded,
)
from headrace.core.json import JsonObject

__all__ = [
    "UndecodableMessageError",
    "UnencodableMessageError",
    "decode_command",
    "decode_event",
    "decode_leave",
    "decode_request",
    "decode_result",
    "encode_command",
    "encode_event",
    "encode_request",
    "encode_result",
]


def encode_command(command: Command | LeaveGate, names: TopicNames, traceparent: str | None = None) -> Message:
    """The record that carries a command, for the topic where it belongs, keyed by its run, or its gate.

    Without a `traceparent`, a start carries that of its cause. Raises UnencodableMessageError.
    """
    if isinstance(command, ReportAttempt):
        return encode_result(command, names, traceparent)
    if isinstance(command, LeaveGate):
        data: JsonObject = {
            "v": 1, "type": "leaveGate", "gate": command.gate, "runId": command.run_id, "at": command.at,
        }  # fmt: skip
        return Message(names.run_gates, command.gate, dump(data), trace_headers(traceparent))
    if traceparent is None and isinstance(command, StartRun):
        traceparent = command.causation.traceparent
    return Message(names.run_commands, command.run_id, dump(command_object(command)), trace_headers(traceparent))


def decode_command(record: Record) -> Command:
    """The command in a record of `run.commands.v1` or `node.results.v1`. Raises UndecodableMessageError."""
    data = parse(record.value)
    kind = data.get("type")
    read = _COMMAND_READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise UndecodableMessageError(f"no command is of type {str(kind)[:100]!r}", "/type")
    try:
        return read(data)
    except ValidationError as error:
        raise explain(error, data) from None


def decode_leave(record: Record) -> LeaveGate:
    """What a record of `run.gates.v1` tells a gate. Raises UndecodableMessageError."""
    data = parse(record.value)
    try:
        return _reading.read_leave(data)
    except ValidationError as error:
        raise explain(error, data) from None


def encode_result(report: ReportAttempt, names: TopicNames, traceparent: str | None = None) -> Message:
    """The record that carries the answer to a request, keyed by its run. Raises UnencodableMessageError."""
    data = {
        "v": 1, "type": "reportAttempt", "runId": report.run_id, "at": report.at, "node": report.node,
        "nodeRunId": report.node_run_id, "attempt": report.attempt, "outcome": _outcome_object(report.outcome),
        "logs": log_objects(report.logs),
    }  # fmt: skip
    if report.poll:
        data["poll"] = report.poll
    return Message(names.node_results, report.run_id, dump(data), trace_headers(traceparent))


def decode_result(record: Record) -> ReportAttempt:
    """The answer in a record of `node.results.v1`. Raises UndecodableMessageError, also for other commands."""
    data = parse(record.value)
    try:
        return _read_result(data)
    except ValidationError as error:
        raise explain(error, data) from None


def encode_request(request: InvokeNode, names: TopicNames, traceparent: str | None = None) -> Message:
    """The record that asks the invoker for an attempt, keyed by its node run.

    Without a `traceparent` it carries that of the run's cause. Raises UnencodableMessageError.
    """
    traceparent = traceparent or request.causation.traceparent
    data = {
        "v": 1, "type": "invokeNode", "id": request.id, "runId": request.run_id, "workflow": request.workflow,
        "version": request.version, "node": request.node, "nodeRunId": request.node_run_id,
        "attempt": request.attempt, "nodeType": request.type, "config": request.config,
        "synchronized": request.synchronized, "onTimeout": request.on_timeout,
        "timeoutSeconds": request.timeout_seconds, "delivery": request.delivery,
        "causation": causation_object(request.causation),
    }  # fmt: skip
    if request.poll:
        data |= {"poll": request.poll, "pollState": request.poll_state}
    if request.origin is not None:
        data["origin"] = origin_object(request.origin)
    return Message(names.node_requests, request.node_run_id, dump(data), trace_headers(traceparent))


def decode_request(record: Record) -> InvokeNode:
    """The request in a record of `node.requests.v1`. Raises UndecodableMessageError."""
    data = parse(record.value)
    try:
        return _fast.read_request(data) or _reading.read_request(data)
    except ValidationError as error:
        raise explain(error, data) from None


def command_object(
    command: StartRun | AdmitRun | CancelRun | FireTimer | ReportNode | RespondNode | ReportChild,
) -> JsonObject:
    """A command as it is written, on the wire and in documents."""
    match command:
        case StartRun():
            return {
                "v": 1, "type": "startRun", "runId": command.run_id, "at": command.at, "workflow": command.workflow,
                "version": command.version, "trigger": command.trigger, "output": command.output,
                "createdBy": command.created_by, "causation": causation_object(command.causation),
                **start_object(command),
            }  # fmt: skip
        case AdmitRun():
            return {"v": 1, "type": "admitRun", "runId": command.run_id, "at": command.at}
        case ReportChild():
            return {
                "v": 1, "type": "reportChild", "runId": command.run_id, "at": command.at,
                "nodeRunId": command.node_run_id, "index": command.index, "result": command.result,
                "outputs": command.outputs, "error": command.error,
            }  # fmt: skip
        case FireTimer():
            return {"v": 1, "type": "fireTimer", "runId": command.run_id, "at": command.at, "timerId": command.timer_id}
        case ReportNode():
            return {
                "v": 1, "type": "reportNode", "runId": command.run_id, "at": command.at,
                "nodeRunId": command.node_run_id, "by": command.by, "status": command.status,
                "result": command.result, "output": command.output, "logs": log_objects(command.logs),
                "externalRunId": command.external_run_id,
                "links": None if command.links is None else list(command.links), "reportId": command.report_id,
            }  # fmt: skip
        case RespondNode():
            return {
                "v": 1, "type": "respondNode", "runId": command.run_id, "at": command.at,
                "nodeRunId": command.node_run_id, "by": command.by, "button": command.button, "inputs": command.inputs,
            }  # fmt: skip
        case CancelRun():
            return {
                "v": 1, "type": "cancelRun", "runId": command.run_id, "at": command.at, "by": command.by,
                "force": command.force,
            }  # fmt: skip
        case _:
            assert_never(command)


def _outcome_object(outcome: Outcome) -> JsonObject:
    match outcome:
        case Succeeded():
            return {"type": "succeeded", "output": outcome.output}
        case Accepted():
            return {"type": "accepted", "output": outcome.output, **followed_object(outcome)}
        case Failed():
            return {
                "type": "failed", "kind": outcome.kind, "message": outcome.message, "retryable": outcome.retryable,
                "output": outcome.output, "retryAfterSeconds": outcome.retry_after_seconds,
            }  # fmt: skip
        case _:
            assert_never(outcome)


def _read_start(data: dict[str, Any]) -> StartRun:
    return _fast.read_start(data) or _reading.read_start(data)


def _read_result(data: dict[str, Any]) -> ReportAttempt:
    return _fast.read_result(data) or _reading.read_result(data)


_COMMAND_READERS: dict[str, Callable[[dict[str, Any]], Command]] = {
    "startRun": _read_start,
    "admitRun": _reading.read_admit,
    "cancelRun": _reading.read_cancel,
    "fireTimer": _reading.read_timer,
    "reportNode": _reading.read_report,
    "respondNode": _reading.read_response,
    "reportChild": _reading.read_child,
    "reportAttempt": _read_result,
}
