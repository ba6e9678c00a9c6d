"""Records to and from Kafka with the client library alone, in the cheapest way that it has: batches by partition."""

import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from headrace.adapters.kafka.partitions import place

_BATCH_BYTES = 256 * 1024
_FETCH_WAIT_MS = 100
_FETCH_SECONDS = 1.0

Headers = list[tuple[str, bytes]]


class Outgoing(NamedTuple):
    """A record to be written."""

    topic: str
    key: str
    value: bytes
    headers: Headers | None = None


class Writer:
    """An idempotent producer, acks=all. Make it in the loop that uses it."""

    def __init__(self, servers: str) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=servers, acks="all", enable_idempotence=True, max_batch_size=_BATCH_BYTES
        )
        self._partitions: dict[str, int] = {}

    async def start(self) -> None:
        await self._producer.start()

    async def stop(self) -> None:
        await self._producer.stop()

    async def send(self, records: Iterable[Outgoing]) -> list[Any]:
        """Hand over the records; the acknowledgements, to be waited for by who wants to."""
        now = int(time.time() * 1000)
        full: list[tuple[Any, str, int]] = []
        filling: dict[tuple[str, int], Any] = {}
        for topic, key, value, given in records:
            if topic not in self._partitions:
                self._partitions[topic] = len(await self._producer.partitions_for(topic))
            data, number = place(key)
            headers = given or []
            at = (topic, number % self._partitions[topic])
            batch = filling.get(at)
            if batch is None:
                batch = filling[at] = self._producer.create_batch()
            if batch.append(timestamp=now, key=data, value=value, headers=headers) is None:
                full.append((batch, *at))
                batch = filling[at] = self._producer.create_batch()
                batch.append(timestamp=now, key=data, value=value, headers=headers)
        full.extend((batch, *at) for at, batch in filling.items())
        acknowledgements = []
        for batch, topic, partition in full:
            batch.close()
            acknowledgements.append(await self._producer.send_batch(batch, topic, partition=partition))
        return acknowledgements

    async def publish(self, records: Iterable[Outgoing]) -> None:
        """Hand over the records and wait until the broker has them."""
        for acknowledgement in await self.send(records):
            await acknowledgement


class Reader:
    """All partitions of some topics, from their ends or as the only member of a group."""

    def __init__(self, servers: str, topics: Sequence[str], group: str | None = None) -> None:
        self._topics = topics
        self.group = group
        self.consumer = AIOKafkaConsumer(
            *(topics if group else ()), bootstrap_servers=servers, group_id=group, enable_auto_commit=False,
            auto_offset_reset="latest" if group is None else "earliest", fetch_max_wait_ms=_FETCH_WAIT_MS,
        )  # fmt: skip

    async def start(self) -> None:
        """Begin; what is published from now on will be read."""
        await self.consumer.start()
        if self.group is not None:
            return
        partitions: list[TopicPartition] = []
        for topic in self._topics:
            numbers = await self.consumer._client._wait_on_metadata(topic)
            partitions.extend(TopicPartition(topic, number) for number in numbers)
        self.consumer.assign(partitions)
        for partition, end in (await self.consumer.end_offsets(partitions)).items():
            self.consumer.seek(partition, end)

    async def stop(self) -> None:
        await self.consumer.stop()

    async def fetch(self, most: int = 2_000) -> list[Any]:
        """What is there, each partition in order; nothing after a second without anything."""
        found = await self.consumer.getmany(timeout_ms=int(_FETCH_SECONDS * 1000), max_records=most)
        return [record for records in found.values() for record in records]
