"""The child runs of WORKFLOW and FOR_EACH nodes: which are started, when the node run is over, and with what.

A child run is a run like any other, of a document of its own. It is asked for by a command in its parent's outbox and
answers with one in its own, so the protocol of runs holds for both; their ids are derived, so asking twice is harmless.
"""

from dataclasses import dataclass

from headrace.core import ids, limits
from headrace.core._context import node_context
from headrace.core._draft import Draft
from headrace.core._rendering import render
from headrace.core.commands import LATEST, CancelRun, StartRun
from headrace.core.events import ChildCompleted, ChildrenStarted
from headrace.core.json import Json, JsonObject
from headrace.core.plan import Calls, PlanNode
from headrace.core.run import Causation, Children, NodeRun, Parent, Result, Run
from headrace.core.template import TemplateError


@dataclass(frozen=True, slots=True)
class Ended:
    """How a node run ends whose child runs are all over."""

    result: Result
    output: JsonObject
    error: str | None = None


def planned(draft: Draft, node: PlanNode, node_run_id: str) -> Children:
    """The child runs that a node is to start. Raises TemplateError when there is no such list."""
    assert node.calls is not None
    if node.calls.items is None:
        return Children(1)
    root = node_context(draft.plan, draft.run, node_run_id, draft.at)
    scope = f"{node.node.identifier}:items"
    items = render(draft, scope, node.calls.items, root, limits.FOR_EACH_BYTES)
    if not isinstance(items, list):
        raise TemplateError("", f"They must be an array; this is {_kind(items)}.")
    if len(items) > limits.FOR_EACH_ITEMS:
        raise TemplateError("", f"There are {len(items)} of them; at most {limits.FOR_EACH_ITEMS} can be taken.")
    return Children(len(items), tuple(items))


def fill(draft: Draft, node: PlanNode) -> None:
    """Start the next child runs, up to the limit. An item whose inputs cannot be rendered has failed."""
    name, calls = node.node.identifier, node.calls
    assert calls is not None
    starts: list[StartRun] = []
    while True:
        node_run = draft.run.nodes[name]
        children = node_run.children
        assert children is not None
        index = children.started + len(starts)
        full = len(children.running) + len(starts) >= calls.concurrency
        if full or index >= children.total or _is_stopped(draft.run, children, calls):
            break
        try:
            starts.append(_start(draft, node, node_run, index, children.items[len(starts)] if children.items else None))
        except TemplateError as error:
            _send(draft, name, starts)
            starts = []
            message = f"The inputs could not be rendered. {error}"[: limits.DESCRIPTION_LENGTH]
            draft.emit(ChildCompleted, node=name, index=index, result="FAILED", error=message)
    _send(draft, name, starts)


def ended(run: Run, node: PlanNode) -> Ended | None:
    """How the node run ends, if nothing is running and nothing more is started."""
    node_run, calls = run.nodes[node.node.identifier], node.calls
    children = node_run.children
    assert children is not None
    assert calls is not None
    if children.running or (children.started < children.total and not _is_stopped(run, children, calls)):
        return None
    if run.status == "CANCELLING":
        return Ended("CANCELLED", {}, f"The run was cancelled by {run.cancelled_by}.")
    output = _one(node_run.id, children) if calls.items is None else _all(node_run.id, children)
    if children.failed and calls.stops:
        index, message = children.failures[0]
        which = "The child run" if calls.items is None else f"The child run of item {index}"
        return Ended("FAILED", output, f"{which} failed. {message}")
    return Ended("SUCCESS", output)


def release(draft: Draft, node_run: NodeRun | None, force: bool = False) -> None:
    """The child runs at work are not waited for any more: they are cancelled, and what they report is refused."""
    if node_run is None or node_run.children is None:
        return
    for index in node_run.children.running:
        child = ids.child_run_id(node_run.id, index)
        draft.commands.append(CancelRun(child, draft.at, f"its parent, run {draft.run.id}", force))


def _is_stopped(run: Run, children: Children, calls: Calls) -> bool:
    return run.status != "IN_PROGRESS" or (calls.stops and children.failed > 0)


def _start(draft: Draft, node: PlanNode, node_run: NodeRun, index: int, item: Json) -> StartRun:
    """The command that starts the child run of an item. Raises TemplateError."""
    calls, run = node.calls, draft.run
    assert calls is not None
    root = node_context(draft.plan, run, node_run.id, node_run.created_at)
    if calls.items is not None:
        root |= {"item": item, "index": index}
    scope = f"{node.node.identifier}:inputs{index}"
    inputs = render(draft, scope, calls.inputs, root, limits.CHILD_INPUT_BYTES)
    if not isinstance(inputs, dict):
        raise TemplateError("", f"They must be an object; this is {_kind(inputs)}.")
    cause = run.causation
    if cause.depth >= limits.NESTED_RUNS:
        chain = " → ".join((*cause.chain, run.workflow))
        raise TemplateError("", f"{cause.depth} runs led to this one; it may start no more. They are {chain}.")
    child = ids.child_run_id(node_run.id, index)
    causation = Causation(child, cause.root_event_id, cause.depth + 1, (*cause.chain, run.workflow), cause.traceparent)
    parent = Parent(run.id, node_run.id, index)
    return StartRun(child, draft.at, calls.workflow, LATEST, calls.trigger, inputs, run.created_by, causation, parent)


def _send(draft: Draft, name: str, starts: list[StartRun]) -> None:
    if starts:
        draft.emit(ChildrenStarted, node=name, count=len(starts))
        draft.commands.extend(starts)


def _one(node_run: str, children: Children) -> JsonObject:
    """What a WORKFLOW node gives."""
    return {
        "runIdentifier": ids.child_run_id(node_run, 0),
        "outputs": children.results[0][1] if children.results else None,
    }


def _all(node_run: str, children: Children) -> JsonObject:
    """What a FOR_EACH node gives: the counts, the first failures, and the results in the order of the items."""
    results: Json = None
    if children.results is not None:
        known = dict(children.results)
        results = [known.get(index) for index in range(children.total)]
    return {
        "total": children.total,
        "succeeded": children.succeeded,
        "failed": children.failed,
        "results": results,
        "failures": [
            {"index": index, "runIdentifier": ids.child_run_id(node_run, index), "message": message}
            for index, message in children.failures
        ],
    }


def _kind(value: Json) -> str:
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "true or false", int: "a number"}
    return "null" if value is None else kinds.get(type(value), "a number")
