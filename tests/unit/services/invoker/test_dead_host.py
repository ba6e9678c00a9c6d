"""One host is dead: its attempts fail at once and may be repeated, and those of other hosts have their places."""

import asyncio
import time

from headrace.adapters.http.caller import HttpCaller
from headrace.adapters.http.policy import EgressPolicy
from headrace.core.circuit import CircuitRule, Circuits
from headrace.core.commands import Failed, InvokeNode, Succeeded
from headrace_invoker.webhook import WebhookPerformer
from tests.conformance.samples import ManualClock
from tests.unit.adapters.egress_servers import LOOPBACK, Receiver, answering, read_request, receiving, response
from tests.unit.services.invoker.workshop import Workshop, request

PLACES = 10
LIMIT_SECONDS = 0.3


async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receiver: Receiver) -> None:
    await read_request(reader, receiver)
    await asyncio.sleep(60)


def to(receiver: Receiver, number: int, delivery: str = "at_least_once") -> InvokeNode:
    config = {"type": "WEBHOOK", "url": receiver.url()}
    return request(number, config=config, timeout_seconds=LIMIT_SECONDS, delivery=delivery)


async def test_others_do_not_wait_for_the_calls_of_a_dead_host() -> None:
    policy = EgressPolicy(allowed_networks=LOOPBACK, per_host_concurrency=PLACES)
    caller = HttpCaller(policy, now=time.time, circuits=Circuits(CircuitRule(5, 0.0, 30.0)))
    async with receiving(never) as dead, receiving(answering(response())) as live:
        workshop = Workshop(WebhookPerformer(caller, ManualClock()), max_in_flight=PLACES)
        await workshop.begin(*(to(dead, number) for number in range(PLACES)))
        await workshop.all_done(PLACES)
        mixed = [to(live if number % 10 == 0 else dead, number) for number in range(100, 300)]
        began = time.monotonic()
        await workshop.begin(*mixed)
        await workshop.all_done(PLACES + len(mixed))
        took = time.monotonic() - began
        results = {it.node_run_id: it.outcome for it in await workshop.results()}
        await workshop.close()
        await caller.close()

    assert took < 2.0  # 180 calls of 0.3 s, 10 at a time: 5.4 s
    for number in range(100, 300):
        outcome = results[f"wfnr_{number}"]
        if number % 10 == 0:
            assert isinstance(outcome, Succeeded)
        else:
            assert isinstance(outcome, Failed)
            assert (outcome.kind, outcome.retryable) == ("connection", True)
            assert "circuit open for 127.0.0.1" in outcome.message
            assert (outcome.retry_after_seconds or 0) > 25
    assert len(dead.requests) == PLACES


async def test_an_attempt_that_was_not_sent_is_no_unknown_outcome() -> None:
    circuits = Circuits(CircuitRule(1, 0.0, 30.0))
    caller = HttpCaller(EgressPolicy(allowed_networks=LOOPBACK), now=time.time, circuits=circuits)
    async with receiving(never) as dead:
        workshop = Workshop(WebhookPerformer(caller, ManualClock()))
        await workshop.begin(to(dead, 1, "at_most_once"))
        await workshop.all_done(1)
        await workshop.begin(to(dead, 2, "at_most_once"))
        await workshop.all_done(2)
        outcomes = [it.outcome for it in await workshop.results()]
        await workshop.close()
        await caller.close()

    sent, held_back = outcomes
    assert isinstance(sent, Failed)
    assert sent.kind == "unknown-outcome"
    assert isinstance(held_back, Failed)
    assert (held_back.kind, held_back.retryable) == ("connection", True)
