"""Child runs and the order of effects: save, publish, done, whoever dies between them."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.contracts.codec import decode_command, decode_request, encode_command
from headrace.contracts.envelope import is_redelivered
from headrace.core import ids
from headrace.core.commands import Command, ReportAttempt, ReportChild, StartRun, Succeeded
from headrace.core.run import Causation
from headrace.ports.errors import UnavailableError
from tests.scenario import call, edge, start_node, webhook, workflow
from tests.unit.services.orchestrator.test_orchestrator import TOPICS, Office
from tests.unit.services.parts import record

CHILD = {**workflow([start_node(), webhook("do")], [edge("start", "do")]), "identifier": "child"}
PARENT = {**workflow([start_node(), call("each", items=[1, 2, 3], concurrency=2)], [edge("start", "each")])}
RUN = ids.run_id("flow", "start", "e")
NODE_RUN = ids.node_run_id(RUN, "each")
START = StartRun(RUN, 1_000, "flow", 1, "start", {}, "me", Causation("e", "e"))


@pytest.fixture
async def office() -> Any:
    office = Office()
    await office.definitions.port.create("flow", PARENT, "me", 0)
    await office.definitions.port.create("child", CHILD, "me", 0)
    return office


async def commands(office: Office) -> list[Command]:
    """Everything that was published to runs."""
    return [decode_command(one) for one in await office.topic(TOPICS.run_commands)]


async def pump(office: Office, twice: bool = False) -> None:
    """Let every command that is published be handled, each again when it is to come `twice`, until none is left.

    The invoker's part: every request succeeds.
    """
    handled = answered = 0
    for _ in range(50):
        new = (await office.topic(TOPICS.run_commands))[handled:]
        requests = (await office.topic(TOPICS.node_requests))[answered:]
        if not new and not requests:
            return
        handled, answered = handled + len(new), answered + len(requests)
        batch = [decode_command(one) for one in new] + [_answered(one) for one in requests]
        await office.handle(*batch, *(batch if twice else ()))
        if twice:
            await office.handle(*batch)
    raise AssertionError("it does not end")


def _answered(one: Any) -> ReportAttempt:
    request = decode_request(one)
    return ReportAttempt(request.run_id, 2_000, request.node, request.node_run_id, request.attempt, Succeeded({}))


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
async def test_a_for_each_runs_to_its_end_and_repeated_messages_change_nothing(office: Office, twice: bool) -> None:
    await office.handle(START)
    await pump(office, twice)
    parent = (await office.state(RUN)).run
    assert (parent.result, parent.outputs["each"]["succeeded"]) == ("SUCCESS", 3)
    for index in range(3):
        child = (await office.state(ids.child_run_id(NODE_RUN, index))).run
        assert (child.result, child.version) == ("SUCCESS", 1)
    assert sorted(set(await office.sequence(RUN))) == list(range(1, parent.seq + 1))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_children_whose_starts_were_saved_and_not_published_are_started_when_the_batch_comes_again(
    office: Office, after: bool
) -> None:
    office.log.fail("publish", after=after)
    with pytest.raises(UnavailableError):
        await office.handle(START)

    await office.handle(START)

    starts = [it for it in await office.topic(TOPICS.run_commands) if isinstance(decode_command(it), StartRun)]
    assert [is_redelivered(it) for it in starts] == ([False] * 2 if after else []) + [True] * 2
    await pump(office)
    assert (await office.state(RUN)).run.result == "SUCCESS"


async def test_the_report_of_a_child_that_died_before_publishing_is_sent_by_its_successor(office: Office) -> None:
    await office.handle(START)
    child = ids.child_run_id(NODE_RUN, 0)
    await office.handle(*await commands(office))
    answer = ReportAttempt(child, 2_000, "do", ids.node_run_id(child, "do"), 1, Succeeded({}))
    office.log.fail("publish")
    with pytest.raises(UnavailableError):
        await office.handle(answer)
    assert not any(isinstance(it, ReportChild) for it in await commands(office))
    _, successor = office.colleague()

    await successor.handle(office.records(answer), lambda _: None)

    reports = [it for it in await commands(office) if isinstance(it, ReportChild)]
    assert [(it.run_id, it.index, it.result) for it in reports] == [(RUN, 0, "SUCCESS")]


async def test_a_child_that_cannot_be_started_is_answered_each_time_it_is_asked_for(office: Office) -> None:
    await office.definitions.port.delete("child", "me", 1)
    await office.handle(START)
    starts = await commands(office)

    await office.handle(*starts)
    await office.handle(*starts)

    reports = [it for it in await commands(office) if isinstance(it, ReportChild)]
    assert [it.error for it in reports] == ['The workflow "child" was deleted.'] * 4
    assert await office.topic(TOPICS.dead_letters(TOPICS.run_commands)) == []
    await office.handle(*reports)
    assert (await office.state(RUN)).run.result == "FAILED"


async def test_the_version_of_a_child_is_looked_up_once_when_it_is_created(office: Office) -> None:
    await office.handle(START)
    starts = await commands(office)
    await office.handle(*starts)
    await office.definitions.port.update("child", {**CHILD, "title": "new"}, "me", 1)

    await office.handle(*starts)

    assert (await office.state(ids.child_run_id(NODE_RUN, 0))).run.version == 1


async def test_answers_of_many_children_in_one_batch_are_one_save_of_the_parent(office: Office) -> None:
    await office.handle(START)
    saves = office.runs.calls["save"]
    reports = [ReportChild(RUN, 2_000, NODE_RUN, index, "SUCCESS", {}) for index in (0, 1)]
    await office.handler.handle([record(encode_command(it, TOPICS)) for it in reports], lambda _: None)
    assert office.runs.calls["save"] == saves + 1
