"""A log on the session's broker, with sessions short enough to wait for their end."""

import secrets
from collections.abc import AsyncIterator, Callable

import pytest

from headrace.adapters.clock import SystemClock
from headrace.adapters.kafka import KafkaLog, KafkaSettings
from headrace.adapters.kafka.topics import TopicSpec, create_topics

PARTITIONS = 4

MakeLog = Callable[..., KafkaLog]
"""Makes a log with these settings changed; it is closed when the test is over. Not started."""


@pytest.fixture
def settings(kafka_bootstrap_servers: str) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=kafka_bootstrap_servers, session_timeout_ms=1_500, heartbeat_interval_ms=100,
        rebalance_timeout_ms=5_000, fetch_max_wait_ms=100, publish_timeout_ms=5_000,
    )  # fmt: skip


@pytest.fixture
async def make_log(settings: KafkaSettings) -> AsyncIterator[MakeLog]:
    made: list[KafkaLog] = []

    def make(**changes: object) -> KafkaLog:
        made.append(KafkaLog(KafkaSettings.model_validate({**settings.model_dump(), **changes}), SystemClock()))
        return made[-1]

    yield make
    for log in made:
        await log.close()


@pytest.fixture
async def log(make_log: MakeLog) -> KafkaLog:
    made = make_log()
    await made.start()
    return made


@pytest.fixture
async def topic(settings: KafkaSettings) -> str:
    """A topic of the test's own."""
    name = f"orders.{secrets.token_hex(4)}"
    await create_topics(settings, [TopicSpec(name, 1)], PARTITIONS)
    return name


@pytest.fixture
def group() -> str:
    return f"readers.{secrets.token_hex(4)}"
