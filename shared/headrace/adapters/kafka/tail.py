"""Following topics from their end, outside any group (the Tail port)."""

import asyncio
import time
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from headrace.adapters.kafka import internals
from headrace.adapters.kafka.assignment import headers_of
from headrace.adapters.kafka.connection import client_arguments, find_topics
from headrace.adapters.kafka.errors import TopicError, translate
from headrace.adapters.kafka.internals import KafkaPartition
from headrace.adapters.kafka.partitions import key_of
from headrace.adapters.kafka.settings import KafkaSettings
from headrace.ports.errors import UnavailableError
from headrace.ports.log import Record, TopicPartition


class KafkaTail:
    """Made by `KafkaLog.tail`. Partitions that a topic gets later are not followed."""

    def __init__(self, settings: KafkaSettings, topics: Sequence[str], on_close: Callable[["KafkaTail"], None]) -> None:
        self._settings = settings
        self._topics = topics
        self._on_close = on_close
        self._sources: dict[KafkaPartition, TopicPartition] = {}
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self._consumer = AIOKafkaConsumer(
            **client_arguments(settings), group_id=None, enable_auto_commit=False, auto_offset_reset="latest",
            fetch_max_wait_ms=settings.fetch_max_wait_ms,
        )  # fmt: skip

    async def start(self) -> None:
        """Find the ends: what is published from now on is read. Raises UnavailableError, TopicError."""
        try:
            counts = await find_topics(self._settings, self._topics)
            if missing := sorted(set(self._topics) - counts.keys()):
                raise TopicError(f"Kafka at {self._settings.servers} has no topic {', '.join(missing)} to follow")
            partitions = [KafkaPartition(topic, number) for topic in self._topics for number in range(counts[topic])]
            self._sources = {it: TopicPartition(it.topic, it.partition) for it in partitions}
            await self._consumer.start()
            self._consumer.assign(partitions)
            for partition, end in (await self._consumer.end_offsets(partitions)).items():
                self._consumer.seek(partition, end)
        except KafkaError as error:
            await self.close()
            raise translate(error, f"following {', '.join(self._topics)}") from error
        except BaseException:
            await self.close()
            raise

    async def fetch(self, wait_seconds: float, max_records: int = 1_000) -> list[Record]:
        """See the port."""
        deadline = time.monotonic() + wait_seconds
        await asyncio.sleep(0)
        while True:
            if self._closed:
                raise UnavailableError("the tail is closed")
            try:
                fetched = await self._consumer.getmany(timeout_ms=0, max_records=max_records)
            except KafkaError as error:
                raise translate(error, f"following {', '.join(self._topics)}") from error
            remaining = deadline - time.monotonic()
            if fetched or remaining <= 0:
                return [
                    Record(self._sources[source], it.offset, key_of(it.key), it.value, headers_of(it), it.timestamp)
                    for source, found in fetched.items()
                    for it in found
                ]
            await self._wait(remaining)

    async def close(self) -> None:
        """Read nothing any more; a fetch under way raises UnavailableError. Calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        self._on_close(self)
        if self._waiter is not None:
            internals.finish(self._waiter)
        await internals.abandon_consumer(self._consumer)  # there is no group to take leave of

    async def _wait(self, seconds: float) -> None:
        waiter = self._waiter = internals.fetch_waiter(self._consumer)
        timer = asyncio.get_running_loop().call_later(seconds, internals.finish, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None
