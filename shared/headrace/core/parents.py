"""Between runs: what a child run tells its parent, and what the parent makes of it."""

import orjson

from headrace.core import limits
from headrace.core._draft import Draft
from headrace.core._nodes import advance, go_on_with_children
from headrace.core.authoring import inputs
from headrace.core.commands import ReportChild, StartRun
from headrace.core.decision import Rejection
from headrace.core.definition import Node, SelfServeTrigger
from headrace.core.errors import Problem
from headrace.core.events import ChildCompleted
from headrace.core.json import Json, JsonObject
from headrace.core.plan import Plan
from headrace.core.run import Children, Run


def refusal(start: StartRun, why: str) -> tuple[ReportChild, ...]:
    """What the parent is told when its child run cannot be started; nothing without a parent."""
    if start.parent is None:
        return ()
    parent = start.parent
    return (ReportChild(parent.run_id, start.at, parent.node_run_id, parent.index, "FAILED", error=why),)


def report_to_parent(run: Run) -> tuple[ReportChild, ...]:
    """What the parent of a run that is over is told; nothing without a parent."""
    if run.parent is None or run.result is None:
        return ()
    parent, outputs = run.parent, None
    if run.result == "SUCCESS":
        left: JsonObject = {name: value for name, value in run.outputs.items() if name != run.trigger}
        outputs = left if _size(left) <= limits.CHILD_OUTPUT_BYTES else None
    at = run.completed_at or run.updated_at
    return (ReportChild(parent.run_id, at, parent.node_run_id, parent.index, run.result, outputs, _error(run)),)


def inputs_of(plan: Plan, start: StartRun) -> tuple[str, JsonObject] | str:
    """At which trigger a child run starts, and its checked inputs; or why it cannot be started, in words.

    Whoever saved the parent decided that it may start the child, so nobody is asked for permissions, and a trigger that
    is not published will do.
    """
    triggers = {node.identifier: node for node in plan.definition.triggers if isinstance(node.config, SelfServeTrigger)}
    found = _trigger(plan, triggers, start.trigger)
    if isinstance(found, str):
        return found
    config = found.config
    assert isinstance(config, SelfServeTrigger)
    checked = inputs.validate(config.user_inputs, start.output)
    if checked.problems:
        return "Its inputs do not fit. " + " ".join(_said(problem) for problem in checked.problems[:3])
    return found.identifier, checked.values


def report_child(draft: Draft, command: ReportChild) -> Rejection | None:
    """A child run is over. It is counted once: its item is not among those at work any more."""
    run = draft.run
    node_run = run.node_run(command.node_run_id)
    if node_run is None or (node_run.children is None and node_run.status != "COMPLETED"):
        return Rejection("unknown-node", f"run {run.id} has no node run {command.node_run_id} with child runs")
    if node_run.status == "COMPLETED":
        return Rejection("node-over", f"node run {node_run.id} is over with {node_run.result}")
    children = node_run.children
    assert children is not None
    if command.index not in children.running:
        return Rejection("duplicate", f"item {command.index} of node run {node_run.id} is not at work")
    node = draft.plan.nodes[node_run.node]
    outputs: Json = command.outputs
    is_list = node.calls is not None and node.calls.items is not None
    size = _size(outputs) if is_list and command.result == "SUCCESS" else 0
    omitted = children.results is not None and is_list and not _fits(children, outputs, size)
    kept = children.results is not None and not omitted and command.result == "SUCCESS"
    error = None if command.result == "SUCCESS" else (command.error or f"It ended with {command.result}.")
    draft.emit(
        ChildCompleted, node=node_run.node, index=command.index, result=command.result, size=size if kept else 0,
        outputs=outputs if kept else None, omitted=omitted, error=error,
    )  # fmt: skip
    advance(draft, go_on_with_children(draft, node))
    return None


def _fits(children: Children, outputs: Json, size: int) -> bool:
    """Whether what this child run left can be kept beside the others."""
    if size == 0:
        return True
    assert children.results is not None
    return (
        outputs is not None
        and len(children.results) < limits.CHILD_RESULTS
        and children.result_bytes + size <= limits.CHILD_OUTPUT_BYTES
    )


def _trigger(plan: Plan, triggers: dict[str, Node], name: str) -> Node | str:
    names = ", ".join(f'"{each}"' for each in triggers)
    if not triggers:
        return f'Workflow "{plan.workflow}" has no self-serve trigger, and child runs start at one.'
    if name:
        return triggers.get(name) or f'Workflow "{plan.workflow}" has no self-serve trigger "{name}". It has: {names}.'
    if len(triggers) > 1:
        return f'Workflow "{plan.workflow}" has several self-serve triggers, so one must be named: {names}.'
    return next(iter(triggers.values()))


def _said(problem: Problem) -> str:
    return f"{problem.pointer}: {problem.message}" if problem.pointer else problem.message


def _error(run: Run) -> str | None:
    """What went wrong, in the words of the node that failed."""
    if run.result == "CANCELLED":
        return f"It was cancelled by {run.cancelled_by}." if run.cancelled_by else "It was cancelled."
    if run.result == "SUCCESS":
        return None
    failed = [node for node in run.nodes.values() if node.result == "FAILED"]
    last = max(failed, key=lambda node: node.completed_at or 0, default=None)
    return None if last is None else f"Node {last.node}: {last.error}"[: limits.DESCRIPTION_LENGTH]


def _size(value: Json) -> int:
    return len(orjson.dumps(value))
