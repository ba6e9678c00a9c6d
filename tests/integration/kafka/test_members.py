"""Members of groups on a real broker: what the library does to them, and what we promise all the same."""

import asyncio
import contextlib
import time
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition as KafkaPartition
from structlog.testing import capture_logs

from headrace.adapters.kafka import (
    KafkaError,
    KafkaLog,
    KafkaSettings,
    RecordsLostError,
    StalledError,
    TopicError,
    connection,
)
from headrace.adapters.kafka import consumer as consumer_module
from headrace.adapters.kafka.consumer import KafkaConsumer
from headrace.ports.errors import UnavailableError
from headrace.ports.log import Message, TopicPartition
from tests.integration.kafka.conftest import PARTITIONS, MakeLog
from tests.integration.kafka.test_publishing import delete, read


def numbered(topic: str, count: int) -> list[Message]:
    return [Message(topic, f"key-{i}", str(i).encode()) for i in range(count)]


# freshness


async def test_a_member_knows_at_once_that_it_was_stopped(log: KafkaLog, topic: str, group: str) -> None:
    consumer = await log.subscribe(group, [topic])
    await asyncio.sleep(0.5)
    assert consumer.is_fresh()

    time.sleep(0.8)  # noqa: ASYNC251 - nothing of this process runs, as after SIGSTOP

    assert not consumer.is_fresh()
    async with asyncio.timeout(5):
        while not consumer.is_fresh():
            await asyncio.sleep(0.01)


async def test_a_late_answer_to_an_early_heartbeat_proves_nothing(log: KafkaLog, topic: str, group: str) -> None:
    """What counts is when the heartbeat was sent: the answer may have lain there while the process stood still."""
    consumer = await log.subscribe(group, [topic])
    coordinator = consumer._consumer._coordinator
    send = coordinator._client.send

    async def send_slowly(*args: Any, **kwargs: Any) -> Any:
        answer = await send(*args, **kwargs)
        await asyncio.sleep(0.8)
        return answer

    coordinator._client.send = send_slowly
    await asyncio.sleep(1.2)

    fresh = [consumer.is_fresh()]
    for _ in range(40):
        await asyncio.sleep(0.02)
        fresh.append(consumer.is_fresh())
    assert not any(fresh)


# rebalancing


async def test_a_listener_that_raises_is_told_of_and_the_partitions_go_all_the_same(
    log: KafkaLog, topic: str, group: str
) -> None:
    async def on_revoke(_: frozenset[TopicPartition]) -> None:
        raise RuntimeError("no time")

    first = await log.subscribe(group, [topic], on_revoke)
    with capture_logs() as lines:
        second = await log.subscribe(group, [topic])
    await log.publish(numbered(topic, 40))

    assert [line["event"] for line in lines if line.get("exc_info")] == ["a revoke listener raised; it must not"]
    seen = {record.value for consumer in (first, second) for record in await read(consumer, 1)}
    assert len(seen) >= 2


async def test_no_commit_is_on_its_way_when_partitions_go(log: KafkaLog, topic: str, group: str) -> None:
    first = await log.subscribe(group, [topic])
    await log.publish(numbered(topic, 40))
    records = await read(first, 40)
    coordinator = first._consumer._coordinator
    store = coordinator._do_commit_offsets
    order: list[str] = []

    async def store_slowly(*args: Any) -> None:
        order.append("commit begins")
        await asyncio.sleep(0.6)
        await store(*args)
        order.append("commit ends")

    async def on_revoke(_: frozenset[TopicPartition]) -> None:
        order.append("revoke")

    coordinator._do_commit_offsets = store_slowly
    first._on_revoke = on_revoke
    committing = asyncio.create_task(
        first.commit({record.source: record.offset + 1 for record in records}, records[0].epoch)
    )
    await asyncio.sleep(0.05)
    committing.cancel()  # who asked for it may give up; the request stays on its way
    await log.subscribe(group, [topic])
    order.append("partitions went")

    assert order.index("commit ends") < order.index("partitions went")
    assert sum((await log.lag(group)).values()) == 0


async def test_a_static_member_comes_back_without_a_rebalance(make_log: MakeLog, topic: str, group: str) -> None:
    revoked: list[frozenset[TopicPartition]] = []

    async def on_revoke(partitions: frozenset[TopicPartition]) -> None:
        revoked.append(partitions)

    staying, restarting, restarted = (
        make_log(group_instance_id=name, session_timeout_ms=6_000, rebalance_timeout_ms=6_000)
        for name in ("one", "two", "two")
    )
    for log in (staying, restarting, restarted):
        await log.start()
    first = await staying.subscribe(group, [topic], on_revoke)
    second = await restarting.subscribe(group, [topic])
    held = second._assignment
    await asyncio.sleep(0.3)
    revoked.clear()

    await second.close()
    again = await restarted.subscribe(group, [topic])
    await asyncio.sleep(0.5)

    assert revoked == []
    assert held is not None
    assert again._assignment is not None
    assert again._assignment.sources == held.sources
    assert first.is_fresh()


