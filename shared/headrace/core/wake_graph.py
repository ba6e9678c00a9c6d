"""Which workflow can wake which: by an entity that it writes, or by calling it (issue 5, loop guard).

The graph is static: it is read from the definitions alone, so it knows what can happen, not what will. A condition of
a trigger may keep it from happening; what an action reaches by way of a third party is not seen.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from headrace.core.definition import CHILD_TYPES, Action, Definition, EventTrigger
from headrace.core.json import JsonObject

_WAKING = frozenset(("ENTITY_CREATED", "ENTITY_UPDATED", "ANY_ENTITY_CHANGE"))


@dataclass(frozen=True, slots=True)
class Write:
    """What an UPSERT_ENTITY node writes: entities of a blueprint, with these properties; `at` is where it says so."""

    blueprint: str
    properties: frozenset[str]
    at: str


@dataclass(frozen=True, slots=True)
class Wakes:
    """What matters of a workflow: what it writes and calls, and what it listens to."""

    workflow: str
    writes: tuple[Write, ...]
    calls: tuple[tuple[str, str], ...]
    """Workflows that it calls, and where it says so."""
    changes: frozenset[str]
    """Blueprints whose created or updated entities wake it."""
    timers: frozenset[tuple[str, str]]
    """Blueprints and timer properties whose expiry wakes it."""

    def can_wake(self, other: "Wakes") -> str | None:
        """Where this workflow says what can wake the other one; None when nothing does."""
        for name, at in self.calls:
            if name == other.workflow:
                return at
        for write in self.writes:
            if write.blueprint in other.changes:
                return write.at
            if any(blueprint == write.blueprint and name in write.properties for blueprint, name in other.timers):
                return write.at
        return None


def wakes_of(definition: Definition) -> Wakes:
    """What matters of a workflow. A blueprint that a template names is known when the run is there only: left out.

    So is a call of itself, of which authors are warned anyway (`recursive-workflow`).
    """
    writes, calls = [], []
    for node in definition.nodes.values():
        if not isinstance(node.config, Action):
            continue
        config = node.config.config
        if node.config.type == "UPSERT_ENTITY":
            writes += _writes(config, f"{node.pointer}/config")
        elif node.config.type in CHILD_TYPES and config.get("workflowIdentifier") != definition.identifier:
            calls.append((str(config.get("workflowIdentifier")), f"{node.pointer}/config/workflowIdentifier"))
    heard = [it.config for it in definition.triggers if isinstance(it.config, EventTrigger) and it.config.published]
    return Wakes(
        definition.identifier,
        tuple(writes),
        tuple(calls),
        frozenset(it.blueprint for it in heard if it.event_type in _WAKING),
        frozenset((it.blueprint, it.property or "") for it in heard if it.event_type == "TIMER_EXPIRED"),
    )


def find_cycle(start: Wakes, others: Iterable[Wakes]) -> tuple[str, tuple[str, ...]] | None:
    """The shortest way on which a workflow can wake itself, and where it says what begins it.

    The way names the workflows, the given one first and last; None when there is no such way. `others` may hold an
    older version of the given workflow, which does not count.
    """
    graph: Mapping[str, Wakes] = {**{it.workflow: it for it in others}, start.workflow: start}
    came_from: dict[str, str] = {}
    queue = deque([start.workflow])
    while queue:
        name = queue.popleft()
        if graph[name].can_wake(start):
            way = [name]
            while way[-1] != start.workflow:
                way.append(came_from[way[-1]])
            cycle = (*reversed(way), start.workflow)
            at = start.can_wake(graph[cycle[1]])
            assert at is not None, "the first step of the way was found by it"
            return at, cycle
        for other in graph.values():
            if other.workflow not in came_from and other.workflow != start.workflow and graph[name].can_wake(other):
                came_from[other.workflow] = name
                queue.append(other.workflow)
    return None


def _writes(config: JsonObject, pointer: str) -> list[Write]:
    blueprint, mapping = config.get("blueprintIdentifier"), config.get("mapping")
    if not isinstance(blueprint, str) or "{{" in blueprint:
        return []
    properties = mapping.get("properties") if isinstance(mapping, dict) else None
    names = frozenset(properties) if isinstance(properties, dict) else frozenset()
    return [Write(blueprint, names, f"{pointer}/blueprintIdentifier")]
