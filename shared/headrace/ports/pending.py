"""The store of pending work: node runs that wait for an installation outside to take them (spec 7.6)."""

from collections.abc import Sequence
from typing import Protocol

from headrace.core.value_class import value_class


@value_class
class PendingWork:
    """A node run that is offered to an installation. `rev` is the fence of compare-and-set.

    `visible_at` (ms) is when it can be claimed: when it was offered, then when the last claim of it ends; None once
    somebody acknowledged it, or it is over. `attempt` is that of the node run.
    """

    node_run_id: str
    run_id: str
    attempt: int
    installation: str
    offered_at: int
    rev: int
    visible_at: int | None


class PendingStore(Protocol):
    """Pending work by node run. All reads are majority reads; one node run is the unit of atomicity."""

    async def load(self, node_run_ids: Sequence[str]) -> dict[str, PendingWork]:
        """What is stored of these node runs; others are absent. Raises UnavailableError."""
        ...

    async def save(self, writes: Sequence[PendingWork]) -> list[bool]:
        """Write each if the store holds its `rev - 1` (`rev` 0: if it holds none). One answer per write.

        False means that another writer was first. Raises UnavailableError: the outcome of every write is unknown.
        """
        ...

    async def claimable(self, installation: str, now: int, limit: int) -> list[PendingWork]:
        """What the installation can claim at `now`, the longest waiting first. Raises UnavailableError."""
        ...
