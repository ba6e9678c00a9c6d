"""A process of the simulation: a service on ports that are slow, may hang, and stop for ever when it is killed."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from headrace.adapters.embedded.groups import EmbeddedConsumer
from headrace.adapters.embedded.log import EmbeddedLog
from headrace.adapters.embedded.readers import EmbeddedTail
from headrace.ports.errors import UnavailableError
from headrace.ports.log import Message, Record, RevokeListener, TopicPartition

T = TypeVar("T")


class Process:
    """What a killed, paused or healthy process can do to the world. Every port call goes through `hop`."""

    def __init__(self, name: str, chance: random.Random) -> None:
        self.name = name
        self.chance = chance
        self.dead = False
        self.evicted = False
        self.paused_until = 0.0
        self.tasks: set[asyncio.Task[Any]] = set()
        self.consumers: list[EmbeddedConsumer] = []

    async def hop(self) -> None:
        """A crash, pause and interleaving point."""
        draw = self.chance.random()
        await asyncio.sleep(draw * 0.004 if draw < 0.97 else draw * 0.4)
        loop = asyncio.get_running_loop()
        while self.paused_until > loop.time():
            await asyncio.sleep(self.paused_until - loop.time())
        if self.dead:
            raise asyncio.CancelledError("this process was killed")

    async def do(self, work: Callable[[], Awaitable[T]]) -> T:
        """One port call: the process may die before it takes effect, or before it learns of it."""
        await self.hop()
        answer = await work()
        await self.hop()
        return answer

    async def kill(self) -> None:
        """kill -9: nothing more takes effect, and its partitions go to others."""
        self.dead = True
        for consumer in self.consumers:
            await consumer.abandon()
        for task in list(self.tasks):
            task.cancel()

    async def pause(self, seconds: float) -> None:
        """SIGSTOP for longer than the session time-out: others take its partitions, then it wakes up as a zombie."""
        self.paused_until = asyncio.get_running_loop().time() + seconds
        self.evicted = True
        for consumer in self.consumers:
            await consumer.abandon()


class ProcessPort:
    """Any port, reached from a process: every coroutine of it becomes a `Process.do`."""

    def __init__(self, process: Process, port: object) -> None:
        self._process = process
        self._port = port

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._port, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._process.do(lambda: verb(*args, **kwargs))

        return call


class ProcessLog:
    """The log as a process sees it: publishing may fail half-way, append twice, or fail after it took effect."""

    def __init__(self, process: Process, log: EmbeddedLog) -> None:
        self._process = process
        self._log = log

    async def publish(self, messages: Sequence[Message]) -> None:
        await self._process.hop()
        chance = self._process.chance
        if chance.random() < 0.02:
            await self._log.publish(messages[: chance.randrange(len(messages) + 1)])
            raise UnavailableError("the broker did not answer")
        for message in messages:
            await self._log.publish([message] * (2 if chance.random() < 0.05 else 1))
        await self._process.hop()

    async def subscribe(
        self, group: str, topics: Sequence[str], on_revoke: RevokeListener | None = None
    ) -> "ProcessConsumer":
        await self._process.hop()

        async def revoked(partitions: frozenset[TopicPartition]) -> None:
            """The broker does not wait for a member that was killed while it was asked."""
            try:
                if on_revoke is not None:
                    await on_revoke(partitions)
            except asyncio.CancelledError:
                if not self._process.dead:
                    raise

        consumer = await self._log.subscribe(group, topics, revoked)
        self._process.consumers.append(consumer)
        return ProcessConsumer(self._process, consumer)

    async def tail(self, topics: Sequence[str]) -> EmbeddedTail:
        return await self._log.tail(topics)

    async def lag(self, group: str) -> dict[TopicPartition, int]:
        return await self._log.lag(group)

    async def close(self) -> None: ...


class ProcessConsumer:
    """A member as its process sees it. One that was thrown out of its group learns it at its next fetch, and ends."""

    def __init__(self, process: Process, consumer: EmbeddedConsumer) -> None:
        self._process = process
        self._consumer = consumer

    async def fetch(self, max_records: int, wait_seconds: float) -> list[Record]:
        await self._process.hop()
        if self._process.evicted:
            await self._process.kill()
            raise asyncio.CancelledError("thrown out of the group")
        size = self._process.chance.choice((1, 3, max_records))
        return await self._consumer.fetch(size, wait_seconds)

    async def commit(self, offsets: Mapping[TopicPartition, int], epoch: int) -> None:
        await self._process.hop()
        await self._consumer.commit(offsets, epoch)

    def pause(self, partitions: frozenset[TopicPartition]) -> None:
        self._consumer.pause(partitions)

    def resume(self, partitions: frozenset[TopicPartition]) -> None:
        self._consumer.resume(partitions)

    def is_fresh(self) -> bool:
        return not self._process.evicted and self._consumer.is_fresh()

    async def close(self) -> None:
        await self._consumer.close()
