"""The log: topics of ordered, partitioned, replayable records, read by groups (Kafka's model)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from headrace.contracts.record import Headers, Message, Record, TopicPartition

__all__ = ["Consumer", "Headers", "Log", "Message", "Record", "RevokeListener", "Tail", "TopicPartition"]

RevokeListener = Callable[[frozenset[TopicPartition]], Awaitable[None]]
"""Called before partitions go to another member; may take time, within the rebalance time-out, and must not raise."""


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

    def is_fresh(self) -> bool:
        """Whether nobody else can hold our partitions yet: the group heard of us less than a third of the session
        time-out ago, by the monotonic clock. False after the process was stopped for a while, even before it finds out.
        """
        ...

    async def close(self) -> None:
        """Leave the group. Commits nothing."""
        ...


class Tail(Protocol):
    """A reader of what is published from now on, outside any group."""

    async def fetch(self, wait_seconds: float, max_records: int = 1_000) -> list[Record]:
        """New records, or nothing after `wait_seconds`. Raises UnavailableError."""
        ...

    async def close(self) -> None: ...


class Log(Protocol):
    async def publish(self, messages: Sequence[Message]) -> None:
        """Append all messages durably, in order per key.

        Raises UnavailableError: any of them may then be appended or not.
        """
        ...

    async def subscribe(self, group: str, topics: Sequence[str], on_revoke: RevokeListener | None = None) -> Consumer:
        """Join a group. A group without stored offsets begins at the oldest record."""
        ...

    async def tail(self, topics: Sequence[str]) -> Tail:
        """Follow topics from their end, for live feeds. A tail may miss records; nothing may depend on it."""
        ...

    async def lag(self, group: str) -> dict[TopicPartition, int]:
        """Records behind the group's committed offsets, per partition."""
        ...

    async def close(self) -> None: ...
