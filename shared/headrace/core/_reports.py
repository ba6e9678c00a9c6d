"""Answers, outside reports and timers: what they do to a node run in progress."""

from typing import Any

from headrace.core import _delay, _notices, _people, ids, retry
from headrace.core._draft import Draft
from headrace.core._nodes import advance, complete, end, labels, start_attempt, start_poll
from headrace.core.commands import Accepted, Failed, FireTimer, Outcome, ReportAttempt, ReportNode, Succeeded
from headrace.core.decision import Rejection
from headrace.core.definition import Action
from headrace.core.events import AttemptFailed, NodeAccepted, NodeReported
from headrace.core.json import JsonObject
from headrace.core.plan import PlanBranch, PlanNode
from headrace.core.run import LogLine, NodeRun, Timer


def report_attempt(draft: Draft, command: ReportAttempt) -> Rejection | None:
    """The invoker's answer. Only the current attempt of a running node run, or its current poll, may report, once."""
    node_run = draft.run.nodes.get(command.node)
    if node_run is None or node_run.id != command.node_run_id:
        return Rejection("unknown-node", f"run {draft.run.id} has no node run {command.node_run_id}")
    if node_run.status == "COMPLETED":
        return Rejection("node-over", f"node run {node_run.id} is over with {node_run.result}")
    if command.attempt == _notices.ATTEMPT and node_run.type == "INPUT":
        return _people.noticed(draft, node_run, command)
    if command.attempt != node_run.attempt:
        return Rejection("stale-attempt", f"attempt {command.attempt} is not the current attempt {node_run.attempt}")
    if command.poll != node_run.poll:
        return Rejection("stale-attempt", f"poll {command.poll} is not the current poll {node_run.poll}")
    if node_run.phase not in ("running", "polling"):
        return Rejection("duplicate", f"attempt {command.attempt} was answered already")
    _settle_attempt(draft, node_run, command.outcome, command.logs)
    return None


def report_node(draft: Draft, command: ReportNode) -> Rejection | None:
    """A PATCH or log lines from outside (spec 7.5); legal in every phase of a node run in progress."""
    node_run = draft.open_node_run(command.node_run_id)
    if isinstance(node_run, Rejection):
        return node_run
    if draft.run.is_held:
        return Rejection("unknown-node", f"run {draft.run.id} waits for its turn, and has no node run to report of")
    if command.report_id and command.report_id in node_run.reports:
        return Rejection("duplicate", f"report {command.report_id} was taken already")
    if node_run.type == "INPUT":
        command = _people.with_responses(node_run, command)
    if command.status == "COMPLETED":
        _complete_from_outside(draft, node_run, command)
    else:
        draft.emit(
            NodeReported, node=node_run.node, output=command.output, logs=command.logs, report_id=command.report_id,
            external_run_id=command.external_run_id, links=command.links,
        )  # fmt: skip
    return None


def fire_timer(draft: Draft, command: FireTimer) -> Rejection | None:
    """A timer fires once, and never before it is due."""
    timer = next((timer for timer in draft.run.timers if timer.id == command.timer_id), None)
    if timer is None:
        return Rejection("unknown-timer", f"run {draft.run.id} has no timer {command.timer_id}")
    if command.at < timer.due_at:
        return Rejection("not-due", f"timer {timer.id} is due {timer.due_at - command.at} ms later")
    node_run = draft.run.nodes[timer.node]
    if timer.kind == "retry":
        start_attempt(draft, node_run)
        return None
    if timer.kind == "poll":
        start_poll(draft, node_run)
        return None
    if timer.kind == "delay":
        advance(draft, complete(draft, timer.node, "SUCCESS", _delay.output(timer.due_at)))
        return None
    if node_run.type == "INPUT":
        _people.time_out(draft, node_run)
        return None
    action = draft.plan.nodes[timer.node].node.config
    assert isinstance(action, Action)
    what = "answered" if node_run.phase == "running" else "reported back"
    # The call may have been made: where it must not be made twice, nobody may try again.
    whose = "Nobody" if node_run.children is None else "Not every child run"
    failed = Failed(
        "timeout", f"{whose} {what} within {action.timeout_seconds:g} s.", retryable=action.delivery != "at_most_once"
    )
    _settle_failure(draft, node_run, failed, (), by_deadline=True)
    return None


