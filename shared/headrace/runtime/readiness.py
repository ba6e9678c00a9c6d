"""Is this process ready for work? If not, a sentence says why: what probes and people read."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from headrace.contracts.topics import TopicNames
from headrace.ports.errors import UnavailableError
from headrace.ports.log import Consumer, Log, Message, Record, RevokeListener, Tail, TopicPartition

_CHECK_SECONDS = 2.0

Check = Callable[[], Awaitable[object]]
"""Returns when what it asks answers. Raises UnavailableError."""


class Readiness:
    """Ready when the process was started, its loops are members of their groups, and what it depends on answers."""

    def __init__(self, reason: str = "it is starting") -> None:
        self.reason: str | None = reason
        """Why the process as such cannot work now, whatever its dependencies do; None when it can."""
        self._checks: dict[str, Check] = {}

    def add(self, name: str, check: Check) -> None:
        """Ask this too before saying that all is well."""
        self._checks[name] = check

    async def complaint(self) -> str | None:
        """Why the process is not ready, as a part of a sentence; None when it is. Takes two seconds at most."""
        if self.reason is not None:
            return self.reason
        answers = await asyncio.gather(*(self._ask(name, check) for name, check in self._checks.items()))
        return "; ".join(answer for answer in answers if answer) or None

    async def _ask(self, name: str, check: Check) -> str | None:
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await check()
        except TimeoutError:
            return f"{name} does not answer within {_CHECK_SECONDS:g} s"
        except UnavailableError as error:
            return f"{name}: {error}"
        return None


def group_name(group: str, topics: TopicNames) -> str:
    """The group's name at the broker: as it is with the usual topics, else with their prefix in place of `headrace`."""
    usual = TopicNames().prefix
    if topics.prefix == usual:
        return group
    return topics.prefix.rstrip(".-_") + group.removeprefix(usual.rstrip("."))


class WatchedLog:
    """The Log port over another one, with a memory of how the last fetch as a member of `group` went.

    The group gets the installation's own name, so that two of them on one broker do not share it.
    """

    def __init__(self, log: Log, group: str, topics: TopicNames) -> None:
        self._log = log
        self._group = group
        self._name = group_name(group, topics)
        self._member: _WatchedConsumer | None = None

    async def check(self) -> None:
        """Raises UnavailableError while the group is not joined, its last fetch failed, or it has not heard of us
        lately."""
        member = self._member
        if member is None:
            raise UnavailableError(f"not yet a member of group {self._name}")
        if member.failure is not None:
            raise UnavailableError(member.failure)
        if not member.is_fresh():
            raise UnavailableError(f"group {self._name} has not heard of this process lately")

    async def publish(self, messages: Sequence[Message]) -> None:
        """See the port."""
        await self._log.publish(messages)

    async def subscribe(self, group: str, topics: Sequence[str], on_revoke: RevokeListener | None = None) -> Consumer:
        """See the port. `group` must be the one that is watched."""
        assert group == self._group
        self._member = _WatchedConsumer(await self._log.subscribe(self._name, topics, on_revoke))
        return self._member

    async def tail(self, topics: Sequence[str]) -> Tail:
        """See the port."""
        return await self._log.tail(topics)

    async def lag(self, group: str) -> dict[TopicPartition, int]:
        """See the port."""
        return await self._log.lag(self._name if group == self._group else group)

    async def close(self) -> None:
        """See the port."""
        await self._log.close()


class _WatchedConsumer:
    """A Consumer that remembers whether its last fetch went well."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self.failure: str | None = None

    async def fetch(self, max_records: int, wait_seconds: float) -> list[Record]:
        try:
            records = await self._consumer.fetch(max_records, wait_seconds)
        except UnavailableError as error:
            self.failure = str(error)
            raise
        self.failure = None
        return records

    async def commit(self, offsets: Mapping[TopicPartition, int], epoch: int) -> None:
        await self._consumer.commit(offsets, epoch)

    def pause(self, partitions: frozenset[TopicPartition]) -> None:
        self._consumer.pause(partitions)

    def resume(self, partitions: frozenset[TopicPartition]) -> None:
        self._consumer.resume(partitions)

    def is_fresh(self) -> bool:
        return self._consumer.is_fresh()

    async def close(self) -> None:
        await self._consumer.close()
