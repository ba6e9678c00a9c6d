"""What every Log adapter promises, and what it does not.

Promised: records of one key stay in order; nothing that was published is lost to a group; what was not committed is
delivered again; a commit under an epoch that is over changes nothing; the revoke listener runs, and may still commit,
before its partitions go to another member.

Not promised, and therefore not tested: that a record is delivered once only; that two members never hold the same
record at one time (a member that lost touch goes on with what it has); that a commit which is on its way *while* the
group rebalances is refused (a broker checks the member, not the partition). Whoever handles records must bear all
three.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress

import pytest

from headrace.ports.errors import UnavailableError
from headrace.ports.log import Consumer, Message, Record, TopicPartition
from tests.conformance.harness import LogHarness
from tests.conformance.samples import message


async def take(harness: LogHarness, consumer: Consumer, count: int) -> list[Record]:
    """At least `count` records from a consumer; fails when they do not come in time."""
    records: list[Record] = []
    async with asyncio.timeout(harness.patience_seconds):
        while len(records) < count:
            records += await consumer.fetch(1_000, harness.patience_seconds)
    return records


async def take_nothing(harness: LogHarness, consumer: Consumer) -> None:
    assert await consumer.fetch(1_000, harness.quiet_seconds) == []


def ends(records: Iterable[Record]) -> dict[TopicPartition, int]:
    """What to commit when all of these are done."""
    return {record.source: record.offset + 1 for record in records}


async def commit(consumer: Consumer, records: list[Record]) -> None:
    await consumer.commit(ends(records), records[-1].epoch)


def values(records: Iterable[Record]) -> list[bytes | None]:
    return [record.value for record in records]


def numbered(topic: str, count: int, keys: int = 20) -> list[Message]:
    return [message(topic, f"key-{i % keys}", str(i).encode()) for i in range(count)]


class LogSuite:
    @pytest.fixture
    def harness(self) -> AsyncIterator[LogHarness]:
        raise NotImplementedError("the adapter's test class brings the harness")

    @pytest.fixture
    def topic(self, harness: LogHarness) -> str:
        return harness.name("orders")

    @pytest.fixture
    def group(self, harness: LogHarness) -> str:
        return harness.name("readers")

    async def test_records_of_one_key_stay_in_order(self, harness: LogHarness, topic: str, group: str) -> None:
        consumer = await harness.log.subscribe(group, [topic])
        published = numbered(topic, 200)

        for start in range(0, 200, 40):
            await harness.log.publish(published[start : start + 40])
        records = await take(harness, consumer, 200)

        for key in {m.key for m in published}:
            assert values(r for r in records if r.key == key) == [m.value for m in published if m.key == key]

    async def test_a_key_has_one_partition_and_keys_spread_over_partitions(
        self, harness: LogHarness, topic: str, group: str
    ) -> None:
        consumer = await harness.log.subscribe(group, [topic])

        await harness.log.publish(numbered(topic, 200, keys=50))
        records = await take(harness, consumer, 200)

        places = {(record.key, record.source) for record in records}
        assert len(places) == 50
        assert len({source for _, source in places}) > 1

    async def test_equal_keys_of_two_topics_go_to_the_same_member(self, harness: LogHarness, group: str) -> None:
        topics = [harness.name("commands"), harness.name("results")]
        first = await harness.log.subscribe(group, topics)
        joining = asyncio.create_task(harness.log.subscribe(group, topics))
        await first.fetch(1, harness.quiet_seconds)
        second = await joining

        await harness.log.publish([message(topic, f"run-{i}") for i in range(40) for topic in topics])
        seen: list[set[tuple[str, str]]] = [set(), set()]
        async with asyncio.timeout(harness.patience_seconds):
            while len(seen[0]) + len(seen[1]) < 80:
                for mine, consumer in zip(seen, (first, second), strict=True):
                    mine |= {(r.topic, r.key) for r in await consumer.fetch(1_000, harness.quiet_seconds)}

        assert not {key for _, key in seen[0]} & {key for _, key in seen[1]}

    async def test_offsets_of_a_partition_ascend(self, harness: LogHarness, topic: str, group: str) -> None:
        consumer = await harness.log.subscribe(group, [topic])

        await harness.log.publish(numbered(topic, 50, keys=1))
        records = await take(harness, consumer, 50)

        offsets = [record.offset for record in records]
        assert offsets == sorted(set(offsets))

    async def test_a_new_group_begins_at_the_oldest_record(self, harness: LogHarness, topic: str, group: str) -> None:
        await harness.log.publish(numbered(topic, 10))

        consumer = await harness.log.subscribe(group, [topic])

        assert len(await take(harness, consumer, 10)) == 10

    async def test_groups_do_not_disturb_each_other(self, harness: LogHarness, topic: str) -> None:
        await harness.log.publish(numbered(topic, 10))
        one = await harness.log.subscribe(harness.name("one"), [topic])
        two = await harness.log.subscribe(harness.name("two"), [topic])

        await commit(one, await take(harness, one, 10))

        assert len(await take(harness, two, 10)) == 10

    async def test_calls_at_one_time_keep_each_its_order(self, harness: LogHarness, topic: str, group: str) -> None:
        consumer = await harness.log.subscribe(group, [topic])
        calls = [[message(topic, f"key-{i}", str(n).encode()) for n in range(20)] for i in range(20)]

        await asyncio.gather(*(harness.log.publish(messages) for messages in calls))
        records = await take(harness, consumer, 400)

        for messages in calls:
            assert values(r for r in records if r.key == messages[0].key) == [m.value for m in messages]

    async def test_megabytes_of_one_key_stay_in_order(self, harness: LogHarness, topic: str, group: str) -> None:
        consumer = await harness.log.subscribe(group, [topic])
        filling = bytes(20_000)

        await harness.log.publish([message(topic, value=b"%d:" % n + filling) for n in range(150)])
        records = await take(harness, consumer, 150)

        assert [int((value or b"").partition(b":")[0]) for value in values(records)] == list(range(150))

    async def test_publishing_nothing_is_fine(self, harness: LogHarness) -> None:
        await harness.log.publish([])

    # what is delivered again

    async def test_what_was_committed_is_not_delivered_again(self, harness: LogHarness, topic: str, group: str) -> None:
        consumer = await harness.log.subscribe(group, [topic])
        await harness.log.publish(numbered(topic, 10))
        await commit(consumer, await take(harness, consumer, 10))
        await consumer.close()
        await harness.log.publish([message(topic, "key-1", b"new")])

        consumer = await harness.log.subscribe(group, [topic])

        assert values(await take(harness, consumer, 1)) == [b"new"]

    async def test_what_was_not_committed_is_delivered_again_after_a_crash(
        self, harness: LogHarness, topic: str, group: str
    ) -> None:
        consumer = await harness.log.subscribe(group, [topic])
        await harness.log.publish(numbered(topic, 10, keys=1))
        records = await take(harness, consumer, 10)
        await consumer.commit({records[3].source: records[3].offset + 1}, records[3].epoch)

        await harness.crash(consumer)
        consumer = await harness.log.subscribe(group, [topic])

        assert values(await take(harness, consumer, 6)) == values(records[4:])

    async def test_closing_commits_nothing(self, harness: LogHarness, topic: str, group: str) -> None:
        consumer = await harness.log.subscribe(group, [topic])
        await harness.log.publish(numbered(topic, 10))
        await take(harness, consumer, 10)

        await consumer.close()
        consumer = await harness.log.subscribe(group, [topic])

        assert len(await take(harness, consumer, 10)) == 10

    async def test_a_commit_beyond_the_last_record_skips_nothing_that_comes_later(
        self, harness: LogHarness, topic: str, group: str
    ) -> None:
        consumer = await harness.log.subscribe(group, [topic])
        await harness.log.publish([message(topic)])
        (record,) = await take(harness, consumer, 1)

        await consumer.commit({record.source: record.offset + 100}, record.epoch)
        await harness.crash(consumer)
        await harness.log.publish([message(topic, value=b"later")])
        consumer = await harness.log.subscribe(group, [topic])

        assert b"later" in values(await take(harness, consumer, 1))

    async def test_a_commit_never_moves_a_group_back(self, harness: LogHarness, topic: str, group: str) -> None:
        consumer = await harness.log.subscribe(group, [topic])
        await harness.log.publish(numbered(topic, 10, keys=1))
        records = await take(harness, consumer, 10)
        await commit(consumer, records)

        await consumer.commit({records[2].source: records[2].offset}, records[2].epoch)
        await harness.crash(consumer)
        await harness.log.publish([message(topic, "key-0", b"new")])
        consumer = await harness.log.subscribe(group, [topic])

        assert values(await take(harness, consumer, 1)) == [b"new"]

    async def test_what_lay_there_before_the_assignment_is_inherited(
        self, harness: LogHarness, topic: str, group: str
    ) -> None:
        await harness.log.publish(numbered(topic, 10, keys=1))
        consumer = await harness.log.subscribe(group, [topic])
        await harness.log.publish([message(topic, "key-0", b"new")])

        records = await take(harness, consumer, 11)

        assert [record.inherited for record in records] == [True] * 10 + [False]

    async def test_a_member_is_fresh_until_it_is_gone(self, harness: LogHarness, topic: str, group: str) -> None:
        consumer = await harness.log.subscribe(group, [topic])
        await consumer.fetch(1, harness.quiet_seconds)
        assert consumer.is_fresh()

        await consumer.close()

        assert not consumer.is_fresh()

    # members come and go

    async def test_a_second_member_takes_part_and_nothing_is_lost(
        self, harness: LogHarness, topic: str, group: str
    ) -> None:
        await harness.log.publish(numbered(topic, 100))
        first = await harness.log.subscribe(group, [topic])
        before = await take(harness, first, 100)

        joining = asyncio.create_task(harness.log.subscribe(group, [topic]))
        seen: dict[bytes | None, set[int]] = {}
        shares = [0, 0]
        async with asyncio.timeout(harness.patience_seconds):
            while len(seen) < 100 or not all(shares):
                members = [first, joining.result()] if joining.done() else [first]
                for index, member in enumerate(members):
                    for record in await member.fetch(1_000, harness.quiet_seconds):
                        seen.setdefault(record.value, set()).add(record.epoch)
                        shares[index] += 1

        assert all(epoch > before[0].epoch for epochs in seen.values() for epoch in epochs)

    async def test_the_partitions_of_a_crashed_member_go_to_the_others(
        self, harness: LogHarness, topic: str, group: str
    ) -> None:
        first = await harness.log.subscribe(group, [topic])
        joining = asyncio.create_task(harness.log.subscribe(group, [topic]))
        await first.fetch(1, harness.quiet_seconds)
        second = await joining
        await harness.log.publish(numbered(topic, 40))
        await take(harness, second, 1)

        await harness.crash(second)

        seen: set[bytes | None] = set()
        async with asyncio.timeout(harness.patience_seconds):
            while len(seen) < 40:
                seen |= set(values(await first.fetch(1_000, harness.patience_seconds)))

    async def test_the_revoke_listener_runs_before_the_partitions_move_and_may_commit(
        self, harness: LogHarness, topic: str, group: str
    ) -> None:
        taken: list[Record] = []
        revoked: list[frozenset[TopicPartition]] = []

        async def on_revoke(partitions: frozenset[TopicPartition]) -> None:
            revoked.append(partitions)
            await commit(first, taken)

        await harness.log.publish(numbered(topic, 40))
        first = await harness.log.subscribe(group, [topic], on_revoke)
        taken += await take(harness, first, 40)
        assert revoked == []

        joining = asyncio.create_task(harness.log.subscribe(group, [topic]))
        await take_nothing(harness, first)
        second = await joining

        assert len(revoked) == 1
        assert {record.source for record in taken} <= revoked[0]
        await take_nothing(harness, first)
        await take_nothing(harness, second)

    async def test_a_commit_under_an_epoch_that_is_over_changes_nothing(
        self, harness: LogHarness, topic: str, group: str
    ) -> None:
        await harness.log.publish(numbered(topic, 40))
        zombie = await harness.log.subscribe(group, [topic])
        records = await take(harness, zombie, 40)
        joining = asyncio.create_task(harness.log.subscribe(group, [topic]))
        await zombie.fetch(1, harness.quiet_seconds)
        second = await joining

        await commit(zombie, records)
        await harness.crash(zombie)
        await harness.crash(second)
        heir = await harness.log.subscribe(group, [topic])

        assert len(await take(harness, heir, 40)) == 40

    async def test_a_commit_for_a_partition_of_another_member_is_ignored(
        self, harness: LogHarness, topic: str, group: str
    ) -> None:
        first = await harness.log.subscribe(group, [topic])
        joining = asyncio.create_task(harness.log.subscribe(group, [topic]))
        await first.fetch(1, harness.quiet_seconds)
        second = await joining
        await harness.log.publish(numbered(topic, 40))
        theirs = await take(harness, second, 1)

        await first.commit(ends(theirs), theirs[0].epoch)

        assert sum((await harness.log.lag(group)).values()) == 40

    async def test_a_zombie_is_not_fresh_and_cannot_take_a_group_back(
        self, harness: LogHarness, topic: str, group: str
    ) -> None:
        zombie = await harness.log.subscribe(group, [topic])
        await harness.log.publish(numbered(topic, 40))
        records = await take(harness, zombie, 40)
        await harness.lose_touch(zombie)
        heir = await harness.log.subscribe(group, [topic])
        assert not zombie.is_fresh()
        await commit(heir, await take(harness, heir, 40))
        await heir.close()

        with suppress(UnavailableError):
            await zombie.commit({records[0].source: records[0].offset + 1}, records[0].epoch)

        heir = await harness.log.subscribe(group, [topic])
        await harness.log.publish([message(topic, value=b"new")])
        assert values(await take(harness, heir, 1)) == [b"new"]

    # fetching

    async def test_a_fetch_brings_no_more_than_it_was_asked_for(
        self, harness: LogHarness, topic: str, group: str
    ) -> None:
        consumer = await harness.log.subscribe(group, [topic])
        await harness.log.publish(numbered(topic, 50))

        seen: list[Record] = []
        while len(seen) < 50:
            records = await consumer.fetch(7, harness.patience_seconds)
            assert 1 <= len(records) <= 7
            seen += records

        assert len(set(values(seen))) == 50

    async def test_a_fetch_of_an_empty_log_comes_back_empty_when_its_time_is_up(
        self, harness: LogHarness, topic: str, group: str
    ) -> None:
        consumer = await harness.log.subscribe(group, [topic])

        assert await consumer.fetch(10, 0) == []
        assert await consumer.fetch(10, harness.quiet_seconds) == []

    async def test_a_waiting_fetch_wakes_when_something_is_published(
        self, harness: LogHarness, topic: str, group: str
    ) -> None:
        consumer = await harness.log.subscribe(group, [topic])
        waiting = asyncio.create_task(consumer.fetch(10, 60))
        await asyncio.sleep(0)

        await harness.log.publish([message(topic, value=b"wake up")])

        assert values(await asyncio.wait_for(waiting, harness.patience_seconds)) == [b"wake up"]

    async def test_a_paused_partition_is_not_fetched_until_it_is_resumed(
        self, harness: LogHarness, topic: str, group: str
    ) -> None:
        consumer = await harness.log.subscribe(group, [topic])
        await harness.log.publish(numbered(topic, 40))
        records = await take(harness, consumer, 40)
        paused = records[0].source
        on_paused = [r for r in records if r.source == paused]
        on_others = [r for r in records if r.source != paused]

        consumer.pause(frozenset([paused]))
        await harness.log.publish([message(topic, record.key) for record in (on_paused[0], on_others[0])])

        assert [r.source for r in await take(harness, consumer, 1)] == [on_others[0].source]
        await take_nothing(harness, consumer)
        consumer.resume(frozenset([paused]))
        assert [r.source for r in await take(harness, consumer, 1)] == [paused]

    async def test_resuming_wakes_a_waiting_fetch(self, harness: LogHarness, topic: str, group: str) -> None:
        consumer = await harness.log.subscribe(group, [topic])
        await harness.log.publish([message(topic)])
        (record,) = await take(harness, consumer, 1)
        consumer.pause(frozenset([record.source]))
        await harness.log.publish([message(topic)])
        waiting = asyncio.create_task(consumer.fetch(10, harness.patience_seconds))
        await asyncio.sleep(0)

        consumer.resume(frozenset([record.source]))

        assert len(await waiting) == 1

    async def test_a_batch_of_a_thousand_comes_through(self, harness: LogHarness, topic: str, group: str) -> None:
        consumer = await harness.log.subscribe(group, [topic])

        await harness.log.publish(numbered(topic, 1_000, keys=100))

        assert len(set(values(await take(harness, consumer, 1_000)))) == 1_000

    # contents

    async def test_a_mebibyte_comes_through(self, harness: LogHarness, topic: str, group: str) -> None:
        consumer = await harness.log.subscribe(group, [topic])
        value = bytes(range(256)) * 4_096

        await harness.log.publish([message(topic, value=value)])

        assert values(await take(harness, consumer, 1)) == [value]

    @pytest.mark.parametrize("value", [None, b"", b"\x00\xff", "ä€😀".encode()])
    async def test_every_value_comes_through_as_it_was(
        self, harness: LogHarness, topic: str, group: str, value: bytes | None
    ) -> None:
        consumer = await harness.log.subscribe(group, [topic])

        await harness.log.publish([message(topic, value=value)])

        assert values(await take(harness, consumer, 1)) == [value]

    @pytest.mark.parametrize("key", ["k", "service/shop", "käse/€/😀", "with\0zero", " "])
    async def test_every_key_comes_through_as_it_was(
        self, harness: LogHarness, topic: str, group: str, key: str
    ) -> None:
        consumer = await harness.log.subscribe(group, [topic])

        await harness.log.publish([message(topic, key)])

        assert [record.key for record in await take(harness, consumer, 1)] == [key]

    async def test_headers_come_through_in_order_with_repeats_and_any_bytes(
        self, harness: LogHarness, topic: str, group: str
    ) -> None:
        consumer = await harness.log.subscribe(group, [topic])
        headers = (("type", b"run.started"), ("x", bytes(range(256))), ("x", b""), ("ü", "€".encode()))

        await harness.log.publish([Message(topic, "k", b"v", headers)])
        (record,) = await take(harness, consumer, 1)

        assert record.headers == headers
        assert record.header("x") == bytes(range(256))
        assert record.header("none") is None

    async def test_a_record_says_when_it_was_published(self, harness: LogHarness, topic: str, group: str) -> None:
        consumer = await harness.log.subscribe(group, [topic])

        await harness.log.publish([message(topic)])
        (record,) = await take(harness, consumer, 1)

        assert record.timestamp > 1_700_000_000_000

    # lag

    async def test_lag_counts_what_is_not_committed(self, harness: LogHarness, topic: str, group: str) -> None:
        consumer = await harness.log.subscribe(group, [topic])
        await harness.log.publish(numbered(topic, 40))
        records = await take(harness, consumer, 40)
        assert sum((await harness.log.lag(group)).values()) == 40

        on_one = [record for record in records if record.source == records[0].source]
        await commit(consumer, on_one)

        lag = await harness.log.lag(group)
        assert lag[records[0].source] == 0
        assert sum(lag.values()) == 40 - len(on_one)

    # tails

    async def test_a_tail_reads_from_now_on(self, harness: LogHarness, topic: str) -> None:
        await harness.log.publish(numbered(topic, 10))
        tail = await harness.log.tail([topic, harness.name("others")])
        assert await tail.fetch(harness.quiet_seconds) == []

        await harness.log.publish([message(topic, value=b"1"), message(harness.name("others"), value=b"2")])

        seen: set[bytes | None] = set()
        while len(seen) < 2:
            seen |= set(values(await tail.fetch(harness.patience_seconds)))
        assert seen == {b"1", b"2"}
        await tail.close()

    async def test_a_tail_takes_nothing_from_a_group(self, harness: LogHarness, topic: str, group: str) -> None:
        tail = await harness.log.tail([topic])
        consumer = await harness.log.subscribe(group, [topic])

        await harness.log.publish([message(topic)])

        assert len(await tail.fetch(harness.patience_seconds)) == 1
        assert len(await take(harness, consumer, 1)) == 1
        await tail.close()


class DurableLogSuite(LogSuite):
    async def test_records_and_offsets_outlive_the_process(self, harness: LogHarness, topic: str, group: str) -> None:
        consumer = await harness.log.subscribe(group, [topic])
        await harness.log.publish(numbered(topic, 40))
        records = await take(harness, consumer, 40)
        done, open_ = records[:20], records[20:]
        done = [r for r in done if r.source not in {o.source for o in open_}]
        if done:
            await commit(consumer, done)

        await harness.reopen()
        consumer = await harness.log.subscribe(group, [topic])
        again = await take(harness, consumer, 40 - len(done))

        rest = [record for record in records if record not in done]
        assert {(r.source, r.offset, r.key, r.value, r.timestamp) for r in again} == {
            (r.source, r.offset, r.key, r.value, r.timestamp) for r in rest
        }

    async def test_every_kind_of_content_outlives_the_process(
        self, harness: LogHarness, topic: str, group: str
    ) -> None:
        headers = (("x", bytes(range(256))), ("x", b""), ("ü", "€".encode()))
        messages = [Message(topic, "käse", None, headers), Message(topic, "käse", b""), Message(topic, "käse", b"\0")]
        await harness.log.publish(messages)

        await harness.reopen()
        consumer = await harness.log.subscribe(group, [topic])
        records = await take(harness, consumer, 3)

        assert [(r.topic, r.key, r.value, r.headers) for r in records] == [
            (m.topic, m.key, m.value, m.headers) for m in messages
        ]

    async def test_new_records_follow_the_old_ones(self, harness: LogHarness, topic: str, group: str) -> None:
        await harness.log.publish([message(topic, value=b"old")])
        await harness.reopen()

        await harness.log.publish([message(topic, value=b"new")])
        consumer = await harness.log.subscribe(group, [topic])
        records = await take(harness, consumer, 2)

        assert values(records) == [b"old", b"new"]
        assert records[0].offset < records[1].offset
