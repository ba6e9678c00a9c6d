"""Why did a run take this branch? Its condition nodes, decided once more on what they saw then (issue 5, explain).

Nothing is stored for this: what a condition read are the outputs that nodes left before it, which stand before its own
in the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from headrace.core._context import context
from headrace.core.explanation import Clause, clause_of
from headrace.core.expression import Answer
from headrace.core.json import Json
from headrace.core.plan import Plan, PlanNode
from headrace.core.run import NodeRun, Run


@dataclass(frozen=True, slots=True)
class BranchSeen:
    """A branch of a condition. `clause` is None when a branch before it was taken, so that nobody asked."""

    identifier: str
    title: str
    expression: str
    taken: bool
    clause: Clause | None


@dataclass(frozen=True, slots=True)
class ConditionSeen:
    """A condition node of a run, and how it was decided."""

    node: str
    node_run_id: str
    reason: str
    branches: tuple[BranchSeen, ...]


@dataclass(frozen=True, slots=True)
class Foreign:
    """The programs of a condition that only the evaluator can run, and what they run on."""

    node: str
    programs: tuple[str, ...]
    input: Json


def foreign_of(plan: Plan, run: Run) -> list[Foreign]:
    """What must be evaluated elsewhere before a run's conditions can be explained."""
    found = []
    for node, node_run in _conditions(plan, run):
        programs = [it.program for it in node.branches if it.program is not None and it.program.native is None]
        if programs:
            texts = tuple(program.text for program in programs)
            found.append(Foreign(node_run.node, texts, _root(plan, run, node_run)))
    return found


def explain_conditions(plan: Plan, run: Run, answers: Mapping[str, Mapping[str, Answer]]) -> list[ConditionSeen]:
    """Every condition node that the run came to, in order. `answers` holds those of foreign programs by node."""
    return [_explain(plan, run, node, node_run, answers) for node, node_run in _conditions(plan, run)]


def _conditions(plan: Plan, run: Run) -> list[tuple[PlanNode, NodeRun]]:
    return [
        (plan.nodes[node_run.node], node_run)
        for node_run in run.nodes.values()
        if node_run.type == "CONDITION" and node_run.node in plan.nodes and not node_run.carried
    ]


def _explain(
    plan: Plan, run: Run, node: PlanNode, node_run: NodeRun, answers: Mapping[str, Mapping[str, Answer]]
) -> ConditionSeen:
    root = _root(plan, run, node_run)
    seen: list[BranchSeen] = []
    decided = False
    for branch in node.branches:
        taken = branch.identifier == node_run.outlet
        clause = None
        if branch.program is not None and not decided:
            clause = clause_of(branch.program, root, answers.get(node_run.node, {}))
        expression = "" if branch.program is None else branch.program.text.strip()
        seen.append(BranchSeen(branch.identifier, branch.title, expression, taken, clause))
        decided = decided or taken or (clause is not None and clause.answer.startswith("failed: "))
    return ConditionSeen(node_run.node, node_run.id, _reason(node, node_run), tuple(seen))


def _reason(node: PlanNode, node_run: NodeRun) -> str:
    if node_run.error is not None:
        return node_run.error
    if node_run.outlet is not None:
        return f"the branch {node_run.outlet} was the first to give true"
    return "no branch gave true, so the default was taken" if node.fallback else "no branch gave true: the path ends"


def _root(plan: Plan, run: Run, node_run: NodeRun) -> Json:
    """What the condition saw: outputs lie in the order in which nodes left them."""
    names = list(run.outputs)
    before = names[: names.index(node_run.node)] if node_run.node in run.outputs else names
    return context(plan, replace(run, outputs={name: run.outputs[name] for name in before}))
