"""Node runs: how they start, how they end, and what follows."""

from collections import deque
from collections.abc import Iterable
from typing import Any

from headrace.core import _child_runs, _delay, _notices, ids
from headrace.core._context import context, node_context, result_context
from headrace.core._draft import Draft, sentence
from headrace.core._flow import settle
from headrace.core._rendering import render
from headrace.core._requests import request
from headrace.core.definition import DELAY, Action, Input
from headrace.core.events import AttemptStarted, NodeCompleted, NodeStarted, PollStarted, RunCompleted
from headrace.core.expression import Failure, Program
from headrace.core.json import Json, JsonObject
from headrace.core.plan import PlanBranch, PlanNode
from headrace.core.run import NodeRun, Result, Timer
from headrace.core.template import TemplateError


def advance(draft: Draft, ready: Iterable[str]) -> None:
    """Start the ready nodes and all that become ready by them, then end the run if nothing is left to do."""
    queue = deque(ready)
    while queue and draft.run.status == "IN_PROGRESS":
        queue.extend(start(draft, queue.popleft()))
    if not draft.run.is_over and not draft.run.in_progress():
        result: Result = "CANCELLED" if draft.run.status == "CANCELLING" else "SUCCESS"
        draft.emit(RunCompleted, result=result)


def start(draft: Draft, name: str) -> tuple[str, ...]:
    """Start a ready node. Conditions complete at once; the nodes that become ready by it are returned."""
    node = draft.plan.nodes[name]
    if node.node.config.type == "CONDITION":
        return _decide_condition(draft, node)
    node_run_id = ids.node_run_id(draft.run.id, name)
    assert node.config is not None, "actions and inputs have a config template"
    root = node_context(draft.plan, draft.run, node_run_id, draft.at)
    try:
        config = render(draft, f"{name}:config", node.config, root)
    except TemplateError as error:
        return complete(draft, name, "FAILED", error=f"The config could not be rendered. {error}")
    if node.calls is not None:
        return start_children(draft, node, node_run_id, config)
    if node.type == DELAY:
        return start_delay(draft, node, node_run_id, config)
    waits_for_people = isinstance(node.node.config, Input)
    draft.emit(
        NodeStarted,
        node=name,
        node_run_id=node_run_id,
        type=node.type,
        config=config,
        phase="waiting" if waits_for_people else "running",
        timers=_deadline(draft, node, node_run_id, 1),
    )
    if waits_for_people:
        draft.requests.extend(_notices.requests(draft.run, draft.run.nodes[name]))
    else:
        request(draft, draft.run.nodes[name])
    return ()


def start_delay(draft: Draft, node: PlanNode, node_run_id: str, config: Json) -> tuple[str, ...]:
    """Start a node that waits for its time to come."""
    name = node.node.identifier
    due = _delay.due_at(config, draft.at)
    if isinstance(due, str):
        return complete(draft, name, "FAILED", error=f"The delay cannot begin. {due}")
    timer = Timer(ids.timer_id(node_run_id, 1, "delay"), name, 1, "delay", due)
    draft.emit(
        NodeStarted, node=name, node_run_id=node_run_id, type=node.type, config=config, phase="waiting",
        timers=(timer,),
    )  # fmt: skip
    return ()


def start_children(draft: Draft, node: PlanNode, node_run_id: str, config: Json) -> tuple[str, ...]:
    """Start a node that starts child runs: they are its work, and the invoker is not asked."""
    name = node.node.identifier
    try:
        children = _child_runs.planned(draft, node, node_run_id)
    except TemplateError as error:
        return complete(draft, name, "FAILED", error=f"The items could not be taken. {error}")
    draft.emit(
        NodeStarted, node=name, node_run_id=node_run_id, type=node.type, config=config, phase="waiting",
        timers=_deadline(draft, node, node_run_id, 1), children=children,
    )  # fmt: skip
    return go_on_with_children(draft, node)