async def test_epochs_grow_even_when_the_group_has_died_out(log: KafkaLog, topic: str, group: str) -> None:
    """A group that is deleted begins with generation 1 again; what a member counts must not."""
    consumer = await log.subscribe(group, [topic])
    consumer._epoch = 41
    other = await log.subscribe(group, [topic])
    await log.publish(numbered(topic, 40))

    assert {record.epoch for record in await read(consumer, 1)} == {42}
    await other.close()


async def test_the_poll_is_kept_up_while_everything_is_paused(make_log: MakeLog, topic: str, group: str) -> None:
    """The library leaves the group when it is not polled; a paused reader must go on polling."""
    log = make_log(session_timeout_ms=1_000, rebalance_timeout_ms=1_000, max_poll_interval_ms=1_000)
    await log.start()
    revoked: list[object] = []

    async def on_revoke(partitions: frozenset[TopicPartition]) -> None:
        revoked.append(partitions)

    consumer = await log.subscribe(group, [topic], on_revoke)
    consumer.pause(frozenset(TopicPartition(topic, number) for number in range(PARTITIONS)))
    await log.publish(numbered(topic, 10))

    for _ in range(10):
        assert await consumer.fetch(10, 0.25) == []

    assert revoked == []
    assert consumer.is_fresh()


async def test_a_member_that_did_not_fetch_for_too_long_comes_back_when_it_does(
    make_log: MakeLog, topic: str, group: str
) -> None:
    """As a loop does whose store does not answer for longer than max_poll_interval_ms: the member leaves its group."""
    log = make_log(session_timeout_ms=1_000, rebalance_timeout_ms=1_000, max_poll_interval_ms=1_000)
    await log.start()
    consumer = await log.subscribe(group, [topic])
    await log.publish(numbered(topic, 3))
    before = await read(consumer, 3)

    await asyncio.sleep(2.5)
    assert not consumer.is_fresh()

    again = await read(consumer, 3)
    assert {record.value for record in again} == {record.value for record in before}
    assert min(record.epoch for record in again) > max(record.epoch for record in before)


# what is gone


async def test_records_that_are_gone_before_they_were_read_end_the_reader(
    log: KafkaLog, settings: KafkaSettings, topic: str, group: str
) -> None:
    consumer = await log.subscribe(group, [topic])
    await log.publish([Message(topic, "k", b"%d" % i) for i in range(10)])
    (source,) = {record.source for record in await read(consumer, 10)}
    await consumer.close()
    await drop_records(settings, source, 6)

    consumer = await log.subscribe(group, [topic])
    with pytest.raises(RecordsLostError, match=f"{source.topic}/{source.partition}: next to read is 0, .* is 6"):
        await read(consumer, 1)
    with pytest.raises(RecordsLostError):
        await read(consumer, 1)


async def test_an_operator_may_have_lost_records_skipped(
    log: KafkaLog, make_log: MakeLog, settings: KafkaSettings, topic: str, group: str
) -> None:
    consumer = await log.subscribe(group, [topic])
    await log.publish([Message(topic, "k", b"%d" % i) for i in range(10)])
    (source,) = {record.source for record in await read(consumer, 10)}
    await consumer.close()
    await drop_records(settings, source, 6)
    lenient = make_log(lost_records="skip")
    await lenient.start()

    consumer = await lenient.subscribe(group, [topic])

    assert [record.value for record in await read(consumer, 4)] == [b"6", b"7", b"8", b"9"]


async def drop_records(settings: KafkaSettings, source: TopicPartition, before: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=list(settings.bootstrap_servers))
    await admin.start()
    await admin.delete_records({KafkaPartition(source.topic, source.partition): RecordsToDelete(before)})
    await admin.close()


async def test_a_new_group_may_begin_at_the_end_and_loses_nothing_before_its_first_commit(
    make_log: MakeLog, topic: str, group: str
) -> None:
    log = make_log(offset_reset="latest")
    await log.start()
    await log.publish(numbered(topic, 10))
    consumer = await log.subscribe(group, [topic])
    await log.publish([Message(topic, "k", b"new")])
    await consumer.close()

    consumer = await log.subscribe(group, [topic])

    assert [record.value for record in await read(consumer, 1)] == [b"new"]


