"""Giving pending work out: to one claimer at a time, and only while its attempt waits (spec 7.6)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headrace.adapters.embedded import EmbeddedPendingStore, EmbeddedRunStore
from headrace.core import events, ids
from headrace.core.run import Run
from headrace.ports.pending import PendingWork
from headrace.ports.stores import StoredRun
from headrace_api.pending import Desk
from tests.api.world import NOW, completed, waiting_run
from tests.conformance.samples import ManualClock
from tests.unit.services.parts import Faulty


class Office:
    """A desk on stores, with a run whose node waits for the installation `ops`."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW)
        self.runs = EmbeddedRunStore()
        self.pending = Faulty(EmbeddedPendingStore())
        ports: Any = self
        self.desk = Desk(ports.pending, ports.runs, self.clock)

    async def offer(self, run: Run, attempt: int = 1) -> PendingWork:
        node = run.nodes["call"]
        await self.runs.save([StoredRun(run, 0)])
        work = PendingWork(node.id, run.id, attempt, "ops", NOW, 0, NOW)
        assert await self.pending.port.save([work]) == [True]
        return work

    async def claim(self, **more: Any) -> list[str]:
        chosen: dict[str, Any] = {"limit": 10, "milliseconds": 60_000, **more}
        return [claimed.work.node_run_id for claimed in await self.desk.claim("ops", **chosen)]


@pytest.fixture
def office() -> Office:
    return Office()


async def test_of_two_who_claim_at_once_one_is_given_the_work(office: Office) -> None:
    work = await office.offer(waiting_run())
    first: list[str] = []

    async def claim_too() -> None:
        first.extend(await office.claim())

    office.pending.before["save"] = claim_too
    second = await office.claim()

    assert sorted([*first, *second]) == [work.node_run_id]


async def test_what_nobody_acknowledged_in_time_is_given_to_the_next(office: Office) -> None:
    work = await office.offer(waiting_run())

    assert await office.claim() == [work.node_run_id]
    office.clock.at += 59_999
    assert await office.claim() == []
    office.clock.at += 1
    assert await office.claim() == [work.node_run_id]


async def test_work_of_an_earlier_attempt_is_cleared_away_and_not_given(office: Office) -> None:
    run = waiting_run()
    node = replace(run.nodes["call"], attempt=2)
    work = await office.offer(replace(run, nodes={**run.nodes, "call": node}))

    assert await office.claim() == []
    assert await office.pending.port.load([work.node_run_id]) == {}


async def test_work_of_a_node_run_that_is_over_is_cleared_away(office: Office) -> None:
    run = waiting_run()
    over = events.NodeCompleted(run.seq + 1, NOW, "call", run.nodes["call"].id, "WEBHOOK", "SUCCESS", {}, {})
    await office.offer(completed(events.apply(run, over)))

    assert await office.claim() == []
    assert await office.pending.port.claimable("ops", NOW, 10) == []


async def test_what_is_excluded_is_left_and_what_is_behind_it_is_given(office: Office) -> None:
    await office.offer(waiting_run("one"))
    other = await office.offer(waiting_run("two", workflow="other"))

    assert await office.claim(exclude=frozenset({"restart:1:call"}), limit=1) == [other.node_run_id]


async def test_an_acknowledgement_counts_once_even_when_two_come_at_the_same_time(office: Office) -> None:
    work = await office.offer(waiting_run())
    answers: list[bool | None] = []

    async def acknowledge_too() -> None:
        answers.append(await office.desk.acknowledge(work.node_run_id))

    office.pending.before["save"] = acknowledge_too
    answers.append(await office.desk.acknowledge(work.node_run_id))

    assert answers == [True, False]
    assert await office.desk.acknowledge(ids.node_run_id("wfr_x", "y")) is None
