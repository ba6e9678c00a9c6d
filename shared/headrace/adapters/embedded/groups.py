"""Consumer groups of the embedded log: members, their partitions, and the eager rebalance.

A rebalance has three steps. All members stop fetching; the revoke listeners of those that hold partitions are awaited,
and they may still commit; then the epoch grows and everything is dealt out anew from the committed offsets. Who joins
or leaves while listeners run is taken into account by the same rebalance. A member that leaves or is abandoned is gone
at once: whatever it still commits counts for nothing.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from headrace.adapters.embedded.partitions import Partition
from headrace.adapters.embedded.readers import Reader
from headrace.ports.log import Record, RevokeListener, TopicPartition

SaveOffsets = Callable[[str, Mapping[Partition, int]], None]
"""Makes offsets of a group durable. Raises UnavailableError."""

OnCommit = Callable[[Iterable[Partition]], None]
"""Told which partitions' committed offsets grew."""


class Group:
    """One group: who belongs to it, and how far it has come."""

    def __init__(
        self, name: str, topics: Mapping[str, list[Partition]], save_offsets: SaveOffsets, on_commit: OnCommit
    ) -> None:
        self.name = name
        self.committed: dict[Partition, int] = {}
        self._topics = topics
        self._save_offsets = save_offsets
        self._on_commit = on_commit
        self._members: list[EmbeddedConsumer] = []
        self._epoch = 0
        self._rebalance: asyncio.Task[None] | None = None

    async def join(self, topics: Sequence[str], on_revoke: RevokeListener | None) -> "EmbeddedConsumer":
        """A new member, once it has its partitions."""
        member = EmbeddedConsumer(self, topics, on_revoke)
        self._members.append(member)
        try:
            rebalance = self._start_rebalance()
            if rebalance is not None:
                await asyncio.shield(rebalance)
        except asyncio.CancelledError:
            self.leave(member)
            raise
        return member

    def leave(self, member: "EmbeddedConsumer") -> None:
        """Take the member out at once. The others get its partitions after their listeners have run."""
        if member in self._members:
            self._members.remove(member)
            self._start_rebalance()

    def has_members(self) -> bool:
        return bool(self._members)

    def __contains__(self, member: "EmbeddedConsumer") -> bool:
        return member in self._members

    def commit(self, member: "EmbeddedConsumer", offsets: Mapping[TopicPartition, int], epoch: int) -> None:
        """Move offsets of partitions that the member holds in the epoch: only on, and not past the last record."""
        if member not in self._members or epoch != member.epoch:
            return
        moved: dict[Partition, int] = {}
        for source, offset in offsets.items():
            partition = member.partition(source)
            if partition is not None:
                offset = min(offset, partition.end)
                if offset > self.committed[partition]:
                    moved[partition] = offset
        if moved:
            self._save_offsets(self.name, moved)
            self.committed.update(moved)
            self._on_commit(moved)

    def lag(self) -> dict[TopicPartition, int]:
        return {
            partition.source: partition.end - max(offset, partition.base)
            for partition, offset in self.committed.items()
        }

    async def close(self) -> None:
        """End every member; nobody is asked."""
        members, self._members = self._members, []
        for member in members:
            member.shut("the log is closed")
        if self._rebalance is not None:
            self._rebalance.cancel()
            await asyncio.wait([self._rebalance])

    def _start_rebalance(self) -> asyncio.Task[None] | None:
        """The rebalance under way; None when it could be finished at once, because there is nobody to wait for."""
        if self._rebalance is not None:
            return self._rebalance
        for member in self._members:
            member.stop()
        holders = [member for member in self._members if member.must_be_asked()]
        if not holders:
            self._deal()
            return None
        self._rebalance = asyncio.get_running_loop().create_task(self._ask_and_deal(holders))
        return self._rebalance

    async def _ask_and_deal(self, holders: Sequence["EmbeddedConsumer"]) -> None:
        try:
            answers = await asyncio.gather(*(member.revoke() for member in holders), return_exceptions=True)
            for error in answers:
                if error is not None:  # also a CancelledError, from something that the listener awaited
                    context = {"message": "a revoke listener raised; it must not", "exception": error}
                    asyncio.get_running_loop().call_exception_handler(context)
            self._deal()
        finally:
            self._rebalance = None

    def _deal(self) -> None:
        """Give the partitions of every topic to its readers in turn, so that equal keys of two topics stay together."""
        self._epoch += 1
        hands: dict[EmbeddedConsumer, dict[Partition, int]] = {member: {} for member in self._members}
        for topic in sorted({topic for member in self._members for topic in member.topics}):
            readers = [member for member in self._members if topic in member.topics]
            for partition in self._topics[topic]:
                reader = readers[partition.source.partition % len(readers)]
                hands[reader][partition] = max(self.committed[partition], partition.base)
        for member, hand in hands.items():
            member.deal(hand, self._epoch)


class EmbeddedConsumer(Reader):
    """A member of a group of the embedded log (the Consumer port)."""

    def __init__(self, group: Group, topics: Sequence[str], on_revoke: RevokeListener | None) -> None:
        super().__init__()
        self.topics = frozenset(topics)
        self._group = group
        self._on_revoke = on_revoke
        self._held: dict[TopicPartition, Partition] = {}

    @property
    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions held, also while they are being revoked."""
        return frozenset(self._held)

    async def fetch(self, max_records: int, wait_seconds: float) -> list[Record]:
        """See the port. Fair: every partition with records gets its share of a batch."""
        return await self._fetch(max_records, wait_seconds)

    async def commit(self, offsets: Mapping[TopicPartition, int], epoch: int) -> None:
        """See the port. Offsets never shrink, and never pass the last record. Raises UnavailableError."""
        self._group.commit(self, offsets, epoch)

    def pause(self, partitions: frozenset[TopicPartition]) -> None:
        """Fetch nothing from these until they are resumed or revoked."""
        self._paused.update(self._held[source] for source in partitions if source in self._held)

    def resume(self, partitions: frozenset[TopicPartition]) -> None:
        self._paused.difference_update(self._held[source] for source in partitions if source in self._held)
        self.wake()

    def is_fresh(self) -> bool:
        """See the port. Groups live in this process: who is no member any more knows it at once."""
        return not self.closed and self in self._group

    async def close(self) -> None:
        """Leave the group at once; the own revoke listener is not called. Calling it again does nothing."""
        self._vanish()
        self.shut("the consumer is closed")

    async def abandon(self) -> None:
        """For tests: vanish as a killed process does. From now on fetches find nothing and commits change nothing."""
        self._vanish()

    def _vanish(self) -> None:
        self.stop()
        self._held = {}
        self._group.leave(self)

    # what the group does to its member

    def partition(self, source: TopicPartition) -> Partition | None:
        return self._held.get(source)

    def stop(self) -> None:
        """Fetch nothing until the next deal."""
        self._release()

    def must_be_asked(self) -> bool:
        return self._on_revoke is not None and bool(self._held)

    async def revoke(self) -> None:
        assert self._on_revoke is not None
        await self._on_revoke(self.assignment)

    def deal(self, positions: dict[Partition, int], epoch: int) -> None:
        self._held = {partition.source: partition for partition in positions}
        self._hold(positions, epoch)
