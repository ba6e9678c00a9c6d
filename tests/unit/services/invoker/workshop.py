"""An invoker at work on embedded ports that fail on demand, and requests for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from headrace.adapters.embedded import EmbeddedClaimStore, EmbeddedLog
from headrace.contracts.codec import decode_result, encode_request
from headrace.contracts.topics import TopicNames
from headrace.core.commands import InvokeNode, ReportAttempt, Succeeded
from headrace.core.run import Causation
from headrace.ports.log import Message, Record, TopicPartition
from headrace.ports.stores import Claim
from headrace.runtime.metrics import Metrics
from headrace_invoker.handler import Invoker
from headrace_invoker.performance import Performance, Performer, Performers
from headrace_invoker.settings import InvokerSettings
from tests.conformance.samples import ManualClock
from tests.unit.services.parts import Faulty, record, soon

TOPICS = TopicNames()
LEASE_MS = 60_000
REDELIVERED = ("redelivered", b"1")
PARTITIONS = frozenset({TopicPartition(TOPICS.node_requests, 0)})


class Hands:
    """Performs WEBHOOK attempts: counts them, keeps them in hand while the gate is shut."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.doubts: list[bool] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.busy = 0
        self.most_busy = 0

    async def perform(self, request: InvokeNode, doubtful: bool) -> Performance:
        self.calls.append(request.id)
        self.doubts.append(doubtful)
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            await asyncio.sleep(0)
            await self.gate.wait()
        finally:
            self.busy -= 1
        if self.error is not None:
            raise self.error
        return Performance(Succeeded({"call": len(self.calls)}))


class Workshop:
    """An invoker at work: embedded ports that fail on demand, its finisher running, records handed over by hand."""

    def __init__(self, webhooks: Performer | None = None, **settings: Any) -> None:
        self.clock = ManualClock()
        self.log = Faulty(EmbeddedLog(self.clock, partitions=1))
        self.claims = Faulty(EmbeddedClaimStore(self.clock))
        self.hands = Hands()
        self.done: list[int] = []
        self.fresh = True
        self._offset = 0
        ports: Any = self
        performers = Performers({"WEBHOOK": webhooks or self.hands, "GITHUB": self.hands}, asking=frozenset({"GITHUB"}))
        chosen = InvokerSettings(
            **{"lease_seconds": LEASE_MS / 1000, "drain_seconds": 5.0, "gather_seconds": 0.001, **settings}
        )
        self.handler = Invoker(
            performers, ports.claims, ports.log, self.clock, TOPICS, Metrics(), "me", lambda: self.fresh, chosen
        )
        finisher = self.handler.finisher
        self._finishing = [asyncio.create_task(work()) for work in (finisher.publish, finisher.record)]

    async def close(self) -> None:
        self.handler.stop()
        await self.handler.calls.cancel()
        for task in self._finishing:
            task.cancel()
        await asyncio.gather(*self._finishing, return_exceptions=True)

    def records(self, *requests: InvokeNode | bytes) -> list[Record]:
        """Records as of a redelivery: whose claims must be looked at before anything is called."""
        return [replace(one, headers=(*one.headers, REDELIVERED)) for one in self.new_records(*requests)]

    def new_records(self, *requests: InvokeNode | bytes) -> list[Record]:
        """Records that nobody can have had before."""
        made = []
        for request in requests:
            if isinstance(request, bytes):
                message = Message(TOPICS.node_requests, "k", request)
            else:
                message = encode_request(request, TOPICS)
            made.append(record(message, self._offset))
            self._offset += 1
        return made

    async def begin(self, *requests: InvokeNode | bytes) -> None:
        """Hand over requests that nobody can have had before."""
        await self.handler.handle(self.new_records(*requests), self.finish)

    async def handle(self, *requests: InvokeNode | bytes) -> None:
        await self.handler.handle(self.records(*requests), self.finish)

    def finish(self, one: Record) -> None:
        self.done.append(one.offset)

    async def results(self) -> list[ReportAttempt]:
        return [decode_result(one) for one in await self.log.port.read(TOPICS.node_results, 0, limit=10_000)]

    async def claim(self, request: InvokeNode) -> Claim | None:
        found: Claim | None = (await self.claims.port.load([request.id])).get(request.id)
        return found

    async def claimed_by(self, request: InvokeNode, owner: str = "other/1", **changes: Any) -> Claim:
        """Let somebody hold the claim of the request."""
        before = await self.claim(request)
        fence = before.fence + 1 if before else 1
        claim = replace(Claim(request.id, owner, fence, self.clock.at + LEASE_MS, "CLAIMED"), **changes)
        assert await self.claims.port.save([(claim, before)]) == [True]
        return claim

    async def all_done(self, count: int) -> None:
        await soon(lambda: len(self.done) >= count)
        assert len(self.done) == count


Make = Callable[..., Workshop]


def request(number: int = 1, **changes: Any) -> InvokeNode:
    made = InvokeNode(
        f"wfnr_{number}:1", f"wfr_{number}", "flow", 1, "call", f"wfnr_{number}", 1, "WEBHOOK", {"url": "x"}, True,
        "fail", None, "at_least_once", Causation("e", "e"),
    )  # fmt: skip
    return replace(made, **changes)
