"""Events: everything that can happen to a run. A closed union; past tense; each is one accepted transition.

Events are complete: folding a run's events from nothing gives the run itself, without its definition.
`decide` makes its new state by this very fold, so history and snapshot cannot drift apart.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import assert_never

from headrace.core._child_state import after_child, after_starts, at_the_end
from headrace.core._event_types import (
    AttemptFailed,
    AttemptStarted,
    ChildCompleted,
    ChildrenStarted,
    Event,
    NodeAccepted,
    NodeCompleted,
    NodeReported,
    NodeStarted,
    PollStarted,
    RunCancelling,
    RunCompleted,
    RunStarted,
)
from headrace.core.json import Json
from headrace.core.run import MAX_LOG_LINES, MAX_REPORTS, FailedAttempt, LogLine, NodeRun, Run, Timer

__all__ = [
    "AttemptFailed",
    "AttemptStarted",
    "ChildCompleted",
    "ChildrenStarted",
    "Event",
    "NodeAccepted",
    "NodeCompleted",
    "NodeReported",
    "NodeStarted",
    "PollStarted",
    "RunCancelling",
    "RunCompleted",
    "RunStarted",
    "apply",
    "fold",
]

_NodeEvent = (
    NodeStarted
    | NodeCompleted
    | NodeAccepted
    | PollStarted
    | NodeReported
    | AttemptFailed
    | AttemptStarted
    | ChildrenStarted
    | ChildCompleted
)


def fold(run: Run | None, events: Iterable[Event]) -> Run | None:
    """The run after the events. Events must follow the run's `seq` without a gap."""
    for event in events:
        run = apply(run, event)
    return run


def apply(run: Run | None, event: Event) -> Run:
    """The run after one event. Pure; the given run is not touched."""
    if isinstance(event, RunStarted):
        assert run is None, "a run starts once"
        return _started(event)
    assert run is not None, "a run starts with RunStarted"
    assert event.seq == run.seq + 1, f"event {event.seq} after event {run.seq}"
    match event:
        case NodeCompleted():
            return _node_completed(run, event)
        case NodeStarted():
            return _node_started(run, event)
        case NodeAccepted():
            return _node_accepted(run, event)
        case PollStarted():
            timers = tuple(timer for timer in run.timers if timer.node != event.node or timer.kind != "poll")
            return _node_changed(run, event, timers=timers, phase="polling", poll=event.poll)
        case NodeReported():
            return _node_reported(run, event)
        case AttemptFailed():
            return _attempt_failed(run, event)
        case AttemptStarted():
            timers = _timers_without(run, event.node) + event.timers
            return _node_changed(
                run, event, timers=timers, phase="running", attempt=event.attempt, poll=0, poll_state=None
            )
        case ChildrenStarted():
            return _node_changed(run, event, children=after_starts(run.nodes[event.node], event))
        case ChildCompleted():
            return _node_changed(run, event, children=after_child(run.nodes[event.node], event))
        case RunCancelling():
            return replace(run, status="CANCELLING", cancelled_by=event.by, seq=event.seq, updated_at=event.at)
        case RunCompleted():
            return replace(
                run, status="COMPLETED", result=event.result, seq=event.seq, updated_at=event.at,
                completed_at=event.at, timers=(),
            )  # fmt: skip
        case _:
            assert_never(event)


def _started(event: RunStarted) -> Run:
    return Run(
        id=event.run_id, workflow=event.workflow, version=event.version, trigger=event.trigger,
        trigger_type=event.trigger_type, created_by=event.created_by, created_at=event.at, updated_at=event.at,
        causation=event.causation, seq=event.seq, edges=dict(event.edges),
        parent=event.parent, rerun_of=event.rerun_of, gate=event.gate,
    )  # fmt: skip


def _node_started(run: Run, event: NodeStarted) -> Run:
    node = NodeRun(
        event.node_run_id, event.node, event.type, "IN_PROGRESS", event.phase, 1, event.at, event.at,
        config=event.config, children=event.children,
    )  # fmt: skip
    return _moved(run, event, node, timers=run.timers + event.timers)


