"""What must hold before a workflow is saved (spec 1.4, 2, 3, 4, 5.1).

Errors keep a definition from being saved; warnings do not. `headrace.core.authoring.flow_check` looks further, into
expressions.
"""

from collections import Counter
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from headrace.core import limits
from headrace.core.authoring import _check_nodes, _check_texts
from headrace.core.authoring.dialects import Parsed, parse
from headrace.core.authoring.findings import Findings, did_you_mean, quoted
from headrace.core.authoring.flow_check import check_flow
from headrace.core.definition import CHILD_TYPES, Action, Branch, Condition, Definition, Edge, Input, Node
from headrace.core.errors import Problem
from headrace.core.json import Json


def check(definition: Definition, unreadable: frozenset[str] = frozenset()) -> tuple[Problem, ...]:
    """Every problem of the graph and its nodes. About the nodes named in `unreadable`, only their edges are judged."""
    findings = Findings()
    _check_triggers(definition, findings)
    for edge in definition.edges:
        _check_ends(edge, definition, findings)
        _check_way_out(edge, definition, unreadable, findings)
    _check_repeats(definition, findings)
    _check_cycle(definition, findings)
    _check_reach(definition, findings)
    for node in definition.nodes.values():
        if node.identifier not in unreadable:
            _check_branches(node, definition, findings)
            _check_nodes.check_node(node, findings)
            _check_texts.check_texts(node, findings)
            _check_calls(node, definition, findings)
    return findings.result()


def expressions(definition: Definition) -> list[tuple[str, str]]:
    """Every JQ program of the definition with its pointer: conditions, labels, forms, and each block of a template."""
    return _check_texts.expressions(definition)


def _check_triggers(definition: Definition, findings: Findings) -> None:
    if not definition.triggers:
        hint = "Add a node of type SELF_SERVE_TRIGGER, EVENT_TRIGGER or SCHEDULE_TRIGGER."
        findings.error("/nodes", "no-trigger", "The workflow has no trigger, so nothing can start it.", hint)


def _check_ends(edge: Edge, definition: Definition, findings: Findings) -> None:
    for field, name in (("sourceIdentifier", edge.source), ("targetIdentifier", edge.target)):
        if name not in definition.nodes:
            hint = did_you_mean(name, definition.nodes)
            findings.error(f"{edge.pointer}/{field}", "unknown-node", f"There is no node named {quoted(name)}.", hint)
    if edge.source == edge.target:
        message = f"The connection leads from {quoted(edge.source)} to itself."
        findings.error(edge.pointer, "self-connection", message, "Remove it, or lead it to another node.")
    elif edge.target in definition.nodes and definition.nodes[edge.target].is_trigger:
        message = f"{quoted(edge.target)} is a trigger; a connection can only leave it."
        findings.error(f"{edge.pointer}/targetIdentifier", "trigger-as-target", message, "Lead it to another node.")


def _check_way_out(edge: Edge, definition: Definition, unreadable: frozenset[str], findings: Findings) -> None:
    """Whether the connection names a branch where it must, and only there."""
    node = definition.nodes.get(edge.source)
    if node is None or edge.source in unreadable:
        return
    match node.config:
        case Condition(branches, dialect):
            if edge.branch is not None and edge.fallback:
                message = "The connection names a branch and is the fallback as well."
                hint = "Keep one of the two; make a second connection for the other."
                findings.error(edge.pointer, "fallback-with-branch", message, hint)
            field = "sourceOptionIdentifier" if dialect == "options" else "sourceOutletIdentifier"
            if not edge.fallback:
                _check_branch_name(edge, branches, field, f'Add "{field}", or "fallback": true.', findings)
        case Input(branches):
            if edge.fallback:
                message = f"{quoted(edge.source)} is an INPUT node; it has no fallback."
                findings.error(f"{edge.pointer}/fallback", "fallback-not-allowed", message, "Name one of its outlets.")
            else:
                _check_branch_name(edge, branches, "sourceOutletIdentifier", 'Add "sourceOutletIdentifier".', findings)
        case _:
            _check_no_branch(edge, findings)


def _check_branch_name(edge: Edge, branches: tuple[Branch, ...], field: str, hint: str, findings: Findings) -> None:
    names = [branch.identifier for branch in branches]
    if edge.branch is None:
        message = f"The connection leaves {quoted(edge.source)}, which branches, but does not say by which branch."
        findings.error(edge.pointer, "connection-without-branch", message, hint)
    elif edge.branch not in names:
        message = f"{quoted(edge.source)} has no branch named {quoted(edge.branch)}."
        findings.error(f"{edge.pointer}/{field}", "unknown-branch", message, did_you_mean(edge.branch, names))


