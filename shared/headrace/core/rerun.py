"""Running a run again, as a new run: from the start, from what failed, or from any node that it reached.

What lies upstream of the chosen nodes is carried over as it was and never executed again. Everything else runs: the
chosen nodes, all that follows them, and what the old run had not finished.
"""

from dataclasses import dataclass
from typing import Literal

from headrace.core import ids
from headrace.core.authoring import inputs
from headrace.core.commands import Carried, StartRun
from headrace.core.definition import Action, SelfServeTrigger
from headrace.core.errors import Problem
from headrace.core.json import JsonObject
from headrace.core.plan import Plan
from headrace.core.run import Causation, NodeRun, Run

RefusalReason = Literal["not-over", "unknown-node", "not-reached", "nothing-failed", "no-inputs", "bad-inputs"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the run cannot be repeated like this; `problems` when the inputs do not fit."""

    reason: RefusalReason
    message: str
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be repeated: all of it, the node runs that failed or were cancelled, or all from one node on.

    `inputs` replace those of the old run, name by name; None keeps them. `cause` tells two wishes from one that is
    sent twice, and `payload` one that is sent twice from another with the same cause.
    """

    first: Literal["start", "failed", "node"]
    cause: str
    by: str
    at: int
    node: str = ""
    inputs: JsonObject | None = None
    payload: str = ""
    traceparent: str | None = None


def prepare(plan: Plan, run: Run, wish: Wish) -> StartRun | Refusal:
    """The command that starts the new run. `plan` is the run's own, or, to repeat all of it, that of another version.

    The new run belongs to the caller and has no parent: whoever waited for the old one has its answer.
    """
    if not run.is_over:
        return Refusal("not-over", f'The run "{run.id}" is not over yet. Cancel it, or wait for its end.')
    chosen = _chosen(plan, run, wish)
    if isinstance(chosen, Refusal):
        return chosen
    output = _output(plan, run, wish.inputs)
    if isinstance(output, Refusal):
        return output
    cause = f"rerun:{run.id}:{wish.cause}"
    event_id = f"{cause}:{wish.payload}" if wish.payload else cause
    old = run.causation
    return StartRun(
        run_id=ids.run_id(plan.workflow, run.trigger, cause),
        at=wish.at,
        workflow=plan.workflow,
        version=plan.version,
        trigger=run.trigger,
        output=output,
        created_by=wish.by,
        causation=Causation(event_id, old.root_event_id, old.depth, old.chain, wish.traceparent),
        rerun_of=run.id,
        carried=tuple(_carried(run, node) for node in _kept(plan, run, chosen)) if chosen else (),
    )


def _chosen(plan: Plan, run: Run, wish: Wish) -> frozenset[str] | Refusal:
    """The nodes to begin with; none for the start."""
    if wish.first == "start":
        return frozenset()
    if wish.first == "failed":
        failed = frozenset(node.node for node in run.nodes.values() if node.result in ("FAILED", "CANCELLED"))
        return failed or Refusal("nothing-failed", f'No node of the run "{run.id}" failed or was cancelled.')
    if wish.node == run.trigger:
        return frozenset()
    if wish.node not in plan.nodes:
        known = ", ".join(f'"{name}"' for name in run.nodes)
        message = (
            f'Version {run.version} of "{run.workflow}" has no node "{wish.node[:100]}". The run reached: {known}.'
        )
        return Refusal("unknown-node", message)
    if wish.node not in run.nodes:
        return Refusal("not-reached", f'The run "{run.id}" never reached the node "{wish.node}".')
    return frozenset((wish.node,))


def _output(plan: Plan, run: Run, edited: JsonObject | None) -> JsonObject | Refusal:
    """The trigger's output: that of the old run, with the edited inputs in it."""
    trigger = plan.nodes.get(run.trigger)
    if trigger is None or not trigger.node.is_trigger:
        return Refusal("unknown-node", f'Version {plan.version} of "{plan.workflow}" has no trigger "{run.trigger}".')
    old = run.nodes[run.trigger].output or {}
    config = trigger.node.config
    if not isinstance(config, SelfServeTrigger):
        if edited:
            return Refusal("no-inputs", f'"{run.trigger}" is no self-serve trigger: it has no inputs to edit.')
        return old
    if edited is None and plan.version == run.version:
        return old
    checked = inputs.validate(config.user_inputs, {**old, **(edited or {})})
    if checked.problems:
        return Refusal("bad-inputs", checked.problems[0].message, checked.problems)
    return checked.values


def _kept(plan: Plan, run: Run, chosen: frozenset[str]) -> list[NodeRun]:
    """The node runs that are carried over, in the order in which they started."""
    done = {name for name, node in run.nodes.items() if _led_on(plan, run, node)}
    front = [*chosen, *(name for name in run.nodes if name not in done)]
    again = set(front)
    while front:
        for index in plan.nodes[front.pop()].outgoing:
            target = plan.edges[index].target
            if target not in again:
                again.add(target)
                front.append(target)
    return [node for name, node in run.nodes.items() if name not in again and name != run.trigger]


def _led_on(plan: Plan, run: Run, node: NodeRun) -> bool:
    """Whether the run went on after this node run, or would have, had nobody cancelled it."""
    config = plan.nodes[node.node].node.config
    forgiven = isinstance(config, Action) and config.on_failure == "continue" and run.result != "CANCELLED"
    return node.result == "SUCCESS" or (node.result == "FAILED" and forgiven)


def _carried(run: Run, node: NodeRun) -> Carried:
    assert node.result is not None
    return Carried(
        node.node, node.type, node.result, node.output, run.outputs.get(node.node), node.error, node.outlet,
        node.label, node.links,
    )  # fmt: skip
