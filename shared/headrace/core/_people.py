"""INPUT nodes: people press buttons until an outlet has enough of them, or time is up (spec 5.1).

Responses lie in the node run's output, so a response that is delivered twice is known by who gave it, and what counts
is counted from what is stored.
"""

from dataclasses import replace

from headrace.core import ids, responses
from headrace.core._draft import Draft
from headrace.core._nodes import advance, complete, labels
from headrace.core.commands import Failed, ReportAttempt, ReportNode, RespondNode
from headrace.core.decision import Rejection
from headrace.core.definition import Input
from headrace.core.events import NodeReported
from headrace.core.json import Json, JsonObject
from headrace.core.plan import PlanBranch
from headrace.core.run import LogLine, NodeRun
from headrace.core.times import iso


def respond(draft: Draft, command: RespondNode) -> Rejection | None:
    """A person pressed a button. The outlet that has enough presses first is taken."""
    node_run = draft.open_node_run(command.node_run_id)
    if isinstance(node_run, Rejection):
        return node_run
    if node_run.type != "INPUT" or command.button not in responses.buttons_of(node_run):
        return Rejection("unfit-response", f"node run {node_run.id} has no button {command.button}")
    if responses.has_responded(node_run, command.by):
        return Rejection("duplicate", f"{command.by} has responded to node run {node_run.id} already")
    objection = responses.objection(node_run, command.inputs)
    if objection is not None:
        return Rejection("unfit-response", f"the response to node run {node_run.id} cannot be kept. {objection}")
    response: JsonObject = {
        "button": command.button,
        "inputs": command.inputs,
        "submitterInfo": {"submittedBy": command.by},
        "submittedAt": iso(draft.at),
    }
    listed: list[Json] = [*responses.responses_of(node_run), response]
    draft.emit(
        NodeReported, node=node_run.node, output={"responses": listed}, report_id=ids.derive("response", command.by)
    )
    reached = next((it for it in responses.tally(draft.run.nodes[node_run.node]) if it.given >= it.needed), None)
    if reached is not None:
        _take(draft, node_run.node, reached.outlet)
    return None


def time_out(draft: Draft, node_run: NodeRun) -> None:
    """Nobody may respond any more: the outlet for that is taken, else the node fails."""
    step = draft.plan.nodes[node_run.node].node.config
    assert isinstance(step, Input)
    if step.timeout_outlet is not None:
        _take(draft, node_run.node, step.timeout_outlet)
        return
    so_far = ", ".join(f"{it.outlet} {it.given} of {it.needed}" for it in responses.tally(node_run))
    message = f"Not enough people responded within {step.timeout_seconds:g} s ({so_far})."
    advance(draft, complete(draft, node_run.node, "FAILED", node_run.output, message))


def noticed(draft: Draft, node_run: NodeRun, command: ReportAttempt) -> Rejection | None:
    """What became of a notification: a line in the log, for who wonders why nobody came."""
    report = f"notice:{command.poll}"
    if report in node_run.reports:
        return Rejection("duplicate", f"notification {command.poll} was answered already")
    logs = command.logs
    if isinstance(command.outcome, Failed):
        message = f"Notification {command.poll} failed, and is not sent again. {command.outcome.message}"
        logs = (*logs, LogLine(draft.at, "ERROR", message))
    draft.emit(NodeReported, node=node_run.node, logs=logs, report_id=report)
    return None


def with_responses(node_run: NodeRun, command: ReportNode) -> ReportNode:
    """A report by a machine that brings responses of its own forgets nobody who responded: else they could again."""
    if command.output is None or "responses" not in command.output:
        return command
    brought = command.output["responses"]
    listed = brought if isinstance(brought, list) else []
    known = [responses.submitter_of(it) for it in listed if isinstance(it, dict)]
    kept: list[Json] = [it for it in responses.responses_of(node_run) if responses.submitter_of(it) not in known]
    return replace(command, output={**command.output, "responses": [*kept, *listed]})


def _take(draft: Draft, name: str, outlet: str) -> None:
    """Leave the node by an outlet."""
    node = draft.plan.nodes[name]
    branch: PlanBranch = next(branch for branch in node.branches if branch.identifier == outlet)
    chosen: JsonObject = {"identifier": branch.identifier, "title": branch.title}
    output: JsonObject = {"responses": [], **(draft.run.nodes[name].output or {}), "selectedOutlet": chosen}
    more = labels(draft, node, branch)
    advance(draft, complete(draft, name, "SUCCESS", output, outlet=branch.identifier, **more))
