"""Commands, requests and results, read through their models. Every function raises pydantic's ValidationError."""

from typing import Any, assert_never

from headrace.contracts import messages
from headrace.contracts._lineage import read_carried, read_parent
from headrace.contracts._parts import read_causation, read_logs, read_origin
from headrace.core.commands import (
    Accepted,
    AdmitRun,
    CancelRun,
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


def read_start(data: dict[str, Any]) -> StartRun:
    it = messages.StartRunMessage.model_validate(data)
    return StartRun(
        it.run_id, it.at, it.workflow, it.version, it.trigger, it.output, it.created_by, read_causation(it.causation),
        read_parent(it.parent), it.rerun_of, tuple(read_carried(part) for part in it.carried), it.gate, it.held,
    )  # fmt: skip


def read_admit(data: dict[str, Any]) -> AdmitRun:
    it = messages.AdmitRunMessage.model_validate(data)
    return AdmitRun(it.run_id, it.at)


def read_cancel(data: dict[str, Any]) -> CancelRun:
    it = messages.CancelRunMessage.model_validate(data)
    return CancelRun(it.run_id, it.at, it.by, it.force)


def read_leave(data: dict[str, Any]) -> LeaveGate:
    it = messages.LeaveGateMessage.model_validate(data)
    return LeaveGate(it.gate, it.run_id, it.at)


def read_timer(data: dict[str, Any]) -> FireTimer:
    it = messages.FireTimerMessage.model_validate(data)
    return FireTimer(it.run_id, it.at, it.timer_id)


def read_report(data: dict[str, Any]) -> ReportNode:
    it = messages.ReportNodeMessage.model_validate(data)
    return ReportNode(
        it.run_id, it.at, it.node_run_id, it.by, it.status, it.result, it.output, read_logs(it.logs),
        it.external_run_id, None if it.links is None else tuple(it.links), it.report_id,
    )  # fmt: skip


def read_response(data: dict[str, Any]) -> RespondNode:
    it = messages.RespondNodeMessage.model_validate(data)
    return RespondNode(it.run_id, it.at, it.node_run_id, it.by, it.button, it.inputs)


def read_child(data: dict[str, Any]) -> ReportChild:
    it = messages.ReportChildMessage.model_validate(data)
    return ReportChild(it.run_id, it.at, it.node_run_id, it.index, it.result, it.outputs, it.error)


def read_result(data: dict[str, Any]) -> ReportAttempt:
    it = messages.AttemptResultMessage.model_validate(data)
    outcome = _read_outcome(it.outcome)
    logs = read_logs(it.logs)
    return ReportAttempt(it.run_id, it.at, it.node, it.node_run_id, it.attempt, outcome, logs, it.poll)


def read_request(data: dict[str, Any]) -> InvokeNode:
    it = messages.InvokeNodeMessage.model_validate(data)
    return InvokeNode(
        it.id, it.run_id, it.workflow, it.version, it.node, it.node_run_id, it.attempt, it.node_type, it.config,
        it.synchronized, it.on_timeout, it.timeout_seconds, it.delivery, read_causation(it.causation), it.poll,
        it.poll_state, read_origin(it.origin),
    )  # fmt: skip


def _read_outcome(part: messages.SucceededPart | messages.AcceptedPart | messages.FailedPart) -> Outcome:
    match part:
        case messages.SucceededPart():
            return Succeeded(part.output)
        case messages.AcceptedPart():
            links = None if part.links is None else tuple(part.links)
            return Accepted(part.output, part.external_run_id, links, part.poll_after_seconds, part.poll_state)
        case messages.FailedPart():
            return Failed(part.kind, part.message, part.retryable, part.output, part.retry_after_seconds)
        case _:
            assert_never(part)
