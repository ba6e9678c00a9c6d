"""The batch loop on the embedded log: what it does when things fail, when told to stop, when partitions go."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from headrace.adapters.embedded import EmbeddedLog
from headrace.ports.errors import UnavailableError
from headrace.ports.log import Consumer, Message, Record, TopicPartition
from headrace.runtime.loop import BatchLoop, Done, Handler, LoopSettings
from tests.conformance.samples import ManualClock
from tests.unit.services.parts import Faulty, soon

QUICK = LoopSettings(max_records=3, fetch_wait_seconds=0.01, commit_interval_seconds=0.01)
RARELY = LoopSettings(fetch_wait_seconds=0.01, commit_interval_seconds=3_600)
SOURCE = TopicPartition("t", 0)


class FaultyConsumers:
    """The log, whose consumers can be told to fail."""

    def __init__(self, log: EmbeddedLog) -> None:
        self._log = log
        self.consumers: list[Faulty] = []

    async def subscribe(self, *args: Any) -> Any:
        self.consumers.append(Faulty(await self._log.subscribe(*args)))
        return self.consumers[-1]


class Batches:
    """A handler that remembers its batches, and does what a test sets before it is done with them."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []
        self.errors: list[Exception] = []
        self.finishes = True
        self.held: list[tuple[Record, Done]] = []

    async def __call__(self, records: Sequence[Record], done: Done) -> None:
        self.seen.append([record.offset for record in records])
        if self.errors:
            raise self.errors.pop(0)
        for record in records:
            if self.finishes:
                done(record)
            else:
                self.held.append((record, done))


@pytest.fixture
def log() -> EmbeddedLog:
    return EmbeddedLog(ManualClock(), partitions=1)


async def publish(log: EmbeddedLog, count: int = 1) -> None:
    await log.publish([Message("t", "k", b"v") for _ in range(count)])


async def behind(log: EmbeddedLog) -> int:
    return (await log.lag("g"))[SOURCE]


@asynccontextmanager
async def running(log: Any, handler: Handler, settings: LoopSettings = QUICK) -> AsyncIterator[BatchLoop]:
    loop = BatchLoop(log, "g", ["t"], handler, settings)
    task = asyncio.create_task(loop.run())
    try:
        yield loop
    finally:
        await loop.stop()
        await loop.close()
        await asyncio.gather(task, return_exceptions=True)


async def test_records_come_in_batches_up_to_the_limit_and_are_committed_on_the_timer(log: EmbeddedLog) -> None:
    await publish(log, 7)
    batches = Batches()
    async with running(log, batches) as loop:
        await soon(lambda: sum(map(len, batches.seen)) == 7)
        assert batches.seen == [[0, 1, 2], [3, 4, 5], [6]]
        while await behind(log):
            await asyncio.sleep(0.005)
        assert loop.unfinished == 0


async def test_what_is_not_done_is_not_committed_whatever_comes_after_it(log: EmbeddedLog) -> None:
    await publish(log, 3)
    batches = Batches()
    batches.finishes = False
    async with running(log, batches) as loop:
        await soon(lambda: len(batches.held) == 3)
        for record, done in batches.held[1:]:
            done(record)
        await asyncio.sleep(0.03)
        assert (await behind(log), loop.unfinished) == (3, 1)
        record, done = batches.held[0]
        done(record)
        while await behind(log):
            await asyncio.sleep(0.005)


async def test_an_unavailable_store_gets_the_same_batch_again_until_it_answers(log: EmbeddedLog) -> None:
    await publish(log, 2)
    batches = Batches()
    batches.errors = [UnavailableError("gone"), UnavailableError("still gone")]
    async with running(log, batches):
        await soon(lambda: len(batches.seen) == 3)
        assert batches.seen == [[0, 1]] * 3
        while await behind(log):
            await asyncio.sleep(0.005)


async def test_an_unavailable_log_is_asked_again(log: EmbeddedLog) -> None:
    await publish(log)
    batches = Batches()

    class FailsAtFirst(FaultyConsumers):
        async def subscribe(self, *args: Any) -> Any:
            consumer = await super().subscribe(*args)
            consumer.fail("fetch", times=2)
            consumer.fail("commit", times=2)
            return consumer

    async with running(FailsAtFirst(log), batches):
        await soon(lambda: batches.seen == [[0]])
        while await behind(log):
            await asyncio.sleep(0.005)


