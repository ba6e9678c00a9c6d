"""Giving pending work out: to one claimer at a time, and only while its attempt waits (spec 7.6)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from headrace.adapters.embedded import EmbeddedPendingStore, EmbeddedRunStore
from headrace.core.commands import InvokeNode
from headrace.core.events import AttemptFailed, AttemptStarted, NodeCompleted, NodeStarted
from headrace.core.run import Causation, Run, Timer
from headrace.ports.caller import SigningSecrets
from headrace.ports.pending import PendingWork
from headrace.ports.stores import StoredRun
from headrace_api.pending import Desk
from headrace_invoker.actions.installations import InstallationPerformer
from tests.conformance.samples import START, ManualClock, after, make_run
from tests.unit.services.parts import Faulty

MINUTE = 60_000


def waiting(run_id: str = "wfr_1") -> Run:
    """A run whose node `do` waits for an installation."""
    run = make_run(run_id)
    return after(run, NodeStarted(run.seq + 1, START, "do", name_of(run_id), "INTEGRATION_ACTION", {}, "waiting"))


def name_of(run_id: str) -> str:
    return f"{run_id}:do"


def retrying(run: Run) -> Run:
    attempt = run.nodes["do"].attempt
    timer = Timer(f"{run.id}:retry{attempt}", "do", attempt, "retry", START + 5)
    return after(run, AttemptFailed(run.seq + 1, START, "do", attempt, "too late", timer))


def tried_again(run: Run) -> Run:
    return after(run, AttemptStarted(run.seq + 1, START, "do", run.nodes["do"].attempt + 1))


def over(run: Run) -> Run:
    return after(run, NodeCompleted(run.seq + 1, START, "do", name_of(run.id), "INTEGRATION_ACTION", "CANCELLED"))


class Office:
    """The stores that both sides share, each call of which lets others run first; a desk; and the invoker's side."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.pending: Any = Faulty(EmbeddedPendingStore())
        self.runs: Any = Faulty(EmbeddedRunStore())
        self.desk = Desk(self.pending, self.runs, self.clock)
        none: Any = None
        self.invoker = InstallationPerformer(self.pending, none, self.clock, {}, "org", SigningSecrets(("s" * 32,)))

    async def keep(self, run: Run) -> None:
        held = (await self.runs.port.load([run.id])).get(run.id)
        assert await self.runs.port.save([StoredRun(run, 0 if held is None else held.rev + 1)]) == [True]

    async def offer(self, run: Run) -> None:
        """What the invoker does with the request for the node's attempt."""
        node = run.nodes["do"]
        request = InvokeNode(
            f"{node.id}:{node.attempt}", run.id, run.workflow, 1, "do", node.id, node.attempt, "INTEGRATION_ACTION",
            {"installationId": "ops"}, False, "fail", None, "at_least_once", Causation("e", "e"),
        )  # fmt: skip
        await self.invoker.perform(request, False)

    async def begin(self, run: Run) -> Run:
        await self.keep(run)
        await self.offer(run)
        return run

    async def held(self, run_id: str = "wfr_1") -> PendingWork:
        found: PendingWork = (await self.pending.port.load([name_of(run_id)]))[name_of(run_id)]
        return found

    async def claim(self, limit: int = 10, **more: Any) -> list[str]:
        return [it.run.id for it in await self.desk.claim("ops", limit, MINUTE, **more)]


@pytest.fixture
def office() -> Office:
    return Office()


async def test_of_two_who_claim_at_once_one_is_given_the_work(office: Office) -> None:
    await office.begin(waiting())
    first: list[str] = []

    async def claim_too() -> None:
        first.extend(await office.claim())

    office.pending.before["save"] = claim_too
    second = await office.claim()

    assert [*first, *second] == ["wfr_1"]


async def test_what_nobody_acknowledged_in_time_is_given_to_the_next(office: Office) -> None:
    await office.begin(waiting())

    assert await office.claim() == ["wfr_1"]
    office.clock.at += MINUTE - 1
    assert await office.claim() == []
    office.clock.at += 1
    assert await office.claim() == ["wfr_1"]


