"""The calls that are out: begun with a fresh heartbeat only, each in its own task, with a lease when they take long.

A call that is not claimed yet, and is out for longer than a moment, gets a claim in the next background write: should
this process lose its partitions meanwhile, their new owner waits for the result and does not call. Leases are renewed
while calls are out. Neither is waited for: a lease that could not be written costs a repeated call at worst, and only
after a change of owner.
"""

import asyncio

import structlog
from structlog.contextvars import bind_contextvars

from headrace.contracts.codec import encode_result
from headrace.contracts.envelope import trace_fields
from headrace.core.commands import Failed, InvokeNode, ReportAttempt
from headrace.ports.log import Message
from headrace.ports.stores import Claim, ClaimState
from headrace_invoker.finisher import STALE_SECONDS, Finisher
from headrace_invoker.job import Job
from headrace_invoker.performance import Performance, Performers
from headrace_invoker.room import Room
from headrace_invoker.settings import Surroundings

_log = structlog.get_logger("headrace.invoker")


class Calls:
    """Makes calls and hands their results to the finisher."""

    def __init__(self, around: Surroundings, performers: Performers, finisher: Finisher, room: Room) -> None:
        self._around = around
        self._performers = performers
        self._finisher = finisher
        self._room = room
        self._out: dict[Job, asyncio.Task[None]] = {}

    def begin(self, job: Job) -> None:
        """Make the job's call in a task of its own. Room for it is taken already, and given back when it is over."""
        job.stage = "calling"
        self._out[job] = asyncio.create_task(self._call(job))

    def report_unknown(self, job: Job) -> None:
        """The job's attempt may have been made by somebody who did not report, and must not be repeated."""
        self._room.give_back()
        self._report(job, _unknown())

    def can_ask(self, job: Job) -> bool:
        """Whether the job's receiver can be asked what became of an attempt that somebody else may have made."""
        return self._performers.asks(job.request)

    async def tend(self) -> None:
        """Claim the calls that take long, and renew the leases that are a third over. Raises UnavailableError."""
        settings = self._around.settings
        aging = self._around.clock.now() + int(settings.lease_seconds * 1000 * 2 / 3)
        called_before = self._around.clock.monotonic() - settings.claim_after_seconds
        due: list[tuple[Job, int, ClaimState]] = []
        for job in self._out:
            if job.claim is not None:
                if job.claim.until <= aging:
                    due.append((job, job.claim.fence, job.claim.state))
            elif job.called_at is not None and job.called_at <= called_before:
                due.append((job, 1, "CLAIMED"))
        if due:
            until = self.lease_end()
            claims = [Claim(job.id, self._around.owner, fence, until, state) for job, fence, state in due]
            await self._around.claims.record(claims)
            for (job, _, _), claim in zip(due, claims, strict=True):
                job.claim = claim

    def lease_end(self) -> int:
        """The end of a lease that begins now (ms)."""
        return self._around.clock.now() + int(self._around.settings.lease_seconds * 1000)

    async def cancel(self) -> None:
        """Let go of all calls that are out, without a result."""
        tasks = list(self._out.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __len__(self) -> int:
        """How many calls are out."""
        return len(self._out)

    async def _call(self, job: Job) -> None:
        trace = job.request.causation.traceparent
        if trace is not None:  # in every log line of this task, whoever writes it
            bind_contextvars(**trace_fields(trace))
        try:
            # asked right before the call: whatever was read from the log before may be somebody else's by now
            while not job.has_left and not self._around.is_fresh():  # a heartbeat sets no event
                if self._room.is_closed:
                    return
                await asyncio.sleep(STALE_SECONDS)
            if job.has_left:
                return
            job.called_at = began = self._around.clock.monotonic()
            try:
                performance = await self._performers.perform(job.request, job.doubtful)
            except Exception as error:
                _log.error("action failed by a bug", request=job.id, exc_info=error)
                performance = Performance(Failed("invalid", f"The engine could not perform this action: {error!r}"))
        finally:
            del self._out[job]
            self._room.give_back()
        if not job.request.poll:
            outcome = type(performance.outcome).__name__
            self._around.metrics.attempt(job.request.type, outcome, self._around.clock.monotonic() - began)
        self._report(job, performance)

    def _report(self, job: Job, performance: Performance) -> None:
        self._finisher.take(job, self._result(job.request, performance))

    def _result(self, request: InvokeNode, performance: Performance) -> Message:
        report = ReportAttempt(
            run_id=request.run_id, at=self._around.clock.now(), node=request.node, node_run_id=request.node_run_id,
            attempt=request.attempt, outcome=performance.outcome, logs=performance.logs, poll=request.poll,
        )  # fmt: skip
        return encode_result(report, self._around.topics, request.causation.traceparent)


def _unknown() -> Performance:
    message = (
        "Another process began this attempt and did not report; whether the receiver was reached is unknown, "
        "and delivery is at most once. Look at the receiver, then run the workflow again."
    )
    return Performance(Failed("unknown-outcome", message))