def go_on_with_children(draft: Draft, node: PlanNode) -> tuple[str, ...]:
    """Start what may be started now, and end the node run when none of its child runs is left."""
    name = node.node.identifier
    _child_runs.fill(draft, node)
    ended = _child_runs.ended(draft.run, node)
    if ended is None:
        return ()
    if ended.result == "CANCELLED":
        abandon(draft, draft.run.nodes[name], "CANCELLED", ended.error or "")
        return ()
    return complete(draft, name, ended.result, ended.output, ended.error)


def start_attempt(draft: Draft, node_run: NodeRun) -> None:
    """Begin the next attempt of a node run whose time has come."""
    attempt = node_run.attempt + 1
    timers = _deadline(draft, draft.plan.nodes[node_run.node], node_run.id, attempt)
    draft.emit(AttemptStarted, node=node_run.node, attempt=attempt, timers=timers)
    request(draft, draft.run.nodes[node_run.node])


def start_poll(draft: Draft, node_run: NodeRun) -> None:
    """Have the invoker asked how a node run's accepted work stands."""
    draft.emit(PollStarted, node=node_run.node, attempt=node_run.attempt, poll=node_run.poll + 1)
    request(draft, draft.run.nodes[node_run.node])


def complete(
    draft: Draft, name: str, result: Result, output: JsonObject | None = None, error: str | None = None, **fields: Any
) -> tuple[str, ...]:
    """End a node run: map its output, decide its ways out, and say which nodes are ready now.

    A FAILED node that terminates ends the run (spec 3.1); `fields` are further fields of NodeCompleted.
    """
    node = draft.plan.nodes[name]
    known = draft.run.nodes.get(name)
    node_run_id = known.id if known else ids.node_run_id(draft.run.id, name)
    _child_runs.release(draft, known)
    stored: Json = output
    if result == "SUCCESS" and node.variables is not None:
        created_at = known.created_at if known else draft.at
        root = result_context(draft.plan, draft.run, node_run_id, created_at, output or {})
        try:
            stored = render(draft, f"{name}:variables", node.variables, root)
        except TemplateError as problem:
            result, error = "FAILED", f"The variables could not be evaluated. {problem}"
    if result == "FAILED":
        stored = {**(output or {}), "error": {**_reported(output), "message": error or "failed"}}
        output = stored
    continues = result == "SUCCESS" or (result == "FAILED" and _continues(node))
    taken = {} if not continues or draft.run.status != "IN_PROGRESS" else ways_out(node, fields.get("outlet"))
    settled = settle(draft.plan, draft.run.edges, taken)
    if node.links and "links" not in fields:
        fields["links"] = _links(draft, node, node_run_id, output or {}, stored)
    draft.emit(
        NodeCompleted, node=name, node_run_id=node_run_id, type=node.type, result=result, output=output,
        stored=stored, error=error, edges=settled.edges, **fields,
    )  # fmt: skip
    if result == "FAILED" and not continues and draft.run.status == "IN_PROGRESS":
        end(draft, "FAILED", f"The run failed at node {name}.")
    return settled.ready


def end(draft: Draft, result: Result, reason: str) -> None:
    """End the run at once: node runs at work are cancelled, and what they report later is refused."""
    for node_run in draft.run.in_progress():
        abandon(draft, node_run, "CANCELLED", reason)
    draft.emit(RunCompleted, result=result)


def abandon(draft: Draft, node_run: NodeRun, result: Result, reason: str, force: bool = False) -> None:
    """Complete a node run without following its ways out, as cancelling does."""
    _child_runs.release(draft, node_run, force)
    draft.emit(
        NodeCompleted, node=node_run.node, node_run_id=node_run.id, type=node_run.type, result=result,
        output=node_run.output, error=reason, stored={"error": {"message": reason}},
    )  # fmt: skip


