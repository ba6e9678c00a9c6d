"""The embedded log: the Log port in one process, in memory, written through to the journal when there is one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final
from zlib import crc32

from headrace.adapters.embedded.batches import INSERT_BATCH, Batch, pack
from headrace.adapters.embedded.groups import EmbeddedConsumer, Group
from headrace.adapters.embedded.journal import Journal
from headrace.adapters.embedded.partitions import Partition, load_topics
from headrace.adapters.embedded.readers import EmbeddedTail
from headrace.ports.clock import Clock
from headrace.ports.errors import UnavailableError
from headrace.ports.log import Message, Record, RevokeListener, TopicPartition

_UPSERT_OFFSET: Final = (
    "INSERT INTO offsets (consumer_group, partition, next) VALUES (?, ?, ?) "
    "ON CONFLICT (consumer_group, partition) DO UPDATE SET next = excluded.next"
)


class EmbeddedLog:
    """Topics, their records and the groups that read them. Topics come into being when first named.

    `partitions` counts for topics that are not in the file yet. Of each partition the newest `retention_records` are
    kept, fewer when their values take more than `retention_bytes`; but no record that a group has not committed is ever
    trimmed: a group that stays away keeps its records until `forget_group`. Trimming goes in chunks of an eighth.
    """

    def __init__(
        self,
        clock: Clock,
        journal: Journal | None = None,
        *,
        partitions: int = 4,
        retention_records: int = 10_000,
        retention_bytes: int = 4 * 1024 * 1024,
    ) -> None:
        self._clock = clock
        self._journal = journal
        self._partitions = partitions
        self._retention_records = max(1, retention_records)
        self._retention_bytes = retention_bytes
        self._topics: dict[str, list[Partition]] = {}
        self._groups: dict[str, Group] = {}
        self._tails: list[EmbeddedTail] = []
        self._last_partition = 0
        self._last_batch = 0
        self._closed = False
        if journal is not None:
            self._load(journal)

    async def publish(self, messages: Sequence[Message]) -> None:
        """See the port. Here it is all or nothing: after UnavailableError none of the messages is appended."""
        self._check_open()
        if not messages:
            return
        batch = Batch(self._last_batch + 1, self._clock.now())
        placed = [(self._partition_of(message.topic, message.key), message) for message in messages]
        if self._journal is not None:
            self._journal.write((INSERT_BATCH, [(batch.seq, batch.at, pack(_with_offsets(placed)))]))
        self._last_batch = batch.seq
        for partition, message in placed:
            partition.append(message, batch)
        # a dict and not a set: who is woken first must not depend on addresses, or simulations would not repeat
        touched = dict.fromkeys(partition for partition, _ in placed)
        for partition in touched:
            partition.wake_readers()
        self._trim(touched)

    async def subscribe(
        self, group: str, topics: Sequence[str], on_revoke: RevokeListener | None = None
    ) -> EmbeddedConsumer:
        """See the port. Returns when every member has its partitions."""
        self._check_open()
        joined = self._groups.get(group)
        if joined is None:
            joined = self._new_group(group)
        partitions = [partition for topic in topics for partition in self._partitions_of(topic)]
        # the start is stored like a commit: what a group has not read yet must not be trimmed before its eyes
        starts = {partition: partition.base for partition in partitions if partition not in joined.committed}
        if starts:
            self._save_offsets(group, starts)
            joined.committed.update(starts)
        self._groups[group] = joined
        return await joined.join(topics, on_revoke)

    async def tail(self, topics: Sequence[str]) -> EmbeddedTail:
        """A reader of what is published from now on, outside any group."""
        self._check_open()
        tail = EmbeddedTail(partition for topic in topics for partition in self._partitions_of(topic))
        self._tails = [known for known in self._tails if not known.closed]
        self._tails.append(tail)
        return tail

    async def lag(self, group: str) -> dict[TopicPartition, int]:
        """See the port. Empty for a group that nobody has joined yet."""
        self._check_open()
        known = self._groups.get(group)
        return {} if known is None else known.lag()

    async def read(self, topic: str, partition: int, offset: int = 0, limit: int = 1_000) -> list[Record]:
        """Records of a partition from an offset on, or from the oldest kept one; for tests and for looking back."""
        self._check_open()
        return self._partitions_of(topic)[partition].records(offset, limit)

    async def forget_group(self, group: str) -> None:
        """Drop a group without members, with its offsets: its records may then be trimmed. Raises UnavailableError."""
        self._check_open()
        known = self._groups.get(group)
        if known is None or known.has_members():
            return
        if self._journal is not None:
            self._journal.write(("DELETE FROM offsets WHERE consumer_group = ?", [(group,)]))
        del self._groups[group]

    def redeliverable_since(self, topic: str) -> int | None:
        """When the oldest record of the topic that a group has not committed was published; None if all are committed.

        No record published earlier is ever delivered again (to a group that exists).
        """
        stamps = (
            partition.timestamp(max(group.committed[partition], partition.base))
            for group in self._groups.values()
            for partition in self._topics.get(topic, ())
            if partition in group.committed
        )
        return min((stamp for stamp in stamps if stamp is not None), default=None)

    async def close(self) -> None:
        """End every consumer and tail. The journal stays open. Calling it again does nothing."""
        self._closed = True
        for tail in self._tails:
            tail.shut("the log is closed")
        for group in self._groups.values():
            await group.close()

    def _check_open(self) -> None:
        if self._closed:
            raise UnavailableError("the log is closed")

    def _partition_of(self, topic: str, key: str) -> Partition:
        partitions = self._topics.get(topic) or self._partitions_of(topic)
        return partitions[crc32(key.encode()) % len(partitions)]

    def _partitions_of(self, topic: str) -> list[Partition]:
        """The topic's partitions; a new topic gets them now."""
        partitions = self._topics.get(topic)
        if partitions is None:
            first = self._last_partition + 1
            partitions = [Partition(first + i, TopicPartition(topic, i)) for i in range(self._partitions)]
            if self._journal is not None:
                rows = [(partition.id, topic, partition.source.partition) for partition in partitions]
                self._journal.write(("INSERT INTO partitions (id, topic, number) VALUES (?, ?, ?)", rows))
            self._last_partition += self._partitions
            self._topics[topic] = partitions
        return partitions

    def _new_group(self, name: str) -> Group:
        return Group(name, self._topics, self._save_offsets, self._trim)

    def _save_offsets(self, group: str, offsets: Mapping[Partition, int]) -> None:
        if self._journal is not None:
            rows = [(group, partition.id, offset) for partition, offset in offsets.items()]
            self._journal.write((_UPSERT_OFFSET, rows))

    def _trim(self, partitions: Iterable[Partition]) -> None:
        """Drop what is beyond the retention, when it is a chunk worth the trouble."""
        keep_records, keep_bytes = self._retention_records, self._retention_bytes
        for partition in partitions:
            if len(partition) < keep_records + keep_records // 8 and partition.size < keep_bytes + keep_bytes // 8:
                continue
            uncommitted = min(
                (group.committed[partition] for group in self._groups.values() if partition in group.committed),
                default=partition.end,
            )
            count = partition.surplus(keep_records, keep_bytes, uncommitted)
            if not count or (count < keep_records // 8 and partition.size_of(count) < keep_bytes // 8):
                continue
            if self._journal is not None:
                try:
                    self._journal.write(partition.trimming(count))
                except UnavailableError:
                    return  # what the caller wanted is done; the next call trims
            partition.trim(count)

    def _load(self, journal: Journal) -> None:
        self._topics, self._last_batch = load_topics(journal)
        by_id = {partition.id: partition for partitions in self._topics.values() for partition in partitions}
        self._last_partition = max(by_id, default=0)
        for name, number, offset in journal.read("SELECT consumer_group, partition, next FROM offsets"):
            if name not in self._groups:
                self._groups[name] = self._new_group(name)
            self._groups[name].committed[by_id[number]] = offset


def _with_offsets(placed: Iterable[tuple[Partition, Message]]) -> Iterator[tuple[int, int, Message]]:
    """The messages with the numbers of their partitions and the offsets that they will get."""
    ends: dict[Partition, int] = {}
    for partition, message in placed:
        offset = ends.get(partition)
        if offset is None:
            offset = partition.end
        ends[partition] = offset + 1
        yield partition.id, offset, message
