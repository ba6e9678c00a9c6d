"""Partitions of the embedded log: ordered records with offsets, kept in memory and trimmed at the old end."""

from typing import Final, Protocol

import orjson

from headrace.adapters.embedded.journal import Change, Journal
from headrace.ports.log import Headers, Message, Record, TopicPartition

_OFFSET_BITS: Final = 40
_OFFSET_MASK: Final = (1 << _OFFSET_BITS) - 1

INSERT_RECORD: Final = "INSERT INTO records (place, at, key, value, headers) VALUES (?, ?, ?, ?, ?)"
_DELETE_RECORDS: Final = "DELETE FROM records WHERE place >= ? AND place < ?"

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
        self._kept: list[tuple[Message, int]] = []

    @property
    def end(self) -> int:
        """The offset that the next record will get."""
        return self.base + len(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def append(self, message: Message, at: int) -> None:
        self._kept.append((message, at))
        self.size += _size(message)

    def restore(self, offset: int, message: Message, at: int) -> None:
        """Append a record that was read back from the file."""
        if not self._kept:
            self.base = offset
        self.append(message, at)

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
            Record(source, number, message.key, message.value, message.headers, at, epoch, number < assigned_at)
            for number, (message, at) in enumerate(self._kept[start : start + limit], first)
        ]

    def timestamp(self, offset: int) -> int | None:
        """When the record at the offset was published; None if there is none (any more)."""
        index = offset - self.base
        return self._kept[index][1] if 0 <= index < len(self._kept) else None

    def place(self, offset: int) -> int:
        """The key of a record in the file."""
        return (self.id << _OFFSET_BITS) | offset

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
        """What removes the oldest records from the file."""
        return _DELETE_RECORDS, [(self.place(self.base), self.place(self.base + count))]

    def trim(self, count: int) -> None:
        """Remove the oldest records from memory."""
        self.size -= self.size_of(count)
        del self._kept[:count]
        self.base += count


def _size(message: Message) -> int:
    return _OVERHEAD if message.value is None else _OVERHEAD + len(message.value)


def encode_headers(headers: Headers) -> bytes | None:
    """Headers as JSON, each byte of a value one Latin-1 character; None for none."""
    if not headers:
        return None
    return orjson.dumps([(name, value.decode("latin-1")) for name, value in headers])


def decode_headers(data: bytes | None) -> Headers:
    if data is None:
        return ()
    return tuple((name, value.encode("latin-1")) for name, value in orjson.loads(data))


def load_topics(journal: Journal) -> dict[str, list[Partition]]:
    """The partitions and their records as they lie in the file."""
    topics: dict[str, list[Partition]] = {}
    by_id: dict[int, Partition] = {}
    for number, topic, index in journal.read("SELECT id, topic, number FROM partitions ORDER BY topic, number"):
        partition = Partition(number, TopicPartition(topic, index))
        topics.setdefault(topic, []).append(partition)
        by_id[number] = partition
    rows = journal.read("SELECT place, at, key, value, headers FROM records ORDER BY place")
    for place, at, key, value, headers in rows:
        partition = by_id[place >> _OFFSET_BITS]
        message = Message(partition.source.topic, key, value, decode_headers(headers))
        partition.restore(place & _OFFSET_MASK, message, at)
    return topics
