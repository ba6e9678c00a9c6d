"""Results are saved, then published, then their records are done; in batches, and never given up.

A result that cannot be saved because the store does not answer waits here: the call behind it is never repeated for
that. A result whose claim somebody else took over in the meantime is dropped: the new owner reports.
"""

import asyncio
from collections.abc import Sequence

import structlog

from headrace.ports.errors import UnavailableError
from headrace.ports.log import Log
from headrace.ports.stores import Claim, ClaimStore
from headrace.runtime.backoff import Backoff
from headrace_invoker.job import Job

_BATCH = 500

_log = structlog.get_logger("headrace.invoker")


class Finisher:
    """Takes jobs with a result and brings them to their end."""

    def __init__(self, claims: ClaimStore, log: Log) -> None:
        self._claims = claims
        self._log = log
        self._waiting: list[Job] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def take(self, job: Job) -> None:
        """A job has its result."""
        self._waiting.append(job)
        self._idle.clear()
        self._wake.set()

    async def run(self) -> None:
        """Finish jobs as they come; runs until cancelled."""
        backoff = Backoff()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batch = self._waiting[:_BATCH]
                try:
                    await self.finish(batch)
                except UnavailableError as error:
                    delay = backoff.next()
                    _log.warning("results wait for the store or the log", error=str(error), delay_seconds=delay)
                    await asyncio.sleep(delay)
                else:
                    backoff.reset()
                    del self._waiting[: len(batch)]
            self._idle.set()

    async def drained(self) -> None:
        """Returns when no result is waiting."""
        await self._idle.wait()

    async def finish(self, jobs: Sequence[Job]) -> None:
        """Save the results with their claims, publish those we may speak for, finish the records."""
        fenced: set[int] = set()
        open_jobs = [job for job in jobs if job.claim is not None and job.claim.state != "DONE"]
        while open_jobs:
            open_jobs = await self._save(open_jobs, fenced)
        await self._log.publish([job.result for job in jobs if job.result and id(job) not in fenced])
        for job in jobs:
            job.done(job.record)

    async def _save(self, jobs: Sequence[Job], fenced: set[int]) -> list[Job]:
        """Write the jobs' claims as DONE; those to be tried again because their own lease was renewed meanwhile."""
        writes = []
        for job in jobs:
            held = job.claim
            assert held is not None
            result = job.result.value if job.result else None
            writes.append((Claim(held.id, held.owner, held.fence, held.until, "DONE", result), held))
        answers = await self._claims.save(writes)
        refused = []
        for job, (new, _), saved in zip(jobs, writes, answers, strict=True):
            if saved:
                job.claim = new
            else:
                refused.append(job)
        return await self._look_again(refused, fenced) if refused else []

    async def _look_again(self, jobs: Sequence[Job], fenced: set[int]) -> list[Job]:
        """A refused save is no verdict: read what the store holds, and know whose it is by the owner's name."""
        held = await self._claims.load([job.request.id for job in jobs])
        again = []
        for job in jobs:
            claim = held.get(job.request.id)
            if claim is None or job.claim is None or claim.owner != job.claim.owner:
                fenced.add(id(job))
                continue
            job.claim = claim
            if claim.state != "DONE":
                again.append(job)
        return again
