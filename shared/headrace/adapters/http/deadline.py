"""A time limit for the code inside a `with` block."""

import asyncio
from types import TracebackType
from typing import Self


class Deadline:
    """Cancels what the block awaits when `seconds` have passed, and raises TimeoutError from the block then.

    It behaves as `asyncio.timeout` does, cancellation from outside included, but is no async context manager: those two
    coroutines cost every call more than the timer itself.
    """

    __slots__ = ("_cancels_before", "_handle", "_passed", "_seconds", "_task")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._passed = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None, "a deadline needs a task to cancel"
        self._task = task
        self._cancels_before = task.cancelling()
        self._handle = asyncio.get_running_loop().call_later(self._seconds, self._expire)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.cancel()
        if not self._passed:
            return
        # More cancellations than ours: somebody outside wants the task gone, and that goes first.
        outside = self._task.uncancel() > self._cancels_before
        if isinstance(error, asyncio.CancelledError) and not outside:
            raise TimeoutError from error

    def _expire(self) -> None:
        self._passed = True
        self._task.cancel()
