"""Hosts that cannot be reached: after a while calls to them are not made, and nobody else is disturbed."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from headrace.adapters.http.caller import HttpCaller
from headrace.adapters.http.policy import EgressPolicy
from headrace.core.circuit import CircuitRule, Circuits
from headrace.ports.caller import CallFailure
from tests.unit.adapters.egress_servers import (
    LOOPBACK,
    NOW,
    FakeResolver,
    Handler,
    Received,
    Receiver,
    answering,
    fail,
    read_request,
    receiving,
    request,
    respond,
    response,
)

MISSES = 3


@asynccontextmanager
async def calling(pause_seconds: float = 30.0, **policy: int) -> AsyncIterator[HttpCaller]:
    """A caller whose circuits open at the third miss in a row, whenever the first was."""
    rule = CircuitRule(MISSES, 0.0, pause_seconds)
    chosen = EgressPolicy(allowed_networks=LOOPBACK, **policy)  # type: ignore[arg-type]
    caller = HttpCaller(chosen, now=lambda: NOW, resolver=FakeResolver(), circuits=Circuits(rule))
    try:
        yield caller
    finally:
        await caller.close()


async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receiver: Receiver) -> None:
    await read_request(reader, receiver)
    await asyncio.sleep(60)


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receiver: Receiver) -> None:
    await read_request(reader, receiver)


@pytest.mark.parametrize(
    "handler",
    [never, hang_up, *(answering(response(status, headers={"Connection": "close"})) for status in (502, 503, 504))],
    ids=["time-out", "reset", "502", "503", "504"],
)
async def test_a_host_that_is_missed_again_and_again_is_not_called(handler: Handler) -> None:
    async with receiving(handler) as receiver, calling() as caller:
        for _ in range(MISSES):
            await caller.call(request(receiver.url(), timeout_seconds=0.2))
        failed = await fail(caller, request(receiver.url()))

    assert (failed.kind, failed.sent) == ("circuit", False)
    assert failed.message.startswith(f"circuit open for 127.0.0.1:{receiver.port} until 20")
    assert 29 < (failed.retry_after_seconds or 0) <= 30
    assert failed.elapsed_seconds < 0.1
    assert len(receiver.requests) == MISSES


async def test_a_port_where_nobody_listens_is_not_called_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with calling() as caller:
        kinds = [(await fail(caller, request(f"http://127.0.0.1:{port}/"))).kind for _ in range(MISSES + 2)]

    assert kinds == ["connect"] * MISSES + ["circuit"] * 2


@pytest.mark.parametrize("status", [200, 400, 404, 429, 500, 501])
async def test_a_host_that_answers_is_there(status: int) -> None:
    async with receiving(answering(response(status))) as receiver, calling() as caller:
        answers = [await respond(caller, request(receiver.url())) for _ in range(MISSES + 2)]

    assert {it.status for it in answers} == {status}


async def test_a_call_that_our_own_rules_forbid_says_nothing_about_its_host() -> None:
    resolver = FakeResolver({"inside.example.test": [("10.0.0.1",)]})
    circuits = Circuits(CircuitRule(1, 0.0))
    caller = HttpCaller(EgressPolicy(), now=lambda: NOW, resolver=resolver, circuits=circuits)
    kinds = [(await fail(caller, request("http://inside.example.test/"))).kind for _ in range(3)]
    await caller.close()

    assert kinds == ["refused"] * 3


async def test_a_host_that_is_back_is_called_again() -> None:
    answers = [503] * MISSES + [200] * 5

    def next_answer(_: Received) -> bytes:
        return response(answers.pop(0))

    async with receiving(answering(next_answer)) as receiver, calling(pause_seconds=0.1) as caller:
        for _ in range(MISSES):
            await respond(caller, request(receiver.url()))
        assert (await fail(caller, request(receiver.url()))).kind == "circuit"
        await asyncio.sleep(0.15)
        statuses = [(await respond(caller, request(receiver.url()))).status for _ in range(5)]

    assert statuses == [200] * 5


async def test_calls_that_wait_for_their_turn_at_a_dead_host_are_answered_when_its_circuit_opens() -> None:
    async with receiving(never) as receiver, calling(per_host_concurrency=MISSES) as caller:
        limits = [0.3] * MISSES + [10.0] * 47
        calls = [caller.call(request(receiver.url(), timeout_seconds=limit)) for limit in limits]
        async with asyncio.timeout(2):  # 10 s else
            outcomes = await asyncio.gather(*calls)

    kinds = sorted(it.kind for it in outcomes if isinstance(it, CallFailure))
    assert kinds == ["circuit"] * (50 - MISSES) + ["timeout"] * MISSES