async def test_a_bug_ends_the_loop_and_commits_nothing_that_was_not_done(log: EmbeddedLog) -> None:
    await publish(log, 2)
    batches = Batches()
    batches.errors = [ValueError("a bug")]
    loop = BatchLoop(log, "g", ["t"], batches, QUICK)
    with pytest.raises(ValueError, match="a bug"):
        await loop.run()
    await loop.stop()
    await loop.close()
    assert await behind(log) == 2


async def test_stop_returns_when_the_batch_in_hand_is_handled_and_close_commits_it(log: EmbeddedLog) -> None:
    await publish(log, 1)
    gate, began = asyncio.Event(), asyncio.Event()

    async def slowly(records: Sequence[Record], done: Done) -> None:
        began.set()
        await gate.wait()
        for record in records:
            done(record)

    loop = BatchLoop(log, "g", ["t"], slowly, RARELY)
    task = asyncio.create_task(loop.run())
    await began.wait()
    await publish(log, 1)
    stopping = asyncio.create_task(loop.stop())
    await asyncio.sleep(0.02)
    assert not stopping.done()
    gate.set()
    await stopping
    await task
    assert await behind(log) == 2
    await loop.close()
    assert await behind(log) == 1


async def test_stop_does_not_wait_for_a_store_that_stays_away(log: EmbeddedLog) -> None:
    await publish(log, 1)

    async def never(records: Sequence[Record], done: Done) -> None:
        raise UnavailableError("gone")

    async with asyncio.timeout(5), running(log, never):
        await asyncio.sleep(0.05)
    assert await behind(log) == 1


async def test_stop_before_run_and_stop_twice_are_harmless(log: EmbeddedLog) -> None:
    loop = BatchLoop(log, "g", ["t"], Batches(), QUICK)
    await loop.stop()
    await loop.close()
    async with running(log, Batches()) as started:
        await asyncio.sleep(0.02)
        await started.stop()


async def test_revoked_partitions_are_committed_as_far_as_done_and_then_forgotten(log: EmbeddedLog) -> None:
    await publish(log, 3)
    batches = Batches()
    batches.finishes = False
    async with running(log, batches, RARELY) as loop:
        await soon(lambda: len(batches.held) == 3)
        for record, done in batches.held[:2]:
            done(record)
        assert await behind(log) == 3

        other: Consumer = await log.subscribe("g", ["t"])  # the partition is dealt anew, to us as it happens
        assert await behind(log) == 1
        await soon(lambda: len(batches.held) == 4)
        (old, done_old), (new, done_new) = batches.held[2:]
        assert (old.offset, new.offset, loop.unfinished) == (2, 2, 1)
        done_old(old)
        await loop.commit()
        assert await behind(log) == 1
        done_new(new)
        await loop.commit()
        assert await behind(log) == 0
        await other.close()


async def test_a_failed_commit_is_made_again_although_nothing_new_was_done(log: EmbeddedLog) -> None:
    await publish(log, 1)
    faulty = FaultyConsumers(log)
    batches = Batches()
    async with running(faulty, batches, RARELY) as loop:
        await soon(lambda: bool(batches.seen))
        faulty.consumers[0].fail("commit", after=True)
        await loop.commit()
        await loop.commit()
        await loop.commit()
        assert faulty.consumers[0].calls["commit"] == 2
        assert await behind(log) == 0


async def test_an_outage_of_commits_is_said_once_when_it_begins_and_once_when_it_ends(log: EmbeddedLog) -> None:
    await publish(log, 1)
    faulty = FaultyConsumers(log)
    batches = Batches()
    async with running(faulty, batches, RARELY) as loop:
        await soon(lambda: bool(batches.seen))
        faulty.consumers[0].fail("commit", times=3)
        with capture_logs() as lines:
            for _ in range(4):
                await loop.commit()
    said = [line["event"] for line in lines if "committed" in line["event"]]
    assert said == ["offsets not committed, trying on", "offsets committed again"]
