"""Reading the embedded log: positions in partitions, fair fetches, waiting for a signal; and tails, outside groups."""

import asyncio
from collections.abc import Iterable

from headrace.adapters.embedded.partitions import Partition
from headrace.ports.errors import UnavailableError
from headrace.ports.log import Record


class Reader:
    """Reads on in some partitions. Base of consumers and tails; one task fetches at a time."""

    def __init__(self) -> None:
        self._positions: dict[Partition, int] = {}
        self._ends: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._turn = 0
        self._waiter: asyncio.Future[bool] | None = None
        self._closed_because: str | None = None
        self.epoch = 0

    def wake(self) -> None:
        """End the wait of the fetch under way, if there is one: something may have changed."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(True)

    @property
    def closed(self) -> bool:
        return self._closed_because is not None

    def shut(self, reason: str) -> None:
        """Read nothing any more; every fetch, also the one under way, raises UnavailableError."""
        self._closed_because = reason
        self._release()
        self.wake()

    def _hold(self, positions: dict[Partition, int], epoch: int) -> None:
        """Read these partitions from now on, and no others."""
        self._release()
        self._positions = positions
        self._ends = {partition: partition.end for partition in positions}
        self.epoch = epoch
        for partition in positions:
            partition.readers.append(self)
        self.wake()

    def _release(self) -> None:
        for partition in self._positions:
            partition.readers.remove(self)
        self._positions = {}
        self._paused.clear()

    async def _fetch(self, max_records: int, wait_seconds: float) -> list[Record]:
        self._check_open()
        # a turn for everybody else: without it a busy service would never let go of the event loop, because
        # nothing in the embedded adapters waits; and batches gather meanwhile
        await asyncio.sleep(0)
        self._check_open()
        records = self._take(max_records)
        woken = wait_seconds > 0
        deadline = asyncio.get_running_loop().time() + wait_seconds
        while woken and not records:
            woken = await self._wait_until(deadline)
            self._check_open()
            records = self._take(max_records)
        return records

    async def _wait_until(self, deadline: float) -> bool:
        """Whether it was woken before the deadline of the loop's clock."""
        assert self._waiter is None, "one task fetches from a consumer at a time"
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        timer = loop.call_at(deadline, _expire, waiter)
        try:
            woken: bool = await waiter
            return woken
        finally:
            timer.cancel()
            self._waiter = None

    def _check_open(self) -> None:
        if self._closed_because is not None:
            raise UnavailableError(self._closed_because)

    def _take(self, max_records: int) -> list[Record]:
        """Up to `max_records` records: an equal share of each partition that has some, what is left to the first ones.

        Which partitions are first moves on by one with every call, so that none starves.
        """
        ready = [
            partition
            for partition, position in self._positions.items()
            if position < partition.end and partition not in self._paused
        ]
        if not ready:
            return []
        self._turn += 1
        turn = self._turn % len(ready)
        ready = ready[turn:] + ready[:turn]
        records: list[Record] = []
        self._take_from(ready, max(1, max_records // len(ready)), max_records, records)
        if len(records) < max_records:
            self._take_from(ready, max_records, max_records, records)
        return records

    def _take_from(self, partitions: Iterable[Partition], share: int, max_records: int, into: list[Record]) -> None:
        for partition in partitions:
            limit = min(share, max_records - len(into))
            if limit <= 0:
                return
            found = partition.records(self._positions[partition], limit, self.epoch, self._ends[partition])
            if found:
                self._positions[partition] = found[-1].offset + 1
                into += found


def _expire(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)


class EmbeddedTail(Reader):
    """Reads what is published from now on, without a group: for live feeds.

    It misses records when it falls behind by more than the log keeps. Nothing is remembered when it is closed.
    """

    def __init__(self, partitions: Iterable[Partition]) -> None:
        super().__init__()
        self._hold({partition: partition.end for partition in partitions}, epoch=0)

    async def fetch(self, wait_seconds: float, max_records: int = 1_000) -> list[Record]:
        """The next records, each partition in order; empty after `wait_seconds`. Raises UnavailableError."""
        return await self._fetch(max_records, wait_seconds)

    async def close(self) -> None:
        self.shut("the tail is closed")
