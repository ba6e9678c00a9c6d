"""The invoker's slow and fast way, claims, calls and results, with stores that fail and other processes before it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from headrace.contracts.codec import encode_request, encode_result
from headrace.contracts.envelope import traceparent_of
from headrace.core.commands import Failed, InvokeNode, ReportAttempt, Succeeded
from headrace.core.run import Causation
from headrace.ports.errors import UnavailableError
from headrace.ports.log import TopicPartition
from headrace.ports.stores import Claim
from headrace_invoker.job import Job
from headrace_invoker.memory import Memory
from tests.unit.services.invoker.workshop import (
    LEASE_MS,
    PARTITIONS,
    REDELIVERED,
    TOPICS,
    Make,
    Workshop,
    request,
)
from tests.unit.services.parts import record, soon

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_request_is_claimed_called_saved_published_and_done(shop: Workshop) -> None:
    shop.hands.gate.clear()
    await shop.handle(request())
    await soon(lambda: bool(shop.hands.calls))
    assert shop.done == []
    shop.hands.gate.set()
    await shop.all_done(1)
    claim = await shop.claim(request())
    assert claim is not None
    assert (claim.state, claim.fence) == ("DONE", 1)
    assert [(it.node_run_id, it.attempt) for it in await shop.results()] == [("wfnr_1", 1)]
    assert claim.result == (await shop.log.port.read(TOPICS.node_results, 0))[0].value


async def test_the_same_request_twice_in_a_batch_and_again_later_is_called_once(shop: Workshop) -> None:
    await shop.handle(request(), request())
    await soon(lambda: len(shop.done) >= 1)
    await shop.handle(request())
    await soon(lambda: len(shop.done) >= 2)
    assert shop.hands.calls == ["wfnr_1:1"]
    outcomes = [it.outcome for it in await shop.results()]
    assert outcomes == [Succeeded({"call": 1})] * len(outcomes)


async def test_a_result_that_was_saved_before_is_published_again_without_a_call(shop: Workshop) -> None:
    report = ReportAttempt("wfr_1", 1, "call", "wfnr_1", 1, Succeeded({"old": True}))
    await shop.claimed_by(request(), state="DONE", result=encode_result(report, TOPICS).value)
    await shop.handle(request())
    await shop.all_done(1)
    assert shop.hands.calls == []
    assert await shop.results() == [report]


async def test_a_result_that_is_published_again_carries_the_trace_of_its_run_as_a_new_one_does(shop: Workshop) -> None:
    traced = [request(number, causation=Causation("e", "e", traceparent=TRACE)) for number in (1, 2)]
    report = ReportAttempt("wfr_1", 1, "call", "wfnr_1", 1, Succeeded({"old": True}))
    await shop.claimed_by(traced[0], state="DONE", result=encode_result(report, TOPICS).value)
    await shop.handle(*traced)
    await shop.all_done(2)
    assert shop.hands.calls == ["wfnr_2:1"]
    published = await shop.log.port.read(TOPICS.node_results, 0)
    assert [traceparent_of(one) for one in published] == [TRACE, TRACE]


async def test_a_live_claim_of_somebody_else_is_waited_for_and_its_result_published(shop: Workshop) -> None:
    live = await shop.claimed_by(request(), until=shop.clock.at + 20)
    await shop.handle(request(), request(2))
    await shop.all_done(1)
    assert shop.hands.calls == ["wfnr_2:1"]

    report = ReportAttempt("wfr_1", 1, "call", "wfnr_1", 1, Succeeded({"theirs": True}))
    finished = replace(live, state="DONE", result=encode_result(report, TOPICS).value)
    assert await shop.claims.port.save([(finished, live)]) == [True]
    await shop.all_done(2)
    assert shop.hands.calls == ["wfnr_2:1"]
    assert report in await shop.results()


async def test_a_parked_request_is_called_when_the_lease_has_ended(shop: Workshop) -> None:
    await shop.claimed_by(request(), until=shop.clock.at + 20)
    await shop.handle(request())
    await asyncio.sleep(0.05)
    assert shop.hands.calls == []
    shop.clock.at += 20
    await shop.all_done(1)
    claim = await shop.claim(request())
    assert claim is not None
    assert (shop.hands.calls, claim.fence, claim.state) == (["wfnr_1:1"], 2, "DONE")


async def test_a_parked_request_survives_a_store_that_is_away(shop: Workshop) -> None:
    await shop.claimed_by(request(), until=shop.clock.at + 5)
    await shop.handle(request())
    shop.clock.at += 5
    shop.claims.fail("load", times=2)
    await shop.all_done(1)
    assert shop.hands.calls == ["wfnr_1:1"]


async def test_an_expired_claim_is_taken_over_with_a_higher_fence(shop: Workshop) -> None:
    await shop.claimed_by(request(), fence=4, until=shop.clock.at)
    await shop.handle(request())
    await shop.all_done(1)
    claim = await shop.claim(request())
    assert claim is not None
    assert (claim.fence, claim.owner.partition("/")[0], shop.hands.calls) == (5, "me", ["wfnr_1:1"])


async def test_a_claim_that_somebody_writes_in_between_is_respected(shop: Workshop) -> None:
    async def overtake() -> None:
        await shop.claimed_by(request())

    shop.claims.before["save"] = overtake
    await shop.handle(request(), request(2))
    await shop.all_done(1)
    assert shop.hands.calls == ["wfnr_2:1"]


@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
async def test_a_claim_of_our_own_whose_write_had_an_unknown_outcome_is_adopted_at_once(
    shop: Workshop, delivery: str
) -> None:
    wanted = request(delivery=delivery)
    shop.claims.fail("save", after=True)
    await shop.handle(wanted)
    await shop.all_done(1)
    assert shop.hands.calls == ["wfnr_1:1"]
    assert isinstance((await shop.results())[0].outcome, Succeeded)


@pytest.mark.parametrize("verb", ["load", "save"])
async def test_nothing_is_called_while_claims_cannot_be_read_or_written(shop: Workshop, verb: str) -> None:
    shop.claims.fail(verb, times=1_000)
    handling = asyncio.create_task(shop.handle(request()))
    await soon(lambda: shop.claims.calls[verb] >= 2)
    assert (shop.hands.calls, shop.done, handling.done()) == ([], [], False)
    shop.claims.mend(verb)
    await handling
    await shop.all_done(1)
    assert shop.hands.calls == ["wfnr_1:1"]


async def test_at_most_once_never_calls_again_what_somebody_may_have_sent(shop: Workshop) -> None:
    wanted = request(delivery="at_most_once")
    await shop.claimed_by(wanted, state="SENT", until=shop.clock.at)
    await shop.handle(wanted)
    await shop.all_done(1)
    outcome = (await shop.results())[0].outcome
    assert shop.hands.calls == []
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.retryable) == ("unknown-outcome", False)


async def test_what_another_process_may_have_sent_at_most_once_is_begun_where_the_receiver_can_be_asked(
    shop: Workshop,
) -> None:
    wanted = request(delivery="at_most_once", type="GITHUB")
    await shop.claimed_by(wanted, state="SENT", until=shop.clock.at)
    await shop.handle(wanted)
    await shop.all_done(1)
    assert (shop.hands.calls, shop.hands.doubts) == (["wfnr_1:1"], [True])


class TestDoubt:
    """A performer is told when another process may have made the very call before."""

    @pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
    async def test_a_request_that_is_certainly_new_is_not_doubtful(self, shop: Workshop, delivery: str) -> None:
        await shop.begin(request(delivery=delivery))
        await shop.all_done(1)
        assert shop.hands.doubts == [False]

    @pytest.mark.parametrize("change", [{"inherited": True}, {"headers": (REDELIVERED,)}])
    async def test_one_that_an_earlier_owner_may_have_had_is(self, shop: Workshop, change: Any) -> None:
        (one,) = shop.new_records(request())
        await shop.handler.handle([replace(one, **change)], shop.finish)
        await shop.all_done(1)
        assert shop.hands.doubts == [True]

    @pytest.mark.parametrize(("owner", "doubtful"), [("other/1", True), ("me", False)])
    async def test_one_that_somebody_else_had_claimed_is(self, shop: Workshop, owner: str, doubtful: bool) -> None:
        wanted = request(delivery="at_most_once", type="GITHUB")
        await shop.claimed_by(wanted, owner=owner, until=shop.clock.at)
        await shop.begin(wanted)
        await shop.all_done(1)
        assert shop.hands.doubts == [doubtful]


async def test_a_poll_has_a_claim_of_its_own_and_its_answer_says_which_poll_it_is(shop: Workshop) -> None:
    poll = request(id="wfnr_1:1:4", poll=4, poll_state={"run": 7})
    await shop.begin(request())
    await shop.begin(poll)
    await shop.begin(poll)
    await shop.all_done(3)
    assert shop.hands.calls == ["wfnr_1:1", "wfnr_1:1:4"]
    assert sorted(it.poll for it in await shop.results()) == [0, 4]


async def test_at_most_once_marks_its_claim_as_sent_before_the_call(shop: Workshop) -> None:
    wanted = request(delivery="at_most_once")
    shop.hands.gate.clear()
    await shop.handle(wanted)
    await soon(lambda: bool(shop.hands.calls))
    claim = await shop.claim(wanted)
    assert claim is not None
    assert claim.state == "SENT"


async def test_a_call_whose_lease_was_lost_is_reported_and_whoever_took_it_over_finds_it_done(shop: Workshop) -> None:
    shop.hands.gate.clear()
    await shop.handle(request())
    await soon(lambda: bool(shop.hands.calls))
    await shop.claimed_by(request())
    shop.hands.gate.set()
    await shop.all_done(1)
    claim = await shop.claim(request())
    assert claim is not None
    assert (claim.state, len(await shop.results())) == ("DONE", 1)


async def test_of_two_results_of_one_attempt_the_first_is_kept(shop: Workshop) -> None:
    shop.hands.gate.clear()
    await shop.handle(request())
    await soon(lambda: bool(shop.hands.calls))
    theirs = await shop.claimed_by(request(), state="DONE", result=b"theirs")
    shop.hands.gate.set()
    await shop.all_done(1)
    assert await shop.claim(request()) == theirs


@pytest.mark.parametrize("port", ["claims", "log"])
@pytest.mark.parametrize("after", [False, True])
async def test_a_result_waits_for_the_store_and_the_log_and_its_call_is_not_repeated(
    shop: Workshop, port: str, after: bool
) -> None:
    shop.hands.gate.clear()
    await shop.handle(request(), request(2))
    await soon(lambda: len(shop.hands.calls) == 2)
    faulty = {"claims": shop.claims, "log": shop.log}[port]
    faulty.fail({"claims": "record", "log": "publish"}[port], times=3, after=after)
    shop.hands.gate.set()
    await asyncio.sleep(0.05)
    assert shop.done == []
    await shop.all_done(2)
    assert sorted(shop.hands.calls) == ["wfnr_1:1", "wfnr_2:1"]
    assert {it.node_run_id for it in await shop.results()} == {"wfnr_1", "wfnr_2"}
    claim = await shop.claim(request())
    assert claim is not None
    assert claim.state == "DONE"


async def test_no_more_calls_are_in_flight_than_there_is_room_for(make: Make) -> None:
    shop = make(max_in_flight=3)
    shop.hands.gate.clear()
    handling = asyncio.create_task(shop.handle(*(request(number) for number in range(10))))
    await soon(lambda: shop.hands.busy == 3)
    await asyncio.sleep(0.01)
    assert (len(shop.hands.calls), handling.done()) == (3, False)
    for number in range(3, 10):
        assert await shop.claim(request(number)) is None
    shop.hands.gate.set()
    await handling
    await shop.all_done(10)
    assert shop.hands.most_busy == 3


async def test_parked_requests_whose_leases_end_together_respect_the_room_too(make: Make) -> None:
    shop = make(max_in_flight=3)
    requests = [request(number) for number in range(10)]
    for parked in requests:
        await shop.claimed_by(parked, until=shop.clock.at + 10)
    await shop.handle(*requests)
    shop.hands.gate.clear()
    shop.clock.at += 10
    await soon(lambda: shop.hands.busy == 3)
    await asyncio.sleep(0.03)
    assert shop.hands.most_busy == 3
    shop.hands.gate.set()
    await shop.all_done(10)
    assert shop.hands.most_busy == 3
    assert len(shop.hands.calls) == 10


class TestLeases:
    async def test_an_aging_lease_is_renewed_and_a_young_one_is_not(self, shop: Workshop) -> None:
        began = await self._call(shop)
        await shop.handler.calls.tend()
        assert await shop.claim(request()) == began
        shop.clock.at += LEASE_MS // 3
        await shop.handler.calls.tend()
        renewed = await shop.claim(request())
        assert renewed == replace(began, until=shop.clock.at + LEASE_MS)
        shop.hands.gate.set()
        await shop.all_done(1)
        assert len(await shop.results()) == 1

    @pytest.mark.parametrize("after", [False, True])
    async def test_a_renewal_that_fails_is_tried_again(self, shop: Workshop, after: bool) -> None:
        await self._call(shop)
        for _ in range(3):
            shop.clock.at += LEASE_MS // 2
            shop.claims.fail("record", after=after)
            with pytest.raises(UnavailableError):
                await shop.handler.calls.tend()
            await shop.handler.calls.tend()
            claim = await shop.claim(request())
            assert claim is not None
            assert claim.until > shop.clock.at + LEASE_MS // 2

    async def test_a_lost_lease_stays_lost(self, shop: Workshop) -> None:
        await self._call(shop)
        theirs = await shop.claimed_by(request())
        shop.clock.at += LEASE_MS
        await shop.handler.calls.tend()
        await shop.handler.calls.tend()
        assert await shop.claim(request()) == theirs

    async def test_nothing_is_written_when_no_lease_is_aging(self, shop: Workshop) -> None:
        await self._call(shop)
        await shop.handler.calls.tend()
        assert shop.claims.calls["record"] == 0

    async def test_what_may_have_been_sent_is_renewed_as_sent(self, shop: Workshop) -> None:
        wanted = request(delivery="at_most_once")
        await self._call(shop, wanted)
        shop.clock.at += LEASE_MS // 2
        await shop.handler.calls.tend()
        claim = await shop.claim(wanted)
        assert claim is not None
        assert (claim.state, claim.until) == ("SENT", shop.clock.at + LEASE_MS)

    async def _call(self, shop: Workshop, wanted: InvokeNode | None = None) -> Claim:
        wanted = wanted or request()
        shop.hands.gate.clear()
        await shop.handle(wanted)
        await soon(lambda: bool(shop.hands.calls))
        claim = await shop.claim(wanted)
        assert claim is not None
        return claim


class TestTheFastWay:
    """What nobody can have had before is called without a look at any store."""

    async def test_a_new_request_is_called_published_and_only_then_recorded(self, shop: Workshop) -> None:
        found: list[int] = []

        async def look() -> None:
            found.append(len(await shop.results()))

        shop.claims.before["record"] = look
        await shop.begin(request())
        await shop.all_done(1)
        assert found == [1]
        assert (shop.claims.calls["load"], shop.claims.calls["save"], shop.claims.calls["record"]) == (0, 0, 1)
        claim = await shop.claim(request())
        assert claim is not None
        assert (claim.state, claim.result) == ("DONE", (await shop.log.port.read(TOPICS.node_results, 0))[0].value)

    async def test_results_that_come_together_are_recorded_in_one_write(self, make: Make) -> None:
        shop = make(gather_seconds=0.05)
        await shop.begin(*(request(number) for number in range(20)))
        await shop.all_done(20)
        assert (len(await shop.results()), shop.claims.calls["record"]) == (20, 1)

    async def test_its_record_is_not_done_before_the_result_is_durable(self, shop: Workshop) -> None:
        shop.claims.fail("record", times=1_000)
        await shop.begin(request())
        await soon(lambda: shop.claims.calls["record"] >= 2)
        assert (shop.done, len(await shop.results())) == ([], 1)
        shop.claims.mend("record")
        await shop.all_done(1)
        assert (len(shop.hands.calls), len(await shop.results())) == (1, 1)

    async def test_a_result_that_cannot_be_published_is_recorded_meanwhile(self, shop: Workshop) -> None:
        shop.log.fail("publish", times=1_000)
        await shop.begin(request())
        await soon(lambda: shop.claims.calls["record"] == 1)
        assert shop.done == []
        shop.log.mend("publish")
        await shop.all_done(1)
        assert len(await shop.results()) == 1

    @pytest.mark.parametrize("change", [{"inherited": True}, {"headers": (REDELIVERED,)}])
    async def test_what_an_earlier_owner_may_have_had_is_not_new(self, shop: Workshop, change: Any) -> None:
        await shop.claimed_by(request(), state="DONE", result=b"{}")
        (one,) = shop.new_records(request())
        await shop.handler.handle([replace(one, **change)], shop.finish)
        await shop.all_done(1)
        assert shop.hands.calls == []

    async def test_at_most_once_is_never_called_before_it_is_claimed(self, shop: Workshop) -> None:
        shop.hands.gate.clear()
        wanted = request(delivery="at_most_once")
        await shop.begin(wanted)
        await soon(lambda: bool(shop.hands.calls))
        claim = await shop.claim(wanted)
        assert claim is not None
        assert claim.state == "SENT"

    async def test_at_most_once_publishes_no_result_before_it_is_recorded(self, shop: Workshop) -> None:
        shop.claims.fail("record", times=1_000)
        await shop.begin(request(delivery="at_most_once"))
        await soon(lambda: shop.claims.calls["record"] >= 2)
        assert await shop.results() == []
        shop.claims.mend("record")
        await shop.all_done(1)
        assert len(await shop.results()) == 1

    async def test_a_call_that_takes_long_gets_a_claim(self, make: Make) -> None:
        shop = make(claim_after_seconds=0.2)
        shop.hands.gate.clear()
        await shop.begin(request())
        await soon(lambda: bool(shop.hands.calls))
        await shop.handler.calls.tend()
        assert await shop.claim(request()) is None
        shop.clock.at += 200
        await shop.handler.calls.tend()
        assert await shop.claim(request()) == Claim("wfnr_1:1", "me", 1, shop.clock.at + LEASE_MS, "CLAIMED")

    async def test_no_more_is_begun_while_too_many_results_are_unfinished(self, make: Make) -> None:
        shop = make(max_unfinished=3)
        shop.claims.fail("record", times=1_000)
        handling = asyncio.create_task(shop.begin(*(request(number) for number in range(5))))
        await soon(lambda: shop.claims.calls["record"] >= 2)
        assert not handling.done()
        called = len(shop.hands.calls)
        shop.claims.mend("record")
        await handling
        await shop.all_done(5)
        assert called < 5


class TestTwins:
    """One process calls an attempt once, however often it is asked to."""

    async def test_a_twin_is_done_when_the_attempt_is_and_not_before(self, shop: Workshop) -> None:
        shop.hands.gate.clear()
        await shop.begin(request())
        await shop.begin(request())
        await shop.handle(request())
        await asyncio.sleep(0.02)
        assert (len(shop.hands.calls), shop.done) == (1, [])
        shop.hands.gate.set()
        await shop.all_done(3)
        assert (len(shop.hands.calls), len(await shop.results())) == (1, 1)

    async def test_what_was_finished_is_not_called_again(self, shop: Workshop) -> None:
        await shop.begin(request())
        await shop.all_done(1)
        await shop.begin(request())
        await shop.all_done(2)
        assert len(shop.hands.calls) == 1

    async def test_memory_keeps_the_last_ten_thousand_and_is_bounded(self) -> None:
        memory = Memory()
        one = record(encode_request(request(), TOPICS))
        for number in range(50_000):
            job = Job(request(number, id=f"{number}"), one, lambda record: None)
            memory.hold(job)
            memory.finish(job)
        known = [number for number in range(50_000) if memory.knows(f"{number}", one, lambda record: None)]
        assert known == list(range(known[0], 50_000))
        assert 10_000 <= len(known) <= 20_000


class TestZombies:
    """A process without a fresh heartbeat begins nothing, publishes nothing and finishes no record."""

    @pytest.mark.parametrize("way", ["begin", "handle"])
    async def test_it_calls_nothing_until_it_is_fresh_again(self, shop: Workshop, way: str) -> None:
        shop.fresh = False
        handling = asyncio.create_task(getattr(shop, way)(request()))
        await asyncio.sleep(0.1)
        assert (shop.hands.calls, await shop.claim(request())) == ([], None)
        shop.fresh = True
        await handling
        await shop.all_done(1)
        assert len(shop.hands.calls) == 1

    async def test_it_records_a_result_and_publishes_it_when_it_is_fresh_again(self, shop: Workshop) -> None:
        shop.hands.gate.clear()
        await shop.begin(request())
        await soon(lambda: bool(shop.hands.calls))
        shop.fresh = False
        shop.hands.gate.set()
        await soon(lambda: shop.claims.calls["record"] == 1)
        await asyncio.sleep(0.1)
        assert (await shop.results(), shop.done) == ([], [])
        shop.fresh = True
        await shop.all_done(1)
        assert len(await shop.results()) == 1

    async def test_what_leaves_while_it_waits_is_forgotten(self, shop: Workshop) -> None:
        shop.fresh = False
        await shop.begin(request())
        await shop.handler.release(PARTITIONS)
        shop.fresh = True
        await asyncio.sleep(0.1)
        assert (shop.hands.calls, shop.done) == ([], [])
        await shop.handle(request())
        await shop.all_done(1)
        assert len(shop.hands.calls) == 1

    async def test_its_dead_letters_wait_too(self, shop: Workshop) -> None:
        shop.fresh = False
        handling = asyncio.create_task(shop.handle(b"{"))
        await asyncio.sleep(0.1)
        assert shop.log.calls["publish"] == 0
        shop.fresh = True
        await handling
        assert shop.done == [0]


class TestRevocation:
    """Partitions are given away only when nothing of them is under way, or after a while."""

    async def test_it_waits_for_calls_and_their_results(self, shop: Workshop) -> None:
        shop.hands.gate.clear()
        await shop.begin(request())
        await soon(lambda: bool(shop.hands.calls))
        releasing = asyncio.create_task(shop.handler.release(PARTITIONS))
        await asyncio.sleep(0.05)
        assert not releasing.done()
        shop.hands.gate.set()
        await releasing
        assert (len(shop.done), len(await shop.results())) == (1, 1)

    async def test_it_begins_nothing_more_of_them(self, make: Make) -> None:
        shop = make(max_in_flight=2)
        shop.hands.gate.clear()
        handling = asyncio.create_task(shop.begin(*(request(number) for number in range(5))))
        await soon(lambda: shop.hands.busy == 2)
        releasing = asyncio.create_task(shop.handler.release(PARTITIONS))
        await asyncio.sleep(0)
        shop.hands.gate.set()
        await asyncio.gather(handling, releasing)
        assert (len(shop.hands.calls), len(shop.done)) == (2, 2)

    async def test_a_request_that_waits_for_room_or_for_a_lease_is_not_claimed_later(self, make: Make) -> None:
        shop = make(max_in_flight=1)
        await shop.claimed_by(request(2), until=shop.clock.at + 20)
        await shop.handle(request(2))
        shop.hands.gate.clear()
        await shop.begin(request(1))
        handling = asyncio.create_task(shop.handle(request(3)))
        await soon(lambda: bool(shop.hands.calls))
        releasing = asyncio.create_task(shop.handler.release(PARTITIONS))
        await asyncio.sleep(0)
        shop.clock.at += 20
        shop.hands.gate.set()
        await asyncio.gather(handling, releasing)
        await asyncio.sleep(0.05)
        assert shop.hands.calls == ["wfnr_1:1"]
        assert await shop.claim(request(3)) is None

    async def test_what_was_parked_when_its_partition_left_is_new_when_it_comes_back(self, shop: Workshop) -> None:
        await shop.claimed_by(request(), until=shop.clock.at + 40)
        await shop.handle(request())
        await shop.handler.release(PARTITIONS)
        await shop.handle(request())
        shop.clock.at += 40
        await shop.all_done(1)
        await asyncio.sleep(0.05)
        assert (shop.done, len(shop.hands.calls)) == ([1], 1)

    async def test_what_loses_its_claim_while_its_partition_leaves_does_not_keep_its_twin_waiting(
        self, make: Make
    ) -> None:
        shop = make(drain_seconds=0.0)
        writing = asyncio.Event()

        async def taken_and_left() -> None:
            await shop.claimed_by(request(), until=shop.clock.at + 40)
            await shop.handler.release(PARTITIONS)
            writing.set()

        shop.claims.before["save"] = taken_and_left
        handling = asyncio.create_task(shop.handle(request()))
        await writing.wait()
        await shop.handle(request())
        await handling
        shop.clock.at += 40
        await shop.all_done(1)
        assert (shop.done, len(shop.hands.calls)) == ([1], 1)

    async def test_what_was_claimed_when_its_partition_left_is_called_before_it_goes(self, shop: Workshop) -> None:
        releasing: list[asyncio.Task[None]] = []

        async def leave() -> None:
            releasing.append(asyncio.create_task(shop.handler.release(PARTITIONS)))
            await asyncio.sleep(0)

        shop.claims.before["save"] = leave
        await shop.handle(request())
        await releasing[0]
        assert (shop.done, len(shop.hands.calls)) == ([0], 1)

    async def test_other_partitions_are_not_waited_for(self, shop: Workshop) -> None:
        shop.hands.gate.clear()
        await shop.begin(request())
        await soon(lambda: bool(shop.hands.calls))
        async with asyncio.timeout(1):
            await shop.handler.release(frozenset({TopicPartition(TOPICS.node_requests, 1)}))
        shop.hands.gate.set()
        await shop.all_done(1)

    async def test_a_call_that_outlasts_it_keeps_its_claim_and_is_known_when_its_partition_comes_back(
        self, make: Make
    ) -> None:
        shop = make(drain_seconds=0.0)
        shop.hands.gate.clear()
        await shop.handle(request())
        await soon(lambda: bool(shop.hands.calls))
        await shop.handler.release(PARTITIONS)
        claim = await shop.claim(request())
        assert claim is not None
        assert claim.state == "CLAIMED"
        await shop.handle(request())
        shop.hands.gate.set()
        await shop.all_done(2)
        assert len(shop.hands.calls) == 1

    async def test_a_zombie_gives_up_what_it_may_not_publish_once_it_is_recorded(self, shop: Workshop) -> None:
        shop.hands.gate.clear()
        await shop.begin(request())
        await soon(lambda: bool(shop.hands.calls))
        shop.fresh = False
        shop.hands.gate.set()
        async with asyncio.timeout(1):
            await shop.handler.release(PARTITIONS)
        claim = await shop.claim(request())
        assert claim is not None
        assert (claim.state, await shop.results()) == ("DONE", [])


class TestAlone:
    """With `alone` nobody else can be at work: what others claimed they left behind."""

    async def test_the_live_claim_of_a_predecessor_is_taken_over_at_once(self, make: Make) -> None:
        shop = make(alone=True)
        await shop.claimed_by(request())
        await shop.handle(request())
        await shop.all_done(1)
        claim = await shop.claim(request())
        assert claim is not None
        assert (shop.hands.calls, claim.fence) == (["wfnr_1:1"], 2)

    async def test_what_a_predecessor_may_have_sent_is_still_not_sent_again_at_most_once(self, make: Make) -> None:
        shop = make(alone=True)
        wanted = request(delivery="at_most_once")
        await shop.claimed_by(wanted, state="SENT")
        await shop.handle(wanted)
        await shop.all_done(1)
        outcome = (await shop.results())[0].outcome
        assert shop.hands.calls == []
        assert isinstance(outcome, Failed)

    async def test_a_call_of_its_own_is_waited_for(self, make: Make) -> None:
        shop = make(alone=True)
        shop.hands.gate.clear()
        await shop.handle(request())
        await shop.handle(request())
        await asyncio.sleep(0.01)
        assert len(shop.hands.calls) == 1


class TestStopping:
    async def test_after_stop_nothing_more_is_begun_and_nothing_that_waits_is_done(self, make: Make) -> None:
        shop = make(max_in_flight=2)
        shop.hands.gate.clear()
        handling = asyncio.create_task(shop.handle(*(request(number) for number in range(5))))
        await soon(lambda: shop.hands.busy == 2)
        shop.handler.stop()
        await handling
        shop.hands.gate.set()
        await shop.handler.drain()
        assert (len(shop.hands.calls), len(shop.done)) == (2, 2)

    async def test_a_parked_request_is_not_begun_after_stop(self, shop: Workshop) -> None:
        await shop.claimed_by(request(), until=shop.clock.at + 10)
        await shop.handle(request())
        shop.handler.stop()
        shop.clock.at += 10
        await asyncio.sleep(0.03)
        assert (shop.hands.calls, shop.done) == ([], [])

    async def test_draining_waits_for_calls_and_their_results(self, shop: Workshop) -> None:
        shop.hands.gate.clear()
        await shop.handle(request())
        shop.claims.fail("record", times=1)
        draining = asyncio.create_task(shop.handler.drain())
        await asyncio.sleep(0.02)
        assert not draining.done()
        shop.hands.gate.set()
        await draining
        assert (len(shop.done), len(await shop.results())) == (1, 1)

    async def test_a_call_that_outlasts_the_drain_keeps_its_claim_and_is_not_done(self, make: Make) -> None:
        shop = make(drain_seconds=0.0)
        shop.hands.gate.clear()
        await shop.handle(request())
        await soon(lambda: bool(shop.hands.calls))
        await shop.handler.drain()
        claim = await shop.claim(request())
        assert claim is not None
        assert (claim.state, shop.done, shop.hands.busy) == ("CLAIMED", [], 0)


async def test_a_bug_in_an_action_fails_its_attempt_only(shop: Workshop) -> None:
    shop.hands.error = KeyError("oops")
    await shop.handle(request())
    await shop.all_done(1)
    outcome = (await shop.results())[0].outcome
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.retryable) == ("invalid", False)
    assert "KeyError" in outcome.message


async def test_an_action_that_cannot_be_performed_says_so(shop: Workshop) -> None:
    await shop.handle(request(type="KAFKA"))
    await shop.all_done(1)
    outcome = (await shop.results())[0].outcome
    assert isinstance(outcome, Failed)
    assert outcome.kind == "unsupported"
    assert "WEBHOOK" in outcome.message


async def test_what_is_no_request_becomes_a_dead_letter_and_the_rest_is_called(shop: Workshop) -> None:
    await shop.handle(b"{", request(), b"\xff")
    await shop.all_done(3)
    letters = await shop.log.port.read(TOPICS.dead_letters(TOPICS.node_requests), 0)
    assert [letter.value for letter in letters] == [b"{", b"\xff"]
    assert shop.hands.calls == ["wfnr_1:1"]


async def test_a_dead_letter_that_cannot_be_published_is_tried_again_and_not_done_before(shop: Workshop) -> None:
    shop.log.fail("publish", times=1_000)
    handling = asyncio.create_task(shop.handle(b"{"))
    await soon(lambda: shop.log.calls["publish"] >= 2)
    assert (shop.done, handling.done()) == ([], False)
    shop.log.mend("publish")
    await handling
    assert shop.done == [0]
