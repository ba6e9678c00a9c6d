"""Offering work to installations: once per attempt, whatever fails on the way (spec 7.6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from headrace.adapters.embedded import EmbeddedLog
from headrace.core.commands import Accepted, InvokeNode
from headrace.ports.pending import PendingWork
from tests.conformance.samples import START, ManualClock
from tests.unit.services.invoker.desk import NODE_RUN, Desk, node_request
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


async def test_the_next_attempt_may_be_taken_by_anybody_again(desk: Desk) -> None:
    await desk.ask(work())
    await desk.pending.port.save([replace(await pending(desk), rev=1, visible_at=None)])

    await desk.ask(work(id=f"{NODE_RUN}:2", attempt=2))

    assert await pending(desk) == PendingWork(NODE_RUN, "wfr_0123456789abcdef", 2, "ops", START, 2, START)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("where", ["pending.load", "pending.save", "log.publish"])
async def test_a_failure_may_be_tried_again_and_offers_once(desk: Desk, log: Faulty, where: str, after: bool) -> None:
    port, verb = where.split(".")
    (desk.pending if port == "pending" else log).fail(verb, after=after)

    await desk.ask(work())
    assert (desk.failed.kind, desk.failed.retryable) == ("connection", True)
    await desk.ask(work())

    assert isinstance(desk.last, Accepted)
    assert (await pending(desk)).rev == 0
    assert {record.key for record in await log.port.read(OPS, 0)} == {NODE_RUN}


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
