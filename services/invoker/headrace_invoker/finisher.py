"""From a result to finished records: published, and recorded with its attempt as DONE; in batches, never given up.

Usually the result is published at once and recorded within a moment, together with others. It is recorded first

* with `delivery: at_most_once`, whose outcome must be known before anybody acts on it;
* while the log does not answer, so that a result that cannot leave is not lost with this process;
* while this process may be a zombie (no fresh heartbeat): then it publishes nothing, and whoever has its partitions now
  finds the DONE instead of a claim to wait for, and publishes the result itself.

Records are done when both have happened. The call behind a result is never repeated because one of them failed.
"""

import asyncio

import structlog

from headrace.ports.errors import UnavailableError
from headrace.ports.log import Message
from headrace.ports.stores import Claim
from headrace.runtime.backoff import Backoff
from headrace_invoker.job import Job
from headrace_invoker.memory import Memory
from headrace_invoker.room import Room
from headrace_invoker.settings import Surroundings

_BATCH = 500
STALE_SECONDS = 0.05
"""How long to wait before asking again whether the heartbeat is fresh."""

_log = structlog.get_logger("headrace.invoker")


class Finisher:
    """Takes jobs with a result and brings them to their end. Two tasks do the work: `publish` and `record`."""

    def __init__(self, around: Surroundings, memory: Memory, room: Room) -> None:
        self._around = around
        self._memory = memory
        self._room = room
        self._unpublished: list[Job] = []
        self._unrecorded: list[Job] = []
        self._something_to_publish = asyncio.Event()
        self._something_to_record = asyncio.Event()

    def take(self, job: Job, result: Message) -> None:
        """A job has its result."""
        job.stage = "reporting"
        job.result = result
        self._room.result_waits()
        if job.is_recorded or not job.is_eager:
            self._publish_soon(job)
        else:
            self._record_soon(job)

    async def publish(self) -> None:
        """Publish results as they come; runs until cancelled."""
        backoff = Backoff()
        while True:
            await self._something_to_publish.wait()
            if not self._around.is_fresh():
                self._record_first()
                await asyncio.sleep(STALE_SECONDS)
                continue
            batch = self._unpublished[:_BATCH]
            try:
                await self._around.log.publish([job.result for job in batch if job.result is not None])
            except UnavailableError as error:
                self._record_first()
                await _wait("results wait for the log", error, backoff)
                continue
            backoff.reset()
            del self._unpublished[: len(batch)]
            if not self._unpublished:
                self._something_to_publish.clear()
            for job in batch:
                job.is_published = True
                if job.is_recorded:
                    self._finish(job)
                else:
                    self._record_soon(job)

    async def record(self) -> None:
        """Record results a moment after they came, with all that came meanwhile; runs until cancelled."""
        backoff = Backoff()
        while True:
            await self._something_to_record.wait()
            if len(self._unrecorded) < _BATCH:
                await asyncio.sleep(self._around.settings.gather_seconds)
            batch = self._unrecorded[:_BATCH]
            now = self._around.clock.now()
            try:
                await self._around.claims.record([_done(job, self._around.owner, now) for job in batch])
            except UnavailableError as error:
                await _wait("results wait for the claim store", error, backoff)
                continue
            backoff.reset()
            del self._unrecorded[: len(batch)]
            if not self._unrecorded:
                self._something_to_record.clear()
            for job in batch:
                job.is_recorded = True
                if job.is_published:
                    self._finish(job)
                else:
                    self._publish_soon(job)

    def _publish_soon(self, job: Job) -> None:
        self._unpublished.append(job)
        self._something_to_publish.set()

    def _record_soon(self, job: Job) -> None:
        self._unrecorded.append(job)
        self._something_to_record.set()

    def _record_first(self) -> None:
        """What cannot be published now is recorded meanwhile."""
        for job in self._unpublished:
            if not job.is_recorded:
                self._record_soon(job)
        self._unpublished = [job for job in self._unpublished if job.is_recorded]
        if not self._unpublished:
            self._something_to_publish.clear()

    def _finish(self, job: Job) -> None:
        self._memory.finish(job)
        self._room.result_finished()


def _done(job: Job, owner: str, now: int) -> Claim:
    """The last word on a job's attempt."""
    assert job.result is not None
    return Claim(job.request.id, owner, 1 if job.claim is None else job.claim.fence, now, "DONE", job.result.value)


async def _wait(what: str, error: UnavailableError, backoff: Backoff) -> None:
    delay = backoff.next()
    _log.warning(what, error=str(error), delay_seconds=delay)
    await asyncio.sleep(delay)
