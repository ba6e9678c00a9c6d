"""The slow path: what somebody else may have begun is not called before its claim says so.

* no claim: write one, then call;
* DONE: the call was made and its result is kept; publish it again;
* live claim of somebody else: park until its lease ends, then look again;
* expired claim: take it over with a higher fence and call again. With `delivery: at_most_once` the outcome is reported
  as unknown instead, unless the receiver can be asked what became of the attempt (`Performers.asks`).

Claims are written by compare-and-set, in batches, and only when there is room to make their calls at once, so that no
lease runs while its request waits. A claim in our own name under which nothing is in hand is one that we wrote without
learning of it (or shortly before our partitions left): no call was made under it, so it is ours to take again.
"""

import asyncio
from collections.abc import Sequence

import structlog

from headrace.contracts.envelope import trace_headers
from headrace.ports.errors import UnavailableError
from headrace.ports.log import Message
from headrace.ports.stores import Claim, ClaimState
from headrace.runtime.backoff import Backoff
from headrace_invoker.calls import Calls
from headrace_invoker.finisher import STALE_SECONDS, Finisher
from headrace_invoker.job import Job
from headrace_invoker.room import Room
from headrace_invoker.settings import Surroundings

_log = structlog.get_logger("headrace.invoker")


class Claiming:
    """Looks at the claims of jobs, and acts on what it finds."""

    def __init__(self, around: Surroundings, calls: Calls, finisher: Finisher, room: Room) -> None:
        self._around = around
        self._calls = calls
        self._finisher = finisher
        self._room = room
        self._parked: set[asyncio.Task[None]] = set()

    async def settle(self, jobs: Sequence[Job]) -> None:
        """Bring every job under way: called, reported or parked. Returns early only when no more calls may begin.

        A store that does not answer is waited for. A process that may be a zombie claims nothing, and waits.
        """
        backoff = Backoff()
        pending = list(jobs)
        while pending and await self._room.wait():
            pending = [job for job in pending if not job.has_left]  # asked after every wait
            if not self._around.is_fresh():
                await asyncio.sleep(STALE_SECONDS)
                continue
            free = self._room.free
            try:
                lost = await self._look(pending[:free])
            except UnavailableError as error:
                delay = backoff.next()
                _log.warning("requests wait for the claim store", error=str(error), delay_seconds=delay)
                await asyncio.sleep(delay)
            else:
                backoff.reset()
                pending = [*lost, *pending[free:]]

    def stop(self) -> None:
        """Wait for no more leases of others."""
        for task in self._parked:
            task.cancel()

    async def _look(self, jobs: Sequence[Job]) -> list[Job]:
        """Look at the jobs' claims and act on them; the jobs whose claim somebody changed in between.

        Raises UnavailableError: nothing is under way, and the jobs are as they were.
        """
        if not jobs:
            return []
        self._room.take(len(jobs))
        for job in jobs:
            job.stage = "claiming"
        unused = len(jobs)
        try:
            known = await self._around.claims.load([job.id for job in jobs])
            now = self._around.clock.now()
            taken = [(job, claim) for job in jobs if (claim := known.get(job.id)) and not self._may_claim(claim, now)]
            held = {job for job, _ in taken}
            wanted = [(job, self._new_claim(job, known.get(job.id))) for job in jobs if job not in held]
            writes = [(new, known.get(new.id)) for _, new in wanted]
            answers = await self._around.claims.save(writes) if writes else []
            unused -= sum(answers)
        finally:
            self._room.give_back(unused)
            for job in jobs:
                job.stage = "waiting"
        for job, claim in taken:
            if not job.has_left:
                self._repeat_or_park(job, claim, now)
        lost = []
        for (job, new), won in zip(wanted, answers, strict=True):
            if won and not job.has_left:
                job.claim = new
                self._begin(job, known.get(job.id))
            elif won:
                self._room.give_back()
            else:
                lost.append(job)
        return lost

    def _begin(self, job: Job, before: Claim | None) -> None:
        job.doubtful = job.doubtful or (before is not None and before.owner != self._around.owner)
        if self._may_have_been_sent(before) and not self._calls.can_ask(job):
            self._calls.report_unknown(job)
        else:
            self._calls.begin(job)

    def _repeat_or_park(self, job: Job, claim: Claim, now: int) -> None:
        if claim.state == "DONE":
            job.is_recorded = True
            trace = trace_headers(job.request.causation.traceparent)
            result = Message(self._around.topics.node_results, job.request.run_id, claim.result, trace)
            self._finisher.take(job, result)
            return
        task = asyncio.create_task(self._park(job, claim.until - now))
        self._parked.add(task)
        task.add_done_callback(self._parked.discard)

    async def _park(self, job: Job, milliseconds: int) -> None:
        """Wait for the lease of somebody else to end, then look again."""
        await asyncio.sleep(milliseconds / 1000)
        await self.settle([job])

    def _may_claim(self, claim: Claim, now: int) -> bool:
        """Whether a claim that is there need not be waited for."""
        if claim.state == "DONE":
            return False
        return claim.until <= now or self._around.settings.alone or claim.owner == self._around.owner

    def _new_claim(self, job: Job, before: Claim | None) -> Claim:
        state: ClaimState = "SENT" if job.is_eager else "CLAIMED"
        fence = before.fence + 1 if before else 1
        return Claim(job.id, self._around.owner, fence, self._calls.lease_end(), state)

    def _may_have_been_sent(self, claim: Claim | None) -> bool:
        """Whether somebody else may have made a call that must not be repeated."""
        return claim is not None and claim.state == "SENT" and claim.owner != self._around.owner