def _settle_attempt(draft: Draft, node_run: NodeRun, outcome: Outcome, logs: tuple[LogLine, ...]) -> None:
    match outcome:
        case Succeeded():
            advance(draft, complete(draft, node_run.node, "SUCCESS", _merged(node_run, outcome.output), logs=logs))
        case Accepted():
            draft.emit(
                NodeAccepted, node=node_run.node, output=_merged(node_run, outcome.output), logs=logs,
                external_run_id=outcome.external_run_id, links=outcome.links,
                poll=_poll_timer(draft, node_run, outcome.poll_after_seconds), poll_state=outcome.poll_state,
            )  # fmt: skip
        case Failed():
            _settle_failure(draft, node_run, outcome, logs)


def _poll_timer(draft: Draft, node_run: NodeRun, after_seconds: float | None) -> Timer | None:
    """The timer of the node run's next poll; None when it waits for a report only."""
    if after_seconds is None:
        return None
    name = ids.timer_id(node_run.id, node_run.attempt, f"poll{node_run.poll + 1}")
    due_at = draft.at + max(0, int(after_seconds * 1000))
    return Timer(name, node_run.node, node_run.attempt, "poll", due_at)


def _settle_failure(
    draft: Draft, node_run: NodeRun, failed: Failed, logs: tuple[LogLine, ...], by_deadline: bool = False
) -> None:
    """Try again if the policy allows, else let `onTimeout` and `onFailure` speak, in this order."""
    action = draft.plan.nodes[node_run.node].node.config
    assert isinstance(action, Action)
    delay = None
    if failed.retryable and draft.run.status == "IN_PROGRESS":
        delay = retry.delay_seconds(action.retry, node_run.id, node_run.attempt, failed.retry_after_seconds)
    if delay is not None:
        timer = Timer(
            ids.timer_id(node_run.id, node_run.attempt, "retry"), node_run.node, node_run.attempt, "retry",
            draft.at + int(delay * 1000),
        )  # fmt: skip
        draft.emit(
            AttemptFailed, node=node_run.node, attempt=node_run.attempt, error=failed.message, retry=timer, logs=logs
        )
    elif failed.kind == "timeout" and action.on_timeout == "continue":
        _continue_after_timeout(draft, node_run, logs, waits=not (action.synchronized or by_deadline))
    else:
        output = _merged(node_run, failed.output) if failed.output or node_run.output else None
        advance(draft, complete(draft, node_run.node, "FAILED", output, failed.message, logs=logs))


def _continue_after_timeout(draft: Draft, node_run: NodeRun, logs: tuple[LogLine, ...], waits: bool) -> None:
    """Spec 3.2: a synchronous node succeeds with `{"timeout": true}`; an asynchronous one waits for its callback.

    A callback that does not come before the node's deadline ends the node run as a synchronous time-out does.
    """
    output = _merged(node_run, {"timeout": True})
    if waits:
        draft.emit(NodeAccepted, node=node_run.node, output=output, logs=logs)
    else:
        advance(draft, complete(draft, node_run.node, "SUCCESS", output, logs=logs))


def _complete_from_outside(draft: Draft, node_run: NodeRun, command: ReportNode) -> None:
    output = _merged(node_run, command.output or {})
    more: dict[str, Any] = {"logs": command.logs, "external_run_id": command.external_run_id}
    if command.links is not None:
        more["links"] = command.links
    if command.result == "CANCELLED":
        complete(draft, node_run.node, "CANCELLED", output, f"Cancelled by {command.by}.", **more)
        end(draft, "CANCELLED", f"Node {node_run.node} was cancelled by {command.by}.")
        return
    if command.result == "FAILED":
        ready = complete(draft, node_run.node, "FAILED", output, _reported_error(output), **more)
    else:
        node = draft.plan.nodes[node_run.node]
        branch = _chosen(node, output)
        if branch is not None:
            more |= {"outlet": branch.identifier, **labels(draft, node, branch)}
        ready = complete(draft, node_run.node, "SUCCESS", output, **more)
    advance(draft, ready)


def _reported_error(output: JsonObject) -> str:
    error = output.get("error")
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) and message else "The node run was reported as failed."


def _chosen(node: PlanNode, output: JsonObject) -> PlanBranch | None:
    """Spec 5.1: human steps name the outlet they chose in their output. Without a known one the path ends."""
    selected = output.get("selectedOutlet")
    identifier = selected.get("identifier") if isinstance(selected, dict) else None
    return next((branch for branch in node.branches if branch.identifier == identifier), None)


def _merged(node_run: NodeRun, output: JsonObject | None) -> JsonObject:
    """Several reports of one node run: the last value per key wins (spec 7.4.5)."""
    return {**(node_run.output or {}), **(output or {})}
