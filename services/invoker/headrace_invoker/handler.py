"""Requests in, calls out, results back: at-least-once effects under claims (docs/delivery.md).

For every request, in this order: claim the attempt, make the call, save the result with the claim (DONE), publish the
result, finish the record. A claim names its owner, a fence that counts owners, and the end of the owner's lease:

* no claim: write one, then call;
* DONE: the call was made and its result is kept; publish it again and finish;
* live claim of somebody else: park until its lease ends, then look again;
* expired claim: take it over with a higher fence and call again. Only here can a receiver see an attempt twice, and
  it can tell by `webhook-id`. With `delivery: at_most_once` the outcome is reported as unknown instead.

The call is never repeated because a later write failed: results wait in the finisher until the store takes them. Claims
and results are written in batches, so hundreds of calls in flight cost a handful of writes. A claim is written only
when there is room to make its call at once, so that no lease runs while its request waits.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import structlog

from headrace.contracts.codec import UndecodableMessageError, decode_request, encode_result
from headrace.contracts.topics import TopicNames
from headrace.core.commands import Failed, InvokeNode, ReportAttempt
from headrace.ports.clock import Clock
from headrace.ports.errors import UnavailableError
from headrace.ports.log import Log, Message, Record
from headrace.ports.stores import Claim, ClaimStore
from headrace.runtime.backoff import Backoff
from headrace.runtime.dead_letters import dead_letter
from headrace.runtime.loop import Done
from headrace.runtime.metrics import Metrics
from headrace_invoker.finisher import Finisher
from headrace_invoker.job import Job
from headrace_invoker.performance import Performance, Performers

GROUP = "headrace-invoker"

_log = structlog.get_logger("headrace.invoker")


@dataclass(frozen=True, slots=True)
class InvokerSettings:
    """`max_in_flight` calls per process. A lease is renewed when a third of it is over.

    `alone` says that no other process works on these claims: a lease of somebody else is that of a predecessor who is
    gone, and is not waited for.
    """

    max_in_flight: int = 200
    lease_seconds: float = 60.0
    alone: bool = False


class Invoker:
    """Handles batches of node.requests. `owner` must be unique per process."""

    def __init__(
        self,
        performers: Performers,
        claims: ClaimStore,
        log: Log,
        finisher: Finisher,
        clock: Clock,
        topics: TopicNames,
        metrics: Metrics,
        owner: str,
        settings: InvokerSettings | None = None,
    ) -> None:
        self._performers = performers
        self._claims = claims
        self._log = log
        self._finisher = finisher
        self._clock = clock
        self._topics = topics
        self._metrics = metrics
        self._owner = owner
        self._settings = settings or InvokerSettings()
        self._handled = 0
        self._calling: dict[str, Job] = {}
        self._owners: set[str] = set()
        self._room = asyncio.Event()
        self._room.set()
        self._claiming = 0
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle(self, records: Sequence[Record], done: Done) -> None:
        """Begin all requests of the batch; returns when each is claimed and under way, parked or known to be done.

        After `stop` it returns at once: what was not begun is not done, and will be delivered again.
        """
        pending = await self._read(records, done)
        while pending and await self._has_room():
            free = self._free
            pending = [*await self._claim(pending[:free]), *pending[free:]]

    def stop(self) -> None:
        """Begin no more calls."""
        self._stopping = True
        self._room.set()

    async def renew(self) -> None:
        """Renew the leases of calls that take long. A call whose lease is lost goes on, but is never reported."""
        now = self._clock.now()
        soon = now + int(self._settings.lease_seconds * 1000 * 2 / 3)
        aging = [(job, job.claim) for job in self._calling.values() if job.claim and job.claim.until <= soon]
        if not aging:
            return
        renewed = [replace(claim, until=self._lease_end()) for _, claim in aging]
        answers = await self._claims.save([(new, claim) for new, (_, claim) in zip(renewed, aging, strict=True)])
        for (job, claim), new, kept in zip(aging, renewed, answers, strict=True):
            if kept and job.claim is claim:
                job.claim = new
        refused = [(job, claim) for (job, claim), kept in zip(aging, answers, strict=True) if not kept]
        if refused:
            await self._adopt(refused)

    async def _adopt(self, refused: Sequence[tuple[Job, Claim]]) -> None:
        """A refused renewal is no verdict: an earlier one, whose outcome we never learned, may have been ours."""
        held = await self._claims.load([claim.id for _, claim in refused])
        for job, claim in refused:
            found = held.get(claim.id)
            if found is not None and found.owner == claim.owner and found.state != "DONE" and job.claim is claim:
                job.claim = found

    async def drain(self, seconds: float) -> None:
        """Wait for calls in flight and their results, at most that long; what is still out keeps its claim."""
        try:
            async with asyncio.timeout(seconds):
                while self._calling:
                    await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                await self._finisher.drained()
        except TimeoutError:
            _log.warning("calls still out at the end of the drain", calls=len(self._calling))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self, records: Sequence[Record], done: Done) -> list[Job]:
        jobs: list[Job] = []
        letters: list[tuple[Record, Message]] = []
        for record in records:
            try:
                jobs.append(Job(decode_request(record), record, done))
            except UndecodableMessageError as error:
                self._metrics.dead_letter(record.topic, "undecodable")
                _log.error("record dead-lettered", topic=record.topic, offset=record.offset, error=str(error))
                letters.append((record, dead_letter(record, error, GROUP, self._clock.now())))
        if letters:
            await self._log.publish([letter for _, letter in letters])
            for record, _ in letters:
                done(record)
        return jobs

    @property
    def _free(self) -> int:
        return self._settings.max_in_flight - len(self._calling) - self._claiming

    async def _has_room(self) -> bool:
        """Wait for room for another call; False when no more calls may begin."""
        while not self._stopping and self._free <= 0:
            self._room.clear()
            await self._room.wait()
        return not self._stopping

    async def _claim(self, jobs: Sequence[Job]) -> list[Job]:
        """Look at the jobs' claims and act on them; the jobs whose claim somebody changed in between."""
        self._claiming += len(jobs)
        try:
            return await self._claim_with_room(jobs)
        finally:
            self._claiming -= len(jobs)
            self._room.set()

    async def _claim_with_room(self, jobs: Sequence[Job]) -> list[Job]:
        known = await self._claims.load([job.request.id for job in jobs])
        now = self._clock.now()
        wanted: list[tuple[Job, Claim, Claim | None, bool]] = []
        parked: list[tuple[Job, int]] = []
        for job in jobs:
            claim = known.get(job.request.id)
            if claim is not None and claim.state == "DONE":
                job.result = Message(self._topics.node_results, job.request.run_id, claim.result)
                self._finisher.take(job)
            elif claim is not None and claim.until > now and not self._may_take_over(claim):
                parked.append((job, claim.until - now))
            else:
                # judged now: while the claim is being written, an older handling of ours may end and be forgotten
                was_sent = claim is not None and claim.state == "SENT" and not self._left_behind(claim)
                wanted.append((job, self._new_claim(job.request, claim), claim, was_sent))
        answers = await self._write([(new, before) for _, new, before, _ in wanted])
        for job, milliseconds in parked:
            self._start(self._park(job, milliseconds))
        lost = []
        for (job, new, _, was_sent), won in zip(wanted, answers, strict=True):
            if won:
                job.claim = new
                self._begin(job, was_sent)
            else:
                lost.append(job)
        return lost

    async def _write(self, writes: Sequence[tuple[Claim, Claim | None]]) -> list[bool]:
        """Save claims. While that is under way their owners count as at work: a twin of a request in this process must
        not take a claim for left behind whose handling is about to begin."""
        owners = {new.owner for new, _ in writes}
        self._owners |= owners
        try:
            answers = await self._claims.save(writes) if writes else []
        except BaseException:
            self._owners -= owners
            raise
        self._owners -= {new.owner for (new, _), won in zip(writes, answers, strict=True) if not won}
        return answers

    def _new_claim(self, request: InvokeNode, before: Claim | None) -> Claim:
        self._handled += 1
        fence = before.fence + 1 if before else 1
        state: Literal["CLAIMED", "SENT"] = "SENT" if request.delivery == "at_most_once" else "CLAIMED"
        return Claim(request.id, f"{self._owner}/{self._handled}", fence, self._lease_end(), state)

    def _may_take_over(self, claim: Claim) -> bool:
        """Whether a live claim need not be waited for, since its owner makes no call."""
        return self._left_behind(claim) or (self._settings.alone and not self._is_ours(claim))

    def _left_behind(self, claim: Claim) -> bool:
        """Whether a claim is our own, from a write whose outcome we never learned: no call was made under it."""
        return self._is_ours(claim) and claim.owner not in self._owners

    def _is_ours(self, claim: Claim) -> bool:
        return claim.owner.startswith(f"{self._owner}/")

    def _begin(self, job: Job, was_sent: bool) -> None:
        """Make the call of a claimed job in a task of its own. Calls are known by their owner's name, not by their
        request: one process may call an attempt again while its first call, whose lease was lost, is still out."""
        assert job.claim is not None
        owner = job.claim.owner
        job.done = self._forgetting(owner, job.done)
        self._calling[owner] = job
        self._start(self._call(job, owner, was_sent))

    async def _call(self, job: Job, owner: str, was_sent: bool) -> None:
        """Make the call of a claimed job and hand its result to the finisher. An attempt that may have been sent under
        an older claim, and is to be sent at most once, is not sent again."""
        began = self._clock.monotonic()
        try:
            if was_sent:
                performance = _unknown()
            else:
                performance = await self._performers.perform(job.request)
        except Exception as error:
            _log.error("action failed by a bug", request=job.request.id, exc_info=error)
            performance = Performance(Failed("invalid", f"The engine could not perform this action: {error!r}"))
        finally:
            del self._calling[owner]
            self._room.set()
        outcome = type(performance.outcome).__name__
        self._metrics.attempt(job.request.type, outcome, self._clock.monotonic() - began)
        job.result = encode_result(self._report(job.request, performance), self._topics)
        self._finisher.take(job)

    async def _park(self, job: Job, milliseconds: int) -> None:
        """Wait for the lease of another handling to end, then look again."""
        backoff = Backoff()
        await asyncio.sleep(milliseconds / 1000)
        pending = [job]
        while pending and await self._has_room():
            try:
                pending = await self._claim(pending)
            except UnavailableError:
                await asyncio.sleep(backoff.next())

    def _forgetting(self, owner: str, done: Done) -> Done:
        """`done`, which also lets go of the owner's name under which the job was handled."""

        def finish(record: Record) -> None:
            self._owners.discard(owner)
            done(record)

        return finish

    def _report(self, request: InvokeNode, performance: Performance) -> ReportAttempt:
        return ReportAttempt(
            run_id=request.run_id, at=self._clock.now(), node=request.node, node_run_id=request.node_run_id,
            attempt=request.attempt, outcome=performance.outcome, logs=performance.logs,
        )  # fmt: skip

    def _lease_end(self) -> int:
        return self._clock.now() + int(self._settings.lease_seconds * 1000)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _unknown() -> Performance:
    message = (
        "Another process began this attempt and did not report; whether the receiver was reached is unknown, "
        "and delivery is at most once. Look at the receiver, then run the workflow again."
    )
    return Performance(Failed("unknown-outcome", message))
