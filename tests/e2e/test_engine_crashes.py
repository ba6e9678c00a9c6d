"""The engine as a process that is killed, or told to stop, at any moment, and started again on the same folder."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from headrace.adapters.clock import SystemClock
from headrace.adapters.embedded.journal import Journal
from headrace.adapters.embedded.log import EmbeddedLog
from headrace.adapters.embedded.runs import EmbeddedRunStore
from headrace.contracts.codec import decode_event
from headrace.contracts.topics import TopicNames
from headrace.core.events import fold
from headrace.ports.log import Record
from headrace.ports.stores import RunQuery, StoredRun
from headrace_dev.app import DATABASE
from tests.e2e.engine_process import EngineProcess
from tests.e2e.house import change, line, node_run, on_change, until, webhook
from tests.e2e.receiver import Answer, Call, Receiver

EVENTS = 60
KILLS = 16
SEED = 20261123


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    await made.start()
    yield made
    await made.stop()


async def _make_workflow(client: httpx.AsyncClient, receiver: Receiver, *names: str) -> None:
    nodes = [
        webhook(name, receiver.url, body={"event": "{{ .outputs.changed.context.entityIdentifier }}"}) for name in names
    ]
    created = await client.post("/v1/workflows", json=line("flow", on_change(), *nodes))
    assert created.status_code == 201, created.text


async def _publish(engine: EngineProcess, number: int, entity: str | None = None) -> None:
    """Publish an event as a careful producer does: again and again under the same id, until it was taken."""
    event = change(entity or f"e{number}", number=number)

    async def take() -> bool:
        try:
            answer = await engine.client.post("/v1/events", json={**event, "eventId": f"e-{number}"})
        except (httpx.HTTPError, RuntimeError):  # killed, or its client closed
            return False
        return answer.status_code == 202

    await until(take, f"event {number} to be taken", 30.0)


async def _finished(engine: EngineProcess, count: int) -> list[dict[str, Any]]:
    """All runs, once that many are over."""

    async def look() -> list[dict[str, Any]] | None:
        answer = await engine.client.get("/v1/workflows/runs", params={"limit": 1000})
        runs: list[dict[str, Any]] = answer.json()["workflowRuns"]
        return runs if sum(run["status"] == "COMPLETED" for run in runs) >= count else None

    return await until(look, f"{count} finished runs", 40.0)


async def _inside(folder: Path) -> tuple[list[Record], list[StoredRun]]:
    """What a stopped engine left behind: the public events, and the runs."""
    journal = Journal(folder / DATABASE)
    log, store = EmbeddedLog(SystemClock(), journal), EmbeddedRunStore(journal)
    records = [
        record for partition in range(4) for record in await log.read(TopicNames().run_events, partition, limit=100_000)
    ]
    runs = await store.query(RunQuery(limit=1_000))
    stored = await store.load([run.id for run in runs])
    await store.close()
    await log.close()
    journal.close()
    return records, list(stored.values())


def _assert_told_without_gaps(records: list[Record], runs: list[StoredRun]) -> None:
    """Every run's events are numbered without gaps, are equal when they are repeated, and fold to the stored run."""
    told: dict[str, dict[int, Record]] = defaultdict(dict)
    for record in records:
        event = decode_event(record)
        first = told[record.key].setdefault(event.seq, record)
        assert first.value == record.value
    assert set(told) == {stored.run.id for stored in runs}
    for stored in runs:
        numbered = told[stored.run.id]
        assert sorted(numbered) == list(range(1, stored.run.seq + 1))
        assert fold(None, [decode_event(numbered[seq]) for seq in sorted(numbered)]) == stored.run


async def test_sixteen_kills_while_events_flow_lose_no_run_and_repeat_no_call_without_a_kill_between(
    tmp_path: Path, receiver: Receiver
) -> None:
    chance = random.Random(SEED)
    for path in ("/first", "/second"):
        receiver.on(path, lambda _: Answer(data={}, delay=chance.uniform(0.02, 0.4)))
    engine = EngineProcess(tmp_path)
    kills: list[float] = []
    clock = asyncio.get_running_loop().time
    try:
        await engine.spawn()
        await _make_workflow(await engine.ready(), receiver, "first", "second")

        async def produce() -> None:
            for number in range(EVENTS):
                await _publish(engine, number)
                await asyncio.sleep(chance.uniform(0.0, 0.4))

        producer = asyncio.create_task(produce())
        for number in range(KILLS):
            if number % 4 != 3:  # every fourth life ends while it is still starting
                if number:
                    await engine.ready()
                await asyncio.sleep(chance.uniform(0.0, 0.6))
            else:
                await asyncio.sleep(chance.uniform(0.3, 1.2))
            await engine.kill()
            await asyncio.sleep(0.05)  # what the dead process sent has arrived by now
            kills.append(clock())
            await engine.spawn()
        await engine.ready()
        await producer
        runs = await _finished(engine, EVENTS)
        assert await engine.terminate(25) == 0
    finally:
        await engine.close()

    assert len(runs) == EVENTS
    assert {(run["status"], run["result"]) for run in runs} == {("COMPLETED", "SUCCESS")}
    assert len({run["trigger"]["eventId"] for run in runs}) == EVENTS
    _assert_called_again_only_after_a_kill(receiver.calls, kills)
    records, stored = await _inside(engine.data)
    _assert_told_without_gaps(records, stored)
    assert "Traceback" not in engine.errors()


