"""Run events as records, and back: CloudEvents in binary mode, complete enough to fold the run from them."""

from collections.abc import Callable
from typing import Any, assert_never

from pydantic import ValidationError

from headrace.contracts import _run_event_messages as models
from headrace.contracts._lineage import children_object, lineage_object, read_children, read_parent
from headrace.contracts._parts import (
    causation_object,
    edge_object,
    public_log_objects,
    read_causation,
    read_edges,
    read_logs,
    read_timer,
    timer_object,
)
from headrace.contracts.cloudevents import CONTENT_TYPE, JSON_CONTENT_TYPE
from headrace.contracts.envelope import UndecodableMessageError, dump, explain, parse, trace_headers
from headrace.contracts.record import Message, Record
from headrace.contracts.topics import TopicNames
from headrace.core import events
from headrace.core.events import Event
from headrace.core.json import JsonObject
from headrace.core.run import Run
from headrace.core.times import iso

SOURCE = "/headrace/runs"
"""The CloudEvents source of every run event; with the id `<run id>/<seq>` it names the event."""

RUN_EVENT_TYPES: dict[type[Event], str] = {
    events.RunStarted: "io.headrace.run.started",
    events.NodeStarted: "io.headrace.node.started",
    events.NodeAccepted: "io.headrace.node.accepted",
    events.PollStarted: "io.headrace.poll.started",
    events.NodeReported: "io.headrace.node.reported",
    events.AttemptFailed: "io.headrace.attempt.failed",
    events.AttemptStarted: "io.headrace.attempt.started",
    events.NodeCompleted: "io.headrace.node.completed",
    events.ChildrenStarted: "io.headrace.children.started",
    events.ChildCompleted: "io.headrace.child.completed",
    events.RunCancelling: "io.headrace.run.cancellation.requested",
    events.RunCompleted: "io.headrace.run.completed",
}
_FIXED_HEADERS = {
    kind: (
        ("ce_specversion", b"1.0"),
        ("ce_source", SOURCE.encode()),
        (CONTENT_TYPE, JSON_CONTENT_TYPE),
        ("ce_type", name.encode()),
    )
    for kind, name in RUN_EVENT_TYPES.items()
}


def encode_event(run: Run, event: Event, names: TopicNames, traceparent: str | None = None) -> Message:
    """The record that tells the world about an event, keyed by its run.

    `run` is the run after the event, or any later state of it. Without a `traceparent` the record carries that of the
    run's cause. Raises UnencodableMessageError.
    """
    kind = type(event)
    at = iso(event.at)
    data: JsonObject = {
        "v": 1, "type": RUN_EVENT_TYPES[kind], "runId": run.id, "seq": event.seq, "at": at, "workflow": run.workflow,
        "version": run.version,
    }  # fmt: skip
    _add_payload(data, run, event)
    headers = (
        *_FIXED_HEADERS[kind],
        ("ce_id", f"{run.id}/{event.seq}".encode()),
        ("ce_time", at.encode()),
        ("ce_subject", run.id.encode()),
        *trace_headers(traceparent or run.causation.traceparent),
    )
    return Message(names.run_events, run.id, dump(data), headers)


