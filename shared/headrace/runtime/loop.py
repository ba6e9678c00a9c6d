"""The batch loop: fetch, handle, commit. Every service that reads the log is one of these around a handler.

Theory of operation. The loop fetches whatever is there, up to a limit, so batches are of one record when the house is
quiet and grow by themselves when it is busy. It hands the batch to the handler together with `done`, which the
handler calls for each record once its work is finished *for good*: saved, published, acknowledged. Offsets are
committed on a timer, never per batch: redelivery is harmless by construction, commits are not free.

What goes wrong is classed by what the loop does next:

* UnavailableError (a store or the log does not answer, or its answer is unknown): keep the batch, back off, hand the
  whole batch over again. The handler recognises what was already done.
* A record that cannot be understood is the handler's to dead-letter; the loop never sees it.
* Anything else is a bug: the loop ends with it and its supervisor restarts the process. Nothing is committed that was
  not done.

When partitions are revoked, the handler may bring what it has begun of them to its end; then what is done is committed,
and their offsets are forgotten.

Handlers whose messages or calls must not be those of a zombie ask `is_fresh` right before each of them, and remember
`revocations` from when they began: a batch that outlived a revoke may be in somebody else's hands already.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from headrace.ports.errors import UnavailableError
from headrace.ports.log import Consumer, Log, Record, RevokeListener, TopicPartition
from headrace.runtime.backoff import Backoff
from headrace.runtime.offsets import OffsetTracker

Done = Callable[[Record], None]
Handler = Callable[[Sequence[Record], Done], Awaitable[None]]

_log = structlog.get_logger("headrace.loop")


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """`max_records` per batch; waits and intervals in seconds."""

    max_records: int = 1_000
    fetch_wait_seconds: float = 0.25
    commit_interval_seconds: float = 0.25


class BatchLoop:
    """Reads topics as a member of a group and hands batches to a handler until told to stop."""

    def __init__(
        self,
        log: Log,
        group: str,
        topics: Sequence[str],
        handler: Handler,
        settings: LoopSettings | None = None,
        on_revoke: RevokeListener | None = None,
    ) -> None:
        self._log = log
        self._group = group
        self._topics = tuple(topics)
        self._handler = handler
        self._settings = settings or LoopSettings()
        self._on_revoke = on_revoke
        self._offsets = OffsetTracker()
        self._consumer: Consumer | None = None
        self._stopping = False
        self._ended = asyncio.Event()
        self._commits_fail = False
        self.revocations = 0
        """How many times partitions were taken from us, counted from the moment we hear of it."""

    def is_fresh(self) -> bool:
        """Whether nobody else can hold our partitions yet (Consumer.is_fresh). False before `run`."""
        return self._consumer is not None and self._consumer.is_fresh()

    async def run(self) -> None:
        """Work until `stop`. Raises what the handler raises, UnavailableError excepted."""
        self._consumer = await self._log.subscribe(self._group, self._topics, self._revoked)
        committer = asyncio.create_task(self._commit_on_timer(), name=f"{self._group}:commit")
        try:
            backoff = Backoff()
            while not self._stopping:
                try:
                    records = await self._consumer.fetch(self._settings.max_records, self._settings.fetch_wait_seconds)
                except UnavailableError as error:
                    await self._back_off(backoff, error)
                    continue
                backoff.reset()
                if records:
                    self._offsets.add(records)
                    await self._handle(records)
        finally:
            committer.cancel()
            await asyncio.gather(committer, return_exceptions=True)
            self._ended.set()

    async def stop(self) -> None:
        """Fetch no more; returns when the batch in hand is handled, or given up because a store does not answer."""
        self._stopping = True
        if self._consumer is not None:
            await self._ended.wait()

    async def close(self) -> None:
        """Commit what is done and leave the group."""
        if self._consumer is not None:
            await self.commit()
            await self._consumer.close()

    async def commit(self, partitions: frozenset[TopicPartition] | None = None) -> None:
        """Commit what is done; an unavailable log is left for the next time, since commits only save work."""
        assert self._consumer is not None
        for epoch, offsets in self._offsets.to_commit(partitions).items():
            try:
                await self._consumer.commit(offsets, epoch)
            except UnavailableError as error:
                # said when it begins and when it ends, since in an outage every turn of the timer fails
                if not self._commits_fail:
                    _log.warning("offsets not committed, trying on", group=self._group, error=str(error))
                self._commits_fail = True
            else:
                self._offsets.mark_committed(epoch, offsets)
                if self._commits_fail:
                    _log.info("offsets committed again", group=self._group)
                self._commits_fail = False

    @property
    def unfinished(self) -> int:
        """Records delivered whose work is not finished."""
        return self._offsets.unfinished

    async def _handle(self, records: Sequence[Record]) -> None:
        backoff = Backoff()
        while not self._stopping:
            try:
                await self._handler(records, self._offsets.done)
            except UnavailableError as error:
                await self._back_off(backoff, error)
            else:
                return

    async def _back_off(self, backoff: Backoff, error: UnavailableError) -> None:
        delay = backoff.next()
        _log.warning("waiting for the log or a store", group=self._group, error=str(error), delay_seconds=delay)
        await asyncio.sleep(delay)

    async def _commit_on_timer(self) -> None:
        while True:
            await asyncio.sleep(self._settings.commit_interval_seconds)
            await self.commit()

    async def _revoked(self, partitions: frozenset[TopicPartition]) -> None:
        self.revocations += 1
        if self._on_revoke is not None:
            await self._on_revoke(partitions)
        await self.commit(partitions)
        self._offsets.forget(partitions)
