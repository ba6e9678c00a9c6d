"""The log: topics of ordered, partitioned, replayable records, read by groups (Kafka's model)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """Something to publish. Records of one key stay in order. `value` None is a tombstone."""

    topic: str
    key: str
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class TopicPartition:
    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Record:
    """A message as a consumer got it. `timestamp` is milliseconds since the epoch; `epoch` numbers the assignment."""

    source: TopicPartition
    offset: int
    key: str
    value: bytes | None
    headers: Headers
    timestamp: int
    epoch: int = 0

    @property
    def topic(self) -> str:
        return self.source.topic

    def header(self, name: str) -> bytes | None:
        """The first header of that name, or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


RevokeListener = Callable[[frozenset[TopicPartition]], Awaitable[None]]
"""Called before partitions go to another member; must be short and must not raise."""


class Consumer(Protocol):
    """A member of a group. Group membership is load balancing, never a lock."""

    async def fetch(self, max_records: int, wait_seconds: float) -> list[Record]:
        """Up to `max_records` records of the assigned, unpaused partitions, each partition in order.

        Returns as soon as there is at least one, or empty after `wait_seconds`. Raises UnavailableError.
        """
        ...

    async def commit(self, offsets: Mapping[TopicPartition, int], epoch: int) -> None:
        """Store the next offset to read per partition; partitions that are no longer ours in `epoch` are ignored."""
        ...

    def pause(self, partitions: frozenset[TopicPartition]) -> None:
        """Fetch nothing from these until resumed."""
        ...

    def resume(self, partitions: frozenset[TopicPartition]) -> None: ...

    async def close(self) -> None:
        """Leave the group. Commits nothing."""
        ...


class Log(Protocol):
    async def publish(self, messages: Sequence[Message]) -> None:
        """Append all messages durably, in order per key.

        Raises UnavailableError: any of them may then be appended or not.
        """
        ...

    async def subscribe(self, group: str, topics: Sequence[str], on_revoke: RevokeListener | None = None) -> Consumer:
        """Join a group. A group without stored offsets begins at the oldest record."""
        ...

    async def lag(self, group: str) -> dict[TopicPartition, int]:
        """Records behind the group's committed offsets, per partition."""
        ...

    async def close(self) -> None: ...
