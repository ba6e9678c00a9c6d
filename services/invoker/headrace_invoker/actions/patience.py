"""Waiting for a store or a log that does not answer, within one attempt."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from headrace.ports.clock import Clock
from headrace.ports.errors import UnavailableError
from headrace.runtime.backoff import Backoff

WAIT_SECONDS = 30.0

T = TypeVar("T")


async def patiently(call: Callable[[], Awaitable[T]], clock: Clock, seconds: float) -> T:
    """What `call` gives. It must be safe to repeat, and is, for `seconds`, while something does not answer.

    Raises UnavailableError, the last one: the outcome is unknown.
    """
    deadline = clock.monotonic() + seconds
    backoff = Backoff()
    while True:
        try:
            return await call()
        except UnavailableError:
            delay = backoff.next()
            if clock.monotonic() + delay > deadline:
                raise
        await asyncio.sleep(delay)