def _check_no_branch(edge: Edge, findings: Findings) -> None:
    only = f"{quoted(edge.source)} does not branch; only CONDITION and INPUT nodes do."
    if edge.branch is not None:
        message = f"The connection names the branch {quoted(edge.branch)}, but {only}"
        findings.error(edge.pointer, "branch-not-allowed", message, "Remove the name of the branch.")
    if edge.fallback:
        message = f"The connection is a fallback, but {only}"
        findings.error(f"{edge.pointer}/fallback", "fallback-not-allowed", message, 'Remove "fallback".')


def _check_repeats(definition: Definition, findings: Findings) -> None:
    seen: set[tuple[str, str, str | None]] = set()
    for edge in definition.edges:
        key = (edge.source, edge.target, edge.branch)
        if key in seen:
            message = f"A connection from {quoted(edge.source)} to {quoted(edge.target)} like this one was made before."
            findings.warning(edge.pointer, "repeated-connection", message, "Remove one of them.")
        seen.add(key)


def _check_cycle(definition: Definition, findings: Findings) -> None:
    sorter: TopologicalSorter[str] = TopologicalSorter()
    triggers = {node.identifier for node in definition.triggers}
    for edge in definition.edges:
        if edge.source != edge.target and edge.target not in triggers:
            sorter.add(edge.target, edge.source)
    try:
        sorter.prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        steps = set(pairwise(cycle))
        last = [edge for edge in definition.edges if (edge.source, edge.target) in steps][-1]
        message = "These nodes lead back to each other: " + " → ".join(cycle) + ". A run would never end."
        findings.error(last.pointer, "cycle", message, "Remove one of the connections between them.")


def _check_reach(definition: Definition, findings: Findings) -> None:
    reached = {node.identifier for node in definition.triggers}
    if not reached:
        return
    targets: dict[str, list[str]] = {}
    for edge in definition.edges:
        targets.setdefault(edge.source, []).append(edge.target)
    front = list(reached)
    while front:
        for target in targets.get(front.pop(), ()):
            if target not in reached:
                reached.add(target)
                front.append(target)
    for node in definition.nodes.values():
        if node.identifier not in reached:
            message = f"No trigger leads to {quoted(node.identifier)}; it never runs."
            findings.warning(node.pointer, "unreachable-node", message, "Connect it, or remove it.")


def _check_branches(node: Node, definition: Definition, findings: Findings) -> None:
    if not isinstance(node.config, Condition | Input):
        return
    branches = node.config.branches
    if not branches:
        message = f"{quoted(node.identifier)} has no branches, so nothing can follow it."
        findings.error(f"{node.pointer}/config", "no-branches", message, 'Add at least one to "outlets".')
    times = Counter(branch.identifier for branch in branches)
    followed = {edge.branch for edge in definition.edges if edge.source == node.identifier}
    for branch in branches:
        if times[branch.identifier] > 1:
            message = f"Several branches are named {quoted(branch.identifier)}."
            findings.error(f"{branch.pointer}/identifier", "duplicate-branch", message, "Give each its own name.")
        elif branch.identifier not in followed:
            message = f"No connection follows the branch {quoted(branch.identifier)}; the path ends there."
            findings.warning(branch.pointer, "branch-without-connection", message, "Connect it, if it should go on.")


def _check_calls(node: Node, definition: Definition, findings: Findings) -> None:
    config = node.config
    if not isinstance(config, Action) or config.type not in CHILD_TYPES:
        return
    if config.config.get("workflowIdentifier") == definition.identifier:
        message = f"The workflow runs itself: after {limits.NESTED_RUNS} runs in each other the node fails."
        here = f"{node.pointer}/config/workflowIdentifier"
        findings.warning(here, "recursive-workflow", message, "Let a condition before it end the recursion.")


def examine(document: Json) -> Parsed:
    """Read a document and judge it in every way: its form, its graph, its nodes, and what its expressions read.

    All problems are reported together. `definition` is None when there is an error. Never raises.
    """
    parsed = parse(document)
    if parsed.draft is None:
        return parsed
    findings = Findings()
    findings.extend(parsed.problems)
    findings.extend(check(parsed.draft, parsed.unreadable))
    if not findings.has_errors:
        findings.extend(check_flow(parsed.draft))
    definition = None if findings.has_errors else parsed.definition
    return replace(parsed, definition=definition, problems=findings.result())
