"""Which offset may be committed: the lowest unfinished one, and never a guess.

Offsets are not counted upwards, since compacted topics and markers leave legal gaps; only offsets that were delivered
count (docs/delivery.md). A tracker belongs to one partition and one assignment; what an older assignment says is void.
"""

from collections.abc import Iterable

from headrace.ports.log import Record, TopicPartition


class PartitionTracker:
    """The unfinished offsets of one partition in one assignment."""

    __slots__ = ("_last", "_unfinished", "committed", "epoch")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.committed: int | None = None
        self._unfinished: dict[int, None] = {}
        self._last: int | None = None

    def add(self, offset: int) -> None:
        """An offset was delivered. Offsets of a partition are delivered in ascending order."""
        self._unfinished[offset] = None
        self._last = offset

    def done(self, offset: int) -> None:
        """The work of an offset is finished for good."""
        self._unfinished.pop(offset, None)

    def committable(self) -> int | None:
        """The next offset a successor would have to read; None before anything was delivered."""
        if self._unfinished:
            return next(iter(self._unfinished))
        return None if self._last is None else self._last + 1

    @property
    def unfinished(self) -> int:
        return len(self._unfinished)


class OffsetTracker:
    """The trackers of all partitions that are ours. Knows nothing of time: the loop decides when to commit."""

    def __init__(self) -> None:
        self._partitions: dict[TopicPartition, PartitionTracker] = {}

    def add(self, records: Iterable[Record]) -> None:
        """Records were delivered. A newer epoch of a partition forgets the older one."""
        source, tracker = None, None
        for record in records:
            if record.source is not source:  # records of a partition come together, and hashing its name is dear
                source = record.source
                tracker = self._partitions.get(source)
            if tracker is None or tracker.epoch != record.epoch:
                tracker = self._partitions[record.source] = PartitionTracker(record.epoch)
            tracker.add(record.offset)

    def done(self, record: Record) -> None:
        """A record's work is finished; ignored when its partition has moved on to another epoch."""
        tracker = self._partitions.get(record.source)
        if tracker is not None and tracker.epoch == record.epoch:
            tracker.done(record.offset)

    def to_commit(self, partitions: frozenset[TopicPartition] | None = None) -> dict[int, dict[TopicPartition, int]]:
        """By epoch, the offsets that moved since they were last marked committed."""
        moved: dict[int, dict[TopicPartition, int]] = {}
        for source, tracker in self._partitions.items():
            offset = tracker.committable()
            if offset is None or offset == tracker.committed or (partitions is not None and source not in partitions):
                continue
            moved.setdefault(tracker.epoch, {})[source] = offset
        return moved

    def mark_committed(self, epoch: int, offsets: dict[TopicPartition, int]) -> None:
        """These offsets are stored; they need not be stored again."""
        for source, offset in offsets.items():
            tracker = self._partitions.get(source)
            if tracker is not None and tracker.epoch == epoch:
                tracker.committed = offset

    def forget(self, partitions: frozenset[TopicPartition]) -> None:
        """The partitions went to somebody else."""
        for source in partitions:
            self._partitions.pop(source, None)

    @property
    def unfinished(self) -> int:
        """Records delivered and not done, over all partitions."""
        return sum(tracker.unfinished for tracker in self._partitions.values())
