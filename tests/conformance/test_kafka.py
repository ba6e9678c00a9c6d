"""The Kafka adapter keeps what the Log port promises, on a real broker."""

import secrets
from collections.abc import AsyncIterator

import pytest

from headrace.adapters.clock import SystemClock
from headrace.adapters.kafka import KafkaLog, KafkaSettings
from headrace.adapters.kafka.consumer import KafkaConsumer
from headrace.adapters.kafka.topics import TopicSpec, create_topics
from headrace.ports.log import Consumer
from tests.conformance.harness import LogHarness
from tests.conformance.log_suite import DurableLogSuite

PARTITIONS = 4
TOPICS = ("orders", "others", "commands", "results")
"""Every name that the suite uses for a topic."""


class KafkaLogHarness(LogHarness):
    """Sessions are short, so that the group soon notices a member that is gone."""

    log: KafkaLog
    patience_seconds = 15.0
    quiet_seconds = 0.4

    def __init__(self, bootstrap_servers: str) -> None:
        self._suffix = secrets.token_hex(4)
        self.settings = KafkaSettings(
            bootstrap_servers=bootstrap_servers,
            session_timeout_ms=1_500,
            heartbeat_interval_ms=100,
            rebalance_timeout_ms=5_000,
            fetch_max_wait_ms=100,
        )
        self.log = KafkaLog(self.settings, SystemClock())

    def name(self, word: str) -> str:
        return f"{word}.{self._suffix}"

    async def start(self) -> None:
        await create_topics(self.settings, [TopicSpec(self.name(topic), 1) for topic in TOPICS], PARTITIONS)
        await self.log.start()

    async def crash(self, consumer: Consumer) -> None:
        assert isinstance(consumer, KafkaConsumer)
        await consumer.crash()

    async def lose_touch(self, consumer: Consumer) -> None:
        assert isinstance(consumer, KafkaConsumer)

        async def say_nothing() -> bool:
            return True

        consumer._consumer._coordinator._do_heartbeat = say_nothing

    async def reopen(self) -> None:
        await self.log.close()
        self.log = KafkaLog(self.settings, SystemClock())
        await self.log.start()


class TestKafkaLog(DurableLogSuite):
    @pytest.fixture
    async def harness(self, kafka_bootstrap_servers: str) -> AsyncIterator[LogHarness]:
        harness = KafkaLogHarness(kafka_bootstrap_servers)
        await harness.start()
        yield harness
        await harness.log.close()