def _decide_condition(draft: Draft, node: PlanNode) -> tuple[str, ...]:
    """Spec 4: the first branch whose expression gives `true`, else the fallback, else the path ends here."""
    name = node.node.identifier
    root = context(draft.plan, draft.run)
    programs = [branch.program for branch in node.branches if branch.program is not None]
    foreign = tuple(program.text for program in programs if program.native is None)
    for branch, program in zip(node.branches, programs, strict=True):
        answer = draft.evaluate(f"{name}:branch", program, root, also=foreign)
        if isinstance(answer, Failure):
            return complete(draft, name, "FAILED", error=f"A branch could not be decided. {sentence(program, answer)}")
        if answer is True:
            return complete(
                draft, name, "SUCCESS", _selected(branch), outlet=branch.identifier, **labels(draft, node, branch)
            )
    return complete(draft, name, "SUCCESS", {"selectedOutlet": None})


def _selected(branch: PlanBranch) -> JsonObject:
    return {"selectedOutlet": {"identifier": branch.identifier, "title": branch.title}}


def labels(draft: Draft, node: PlanNode, branch: PlanBranch) -> dict[str, str]:
    """The status labels of a chosen branch; a label that cannot be evaluated is left out."""
    if branch.label is None and branch.run_label is None:
        return {}
    root = context(draft.plan, draft.run)
    found = {}
    for field, program in (("label", branch.label), ("run_label", branch.run_label)):
        text = _label(draft, node, program, root) if program else None
        if text:
            found[field] = text
    return found


def _label(draft: Draft, node: PlanNode, program: Program, root: Json) -> str | None:
    text = draft.evaluate(f"{node.node.identifier}:label", program, root)
    return text[:200] if isinstance(text, str) else None


def ways_out(node: PlanNode, outlet: object) -> dict[int, bool]:
    """The node's outgoing edges: taken or dead."""
    if not node.branches:
        return dict.fromkeys(node.outgoing, True)
    chosen = next((branch.edges for branch in node.branches if branch.identifier == outlet), node.fallback)
    return {index: index in chosen for index in node.outgoing}


def _reported(output: JsonObject | None) -> JsonObject:
    """What the receiver itself said about the error, beside its message."""
    error = (output or {}).get("error")
    return error if isinstance(error, dict) else {}


def _continues(node: PlanNode) -> bool:
    config = node.node.config
    return isinstance(config, Action) and config.on_failure == "continue"


def _deadline(draft: Draft, node: PlanNode, node_run_id: str, attempt: int) -> tuple[Timer, ...]:
    """The timer that ends an attempt, or a wait for people, whose author limited it.

    It leaves the invoker's own limit the first word.
    """
    config = node.node.config
    if not isinstance(config, Action | Input) or config.timeout_seconds is None:
        return ()
    grace = _GRACE_SECONDS if isinstance(config, Action) else 0.0
    due_at = draft.at + int((config.timeout_seconds + grace) * 1000)
    timer = ids.timer_id(node_run_id, attempt, "deadline")
    return (Timer(timer, node.node.identifier, attempt, "deadline", due_at),)


_GRACE_SECONDS = 5.0


def _links(draft: Draft, node: PlanNode, node_run_id: str, output: JsonObject, stored: Json) -> tuple[str, ...] | None:
    """Spec 5.2: a link that fails to render or is no URL is skipped."""
    known = draft.run.nodes.get(node.node.identifier)
    root = result_context(draft.plan, draft.run, node_run_id, known.created_at if known else draft.at, output)
    outputs = root["outputs"]
    assert isinstance(outputs, dict)
    root["outputs"] = {**outputs, node.node.identifier: stored}
    links = []
    for index, template in enumerate(node.links):
        try:
            link = render(draft, f"{node.node.identifier}:link{index}", template, root)
        except TemplateError:
            continue
        if isinstance(link, str) and link.startswith(("https://", "http://")):
            links.append(link)
    return tuple(links) or None
