"""Long-lived tasks of a service: started together, watched, stopped together."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from headrace.ports.errors import UnavailableError

_log = structlog.get_logger("headrace.tasks")


class Tasks:
    """A set of tasks. When one of them dies of a bug, `failed` is set and the process is to end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.failed: asyncio.Future[BaseException] | None = None
        self._first_error: BaseException | None = None

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` until it ends; its exception becomes the failure of the whole set."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def every(self, seconds: float, work: Callable[[], Awaitable[object]], name: str) -> None:
        """Do `work` again and again with a pause; a store or log that does not answer is tried again next time."""
        self.start(_repeat(seconds, work, name), name)

    async def stop(self) -> None:
        """Cancel what still runs and wait for it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def failure(self) -> asyncio.Future[BaseException]:
        """A future that gets the first exception of any task, also of one that died before anybody asked."""
        if self.failed is None:
            self.failed = asyncio.get_running_loop().create_future()
            if self._first_error is not None:
                self.failed.set_result(self._first_error)
        return self.failed

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        error = task.exception()
        assert error is not None
        _log.error("task died", task=task.get_name(), exc_info=error)
        if self._first_error is None:
            self._first_error = error
        if self.failed is not None and not self.failed.done():
            self.failed.set_result(error)


async def _repeat(seconds: float, work: Callable[[], Awaitable[object]], name: str) -> None:
    while True:
        try:
            await work()
        except UnavailableError as error:
            _log.warning("trying again later", task=name, error=str(error))
        await asyncio.sleep(seconds)
