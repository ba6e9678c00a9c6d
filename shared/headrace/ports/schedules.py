"""The schedule store: when each schedule is due next (docs/triggers.md)."""

from collections.abc import Sequence
from typing import Protocol

from headrace.core.value_class import value_class


@value_class
class StoredSchedule:
    """Where a schedule stands. `rev` is the fence of compare-and-set: it grows by one with every save.

    `version` is the newest version of the workflow that this is known to be right for, `spec` what decides when it
    fires, `due_at` (ms) the earliest of its instants that nobody has dealt with; None: there is none.
    """

    workflow: str
    trigger: str
    rev: int
    version: int
    spec: str
    due_at: int | None

    @property
    def key(self) -> tuple[str, str]:
        return self.workflow, self.trigger


class ScheduleStore(Protocol):
    """Schedules by (workflow, trigger). All reads are majority reads; one schedule is the unit of atomicity."""

    async def load(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredSchedule]:
        """The stored schedules; unknown keys are absent. Raises UnavailableError."""
        ...

    async def save(self, writes: Sequence[StoredSchedule]) -> list[bool]:
        """Write each schedule if the store holds its `rev - 1` (`rev` 0: if it holds none). One answer per write.

        False means that another writer was first: load it and decide again. Raises UnavailableError: the outcome of
        every write is unknown.
        """
        ...

    async def delete(self, key: tuple[str, str], rev: int) -> bool:
        """Remove it if it has this `rev`; False: it has another, or is gone. Raises UnavailableError, as saving."""
        ...

    async def due(self, now: int, limit: int) -> list[StoredSchedule]:
        """Schedules due at `now`, the earliest first. Raises UnavailableError."""
        ...
