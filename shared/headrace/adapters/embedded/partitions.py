"""Partitions of the embedded log: ordered records with offsets, kept in memory and trimmed at the old end."""

from collections import Counter
from typing import Final, Protocol

from headrace.adapters.embedded.batches import DELETE_BATCH, READ_BATCHES, Batch, unpack
from headrace.adapters.embedded.journal import Change, Journal
from headrace.ports.log import Message, Record, TopicPartition

_OVERHEAD: Final = 400
"""Bytes that a record costs in memory besides its value."""


class Waiting(Protocol):
    """Who waits for records of a partition: a consumer or a tail."""

    def wake(self) -> None: ...


class Partition:
    """One partition. `base` is the offset of the oldest kept record; at least the newest record is always kept."""

    __slots__ = ("_kept", "base", "id", "readers", "size", "source")

    def __init__(self, number: int, source: TopicPartition) -> None:
        self.id = number
        self.source = source
        self.base = 0
        self.size = 0
        self.readers: list[Waiting] = []
        self._kept: list[tuple[Message, Batch]] = []

    @property
    def end(self) -> int:
        """The offset that the next record will get."""
        return self.base + len(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def append(self, message: Message, batch: Batch) -> None:
        self._kept.append((message, batch))
        self.size += _size(message)
        batch.kept += 1

    def restore(self, offset: int, message: Message, batch: Batch) -> None:
        """Append a record that was read back from the file. What lies before a gap had been trimmed: the row stayed
        only for the sake of other partitions' records."""
        if offset != self.end:
            self.trim(len(self._kept))
            self.base = offset
        self.append(message, batch)

    def wake_readers(self) -> None:
        for reader in self.readers:
            reader.wake()

    def records(self, offset: int, limit: int, epoch: int = 0, assigned_at: int = 0) -> list[Record]:
        """Up to `limit` records from an offset on; from the oldest kept one if that offset is gone.

        `assigned_at`: the end of the partition when it was assigned; what lies below it is inherited.
        """
        first = max(offset, self.base)
        source = self.source
        start = first - self.base
        return [
            Record(source, number, message.key, message.value, message.headers, batch.at, epoch, number < assigned_at)
            for number, (message, batch) in enumerate(self._kept[start : start + limit], first)
        ]

    def timestamp(self, offset: int) -> int | None:
        """When the record at the offset was published; None if there is none (any more)."""
        index = offset - self.base
        return self._kept[index][1].at if 0 <= index < len(self._kept) else None

    def surplus(self, keep_records: int, keep_bytes: int, uncommitted: int) -> int:
        """How many of the oldest records may go: none at or above the offset `uncommitted`, and never all."""
        most = min(uncommitted - self.base, len(self._kept) - 1)
        by_count = min(most, len(self._kept) - keep_records)
        if self.size <= keep_bytes:
            return max(0, by_count)
        count, excess = 0, self.size - keep_bytes
        while count < most and excess > 0:
            excess -= _size(self._kept[count][0])
            count += 1
        return max(0, by_count, count)

    def size_of(self, count: int) -> int:
        """What the oldest records take together."""
        return sum(_size(message) for message, _ in self._kept[:count])

    def trimming(self, count: int) -> Change:
        """What removes the batches from the file of which the oldest records are all that is left."""
        left = Counter(batch for _, batch in self._kept[:count])
        return DELETE_BATCH, [(batch.seq,) for batch, going in left.items() if batch.kept == going]

    def trim(self, count: int) -> None:
        """Remove the oldest records from memory."""
        self.size -= self.size_of(count)
        for _, batch in self._kept[:count]:
            batch.kept -= 1
        del self._kept[:count]
        self.base += count


def _size(message: Message) -> int:
    return _OVERHEAD if message.value is None else _OVERHEAD + len(message.value)


def load_topics(journal: Journal) -> tuple[dict[str, list[Partition]], int]:
    """The partitions and their records as they lie in the file, and the number of the last batch."""
    topics: dict[str, list[Partition]] = {}
    by_id: dict[int, Partition] = {}
    for number, topic, index in journal.read("SELECT id, topic, number FROM partitions ORDER BY topic, number"):
        partition = Partition(number, TopicPartition(topic, index))
        topics.setdefault(topic, []).append(partition)
        by_id[number] = partition
    last = 0
    for seq, at, packed in journal.read(READ_BATCHES):
        batch, last = Batch(seq, at), seq
        for placed in unpack(packed):
            partition = by_id[placed.partition]
            message = Message(partition.source.topic, placed.key, placed.value, placed.headers)
            partition.restore(placed.offset, message, batch)
    return topics, last