async def test_a_group_cannot_read_a_topic_that_does_not_exist(
    log: KafkaLog, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_MISSING_SECONDS", 0.2)

    with pytest.raises(TopicError, match=r"no\.such\.topic.*headrace init"):
        await log.subscribe(group, ["no.such.topic"])
    with pytest.raises(TopicError, match=r"no\.such\.topic"):
        await log.tail(["no.such.topic"])


async def read_on(consumer: KafkaConsumer) -> None:
    """As a loop does: what is unavailable is asked for again."""
    while True:
        with contextlib.suppress(UnavailableError):
            await read(consumer, 1)


async def test_a_topic_that_is_deleted_ends_its_reader(
    log: KafkaLog, settings: KafkaSettings, topic: str, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "_GONE_SECONDS", 0.5)
    consumer = await log.subscribe(group, [topic])
    await delete(settings, topic)

    with pytest.raises(UnavailableError, match=f"the brokers do not know {topic}"):
        await read(consumer, 1)
    with pytest.raises(TopicError, match=topic):
        await read_on(consumer)


async def test_a_record_that_cannot_be_read_ends_the_reader_and_skips_nothing(
    log: KafkaLog, settings: KafkaSettings, topic: str, group: str
) -> None:
    """The library drops what it read before the broken record, and would go on behind it."""
    producer = AIOKafkaProducer(bootstrap_servers=list(settings.bootstrap_servers))
    await producer.start()
    batch = producer.create_batch()
    for number in range(3):
        headers = [("name", b"")] if number < 2 else [("NAME", b"")]
        batch.append(timestamp=1, key=b"k", value=b"%d" % number, headers=headers)
    built = bytearray(batch._build()).replace(b"NAME", b"\xff\xfe\xfd\xfc")
    built[17:21] = calc_crc32c(bytes(built[21:])).to_bytes(4, "big")
    batch._buffer = built
    await (await producer.send_batch(batch, topic, partition=0))
    await producer.send_and_wait(topic, b"later", partition=0)
    await producer.stop()

    for _ in range(2):
        consumer = await log.subscribe(group, [topic])
        for _ in range(3):
            with pytest.raises(KafkaError, match=rf"{topic}/0 at offset 2.*utf-8"):
                await read(consumer, 1)
        await consumer.close()


# the watchdog


async def test_the_watchdog_bites_when_a_reader_gets_nothing_although_there_are_records(
    log: KafkaLog, topic: str, group: str
) -> None:
    consumer = await log.subscribe(group, [topic])
    watching = asyncio.create_task(log.watch())
    fetcher = consumer._consumer._fetcher
    fetcher._fetch_task.cancel()  # a client that hangs without an error, as some do after a rebalance
    await asyncio.sleep(0.3)  # the request that is out may still bring something
    await log.publish(numbered(topic, 40))

    async with asyncio.timeout(15):
        while not watching.done():
            await consumer.fetch(1_000, 0.1)

    with pytest.raises(StalledError, match=f"{topic}/0"):
        watching.result()


async def test_the_watchdog_bites_when_heartbeats_do_not_get_through(make_log: MakeLog, topic: str, group: str) -> None:
    log = make_log(session_timeout_ms=1_000, rebalance_timeout_ms=1_000)
    await log.start()
    consumer = await log.subscribe(group, [topic])

    async def say_nothing() -> bool:
        return True

    consumer._consumer._coordinator._do_heartbeat = say_nothing

    with pytest.raises(StalledError, match="no heartbeat"):
        async with asyncio.timeout(10):
            await log.watch()


async def test_the_watchdog_leaves_a_reader_alone_that_is_behind_or_idle(
    make_log: MakeLog, topic: str, group: str
) -> None:
    log = make_log(session_timeout_ms=600, heartbeat_interval_ms=100, rebalance_timeout_ms=1_000)
    await log.start()
    consumer = await log.subscribe(group, [topic])
    await log.publish(numbered(topic, 400))
    watching = asyncio.create_task(log.watch())

    for _ in range(40):
        await consumer.fetch(3, 0.1)
        await asyncio.sleep(0.1)

    assert not watching.done()
    watching.cancel()


# what other producers write


async def test_what_other_producers_write_is_taken_as_it_is(
    log: KafkaLog, settings: KafkaSettings, topic: str, group: str
) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=list(settings.bootstrap_servers))
    await producer.start()
    await producer.send_and_wait(topic, b"no key", partition=0)
    await producer.send_and_wait(topic, b"odd key", key=b"\xff\xfe", partition=0)
    await producer.send_and_wait(topic, b"odd header", key=b"k", headers=[("empty", None), ("x", b"1")], partition=0)
    await producer.stop()

    consumer = await log.subscribe(group, [topic])
    no_key, odd_key, odd_header = await read(consumer, 3)

    assert no_key.key == ""
    assert odd_header.headers == (("empty", b""), ("x", b"1"))
    await log.publish([Message(topic, odd_key.key, b"as it was")])
    again = (await read(consumer, 1))[0]
    assert again.key == odd_key.key == b"\xff\xfe".decode("utf-8", "surrogateescape")
