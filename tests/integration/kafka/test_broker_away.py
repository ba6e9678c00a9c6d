"""A broker that is not there, goes away, or stands still; on a broker of the test's own."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from headrace.adapters.clock import SystemClock
from headrace.adapters.kafka import KafkaLog, KafkaSettings
from headrace.adapters.kafka.topics import TopicSpec, create_topics
from headrace.ports.errors import UnavailableError
from headrace.ports.log import Message
from tests.integration.kafka.test_publishing import read
from tools.servers.kafka import Kafka


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Kafka]:
    async with Kafka(tmp_path / "kafka") as server:
        yield server


def settings_for(server: str) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=server, session_timeout_ms=1_500, heartbeat_interval_ms=100, rebalance_timeout_ms=5_000,
        publish_timeout_ms=1_000, request_timeout_ms=5_000,
    )  # fmt: skip


@pytest.fixture
async def log(broker: Kafka) -> AsyncIterator[KafkaLog]:
    settings = settings_for(broker.bootstrap_servers)
    await create_topics(settings, [TopicSpec("orders", 1)], 4)
    made = KafkaLog(settings, SystemClock())
    await made.start()
    yield made
    await made.close()


async def test_start_waits_for_a_broker_says_so_and_can_be_cancelled() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        log = KafkaLog(settings_for(f"127.0.0.1:{nobody.getsockname()[1]}"), SystemClock())
        with capture_logs() as lines:
            starting = asyncio.create_task(log.start())
            await asyncio.sleep(0.8)
            starting.cancel()
            await asyncio.wait([starting])
    await log.close()

    assert starting.cancelled()
    assert len(lines) == 2
    assert lines[0]["event"].startswith("waiting for Kafka")
    assert lines[0]["next_try_seconds"] == 0.5
    assert "Errno 111" in lines[0]["reason"]


async def test_what_was_promised_survives_a_broker_that_goes_and_comes_back(broker: Kafka, log: KafkaLog) -> None:
    watching = asyncio.create_task(log.watch())
    consumer = await log.subscribe("readers", ["orders"])
    await log.publish([Message("orders", "k", b"before")])
    (before,) = await read(consumer, 1)

    await asyncio.to_thread(broker.kill)
    with pytest.raises(UnavailableError):
        await log.publish([Message("orders", "k", b"during")])
    with pytest.raises(UnavailableError):
        await consumer.commit({before.source: before.offset + 1}, before.epoch)
    await asyncio.sleep(3.5)  # longer than two sessions: the watchdog must not mistake an outage for a stall
    assert not watching.done()
    assert not consumer.is_fresh()

    await asyncio.to_thread(broker.start)
    while True:
        try:
            await log.publish([Message("orders", "k", b"after")])
            break
        except UnavailableError:
            await asyncio.sleep(0.1)
    values: list[bytes | None] = []
    async with asyncio.timeout(30):
        while b"after" not in values:
            try:
                values += [record.value for record in await consumer.fetch(100, 1)]
            except UnavailableError:
                await asyncio.sleep(0.1)
    assert not watching.done()
    watching.cancel()


async def test_a_broker_that_stands_still_holds_up_neither_publishing_nor_closing(broker: Kafka, log: KafkaLog) -> None:
    consumer = await log.subscribe("readers", ["orders"])
    await log.publish([Message("orders", "k", b"1")])

    broker.pause()
    await asyncio.sleep(0.5)  # until the last of its threads stands
    try:
        async with asyncio.timeout(20):
            with pytest.raises(UnavailableError, match="within 1 s"):
                await log.publish([Message("orders", "k", b"2")])
            await consumer.fetch(10, 0.1)
            await log.close()
    finally:
        broker.resume()
