"""Requests in, calls out, results back: at-least-once effects under lazy claims (docs/delivery.md).

A request takes one of two ways:

* *Fast*: nobody can have had it before, so it is called at once, and no store is asked. Its result is published, then
  recorded with the attempt as DONE in the background; only then is its record done.
* *Slow*: everything else. Its claim is looked at first, and written before the call (headrace_invoker.claiming).

Nobody can have had a request that is not marked `redelivered` (its sender had not published it before), is not
inherited (it came into the log after we got its partition, so that no earlier owner saw it) and is not known here (it
is no twin of one that this process has in hand or finished). For that to hold, a process whose heartbeat is not fresh
begins no call and publishes nothing, and partitions are given away only when their calls are over, or have claims.

`delivery: at_most_once` always takes the slow way, and records its result before it is published.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from headrace.contracts.codec import UndecodableMessageError, decode_request
from headrace.contracts.envelope import is_redelivered, trace_fields, traceparent_of
from headrace.contracts.topics import TopicNames
from headrace.ports.clock import Clock
from headrace.ports.errors import UnavailableError
from headrace.ports.log import Log, Message, Record, TopicPartition
from headrace.ports.stores import ClaimStore
from headrace.runtime.backoff import Backoff
from headrace.runtime.dead_letters import dead_letter
from headrace.runtime.loop import Done
from headrace.runtime.metrics import Metrics
from headrace_invoker.calls import Calls
from headrace_invoker.claiming import Claiming
from headrace_invoker.finisher import STALE_SECONDS, Finisher
from headrace_invoker.job import Job
from headrace_invoker.memory import Memory
from headrace_invoker.performance import Performers
from headrace_invoker.room import Room
from headrace_invoker.settings import InvokerSettings, Surroundings

__all__ = ["GROUP", "Invoker", "InvokerSettings"]

GROUP = "headrace-invoker"
_LOOK_SECONDS = 0.01

_log = structlog.get_logger("headrace.invoker")


class Invoker:
    """Handles batches of node.requests. `owner` must be unique per process; `is_fresh` is Consumer.is_fresh."""

    def __init__(
        self,
        performers: Performers,
        claims: ClaimStore,
        log: Log,
        clock: Clock,
        topics: TopicNames,
        metrics: Metrics,
        owner: str,
        is_fresh: Callable[[], bool],
        settings: InvokerSettings | None = None,
    ) -> None:
        settings = settings or InvokerSettings()
        self._around = Surroundings(claims, log, clock, topics, metrics, owner, is_fresh, settings)
        self._memory = Memory()
        self._room = Room(settings.max_in_flight, settings.max_unfinished)
        self.finisher = Finisher(self._around, self._memory, self._room)
        self.calls = Calls(self._around, performers, self.finisher, self._room)
        self._claiming = Claiming(self._around, self.calls, self.finisher, self._room)

    async def handle(self, records: Sequence[Record], done: Done) -> None:
        """Begin all requests of the batch; returns when each is under way, parked or known to be done.

        After `stop` it returns at once: what was not begun is not done, and will be delivered again. It waits for
        stores and for the log by itself, so that it is never handed a batch twice whose partitions left in between.
        """
        fast, slow, letters = self._sort(records, done)
        for job in fast:
            if not self._room.free and not await self._room.wait():
                return
            if not job.has_left:
                self._room.take()
                self.calls.begin(job)
        if slow:
            await self._claiming.settle(slow)
        if letters:
            await self._bury(letters, done)

    def stop(self) -> None:
        """Begin no more calls."""
        self._room.close()
        self._claiming.stop()

    async def release(self, partitions: frozenset[TopicPartition]) -> None:
        """These partitions are about to go to another member: begin nothing more of them, and bring what is under way
        to its end, for `drain_seconds` at most. What is still out keeps its claim."""
        leaving = [job for job in self._memory if job.record.source in partitions]
        # what has a claim, or is about to, is called rather than left for its lease to end
        self._memory.let_go(job for job in leaving if job.stage == "waiting" or _waits_unclaimed(job))
        await self._settled([job for job in leaving if not job.has_left])
        self._memory.let_go(job for job in leaving if not job.has_left and not job.has_begun)

    async def drain(self) -> None:
        """Wait for calls in flight and their results, for `drain_seconds` at most, then let go of them."""
        await self._settled(list(self._memory))
        if self.calls:
            _log.warning("calls still out at the end of the drain", calls=len(self.calls))
        await self.calls.cancel()

    async def _settled(self, jobs: Sequence[Job]) -> None:
        """Wait until nothing of the jobs is under way. While we may be a zombie, what was not begun will not be, and a
        result that is recorded is the new owner's to publish: neither is waited for."""
        deadline = self._around.clock.monotonic() + self._around.settings.drain_seconds
        while self._around.clock.monotonic() < deadline:
            is_fresh = self._around.is_fresh()
            jobs = [job for job in jobs if job.is_under_way and (is_fresh or (job.has_begun and not job.is_recorded))]
            if not jobs:
                return
            await asyncio.sleep(_LOOK_SECONDS)

    def _sort(self, records: Sequence[Record], done: Done) -> tuple[list[Job], list[Job], list[tuple[Record, Message]]]:
        """The batch's new requests for the fast and the slow way, and its dead letters. Does not wait: from here on
        every request of the batch is in hand, and found when its partition leaves."""
        fast: list[Job] = []
        slow: list[Job] = []
        letters: list[tuple[Record, Message]] = []
        for record in records:
            try:
                request = decode_request(record)
            except UndecodableMessageError as error:
                self._around.metrics.dead_letter(record.topic, "undecodable")
                trace = trace_fields(traceparent_of(record))
                _log.error("record dead-lettered", topic=record.topic, offset=record.offset, error=str(error), **trace)
                letters.append((record, dead_letter(record, error, GROUP, self._around.clock.now())))
                continue
            if self._memory.knows(request.id, record, done):
                continue
            job = Job(request, record, done, doubtful=self._may_be_known(record))
            self._memory.hold(job)
            (slow if job.is_eager or job.doubtful else fast).append(job)
        return fast, slow, letters

    def _may_be_known(self, record: Record) -> bool:
        """Whether anybody may have had the request before us."""
        return record.inherited or is_redelivered(record)

    async def _bury(self, letters: Sequence[tuple[Record, Message]], done: Done) -> None:
        """Publish dead letters; their records are done."""
        backoff = Backoff()
        while not self._room.is_closed:
            if not self._around.is_fresh():
                await asyncio.sleep(STALE_SECONDS)
                continue
            try:
                await self._around.log.publish([letter for _, letter in letters])
            except UnavailableError as error:
                delay = backoff.next()
                _log.warning("dead letters wait for the log", error=str(error), delay_seconds=delay)
                await asyncio.sleep(delay)
            else:
                for record, _ in letters:
                    done(record)
                return


def _waits_unclaimed(job: Job) -> bool:
    """Whether a call of the fast way is about to begin, or waits for a fresh heartbeat."""
    return job.stage == "calling" and not job.has_begun and job.claim is None
