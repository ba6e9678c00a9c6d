"""The embedded adapters keep what the ports promise, in memory and with a file."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from headrace.adapters.embedded import (
    EmbeddedCatalog,
    EmbeddedClaimStore,
    EmbeddedDefinitionStore,
    EmbeddedGateStore,
    EmbeddedLedger,
    EmbeddedLog,
    EmbeddedPendingStore,
    EmbeddedRunStore,
    EmbeddedScheduleStore,
    Journal,
)
from headrace.adapters.embedded.groups import EmbeddedConsumer
from headrace.ports.catalog import CatalogStore
from headrace.ports.gates import GateStore
from headrace.ports.log import Consumer
from headrace.ports.pending import PendingStore
from headrace.ports.schedules import ScheduleStore
from headrace.ports.stores import ClaimStore, DefinitionStore, LedgerStore, RunStore
from tests.conformance.catalog_store_suite import CatalogStoreSuite, DurableCatalogStoreSuite
from tests.conformance.claim_store_suite import ClaimStoreSuite, DurableClaimStoreSuite
from tests.conformance.definition_store_suite import DefinitionStoreSuite, DurableDefinitionStoreSuite
from tests.conformance.gate_store_suite import DurableGateStoreSuite, GateStoreSuite
from tests.conformance.harness import LogHarness, StoreHarness
from tests.conformance.ledger_suite import DurableLedgerSuite, LedgerSuite
from tests.conformance.log_suite import DurableLogSuite, LogSuite
from tests.conformance.pending_store_suite import DurablePendingStoreSuite, PendingStoreSuite
from tests.conformance.run_store_suite import DurableRunStoreSuite, RunStoreSuite
from tests.conformance.samples import ManualClock
from tests.conformance.schedule_store_suite import DurableScheduleStoreSuite, ScheduleStoreSuite

Port = TypeVar("Port")
Make = Callable[[Journal | None], Port]
"""Makes an adapter on a journal, or in memory."""


class EmbeddedLogHarness(LogHarness):
    log: EmbeddedLog

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._journal = None if path is None else Journal(path)
        self.log = EmbeddedLog(ManualClock(), self._journal)

    async def crash(self, consumer: Consumer) -> None:
        assert isinstance(consumer, EmbeddedConsumer)
        await consumer.abandon()

    async def reopen(self) -> None:
        assert self._path is not None
        await self.close()
        self._journal = Journal(self._path)
        self.log = EmbeddedLog(ManualClock(), self._journal)

    async def close(self) -> None:
        await self.log.close()
        if self._journal is not None:
            self._journal.close()


class EmbeddedStoreHarness(StoreHarness[Port]):
    def __init__(self, make: Make[Port], path: Path | None) -> None:
        self._make = make
        self._path = path
        self._journal = None if path is None else Journal(path)
        self.store = make(self._journal)

    async def reopen(self) -> None:
        assert self._path is not None
        await self.close()
        self._journal = Journal(self._path)
        self.store = self._make(self._journal)

    async def close(self) -> None:
        close: Callable[[], Any] | None = getattr(self.store, "close", None)
        if close is not None:
            await close()
        if self._journal is not None:
            self._journal.close()


def make_claims(journal: Journal | None) -> EmbeddedClaimStore:
    return EmbeddedClaimStore(ManualClock(), journal)


class TestLogInMemory(LogSuite):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[LogHarness]:
        harness = EmbeddedLogHarness(None)
        yield harness
        await harness.close()


class TestLogInAFile(DurableLogSuite):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[LogHarness]:
        harness = EmbeddedLogHarness(tmp_path / "headrace.db")
        yield harness
        await harness.close()


class TestRunStoreInMemory(RunStoreSuite):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[StoreHarness[RunStore]]:
        harness = EmbeddedStoreHarness[RunStore](EmbeddedRunStore, None)
        yield harness
        await harness.close()


class TestRunStoreInAFile(DurableRunStoreSuite):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[StoreHarness[RunStore]]:
        harness = EmbeddedStoreHarness[RunStore](EmbeddedRunStore, tmp_path / "headrace.db")
        yield harness
        await harness.close()


class TestDefinitionStoreInMemory(DefinitionStoreSuite):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[StoreHarness[DefinitionStore]]:
        harness = EmbeddedStoreHarness[DefinitionStore](EmbeddedDefinitionStore, None)
        yield harness
        await harness.close()


class TestDefinitionStoreInAFile(DurableDefinitionStoreSuite):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[StoreHarness[DefinitionStore]]:
        harness = EmbeddedStoreHarness[DefinitionStore](EmbeddedDefinitionStore, tmp_path / "headrace.db")
        yield harness
        await harness.close()


class TestClaimStoreInMemory(ClaimStoreSuite):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[StoreHarness[ClaimStore]]:
        harness = EmbeddedStoreHarness[ClaimStore](make_claims, None)
        yield harness
        await harness.close()


class TestClaimStoreInAFile(DurableClaimStoreSuite):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[StoreHarness[ClaimStore]]:
        harness = EmbeddedStoreHarness[ClaimStore](make_claims, tmp_path / "headrace.db")
        yield harness
        await harness.close()


class TestLedgerInMemory(LedgerSuite):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[StoreHarness[LedgerStore]]:
        harness = EmbeddedStoreHarness[LedgerStore](EmbeddedLedger, None)
        yield harness
        await harness.close()


class TestLedgerInAFile(DurableLedgerSuite):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[StoreHarness[LedgerStore]]:
        harness = EmbeddedStoreHarness[LedgerStore](EmbeddedLedger, tmp_path / "headrace.db")
        yield harness
        await harness.close()


class TestCatalogInMemory(CatalogStoreSuite):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[StoreHarness[CatalogStore]]:
        harness = EmbeddedStoreHarness[CatalogStore](EmbeddedCatalog, None)
        yield harness
        await harness.close()


class TestCatalogInAFile(DurableCatalogStoreSuite):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[StoreHarness[CatalogStore]]:
        harness = EmbeddedStoreHarness[CatalogStore](EmbeddedCatalog, tmp_path / "headrace.db")
        yield harness
        await harness.close()


class TestSchedulesInMemory(ScheduleStoreSuite):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[StoreHarness[ScheduleStore]]:
        harness = EmbeddedStoreHarness[ScheduleStore](EmbeddedScheduleStore, None)
        yield harness
        await harness.close()


class TestSchedulesInAFile(DurableScheduleStoreSuite):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[StoreHarness[ScheduleStore]]:
        harness = EmbeddedStoreHarness[ScheduleStore](EmbeddedScheduleStore, tmp_path / "headrace.db")
        yield harness
        await harness.close()


class TestPendingWorkInMemory(PendingStoreSuite):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[StoreHarness[PendingStore]]:
        harness = EmbeddedStoreHarness[PendingStore](EmbeddedPendingStore, None)
        yield harness
        await harness.close()


class TestPendingWorkInAFile(DurablePendingStoreSuite):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[StoreHarness[PendingStore]]:
        harness = EmbeddedStoreHarness[PendingStore](EmbeddedPendingStore, tmp_path / "headrace.db")
        yield harness
        await harness.close()


class TestGatesInMemory(GateStoreSuite):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[StoreHarness[GateStore]]:
        harness = EmbeddedStoreHarness[GateStore](EmbeddedGateStore, None)
        yield harness
        await harness.close()


class TestGatesInAFile(DurableGateStoreSuite):
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[StoreHarness[GateStore]]:
        harness = EmbeddedStoreHarness[GateStore](EmbeddedGateStore, tmp_path / "headrace.db")
        yield harness
        await harness.close()
