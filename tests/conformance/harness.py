"""What a conformance suite needs to know of an adapter besides its port: how to crash it, and how to open it again.

An adapter passes a suite by subclassing it in a test module and giving it a `harness` fixture:

    class TestKafkaLog(DurableLogSuite):
        @pytest.fixture
        async def harness(self, ...) -> AsyncIterator[LogHarness]:
            ...

The suites for durable adapters also close the adapter and open it again on the same data.
"""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from headrace.ports.log import Consumer, Log

Port = TypeVar("Port")


class LogHarness(ABC):
    """`patience_seconds` is how long a rebalance may take, and how long to wait for records that must come."""

    log: Log
    patience_seconds: float = 5.0
    quiet_seconds: float = 0.05
    """How long to listen before concluding that nothing comes."""

    def name(self, word: str) -> str:
        """A topic's or group's full name. A harness on a shared server makes it unique to the test."""
        return word

    @abstractmethod
    async def crash(self, consumer: Consumer) -> None:
        """Make a member vanish as a killed process does: without commit, without a word."""

    async def lose_touch(self, consumer: Consumer) -> None:
        """Have the group take a member for dead that lives on and does not know: a zombie. As a crash, if need be."""
        await self.crash(consumer)

    @abstractmethod
    async def reopen(self) -> None:
        """Close the log and open it again: `log` is another object on the same data."""


class StoreHarness(ABC, Generic[Port]):
    store: Port

    @abstractmethod
    async def reopen(self) -> None:
        """Close the store and open it again: `store` is another object on the same data."""

    async def settle(self) -> None:
        """Wait until writes that the store does not wait for itself can be read."""
