"""The store of gates: which run of an entity is at work, and what waits behind it (core/gate.py)."""

from collections.abc import Sequence
from typing import Protocol

from headrace.core.gate import Gate
from headrace.core.value_class import value_class
from headrace.ports.log import Message


@value_class
class StoredGate:
    """A gate as it lies in the store. `rev`, `outbox` and `saved_at` are those of a stored run (ports/stores.py)."""

    gate: Gate
    rev: int
    outbox: tuple[Message, ...] = ()
    saved_at: int = 0


class GateStore(Protocol):
    """Gates by id. All reads are majority reads; one gate is the unit of atomicity.

    A gate that is idle, with an empty outbox, is forgotten after a while.
    """

    async def load(self, gate_ids: Sequence[str]) -> dict[str, StoredGate]:
        """The stored gates; unknown ids are absent. Raises UnavailableError."""
        ...

    async def save(self, writes: Sequence[StoredGate]) -> list[bool]:
        """Write each gate if the store holds its `rev - 1` (`rev` 0: if it holds none). One answer per write.

        False means that another writer was first: load it and decide again. Raises UnavailableError: the outcome of
        every write is unknown.
        """
        ...

    async def mark_sent(self, revs: Sequence[tuple[str, int]]) -> None:
        """Empty the outbox of each (gate id, rev) that still has that rev. Losing this only repeats a publish."""
        ...

    async def unsent(self, saved_before: int, limit: int) -> list[StoredGate]:
        """Gates whose outbox has waited since before that instant, oldest first."""
        ...

    async def due(self, now: int, limit: int) -> list[StoredGate]:
        """Gates where something is due at `now`, the earliest first. Raises UnavailableError."""
        ...
