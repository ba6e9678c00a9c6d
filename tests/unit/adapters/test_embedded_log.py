"""What the embedded log does beyond the port: retention, fairness, tails, crashes, rebalances."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from headrace.adapters.embedded import EmbeddedLog, Journal
from headrace.adapters.embedded.groups import EmbeddedConsumer
from headrace.ports.errors import UnavailableError
from headrace.ports.log import Record, TopicPartition
from tests.conformance.samples import START, ManualClock, message


def make_log(journal: Journal | None = None, **settings: int) -> EmbeddedLog:
    return EmbeddedLog(ManualClock(), journal, **settings)


async def publish(log: EmbeddedLog, *numbers: int, topic: str = "orders") -> None:
    await log.publish([message(topic, "k", str(number).encode()) for number in numbers])


async def take_all(consumer: EmbeddedConsumer) -> list[Record]:
    return await consumer.fetch(100_000, 0)


async def commit_all(consumer: EmbeddedConsumer, records: list[Record]) -> None:
    await consumer.commit({record.source: record.offset + 1 for record in records}, records[0].epoch)


async def offsets(log: EmbeddedLog, topic: str = "orders", partition: int = 0) -> list[int]:
    return [record.offset for record in await log.read(topic, partition, 0, 100_000)]


# waiting


async def latency_of_a_wake() -> float:
    """Turns of the event loop between a publish and the fetch that waits for it, in seconds."""
    log = make_log()
    consumer = await log.subscribe("readers", ["orders"])
    loop = asyncio.get_running_loop()
    waiting = asyncio.create_task(consumer.fetch(10, 3_600))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    begin = loop.time()
    await publish(log, 1)
    assert len(await waiting) == 1
    await log.close()
    return loop.time() - begin


def run_on_default_loop(main: Coroutine[Any, Any, float]) -> float:
    return asyncio.run(main)


@pytest.mark.parametrize("run", [run_on_default_loop, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_waiting_fetch_wakes_at_once_on_every_loop(run: Any) -> None:
    assert run(latency_of_a_wake()) < 0.05


async def test_closing_the_log_ends_waiting_fetches() -> None:
    log = make_log()
    consumer = await log.subscribe("readers", ["orders"])
    tail = await log.tail(["orders"])
    waiting = [asyncio.create_task(consumer.fetch(1, 60)), asyncio.create_task(tail.fetch(60))]
    await asyncio.sleep(0)

    await log.close()

    for task in waiting:
        with pytest.raises(UnavailableError, match="closed"):
            await task
    for call in (publish(log, 1), log.subscribe("readers", ["orders"]), log.tail(["orders"]), consumer.fetch(1, 0)):
        with pytest.raises(UnavailableError, match="closed"):
            await call


async def test_a_closed_consumer_says_so() -> None:
    consumer = await make_log().subscribe("readers", ["orders"])
    await consumer.close()
    await consumer.close()

    with pytest.raises(UnavailableError, match="consumer is closed"):
        await consumer.fetch(1, 0)


async def test_a_fetch_that_is_cancelled_loses_nothing() -> None:
    log = make_log()
    consumer = await log.subscribe("readers", ["orders"])
    waiting = asyncio.create_task(consumer.fetch(1, 60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await publish(log, 1)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert len(await take_all(consumer)) == 1


async def test_a_busy_reader_lets_others_have_their_turn() -> None:
    log = make_log()
    consumer = await log.subscribe("readers", ["orders"])
    await publish(log, *range(100))
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    for _ in range(100):
        await consumer.fetch(1, 0)
    counting.cancel()

    assert turns >= 99


# fairness


async def test_a_backlog_in_one_partition_does_not_keep_the_others_waiting() -> None:
    log = make_log(partitions=4)
    consumer = await log.subscribe("readers", ["orders"])
    await publish(log, *range(5_000))
    await log.publish([message("orders", f"key-{i}") for i in range(100)])

    records = await consumer.fetch(100, 0)

    shares = {p: sum(r.source.partition == p for r in records) for p in range(4)}
    assert len(records) == 100
    assert min(shares.values()) >= 15


async def test_single_records_are_fetched_from_the_partitions_in_turn() -> None:
    log = make_log(partitions=4)
    consumer = await log.subscribe("readers", ["orders"])
    await log.publish([message("orders", f"key-{i}") for i in range(400)])

    partitions = [(await consumer.fetch(1, 0))[0].source.partition for _ in range(8)]

    assert sorted(partitions) == [0, 0, 1, 1, 2, 2, 3, 3]


# groups


async def test_a_group_spreads_a_topic_over_its_members() -> None:
    log = make_log(partitions=4)
    members = [await log.subscribe("readers", ["orders"]) for _ in range(3)]

    assignments = [member.assignment for member in members]

    assert frozenset.union(*assignments) == {TopicPartition("orders", i) for i in range(4)}
    assert sorted(map(len, assignments)) == [1, 1, 2]
    assert len({member.epoch for member in members}) == 1


async def test_members_of_one_group_may_read_different_topics() -> None:
    log = make_log(partitions=2)
    one = await log.subscribe("readers", ["a"])
    two = await log.subscribe("readers", ["b"])

    assert {p.topic for p in one.assignment} == {"a"}
    assert {p.topic for p in two.assignment} == {"b"}


async def test_a_late_commit_of_an_abandoned_member_changes_nothing() -> None:
    log = make_log(partitions=1)
    zombie = await log.subscribe("readers", ["orders"])
    await publish(log, *range(10))
    records = await take_all(zombie)

    await zombie.abandon()
    await commit_all(zombie, records)

    assert await zombie.fetch(10, 0) == []
    assert sum((await log.lag("readers")).values()) == 10


async def test_nothing_is_fetched_while_a_listener_runs() -> None:
    log = make_log(partitions=2)
    may_go = asyncio.Event()

    async def on_revoke(_: frozenset[TopicPartition]) -> None:
        await may_go.wait()

    first = await log.subscribe("readers", ["orders"], on_revoke)
    joining = asyncio.create_task(log.subscribe("readers", ["orders"]))
    await asyncio.sleep(0)
    await publish(log, *range(10))

    assert await take_all(first) == []
    assert not joining.done()
    may_go.set()
    second = await joining
    assert len(await take_all(first)) + len(await take_all(second)) == 10


async def test_a_pause_ends_when_the_partition_is_revoked() -> None:
    log = make_log(partitions=1)
    first = await log.subscribe("readers", ["orders"])
    first.pause(first.assignment)
    await publish(log, 1)
    assert await take_all(first) == []

    await (await log.subscribe("readers", ["orders"])).close()

    assert len(await take_all(first)) == 1


async def test_a_listener_may_close_its_own_consumer() -> None:
    log = make_log(partitions=2)

    async def on_revoke(_: frozenset[TopicPartition]) -> None:
        await first.close()

    first = await log.subscribe("readers", ["orders"], on_revoke)
    async with asyncio.timeout(5):
        second = await log.subscribe("readers", ["orders"])

    assert len(second.assignment) == 2


@pytest.mark.parametrize("error", [ValueError("a bug"), asyncio.CancelledError("awaited something cancelled")])
async def test_a_listener_that_raises_is_reported_and_holds_up_nobody(error: BaseException) -> None:
    log = make_log(partitions=2)
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))

    async def on_revoke(_: frozenset[TopicPartition]) -> None:
        raise error

    await log.subscribe("readers", ["orders"], on_revoke)
    second = await log.subscribe("readers", ["orders"])

    assert len(second.assignment) == 1
    assert [type(report["exception"]) for report in reports] == [type(error)]


async def test_who_gives_up_joining_leaves_no_ghost_behind() -> None:
    log = make_log(partitions=2)
    may_go = asyncio.Event()

    async def on_revoke(_: frozenset[TopicPartition]) -> None:
        await may_go.wait()

    first = await log.subscribe("readers", ["orders"], on_revoke)
    joining = asyncio.create_task(log.subscribe("readers", ["orders"]))
    await asyncio.sleep(0)
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    may_go.set()

    await publish(log, 1)
    assert len(await first.fetch(1, 5)) == 1
    assert len(first.assignment) == 2


async def test_members_that_join_and_leave_during_a_rebalance_are_dealt_with_in_it() -> None:
    log = make_log(partitions=4)
    may_go = asyncio.Event()

    async def on_revoke(_: frozenset[TopicPartition]) -> None:
        await may_go.wait()

    first = await log.subscribe("readers", ["orders"], on_revoke)
    joining = [asyncio.create_task(log.subscribe("readers", ["orders"])) for _ in range(3)]
    await asyncio.sleep(0)
    await first.close()
    may_go.set()
    members = await asyncio.gather(*joining)

    assert sorted(len(member.assignment) for member in members) == [1, 1, 2]


# retention


async def test_the_newest_records_are_kept_and_nothing_that_a_group_has_not_committed_is_trimmed() -> None:
    log = make_log(partitions=1, retention_records=80)
    consumer = await log.subscribe("readers", ["orders"])
    await publish(log, *range(300))
    assert await offsets(log) == list(range(300))

    records = await take_all(consumer)
    await consumer.commit({records[0].source: 150}, records[0].epoch)
    assert await offsets(log) == list(range(150, 300))

    await commit_all(consumer, records)
    assert await offsets(log) == list(range(220, 300))


async def test_a_topic_without_a_group_is_trimmed_in_chunks() -> None:
    log = make_log(partitions=1, retention_records=80)
    for number in range(1_000):
        await publish(log, number)
        assert 80 <= len(await offsets(log)) <= 90 or number < 80


async def test_values_beyond_the_bytes_to_keep_are_trimmed_but_never_the_newest() -> None:
    log = make_log(partitions=1, retention_bytes=100_000)
    for _ in range(20):
        await log.publish([message("orders", value=b"x" * 20_000)])
    assert 4 <= len(await offsets(log)) <= 6

    await log.publish([message("orders", value=b"x" * 500_000)])
    assert await offsets(log) == [20]


async def test_a_new_group_begins_at_the_oldest_record_that_is_kept() -> None:
    log = make_log(partitions=1, retention_records=80)
    await publish(log, *range(300))

    consumer = await log.subscribe("readers", ["orders"])

    assert (await take_all(consumer))[0].offset == 220


async def test_a_tail_that_falls_behind_goes_on_at_the_oldest_record_that_is_kept() -> None:
    log = make_log(partitions=1, retention_records=80)
    tail = await log.tail(["orders"])

    await publish(log, *range(300))

    assert [record.offset for record in await tail.fetch(0)] == list(range(220, 300))
    await tail.close()


async def test_what_is_trimmed_is_trimmed_from_the_file_too(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "headrace.db")
    log = make_log(journal, partitions=1, retention_records=80)
    for start in range(0, 300, 10):
        await publish(log, *range(start, start + 10))
    journal.close()

    journal = Journal(tmp_path / "headrace.db")
    log = make_log(journal)
    assert await offsets(log) == list(range(220, 300))
    await publish(log, 300)
    assert (await offsets(log))[-1] == 300
    journal.close()


async def test_a_topic_keeps_the_partitions_it_was_made_with(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "headrace.db")
    await publish(make_log(journal, partitions=2), 1)
    journal.close()

    journal = Journal(tmp_path / "headrace.db")
    log = make_log(journal, partitions=8)
    old = await log.subscribe("readers", ["orders"])
    new = await log.subscribe("others", ["new"])

    assert (len(old.assignment), len(new.assignment)) == (2, 8)
    journal.close()


async def test_a_group_that_is_forgotten_keeps_no_records_any_more() -> None:
    log = make_log(partitions=1, retention_records=80)
    consumer = await log.subscribe("readers", ["orders"])
    await publish(log, *range(300))
    await log.forget_group("readers")
    assert len(await offsets(log)) == 300  # it has a member

    await consumer.close()
    await log.forget_group("readers")
    await publish(log, 300)

    assert len(await offsets(log)) == 80
    assert await log.lag("readers") == {}


async def test_the_log_says_since_when_records_can_be_delivered_again() -> None:
    clock = ManualClock()
    log = EmbeddedLog(clock, partitions=1)
    consumer = await log.subscribe("readers", ["orders"])
    assert log.redeliverable_since("orders") is None
    for number in range(3):
        clock.at = START + number
        await publish(log, number)
    assert log.redeliverable_since("orders") == START

    records = await take_all(consumer)
    await commit_all(consumer, records[:2])
    assert log.redeliverable_since("orders") == START + 2
    await commit_all(consumer, records)
    assert log.redeliverable_since("orders") is None
    assert log.redeliverable_since("unknown") is None


async def test_a_batch_stays_in_the_file_for_its_last_record_and_the_rest_of_it_is_not_taken_for_kept(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / "headrace.db")
    log = make_log(journal, partitions=1, retention_records=8)
    await log.publish([message("orders", "k", b"trimmed"), message("rare", "k", b"kept")])
    for number in range(30):
        await publish(log, number)
    kept = await offsets(log)
    journal.close()

    journal = Journal(tmp_path / "headrace.db")
    log = make_log(journal)

    assert kept[0] > 1
    assert await offsets(log) == kept
    assert [record.value for record in await log.read("rare", 0)] == [b"kept"]
    journal.close()
