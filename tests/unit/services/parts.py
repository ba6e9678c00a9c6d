"""What the tests of the shells share: ports that fail on demand, records, and small workflows."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from headrace.ports.errors import UnavailableError
from headrace.ports.log import Message, Record, TopicPartition
from tests.conformance.samples import ManualClock


class Faulty:
    """A port that raises UnavailableError when told to: before a call takes effect, or after it did.

    `calls` counts the calls by verb; `before` lets a test do something just before a verb takes effect; every call
    lets other tasks run first, as a real store or log would.
    """

    def __init__(self, port: Any) -> None:
        self.port = port
        self.calls: dict[str, int] = defaultdict(int)
        self.before: dict[str, Callable[[], Awaitable[object]]] = {}
        self._failing: dict[str, tuple[int, bool]] = {}

    def fail(self, verb: str, times: int = 1, after: bool = False) -> None:
        """Let the next calls of the verb fail; `after` they took effect, so that the caller cannot know."""
        self._failing[verb] = (times, after)

    def mend(self, verb: str) -> None:
        self._failing.pop(verb, None)

    def __getattr__(self, verb: str) -> Any:
        real = getattr(self.port, verb)
        if not asyncio.iscoroutinefunction(real):
            return real

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[verb] += 1
            await asyncio.sleep(0)
            if verb in self.before:
                await self.before.pop(verb)()
            left, after = self._failing.get(verb, (0, False))
            if left:
                self._failing[verb] = (left - 1, after)
            if left and not after:
                raise UnavailableError(f"{verb}: no answer")
            answer = await real(*args, **kwargs)
            if left:
                raise UnavailableError(f"{verb}: the answer was lost")
            return answer

        return call


def record(message: Message, offset: int = 0, at: int | None = None, partition: int = 0, epoch: int = 1) -> Record:
    """The message as a consumer gets it."""
    timestamp = ManualClock().now() if at is None else at
    source = TopicPartition(message.topic, partition)
    return Record(source, offset, message.key, message.value, message.headers, timestamp, epoch)


async def soon(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    """Let other tasks run until something holds."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.001)