async def test_an_acknowledgement_counts_once_even_when_two_come_at_the_same_time(office: Office) -> None:
    await office.begin(waiting())
    answers: list[bool | None] = []

    async def acknowledge_too() -> None:
        answers.append(await office.desk.acknowledge(name_of("wfr_1")))

    office.pending.before["save"] = acknowledge_too
    answers.append(await office.desk.acknowledge(name_of("wfr_1")))

    assert answers == [True, False]
    assert await office.desk.acknowledge("nothing") is None


@pytest.mark.parametrize("ended", [over, retrying, lambda run: tried_again(retrying(run))])
async def test_work_whose_attempt_is_over_is_neither_given_nor_taken(
    office: Office, ended: Callable[[Run], Run]
) -> None:
    claimed, unclaimed = await office.begin(waiting("wfr_1")), await office.begin(waiting("wfr_2"))
    assert await office.claim(limit=1) == ["wfr_1"]

    await office.keep(ended(claimed))
    await office.keep(ended(unclaimed))

    assert await office.desk.acknowledge(name_of("wfr_1")) is None
    assert await office.desk.acknowledge(name_of("wfr_2")) is None
    assert await office.claim() == []


async def test_work_of_a_run_that_is_forgotten_is_not_given(office: Office) -> None:
    await office.offer(waiting())

    assert await office.claim() == []


async def test_what_is_over_does_not_hide_what_is_not(office: Office) -> None:
    for number in range(250):
        await office.keep(over(await office.begin(waiting(f"wfr_{number}"))))
    office.clock.at += 1
    await office.begin(waiting("wfr_last"))

    assert await office.claim(limit=1) == ["wfr_last"]
    assert await office.pending.port.claimable("ops", office.clock.at, 1_000) == []


async def test_what_is_excluded_does_not_hide_what_is_not(office: Office) -> None:
    for number in range(20):
        await office.begin(waiting(f"wfr_{number}"))
    office.clock.at += 1
    other = replace(waiting("wfr_last"), version=2)
    await office.begin(other)

    assert await office.claim(limit=1, exclude=frozenset({"deploy:1:do"})) == ["wfr_last"]


async def test_the_next_attempt_is_never_lost_however_the_steps_of_all_interleave() -> None:
    for seed in range(1_000):
        await _Story(seed).told()


class _Story:
    """Three attempts of a node run, offered more than once each, while workers claim, acknowledge and disappear."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.office = Office()
        self.taken = 0
        for verb in ("load", "save", "claimable"):
            self._slow(self.office.pending, verb)
        self._slow(self.office.runs, "load")

    async def told(self) -> None:
        workers = [asyncio.create_task(self._work()) for _ in range(4)]
        offers: list[asyncio.Task[None]] = []
        run = waiting()
        for attempt in (1, 2, 3):
            await self.office.keep(run)
            offers += [asyncio.create_task(self._offer(run)) for _ in range(2)]
            if attempt < 3:
                await self._pause(30)
                await self.office.keep(run := retrying(run))
                await self._pause(10)
                run = tried_again(run)
        await asyncio.gather(*offers)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

        held = await self.office.held()
        self.office.clock.at += MINUTE * 100
        assert held.attempt == 3, f"seed {self.seed}: the last attempt is offered to nobody"
        assert self.taken <= 3, f"seed {self.seed}: an attempt was taken twice"
        assert (held.visible_at is None) is not bool(await self.office.claim()), f"seed {self.seed}"

    async def _offer(self, run: Run) -> None:
        await self._pause(20)
        await self.office.offer(run)

    async def _work(self) -> None:
        while True:
            await self._pause(10)
            self.office.clock.at += self.random.choice((0, 0, MINUTE))
            if await self.office.claim(limit=1) and self.random.random() < 0.3:
                await self._pause(20)
                self.taken += await self.office.desk.acknowledge(name_of("wfr_1")) is True

    async def _pause(self, most: int) -> None:
        for _ in range(self.random.randint(1, most)):
            await asyncio.sleep(0)

    def _slow(self, store: Any, verb: str) -> None:
        real: Callable[..., Awaitable[object]] = getattr(store, verb)

        async def call(*args: Any) -> object:
            await self._pause(6)
            answer = await real(*args)
            await self._pause(6)
            return answer

        setattr(store, verb, call)
