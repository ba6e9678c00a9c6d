"""Offering work to installations: once per attempt, whatever fails on the way (spec 7.6)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from headrace.adapters.embedded import EmbeddedLog
from headrace.core.commands import Accepted, InvokeNode
from headrace.ports.pending import PendingWork
from headrace_invoker.actions.installations import InstallationPerformer
from tests.conformance.samples import START, ManualClock
from tests.unit.services.invoker.desk import NODE_RUN, SECRETS, Desk, node_request
from tests.unit.services.parts import Faulty

OPS = "headrace.runs.ops"


def work(**changes: Any) -> InvokeNode:
    config = {"installationId": "ops", "integrationInvocationType": "greet", **changes.pop("config", {})}
    return node_request("INTEGRATION_ACTION", config, **changes)


@pytest.fixture
def log() -> Faulty:
    return Faulty(EmbeddedLog(ManualClock(), partitions=1))


@pytest.fixture
async def desk(log: Faulty) -> AsyncIterator[Desk]:
    opened = Desk.at("http://127.0.0.1:1", log, installation_topics=("ops",))
    yield opened
    await opened.close()


async def pending(desk: Desk) -> PendingWork:
    found: PendingWork = (await desk.pending.port.load([NODE_RUN]))[NODE_RUN]
    return found


async def test_an_attempt_is_offered_once_however_often_it_is_performed(desk: Desk) -> None:
    await desk.ask(work())
    taken = replace(await pending(desk), rev=1, visible_at=None)
    assert await desk.pending.port.save([taken]) == [True]

    await desk.ask(work(), doubtful=True)

    assert desk.outcomes == [Accepted({}), Accepted({})]
    assert await pending(desk) == taken


@pytest.mark.parametrize("request_", [work(), node_request("WEBHOOK", {"agent": True, "url": "http://inside.test"})])
async def test_an_attempt_that_must_not_be_made_twice_is_offered_again_after_a_crash(
    desk: Desk, request_: InvokeNode
) -> None:
    await desk.ask(replace(request_, delivery="at_most_once"), doubtful=True)

    assert isinstance(desk.last, Accepted)
    assert (await pending(desk)).rev == 0


async def test_the_next_attempt_may_be_taken_by_anybody_again(desk: Desk) -> None:
    await desk.ask(work())
    await desk.pending.port.save([replace(await pending(desk), rev=1, visible_at=None)])

    await desk.ask(work(id=f"{NODE_RUN}:2", attempt=2))

    assert await pending(desk) == PendingWork(NODE_RUN, "wfr_0123456789abcdef", 2, "ops", START, 2, START)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("where", ["pending.load", "pending.save", "log.publish"])
async def test_a_store_or_log_that_does_not_answer_is_waited_for_and_the_work_is_offered_once(
    desk: Desk, log: Faulty, where: str, after: bool
) -> None:
    port, verb = where.split(".")
    (desk.pending if port == "pending" else log).fail(verb, after=after)

    await desk.ask(work())

    assert isinstance(desk.last, Accepted)
    assert (await pending(desk)).rev == 0
    assert {record.key for record in await log.port.read(OPS, 0)} == {NODE_RUN}


@pytest.mark.parametrize(("delivery", "kind"), [("at_least_once", "connection"), ("at_most_once", "unknown-outcome")])
async def test_a_store_that_stays_away_fails_the_attempt(desk: Desk, log: Faulty, delivery: Any, kind: str) -> None:
    desk.pending.fail("save", 1_000)
    store: Any = desk.pending
    performer = InstallationPerformer(store, log, desk.clock, {}, "org", SECRETS, wait_seconds=0.0)

    failed: Any = (await performer.perform(work(delivery=delivery), False)).outcome

    assert (failed.kind, failed.retryable) == (kind, delivery == "at_least_once")
    assert "could not be offered to ops" in failed.message


@pytest.mark.parametrize("name", [None, "", " ", ["x"]])
async def test_an_action_without_an_installation_fails_and_says_so(desk: Desk, name: Any) -> None:
    await desk.ask(work(config={"installationId": name}))

    assert (desk.failed.kind, desk.failed.retryable) == ("invalid", False)
    assert "installationId" in desk.failed.message


async def test_an_installation_without_a_topic_is_told_nothing(desk: Desk, log: Faulty) -> None:
    await desk.ask(work(config={"installationId": "other"}))

    assert isinstance(desk.last, Accepted)
    assert (await pending(desk)).installation == "other"
    assert log.calls["publish"] == 0


async def _claimed(desk: Desk, held: PendingWork) -> None:
    await desk.pending.port.save([replace(held, rev=held.rev + 1, visible_at=START + 60_000)])


async def _acknowledged(desk: Desk, held: PendingWork) -> None:
    await desk.pending.port.save([replace(held, rev=held.rev + 1, visible_at=None)])


@pytest.mark.parametrize("change", [_claimed, _acknowledged])
async def test_the_next_attempt_is_offered_whatever_becomes_of_the_one_before_at_the_same_moment(
    desk: Desk, change: Callable[[Desk, PendingWork], Awaitable[None]]
) -> None:
    await desk.ask(work())
    held = await pending(desk)
    desk.pending.before["save"] = lambda: change(desk, held)

    await desk.ask(work(id=f"{NODE_RUN}:2", attempt=2))

    offered = await pending(desk)
    assert (offered.attempt, offered.visible_at) == (2, START)