def _node_completed(run: Run, event: NodeCompleted) -> Run:
    node = run.nodes.get(event.node)
    if node is None:
        node = NodeRun(event.node_run_id, event.node, event.type, "IN_PROGRESS", "running", 1, event.at, event.at)
    logs, dropped = _logs_with(node, event.logs)
    node = NodeRun(
        node.id, node.node, node.type, "COMPLETED", "done", node.attempt, node.created_at, event.at, event.at,
        event.result, node.config, event.output, event.error, event.outlet, event.label,
        event.external_run_id or node.external_run_id, node.links if event.links is None else event.links,
        node.failed_attempts, logs, dropped, node.reports, children=at_the_end(node.children), carried=event.carried,
    )  # fmt: skip
    return _moved(
        run, event, node,
        outputs=None if event.result == "CANCELLED" else {**run.outputs, event.node: event.stored},
        edges={**run.edges, **event.edges} if event.edges else None,
        timers=_timers_without(run, event.node) if run.timers else None,
        label=event.run_label,
    )  # fmt: skip


def _moved(
    run: Run,
    event: _NodeEvent,
    node: NodeRun,
    outputs: Mapping[str, Json] | None = None,
    edges: Mapping[int, bool] | None = None,
    timers: tuple[Timer, ...] | None = None,
    label: str | None = None,
) -> Run:
    """The run with a changed node run. Spelled out, as in `_node_completed`: `replace` would cost three times that."""
    return Run(
        run.id, run.workflow, run.version, run.trigger, run.trigger_type, run.created_by, run.created_at, event.at,
        run.causation, run.status, run.result, run.completed_at, event.seq, {**run.nodes, event.node: node},
        run.outputs if outputs is None else outputs, run.edges if edges is None else edges,
        run.timers if timers is None else timers, label or run.label, run.cancelled_by,
        run.parent, run.rerun_of, run.gate,
    )  # fmt: skip


def _node_accepted(run: Run, event: NodeAccepted) -> Run:
    node = run.nodes[event.node]
    return _node_changed(
        run, event, phase="waiting", output=event.output, poll_state=event.poll_state,
        timers=None if event.poll is None else (*run.timers, event.poll),
        external_run_id=event.external_run_id or node.external_run_id,
        links=node.links if event.links is None else event.links,
    )  # fmt: skip


def _node_reported(run: Run, event: NodeReported) -> Run:
    node = run.nodes[event.node]
    reports = (*node.reports, event.report_id)[-MAX_REPORTS:] if event.report_id else node.reports
    merged = node.output if event.output is None else {**(node.output or {}), **event.output}
    return _node_changed(
        run, event, output=merged, reports=reports, external_run_id=event.external_run_id or node.external_run_id,
        links=node.links if event.links is None else event.links,
    )  # fmt: skip


def _attempt_failed(run: Run, event: AttemptFailed) -> Run:
    node = run.nodes[event.node]
    failed = FailedAttempt(event.attempt, event.at, event.error)
    timers = (*_timers_without(run, event.node), event.retry)
    failed_attempts = (*node.failed_attempts, failed)
    return _node_changed(
        run, event, timers=timers, phase="retrying", error=event.error, failed_attempts=failed_attempts
    )


def _node_changed(
    run: Run,
    event: _NodeEvent,
    timers: tuple[Timer, ...] | None = None,
    **changes: object,
) -> Run:
    node = run.nodes[event.node]
    logs, dropped = _logs_with(node, getattr(event, "logs", ()))
    node = replace(node, updated_at=event.at, logs=logs, logs_dropped=dropped, **changes)  # type: ignore[arg-type]
    return _moved(run, event, node, timers=timers)


def _timers_without(run: Run, node: str) -> tuple[Timer, ...]:
    return tuple(timer for timer in run.timers if timer.node != node)


def _logs_with(node: NodeRun, lines: tuple[LogLine, ...]) -> tuple[tuple[LogLine, ...], int]:
    """The node run's log with the new lines, the oldest dropped beyond the limit."""
    if not lines:
        return node.logs, node.logs_dropped
    logs = node.logs + lines
    surplus = max(0, len(logs) - MAX_LOG_LINES)
    return logs[surplus:], node.logs_dropped + surplus
