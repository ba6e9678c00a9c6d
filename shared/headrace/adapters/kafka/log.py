"""The log on Kafka (the Log port)."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from headrace.adapters.kafka import internals
from headrace.adapters.kafka.connection import client_arguments, wait_for_broker
from headrace.adapters.kafka.consumer import KafkaConsumer
from headrace.adapters.kafka.errors import translate
from headrace.adapters.kafka.publisher import Publisher
from headrace.adapters.kafka.settings import KafkaSettings
from headrace.adapters.kafka.tail import KafkaTail
from headrace.ports.clock import Clock
from headrace.ports.errors import UnavailableError
from headrace.ports.log import Message, RevokeListener, TopicPartition

_LOOKS_PER_SESSION: Final = 3
_LAG_SECONDS: Final = 10
_RETRY_SECONDS: Final = 0.2

_log = structlog.get_logger("headrace.kafka")


class KafkaLog:
    """Topics on Kafka brokers, read by groups. `start` it before use, `close` it in the same event loop.

    Topics are never made here: `headrace.adapters.kafka.topics` makes and checks them.
    """

    def __init__(self, settings: KafkaSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._publisher = Publisher(settings, clock)
        self._consumers: dict[KafkaConsumer, None] = {}
        self._tails: dict[KafkaTail, None] = {}
        self._closed = False

    async def start(self) -> None:
        """Connect. Waits for a broker that does not answer, saying so in the log; may be cancelled.

        Raises KafkaRefusedError when a broker answers and turns us away.
        """
        while True:
            await wait_for_broker(self._settings)
            try:
                await self._publisher.start()
            except UnavailableError as error:  # gone again between two questions
                _log.warning("could not connect to Kafka yet", servers=self._settings.servers, reason=str(error))
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    async def publish(self, messages: Sequence[Message]) -> None:
        """See the port. Acknowledged by all in-sync replicas. After UnavailableError any part may be in the log.

        Raises also RecordTooLargeError, and TopicError for a topic that does not exist.
        """
        await self._publisher.publish(messages)

    async def subscribe(
        self, group: str, topics: Sequence[str], on_revoke: RevokeListener | None = None
    ) -> KafkaConsumer:
        """See the port. Returns when the member's first partitions are ready; waits for a broker that does not answer.

        Partitions of equal number of all topics go to the same member. Raises TopicError, KafkaRefusedError.
        """
        self._check_open()
        consumer = KafkaConsumer(self._settings, self._clock, group, topics, on_revoke, self._forget_consumer)
        self._consumers[consumer] = None
        await consumer.join()
        return consumer

    async def tail(self, topics: Sequence[str]) -> KafkaTail:
        """See the port. Raises UnavailableError, TopicError."""
        self._check_open()
        tail = KafkaTail(self._settings, topics, self._forget_tail)
        self._tails[tail] = None
        await tail.start()
        return tail

    async def lag(self, group: str) -> dict[TopicPartition, int]:
        """See the port. Opens connections of its own: for people and metrics, not for the hot path."""
        self._check_open()
        admin = AIOKafkaAdminClient(**client_arguments(self._settings))
        reader = AIOKafkaConsumer(**client_arguments(self._settings), group_id=None, enable_auto_commit=False)
        try:
            async with asyncio.timeout(_LAG_SECONDS):
                await admin.start()
                stored = await admin.list_consumer_group_offsets(group)
                if not stored:
                    return {}
                await reader.start()
                ends = await reader.end_offsets(list(stored))
        except (KafkaError, OSError, TimeoutError) as error:
            raise translate(error, f"asking for the lag of {group}") from error
        finally:
            await admin.close()
            await internals.abandon_consumer(reader)
        return {
            TopicPartition(it.topic, it.partition): max(0, ends[it] - offset.offset) for it, offset in stored.items()
        }

    async def watch(self) -> None:
        """Watch over the members until cancelled. Raises StalledError when the process should end and start again.

        That is when a fetch does not come back for two session time-outs; when no heartbeat got through for as long
        (and longer than a rebalance may take) although a broker answers; or when a partition has records and its
        reader has room, and yet gets none of them for two session time-outs. A broker that is away is no reason.
        """
        while True:
            await asyncio.sleep(self._settings.session_seconds / _LOOKS_PER_SESSION)
            for consumer in list(self._consumers):
                await consumer.check_progress()

    async def close(self) -> None:
        """End every member and tail, then the producer. Calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        await asyncio.gather(*(it.close() for it in self._consumers), *(it.close() for it in self._tails))
        await self._publisher.close()

    def _check_open(self) -> None:
        if self._closed:
            raise UnavailableError("the log is closed")

    def _forget_consumer(self, consumer: KafkaConsumer) -> None:
        self._consumers.pop(consumer, None)

    def _forget_tail(self, tail: KafkaTail) -> None:
        self._tails.pop(tail, None)
