"""Limits on calls in flight to one place, first come, first served."""

import asyncio
from collections import deque
from contextlib import suppress


class _Gate:
    __slots__ = ("busy", "queue")

    def __init__(self) -> None:
        self.busy = 0
        self.queue: deque[asyncio.Future[None]] = deque()


class Gates:
    """At most `limit` holders per key. A place that becomes free is handed to whoever waits longest, never snatched."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._gates: dict[str, _Gate] = {}

    async def enter(self, key: str) -> None:
        """Wait for a place at `key`. Whoever is cancelled while waiting holds none."""
        gate = self._gates.get(key)
        if gate is None:
            gate = self._gates[key] = _Gate()
        if gate.busy < self._limit:
            gate.busy += 1
            return
        place = asyncio.get_running_loop().create_future()
        gate.queue.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                with suppress(ValueError):  # leave() may have dropped it already
                    gate.queue.remove(place)
            else:  # handed over in the very moment of the cancellation
                self.leave(key)
            raise

    def leave(self, key: str) -> None:
        """Give the place at `key` back."""
        gate = self._gates[key]
        while gate.queue:
            place = gate.queue.popleft()
            if not place.done():
                place.set_result(None)
                return
        gate.busy -= 1
        if not gate.busy:
            del self._gates[key]

    def held(self) -> int:
        """How many places are held, all keys together."""
        return sum(gate.busy for gate in self._gates.values())