def _assert_called_again_only_after_a_kill(calls: list[Call], kills: list[float]) -> None:
    """Each node of each event was called, always under the same id, and again only if a kill lies between."""
    by_work: dict[tuple[str, str], list[Call]] = defaultdict(list)
    for call in calls:
        by_work[call.path, call.json["event"]].append(call)
    assert len(by_work) == EVENTS * 2
    for same in by_work.values():
        assert len({call.webhook_id for call in same}) == 1
        assert len({call.headers["x-port-workflow-run-id"] for call in same}) == 1
        for earlier, later in itertools.pairwise(same):
            assert any(earlier.at <= kill <= later.at for kill in kills)
    extra = len(calls) - len(by_work)
    assert extra <= sum(_in_flight(by_work, kill) for kill in kills)


def _in_flight(by_work: dict[tuple[str, str], list[Call]], kill: float) -> int:
    """How many calls had come shortly before a kill: answers take less than half a second."""
    return sum(kill - 0.7 <= call.at <= kill for calls in by_work.values() for call in calls)


async def test_kills_neither_lose_nor_overtake_the_runs_of_one_entity(tmp_path: Path, receiver: Receiver) -> None:
    chance = random.Random(SEED)
    receiver.on("/call", lambda _: Answer(data={}, delay=chance.uniform(0.0, 0.2)))
    events = 25
    engine = EngineProcess(tmp_path)
    try:
        await engine.spawn()
        client = await engine.ready()
        call = webhook("call", receiver.url, body={"n": "{{ .outputs.changed.diff.after.properties.number }}"})
        created = await client.post("/v1/workflows", json=line("flow", on_change(perEntity="serial"), call))
        assert created.status_code == 201, created.text

        async def produce() -> None:
            for number in range(events):
                await _publish(engine, number, "one")

        producer = asyncio.create_task(produce())
        for _ in range(6):
            await asyncio.sleep(chance.uniform(0.1, 0.8))
            await engine.kill()
            await engine.spawn()
            await engine.ready()
        await producer
        runs = await _finished(engine, events)
        assert await engine.terminate(25) == 0
    finally:
        await engine.close()

    assert [run["result"] for run in runs] == ["SUCCESS"] * events
    first_calls = list(dict.fromkeys(one.json["n"] for one in receiver.calls))
    assert first_calls == list(range(events)), "a call may come again after a kill, but none overtakes another"
    spans = sorted((node_run(run, "changed")["completedAt"], run["completedAt"]) for run in runs)
    assert all(over <= begun for (_, over), (begun, _) in itertools.pairwise(spans))


async def test_told_to_stop_the_engine_lets_calls_in_flight_end_and_repeats_none_after_a_restart(
    tmp_path: Path, receiver: Receiver
) -> None:
    gate = asyncio.Event()
    receiver.on("/first", Answer(data={}, gate=gate))
    engine = EngineProcess(tmp_path)
    try:
        await engine.spawn()
        await _make_workflow(await engine.ready(), receiver, "first", "second")
        for number in range(5):
            await _publish(engine, number)
        await receiver.called("/first", 5)

        ending = asyncio.create_task(engine.terminate(25))
        await asyncio.sleep(1.0)
        assert not ending.done()
        gate.set()
        assert await ending == 0

        await engine.spawn()
        await engine.ready()
        runs = await _finished(engine, 5)
        assert await engine.terminate(25) == 0
    finally:
        await engine.close()

    assert {run["result"] for run in runs} == {"SUCCESS"}
    assert sorted(call.path for call in receiver.calls) == ["/first"] * 5 + ["/second"] * 5
    _assert_told_without_gaps(*await _inside(engine.data))
    assert "Traceback" not in engine.errors()


async def test_told_to_stop_the_engine_does_not_begin_the_calls_that_still_wait_for_room(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.on("/first", Answer(data={}, delay=1.0))
    engine = EngineProcess(tmp_path, {"HEADRACE_MAX_IN_FLIGHT": "3"})
    try:
        await engine.spawn()
        await _make_workflow(await engine.ready(), receiver, "first")
        for number in range(40):
            await _publish(engine, number)
        await receiver.called("/first", 3)

        assert await engine.terminate(6) == 0
        made = len(receiver.calls)
        receiver.on("/first", Answer(data={}))
        await engine.spawn()
        await engine.ready()
        runs = await _finished(engine, 40)
        assert await engine.terminate(25) == 0
    finally:
        await engine.close()

    assert made < 40
    assert {run["result"] for run in runs} == {"SUCCESS"}
    assert len(receiver.calls) == len({call.webhook_id for call in receiver.calls}) == 40
    assert "Traceback" not in engine.errors()


@pytest.mark.parametrize("life", ["starting", "idle"])
async def test_told_to_stop_with_nothing_to_do_the_engine_ends_at_once_and_well(tmp_path: Path, life: str) -> None:
    engine = EngineProcess(tmp_path)
    try:
        await engine.spawn()
        client = await engine.ready()
        if life == "idle":
            await asyncio.sleep(0.5)
            assert (await client.get("/v1/workflows")).status_code == 200
        assert await engine.terminate(5) == 0
    finally:
        await engine.close()

    assert "Traceback" not in engine.errors()
