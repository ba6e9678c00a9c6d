"""Stores with a majority-commit point, as a replica set has: what is written may be rolled back until it is committed.

The committed state is an embedded store; writes on top of it lie in an overlay until `advance` commits them in order,
or `rollback` loses them all. A writer hears of success only when its write is committed; on a rollback it hears that
the outcome is unknown. Compare-and-set judges against the overlay, as a primary does; `load` reads what is committed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from headrace.adapters.embedded.claims import EmbeddedClaimStore
from headrace.adapters.embedded.runs import EmbeddedRunStore
from headrace.ports.errors import UnavailableError
from headrace.ports.stores import Claim, DueTimer, StoredRun


@dataclass
class Replicated:
    """What both stores share: the overlay of pending writes and who waits for them."""

    pending: list[tuple[str, object, asyncio.Future[None]]] = field(default_factory=list)
    rollbacks: int = 0
    conflicts: int = 0
    breaking: bool = False

    def overlay(self, key: str) -> object | None:
        """The last pending write of a key."""
        return next((value for name, value, _ in reversed(self.pending) if name == key), None)

    async def append(self, writes: Sequence[tuple[str, object]]) -> None:
        """Write on the primary and wait until a majority has it."""
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.pending.extend((key, value, committed) for key, value in writes)
        await committed

    def break_next(self) -> None:
        """Let the primary die with the next writes that no majority has."""
        self.breaking = True

    def rollback(self) -> bool:
        """Lose what is pending if the primary is to die now; whether it did."""
        if not self.breaking or not self.pending:
            return False
        self.breaking = False
        self.rollbacks += 1
        lost, self.pending = self.pending, []
        for _, _, future in lost:
            if not future.done():
                future.set_exception(UnavailableError("the primary stepped down"))
        return True


class ReplicatedRuns(Replicated):
    """The run store of the simulation."""

    def __init__(self, committed: EmbeddedRunStore) -> None:
        super().__init__()
        self.committed = committed
        self.marks: list[tuple[str, int]] = []

    async def load(self, run_ids: Sequence[str]) -> dict[str, StoredRun]:
        return await self.committed.load(run_ids)

    async def save(self, writes: Sequence[StoredRun]) -> list[bool]:
        known = await self.committed.load([write.run.id for write in writes])
        answers, accepted = [], []
        in_batch: dict[str, StoredRun] = {}
        for write in writes:
            current = in_batch.get(write.run.id) or self.overlay(write.run.id) or known.get(write.run.id)
            rev = current.rev if isinstance(current, StoredRun) else -1
            wins = rev == write.rev - 1
            answers.append(wins)
            if wins:
                in_batch[write.run.id] = write
                accepted.append((write.run.id, write))
            else:
                self.conflicts += 1
        if accepted:
            await self.append(accepted)
        return answers

    async def advance(self) -> None:
        """A majority has everything that is pending, unless the primary dies before."""
        if self.rollback():
            return
        done, self.pending = self.pending, []
        for _, value, future in done:
            assert isinstance(value, StoredRun)
            assert await self.committed.save([value]) == [True], "pending writes follow one another"
            if not future.done():
                future.set_result(None)
        marks, self.marks = self.marks, []
        await self.committed.mark_sent(marks)

    async def mark_sent(self, revs: Sequence[tuple[str, int]]) -> None:
        self.marks.extend(revs)

    async def unsent(self, saved_before: int, limit: int) -> list[StoredRun]:
        return await self.committed.unsent(saved_before, limit)

    async def due(self, now: int, limit: int) -> list[DueTimer]:
        return await self.committed.due(now, limit)


class ReplicatedClaims(Replicated):
    """The claim store of the simulation. `done_at` says when each DONE became durable, for the checker."""

    def __init__(self, committed: EmbeddedClaimStore) -> None:
        super().__init__()
        self.committed = committed
        self.done_at: dict[str, float] = {}

    async def load(self, claim_ids: Sequence[str]) -> dict[str, Claim]:
        return await self.committed.load(claim_ids)

    async def save(self, writes: Sequence[tuple[Claim, Claim | None]]) -> list[bool]:
        answers = []
        accepted: dict[str, Claim] = {}
        for new, expected in writes:
            current = accepted.get(new.id) or await self._current(new.id)
            answers.append(current == expected)
            if current == expected:
                accepted[new.id] = new
            else:
                self.conflicts += 1
        if accepted:
            await self.append(list(accepted.items()))
        return answers

    async def record(self, claims: Sequence[Claim]) -> None:
        """A write that changes nothing waits like any other: what it found there may not be durable yet."""
        writes = []
        for claim in claims:
            current = await self._current(claim.id)
            is_ours = current is not None and current.owner == claim.owner
            gives_way = current is None or (current.state != "DONE" and (claim.state == "DONE" or is_ours))
            writes.append((claim.id, claim if gives_way else current))
        await self.append(writes)

    async def _current(self, claim_id: str) -> Claim | None:
        """What the primary holds."""
        pending = self.overlay(claim_id)
        if isinstance(pending, Claim):
            return pending
        return (await self.committed.load([claim_id])).get(claim_id)

    async def advance(self) -> None:
        """A majority has everything that is pending, unless the primary dies before."""
        if self.rollback():
            return
        done, self.pending = self.pending, []
        for claim_id, claim, future in done:
            assert isinstance(claim, Claim)
            known = await self.committed.load([claim_id])
            assert await self.committed.save([(claim, known.get(claim_id))]) == [True], "one writer at a time"
            if claim.state == "DONE":
                self.done_at.setdefault(claim_id, asyncio.get_running_loop().time())
            if not future.done():
                future.set_result(None)
