"""Whether a workflow could wake itself, alone or by way of others: a warning when it is saved."""

import asyncio

from headrace.core.authoring import dialects
from headrace.core.errors import Problem
from headrace.core.json import Json
from headrace.core.wake_graph import Wakes, find_cycle, wakes_of
from headrace.ports.stores import DefinitionStore, WorkflowVersion


class WakeCycles:
    """The wake graph of all workflows, kept up to date with the store; only what changed is read anew."""

    def __init__(self, definitions: DefinitionStore) -> None:
        self._definitions = definitions
        self._known: dict[tuple[str, int], Wakes | None] = {}

    async def warn(self, document: Json) -> tuple[Problem, ...]:
        """A warning when the document, once saved, can wake itself. Raises UnavailableError."""
        own = await asyncio.to_thread(_read, document)
        if own is None or not (own.writes or own.calls):
            return ()
        versions = await self._definitions.all()
        known = self._known  # another save may replace it while this one reads
        unknown = [it for it in versions if (it.identifier, it.version) not in known]
        read = await asyncio.to_thread(lambda: [_read(it.document) for it in unknown])
        found = dict(zip(_keys(unknown), read, strict=True))
        self._known = now = {key: found[key] if key in found else known[key] for key in _keys(versions)}
        cycle = find_cycle(own, [it for it in now.values() if it is not None])
        if cycle is None:
            return ()
        at, way = cycle
        message = f"This workflow can wake itself: {' > '.join(way)}."
        hint = "Let a condition of the trigger tell what it wrote itself, or accept that the loop is cut at a depth."
        return (Problem(at, "wake-cycle", message, hint, "warning"),)


def _keys(versions: list[WorkflowVersion]) -> list[tuple[str, int]]:
    return [(it.identifier, it.version) for it in versions]


def _read(document: Json) -> Wakes | None:
    definition = dialects.parse(document).definition
    return None if definition is None else wakes_of(definition)
