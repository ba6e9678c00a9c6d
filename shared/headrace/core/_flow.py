"""Which nodes may start: edges are decided one by one, as taken or dead, and death spreads.

A node starts when all its incoming edges are decided and at least one is taken: so a join waits for every branch that
was taken and for no other. A node whose incoming edges are all dead never runs; its own ways out are dead too.
Graphs have no cycles (spec 1.4), so every edge is decided in the end.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.core.plan import Plan


@dataclass(frozen=True, slots=True)
class Settled:
    """Newly decided edges, and the nodes that became ready by them, in the plan's order of edges."""

    edges: Mapping[int, bool]
    ready: tuple[str, ...]


def settle(plan: Plan, decided: Mapping[int, bool], news: Mapping[int, bool]) -> Settled:
    """What follows when the edges of `news` are decided on top of those in `decided`."""
    fresh = dict(news)
    ready: list[str] = []
    queue = [plan.edges[index].target for index in news]
    seen: set[str] = set()
    for target in queue:
        if target in seen:
            continue
        node = plan.nodes[target]
        states = [fresh.get(index, decided.get(index)) for index in node.incoming]
        if None in states:
            continue
        seen.add(target)
        if True in states:
            ready.append(target)
            continue
        for index in node.outgoing:
            fresh[index] = False
            queue.append(plan.edges[index].target)
    return Settled(fresh, tuple(ready))


def dead_from_start(plan: Plan, trigger: str) -> Mapping[int, bool]:
    """The edges that cannot be taken in a run of this trigger: ways out of other triggers and of unreachable nodes."""
    news = {
        index: False
        for name, node in plan.nodes.items()
        if name != trigger and not node.incoming
        for index in node.outgoing
    }
    return settle(plan, {}, news).edges if news else news