def decode_event(record: Record) -> Event:
    """The event in a record of `run.events.v1`. Raises UndecodableMessageError."""
    data = parse(record.value)
    kind = data.get("type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise UndecodableMessageError(f"no run event is of type {str(kind)[:100]!r}", "/type")
    try:
        return read(data)
    except ValidationError as error:
        raise explain(error, data) from None


def _add_payload(data: JsonObject, run: Run, event: Event) -> None:
    match event:
        case events.NodeCompleted():
            _add_completed(data, event)
        case events.NodeStarted():
            data |= {
                "node": event.node, "nodeRunId": event.node_run_id, "nodeType": event.type, "config": event.config,
                "phase": event.phase, "timers": [timer_object(timer) for timer in event.timers],
            }  # fmt: skip
            if event.children is not None:
                data["children"] = children_object(event.children)
        case events.RunStarted():
            data |= {
                "trigger": event.trigger, "triggerType": event.trigger_type, "createdBy": event.created_by,
                "causation": causation_object(event.causation), "edges": edge_object(event.edges),
                **lineage_object(event.parent, event.rerun_of, event.gate),
            }  # fmt: skip
        case events.RunCompleted():
            data["result"] = event.result
        case events.RunCancelling():
            data["by"] = event.by
        case events.NodeAccepted():
            _add_accepted(data, run, event)
        case events.PollStarted():
            data |= {**_node(run, event.node), "attempt": event.attempt, "poll": event.poll}
        case events.NodeReported():
            data |= {
                **_node(run, event.node), "reportId": event.report_id, "output": event.output,
                "logs": public_log_objects(event.logs), "externalRunId": event.external_run_id,
                "links": None if event.links is None else list(event.links),
            }  # fmt: skip
        case events.AttemptFailed():
            data |= {
                **_node(run, event.node), "attempt": event.attempt, "error": event.error,
                "retry": timer_object(event.retry), "logs": public_log_objects(event.logs),
            }  # fmt: skip
        case events.AttemptStarted():
            data |= {
                **_node(run, event.node), "attempt": event.attempt,
                "timers": [timer_object(timer) for timer in event.timers],
            }  # fmt: skip
        case events.ChildrenStarted():
            data |= {**_node(run, event.node), "count": event.count}
        case events.ChildCompleted():
            _add_child(data, run, event)
        case _:
            assert_never(event)


def _node(run: Run, node: str) -> JsonObject:
    return {"node": node, "nodeRunId": run.nodes[node].id}


def _add_accepted(data: JsonObject, run: Run, event: events.NodeAccepted) -> None:
    """What most acceptances do not have is left out."""
    data |= {**_node(run, event.node), "output": event.output, "logs": public_log_objects(event.logs)}
    if event.external_run_id is not None:
        data["externalRunId"] = event.external_run_id
    if event.links is not None:
        data["links"] = list(event.links)
    if event.poll is not None:
        data["poll"] = timer_object(event.poll)
    if event.poll_state is not None:
        data["pollState"] = event.poll_state


def _add_completed(data: JsonObject, event: events.NodeCompleted) -> None:
    data |= {
        "node": event.node, "nodeRunId": event.node_run_id, "nodeType": event.type, "result": event.result,
        "output": event.output, "error": event.error, "outlet": event.outlet, "label": event.label,
        "runLabel": event.run_label, "links": None if event.links is None else list(event.links),
        "logs": public_log_objects(event.logs), "externalRunId": event.external_run_id,
        "edges": edge_object(event.edges),
    }  # fmt: skip
    if event.carried:
        data["carried"] = True
    # Mostly one object is both; writing it once halves the record. Identity, because 1 == True would not be exact.
    if event.stored is not event.output:
        data["stored"] = event.stored


def _add_child(data: JsonObject, run: Run, event: events.ChildCompleted) -> None:
    data |= {**_node(run, event.node), "index": event.index, "result": event.result}
    if event.outputs is not None:
        data["outputs"] = event.outputs
    if event.size:
        data["size"] = event.size
    if event.omitted:
        data["omitted"] = True
    if event.error is not None:
        data["error"] = event.error


def _read_run_started(data: dict[str, Any]) -> events.RunStarted:
    it = models.RunStartedMessage.model_validate(data)
    return events.RunStarted(
        it.seq, it.at, it.run_id, it.workflow, it.version, it.trigger, it.trigger_type, it.created_by,
        read_causation(it.causation), read_edges(it.edges), read_parent(it.parent), it.rerun_of, it.gate,
    )  # fmt: skip


def _read_node_started(data: dict[str, Any]) -> events.NodeStarted:
    it = models.NodeStartedMessage.model_validate(data)
    timers = tuple(read_timer(timer) for timer in it.timers)
    return events.NodeStarted(
        it.seq, it.at, it.node, it.node_run_id, it.node_type, it.config, it.phase, timers, read_children(it.children)
    )


def _read_node_accepted(data: dict[str, Any]) -> events.NodeAccepted:
    it = models.NodeAcceptedMessage.model_validate(data)
    return events.NodeAccepted(
        it.seq, it.at, it.node, it.output, read_logs(it.logs), it.external_run_id,
        None if it.links is None else tuple(it.links), None if it.poll is None else read_timer(it.poll), it.poll_state,
    )  # fmt: skip


def _read_poll_started(data: dict[str, Any]) -> events.PollStarted:
    it = models.PollStartedMessage.model_validate(data)
    return events.PollStarted(it.seq, it.at, it.node, it.attempt, it.poll)


def _read_node_reported(data: dict[str, Any]) -> events.NodeReported:
    it = models.NodeReportedMessage.model_validate(data)
    links = None if it.links is None else tuple(it.links)
    return events.NodeReported(
        it.seq, it.at, it.node, it.report_id, it.output, read_logs(it.logs), it.external_run_id, links,
    )  # fmt: skip


def _read_attempt_failed(data: dict[str, Any]) -> events.AttemptFailed:
    it = models.AttemptFailedMessage.model_validate(data)
    return events.AttemptFailed(it.seq, it.at, it.node, it.attempt, it.error, read_timer(it.retry), read_logs(it.logs))


def _read_attempt_started(data: dict[str, Any]) -> events.AttemptStarted:
    it = models.AttemptStartedMessage.model_validate(data)
    return events.AttemptStarted(it.seq, it.at, it.node, it.attempt, tuple(read_timer(timer) for timer in it.timers))


def _read_node_completed(data: dict[str, Any]) -> events.NodeCompleted:
    it = models.NodeCompletedMessage.model_validate(data)
    return events.NodeCompleted(
        it.seq, it.at, it.node, it.node_run_id, it.node_type, it.result, it.output,
        it.stored if "stored" in data else it.output,
        it.error, it.outlet, it.label, it.run_label, None if it.links is None else tuple(it.links),
        read_logs(it.logs), it.external_run_id, read_edges(it.edges), it.carried,
    )  # fmt: skip


def _read_children_started(data: dict[str, Any]) -> events.ChildrenStarted:
    it = models.ChildrenStartedMessage.model_validate(data)
    return events.ChildrenStarted(it.seq, it.at, it.node, it.count)


def _read_child_completed(data: dict[str, Any]) -> events.ChildCompleted:
    it = models.ChildCompletedMessage.model_validate(data)
    return events.ChildCompleted(it.seq, it.at, it.node, it.index, it.result, it.outputs, it.size, it.omitted, it.error)


def _read_run_cancelling(data: dict[str, Any]) -> events.RunCancelling:
    it = models.RunCancellingMessage.model_validate(data)
    return events.RunCancelling(it.seq, it.at, it.by)


def _read_run_completed(data: dict[str, Any]) -> events.RunCompleted:
    it = models.RunCompletedMessage.model_validate(data)
    return events.RunCompleted(it.seq, it.at, it.result)


_READERS: dict[str, Callable[[dict[str, Any]], Event]] = {
    RUN_EVENT_TYPES[events.RunStarted]: _read_run_started,
    RUN_EVENT_TYPES[events.NodeStarted]: _read_node_started,
    RUN_EVENT_TYPES[events.NodeAccepted]: _read_node_accepted,
    RUN_EVENT_TYPES[events.PollStarted]: _read_poll_started,
    RUN_EVENT_TYPES[events.NodeReported]: _read_node_reported,
    RUN_EVENT_TYPES[events.AttemptFailed]: _read_attempt_failed,
    RUN_EVENT_TYPES[events.AttemptStarted]: _read_attempt_started,
    RUN_EVENT_TYPES[events.NodeCompleted]: _read_node_completed,
    RUN_EVENT_TYPES[events.ChildrenStarted]: _read_children_started,
    RUN_EVENT_TYPES[events.ChildCompleted]: _read_child_completed,
    RUN_EVENT_TYPES[events.RunCancelling]: _read_run_cancelling,
    RUN_EVENT_TYPES[events.RunCompleted]: _read_run_completed,
}
