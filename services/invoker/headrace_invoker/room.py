"""Room for calls: how many may be out, and how many results may wait, before no more requests are begun."""

import asyncio


class Room:
    """Counts calls that are out or about to be, and results that are not stored or not published yet."""

    def __init__(self, calls: int, unfinished: int) -> None:
        self._calls = calls
        self._unfinished = unfinished
        self._out = 0
        self._results = 0
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def free(self) -> int:
        """How many calls may begin now; never below 0. Every call that is out has a place for its result."""
        if self._closed:
            return 0
        return max(0, min(self._calls - self._out, self._unfinished - self._out - self._results))

    @property
    def is_closed(self) -> bool:
        return self._closed

    async def wait(self) -> bool:
        """Wait until a call may begin; False when none may begin any more."""
        while not self.free and not self._closed:
            self._changed.clear()
            await self._changed.wait()
        return not self._closed

    def close(self) -> None:
        """No more calls begin."""
        self._closed = True
        self._changed.set()

    def take(self, calls: int = 1) -> None:
        """These calls are about to begin."""
        self._out += calls

    def give_back(self, calls: int = 1) -> None:
        """These calls are over, or did not begin."""
        self._out -= calls
        self._changed.set()

    def result_waits(self) -> None:
        self._results += 1

    def result_finished(self) -> None:
        self._results -= 1
        self._changed.set()
