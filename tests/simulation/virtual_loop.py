"""An asyncio loop whose time is virtual: sleeping costs nothing, and the same seed gives the same interleaving."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class StuckError(Exception):
    """Every task waits for something that nobody will do."""


class _Selector(selectors.SelectSelector):
    """Instead of waiting for the world, lets the loop's clock jump to the next timer."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise StuckError("no task can go on and no timer is set")
        if timeout > 0:
            self.loop.jump(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs one simulation. `time()` begins at 0 and moves only when nothing else can happen."""

    def __init__(self) -> None:
        selector = _Selector()
        selector.loop = self
        self._virtual_now = 0.0
        super().__init__(selector)

    def time(self) -> float:
        return self._virtual_now

    def jump(self, seconds: float) -> None:
        self._virtual_now += seconds


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end on a fresh virtual loop."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        if pending:
            loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.close()
