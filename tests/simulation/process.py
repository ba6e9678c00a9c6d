"""A process of the simulation: a service on ports that are slow, may hang, and stop for ever when it is killed."""

import asyncio
import contextvars
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from headrace.adapters.embedded.groups import EmbeddedConsumer
from headrace.adapters.embedded.log import EmbeddedLog
from headrace.adapters.embedded.readers import EmbeddedTail
from headrace.ports.errors import UnavailableError
from headrace.ports.log import Message, Record, RevokeListener, TopicPartition
from headrace.ports.stores import Claim
from tests.simulation.replicas import ReplicatedClaims

T = TypeVar("T")


class Process:
    """What a killed, paused or healthy process can do to the world. Every port call goes through `hop`."""

    def __init__(self, name: str, chance: random.Random) -> None:
        self.name = name
        self.chance = chance
        self.dead = False
        self.evicted = False
        self.paused_until = 0.0
        self.unheard_until = 0.0
        self.trap: tuple[str, float] | None = None
        self.late: tuple[str, float] | None = None
        self.is_waiting = asyncio.Event()
        """Set when an answer is late: what was asked for took effect, and the process does not know it yet."""
        self.gone = asyncio.Event()
        """Set when the group no longer waits for this process: it was killed, or thrown out."""
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
        self.gone.set()
        for consumer in self.consumers:
            await consumer.abandon()
        for task in list(self.tasks):
            task.cancel()

    async def pause(self, seconds: float) -> None:
        """SIGSTOP for longer than the session time-out: others take its partitions, then it wakes up as a zombie."""
        self.paused_until = asyncio.get_running_loop().time() + seconds
        self.evicted = True
        self.gone.set()
        for consumer in self.consumers:
            await consumer.abandon()

    def set_trap(self, verb: str, seconds: float) -> None:
        """The next time it gets an answer to this verb it is stopped for so long, before it can do anything with it."""
        self.trap = (verb, seconds)

    def delay_answer(self, verb: str, seconds: float) -> None:
        """The next answer to this verb comes so much later. Everything else of the process goes on meanwhile."""
        self.late = (verb, seconds)
        self.is_waiting.clear()

    async def spring(self, verb: str) -> None:
        """What the verb asked for has taken effect, and the answer arrives now, unless it is made late."""
        if self.late is not None and self.late[0] == verb and not self.dead:
            seconds, self.late = self.late[1], None
            self.is_waiting.set()
            await asyncio.sleep(seconds)
            await self.hop()
        if self.trap is not None and self.trap[0] == verb and not self.dead:
            seconds, self.trap = self.trap[1], None
            await self.pause(seconds)
            await self.hop()

    def lose_touch(self, seconds: float) -> None:
        """The broker does not hear of it for a while, too short to be thrown out: it knows that, and goes on later."""
        self.unheard_until = asyncio.get_running_loop().time() + seconds

    def is_fresh(self) -> bool:
        """The heartbeat's clock: whether nobody else can have its partitions."""
        return not self.evicted and self.unheard_until <= asyncio.get_running_loop().time()


class ProcessPort:
    """Any port, reached from a process: every coroutine of it becomes a `Process.do`."""

    def __init__(self, process: Process, port: object) -> None:
        self._process = process
        self._port = port

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._port, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            answer = await self._process.do(lambda: verb(*args, **kwargs))
            await self._process.spring(name)
            return answer

        return call


class ProcessClaims(ProcessPort):
    """The claims as a process sees them. Remembers when it looked last at each."""

    def __init__(self, process: Process, claims: ReplicatedClaims, looked: dict[tuple[str, str], float]) -> None:
        super().__init__(process, claims)
        self._claims = claims
        self._looked = looked

    async def load(self, claim_ids: Sequence[str]) -> dict[str, Claim]:
        async def look() -> dict[str, Claim]:
            now = asyncio.get_running_loop().time()
            self._looked.update(((self._process.name, claim_id), now) for claim_id in claim_ids)
            return await self._claims.load(claim_ids)

        return await self._process.do(look)


class ProcessLog:
    """The log as a process sees it: publishing may fail half-way, append twice, or fail after it took effect.

    What is published is appended at once, and only then may the process be stopped or killed: that a process is stopped
    between its last look at its heartbeat and the write to its socket is beyond the protocol (docs/delivery.md).
    """

    def __init__(self, process: Process, log: EmbeddedLog) -> None:
        self._process = process
        self._log = log

    async def publish(self, messages: Sequence[Message]) -> None:
        chance = self._process.chance
        if chance.random() < 0.02:
            await self._log.publish(messages[: chance.randrange(len(messages) + 1)])
            await self._process.hop()
            raise UnavailableError("the broker did not answer")
        for message in messages:
            await self._log.publish([message] * (2 if chance.random() < 0.05 else 1))
        await self._process.hop()

    async def subscribe(
        self, group: str, topics: Sequence[str], on_revoke: RevokeListener | None = None
    ) -> "ProcessConsumer":
        await self._process.hop()
        context = contextvars.copy_context()

        async def revoked(partitions: frozenset[TopicPartition]) -> None:
            """The listener is the process's own work; the broker waits for it as long as the process is a member."""
            if on_revoke is None or self._process.gone.is_set():
                return
            work = context.run(asyncio.ensure_future, on_revoke(partitions))
            gone = context.run(asyncio.ensure_future, self._process.gone.wait())
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            if work.done() and not work.cancelled():
                work.result()

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
        records = await self._consumer.fetch(size, wait_seconds)
        if records:
            await self._process.spring("fetch")
        return records

    async def commit(self, offsets: Mapping[TopicPartition, int], epoch: int) -> None:
        await self._process.hop()
        await self._consumer.commit(offsets, epoch)

    def pause(self, partitions: frozenset[TopicPartition]) -> None:
        self._consumer.pause(partitions)

    def resume(self, partitions: frozenset[TopicPartition]) -> None:
        self._consumer.resume(partitions)

    def is_fresh(self) -> bool:
        return self._process.is_fresh() and self._consumer.is_fresh()

    async def close(self) -> None:
        await self._consumer.close()
