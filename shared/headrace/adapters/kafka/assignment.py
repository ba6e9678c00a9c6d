"""What a member holds between two rebalances, and how far it has come with it."""

from collections.abc import Iterable, Mapping, Sequence

from aiokafka import ConsumerRecord

from headrace.adapters.kafka.internals import KafkaPartition, Membership
from headrace.adapters.kafka.partitions import key_of
from headrace.ports.log import Headers, Record, TopicPartition


class Assignment:
    """Partitions held under one epoch. Usable once it is `ready`: it knows then where each of them began and ended."""

    __slots__ = ("committed", "delivered", "ends", "epoch", "member", "partitions", "ready", "sources")

    def __init__(self, epoch: int, member: Membership, partitions: Iterable[KafkaPartition]) -> None:
        self.epoch = epoch
        self.member = member
        self.sources = {it: TopicPartition(it.topic, it.partition) for it in partitions}
        self.partitions = {source: it for it, source in self.sources.items()}
        self.committed: dict[TopicPartition, int] = {}
        self.delivered: dict[TopicPartition, int] = {}
        self.ends: dict[TopicPartition, int] = {}
        self.ready = False

    def begin(self, starts: Mapping[KafkaPartition, int], ends: Mapping[KafkaPartition, int]) -> None:
        """The partitions are read from `starts` on; what lies below `ends` was there before."""
        self.committed = {source: starts[it] for it, source in self.sources.items()}
        self.delivered = dict(self.committed)
        self.ends = {source: ends[it] for it, source in self.sources.items()}
        self.ready = True

    def deliver(self, fetched: Mapping[KafkaPartition, Sequence[ConsumerRecord]]) -> list[Record]:
        """The fetched records as ours, each partition's in order."""
        records: list[Record] = []
        epoch = self.epoch
        for partition, found in fetched.items():
            source = self.sources[partition]
            end = self.ends[source]
            records += [
                Record(source, r.offset, key_of(r.key), r.value, headers_of(r), r.timestamp, epoch, r.offset < end)
                for r in found
            ]
            self.delivered[source] = found[-1].offset + 1
        return records

    def committable(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Those of the offsets that move the group on: of partitions held, and not past what was delivered."""
        moved = {}
        for source, offset in offsets.items():
            known = self.committed.get(source)
            if known is not None:
                offset = min(offset, self.delivered[source])
                if offset > known:
                    moved[source] = offset
        return moved


def headers_of(record: ConsumerRecord) -> Headers:
    """The headers as they came; a header without a value, which other producers may write, gets the empty one."""
    headers: Headers = record.headers
    for _, value in headers:
        if value is None:
            return tuple((name, content or b"") for name, content in headers)
    return headers
