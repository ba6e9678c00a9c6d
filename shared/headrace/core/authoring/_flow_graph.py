"""What the graph says about order: which nodes lead to a node, which must have run before it, what is known there.

Only for graphs without cycles whose connections all exist.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from headrace.core.definition import Condition, Definition, Edge, Input, Node
from headrace.core.expression import Path, parse
from headrace.core.json import Json

Facts = Mapping[Path, Json]
"""Values that outputs must have, by path."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Per node: `before` holds the nodes that lead to it, `sure` those that have always run by then, `facts` what
    the branches on every way to it demand."""

    before: Mapping[str, frozenset[str]]
    sure: Mapping[str, frozenset[str]]
    facts: Mapping[str, Facts]
    starts: Mapping[str, frozenset[str]]
    """The triggers from which a node can be reached."""


def flow_of(definition: Definition) -> Flow | None:
    """The order of the graph, or None when it has a cycle."""
    incoming: dict[str, list[Edge]] = {name: [] for name in definition.nodes}
    for edge in definition.edges:
        if edge.source in incoming and edge.target in incoming:
            incoming[edge.target].append(edge)
    sorter = TopologicalSorter({name: [edge.source for edge in edges] for name, edges in incoming.items()})
    try:
        order = list(sorter.static_order())
    except CycleError:
        return None
    before: dict[str, frozenset[str]] = {}
    facts: dict[str, Facts] = {}
    starts: dict[str, frozenset[str]] = {}
    certain: dict[str, frozenset[str]] = {}
    for name in order:
        edges = incoming[name]
        sources = [edge.source for edge in edges]
        before[name] = frozenset(sources).union(*(before[source] for source in sources))
        own = frozenset((name,)) if definition.nodes[name].is_trigger else frozenset[str]()
        starts[name] = own.union(*(starts[source] for source in sources))
        # What never runs adds nothing: an edge from an unreachable node is never taken.
        live = [edge for edge in edges if starts[edge.source]]
        ways = [certain[edge.source] | {edge.source} for edge in live]
        certain[name] = frozenset.intersection(*ways) if ways else frozenset()
        facts[name] = _common([_facts_along(edge, facts[edge.source], definition) for edge in live])
    sure = {name: _closure(certain[name], before[name], definition) for name in order}
    return Flow(before, sure, facts, starts)


def _closure(certain: frozenset[str], before: frozenset[str], definition: Definition) -> frozenset[str]:
    """Add what runs in parallel: all connections of a node that does not branch are taken, and joins wait for them."""
    found, front = set(certain), list(certain)
    targets: dict[str, list[str]] = {}
    for edge in definition.edges:
        if edge.target in before and not branches(definition.nodes.get(edge.source)):
            targets.setdefault(edge.source, []).append(edge.target)
    while front:
        for target in targets.get(front.pop(), ()):
            if target not in found:
                found.add(target)
                front.append(target)
    return frozenset(found)


def branches(node: Node | None) -> bool:
    """Whether only one of the node's ways out is taken."""
    return node is not None and isinstance(node.config, Condition | Input)


def _facts_along(edge: Edge, facts: Facts, definition: Definition) -> Facts:
    config = definition.nodes[edge.source].config
    if edge.branch is None or not isinstance(config, Condition):
        return facts
    for branch in config.branches:
        if branch.identifier == edge.branch:
            return {**facts, **dict(parse(branch.expression).equalities)}
    return facts


def _common(ways: list[Facts]) -> Facts:
    if not ways:
        return {}
    return {
        path: value
        for path, value in ways[0].items()
        if all(path in way and same_scalar(way[path], value) for way in ways[1:])
    }


def same_scalar(left: Json, right: Json) -> bool:
    """JSON equality of scalars; unlike in Python, `true` is not 1."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right
