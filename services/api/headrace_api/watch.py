"""Waiting for runs to change: by the log's run events where the log can be followed, else by asking the store.

A wake-up call says only "look again"; what is true is in the store. So a lost call costs time, never correctness.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog

from headrace.ports.errors import UnavailableError
from headrace.ports.log import Log

_FETCH_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Following:
    """One who waits for changes of one run."""

    def __init__(self, poll_seconds: float | None) -> None:
        self._poll_seconds = poll_seconds
        self._event = asyncio.Event()

    @property
    def is_signalled(self) -> bool:
        """Whether changes wake; else `changed` returns after the time between two polls at the latest."""
        return self._poll_seconds is None

    def wake(self) -> None:
        self._event.set()

    async def changed(self, wait_seconds: float) -> bool:
        """Wait until the run may have changed, at most so long. True: worth a look at the store."""
        polling = self._poll_seconds is not None and self._poll_seconds < wait_seconds
        span = self._poll_seconds if polling else wait_seconds
        with suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), span)
            self._event.clear()
            return True
        return polling


class RunWatch:
    """Wakes those who follow runs. One reader of the log serves all of them, from the first follower on."""

    def __init__(self, log: Log, topic: str, poll_seconds: float) -> None:
        self._tail_of: Any = getattr(log, "tail", None)
        self._topic = topic
        self._poll_seconds = poll_seconds
        self._followers: dict[str, set[Following]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self.closed = False

    @asynccontextmanager
    async def following(self, run_id: str) -> AsyncIterator[Following]:
        """From here on no change of the run goes unnoticed."""
        followed = await self._open()
        follower = Following(None if followed else self._poll_seconds)
        self._followers.setdefault(run_id, set()).add(follower)
        try:
            yield follower
        finally:
            followers = self._followers[run_id]
            followers.discard(follower)
            if not followers:
                del self._followers[run_id]

    def follows(self, run_id: str) -> bool:
        """Whether anybody waits for changes of this run."""
        return run_id in self._followers

    def stop(self) -> None:
        """Wake everybody for the last time; streams end when they see `closed`."""
        self.closed = True
        for followers in self._followers.values():
            for follower in followers:
                follower.wake()

    async def close(self) -> None:
        self.stop()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])

    async def _open(self) -> bool:
        """Start reading the log if that is possible; whether it is."""
        if self._tail_of is None:
            return False
        async with self._opening:
            if not self.closed and (self._reader is None or self._reader.done()):
                tail = await self._tail_of([self._topic])
                self._reader = asyncio.create_task(self._read(tail), name="api run watch")
        return True

    async def _read(self, tail: Any) -> None:
        """Until the log fails: then the next follower opens it again, and those there are fall back on rechecks."""
        try:
            while True:
                for run_id in {record.key for record in await tail.fetch(_FETCH_SECONDS)}:
                    for follower in self._followers.get(run_id, ()):
                        follower.wake()
        except UnavailableError as error:
            log.warning("Following the run events failed", error=str(error))
        finally:
            await tail.close()
