"""The MongoDB adapters keep what the ports promise, on a real replica set."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

import pytest
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from headrace.adapters.mongo import (
    MongoCatalog,
    MongoClaimStore,
    MongoDatabase,
    MongoDefinitionStore,
    MongoGateStore,
    MongoLedger,
    MongoPendingStore,
    MongoRunStore,
    MongoScheduleStore,
    MongoSettings,
    create_indexes,
)
from headrace.adapters.mongo.indexes import COLLECTIONS
from headrace.ports.catalog import CatalogStore
from headrace.ports.gates import GateStore
from headrace.ports.pending import PendingStore
from headrace.ports.schedules import ScheduleStore
from headrace.ports.stores import ClaimStore, DefinitionStore, LedgerStore, RunStore
from tests.conformance.catalog_store_suite import DurableCatalogStoreSuite
from tests.conformance.claim_store_suite import DurableClaimStoreSuite
from tests.conformance.definition_store_suite import DurableDefinitionStoreSuite
from tests.conformance.gate_store_suite import DurableGateStoreSuite
from tests.conformance.harness import StoreHarness
from tests.conformance.ledger_suite import DurableLedgerSuite
from tests.conformance.pending_store_suite import DurablePendingStoreSuite
from tests.conformance.run_store_suite import DurableRunStoreSuite
from tests.conformance.samples import ManualClock
from tests.conformance.schedule_store_suite import DurableScheduleStoreSuite

Port = TypeVar("Port")
Make = Callable[[MongoDatabase], Port]


class MongoStoreHarness(StoreHarness[Port]):
    def __init__(self, make: Make[Port], settings: MongoSettings) -> None:
        self._make = make
        self._settings = settings
        self._database = MongoDatabase(settings)
        self.store = make(self._database)

    async def reopen(self) -> None:
        await self._database.close()
        self._database = MongoDatabase(self._settings)
        self.store = self._make(self._database)

    async def settle(self) -> None:
        # on the connection of the write before, hence answered after it, and by a majority
        await self._database.collection("counters").update_one({"_id": "settled"}, {"$inc": {"value": 1}}, upsert=True)

    async def close(self) -> None:
        await self._database.close()


@pytest.fixture(scope="module")
def settings(mongodb_uri: str) -> Iterator[MongoSettings]:
    """A database of this module's, with its indexes; dropped in the end."""
    # the samples are of last year, and must not be forgotten while a test looks at them
    forever = dict.fromkeys(("run_retention_days", "claim_retention_days", "ledger_retention_days"), 3_650)
    settings = MongoSettings(uri=mongodb_uri, database=f"conformance_{secrets.token_hex(4)}", **forever)

    async def prepare() -> None:
        database = MongoDatabase(settings)
        await database.connect()
        await create_indexes(database)
        await database.close()

    asyncio.run(prepare())
    yield settings
    with MongoClient[dict[str, object]](mongodb_uri) as client:
        client.drop_database(settings.database)


@pytest.fixture
def empty(settings: MongoSettings) -> MongoSettings:
    """The database without documents: emptied, which is much quicker than to drop it and make its indexes again."""
    with MongoClient[dict[str, object]](settings.uri.get_secret_value()) as client:
        database = client.get_database(settings.database, write_concern=WriteConcern(w="majority"))
        for collection in COLLECTIONS:
            database[collection].delete_many({})
    return settings


class TestMongoRunStore(DurableRunStoreSuite):
    @pytest.fixture
    async def harness(self, empty: MongoSettings) -> AsyncIterator[StoreHarness[RunStore]]:
        harness = MongoStoreHarness[RunStore](MongoRunStore, empty)
        yield harness
        await harness.close()


class TestMongoDefinitionStore(DurableDefinitionStoreSuite):
    @pytest.fixture
    async def harness(self, empty: MongoSettings) -> AsyncIterator[StoreHarness[DefinitionStore]]:
        harness = MongoStoreHarness[DefinitionStore](MongoDefinitionStore, empty)
        yield harness
        await harness.close()


class TestMongoClaimStore(DurableClaimStoreSuite):
    @pytest.fixture
    async def harness(self, empty: MongoSettings) -> AsyncIterator[StoreHarness[ClaimStore]]:
        harness = MongoStoreHarness[ClaimStore](lambda database: MongoClaimStore(database, ManualClock()), empty)
        yield harness
        await harness.close()


class TestMongoLedger(DurableLedgerSuite):
    @pytest.fixture
    async def harness(self, empty: MongoSettings) -> AsyncIterator[StoreHarness[LedgerStore]]:
        harness = MongoStoreHarness[LedgerStore](lambda database: MongoLedger(database, ManualClock()), empty)
        yield harness
        await harness.close()


class TestMongoCatalog(DurableCatalogStoreSuite):
    @pytest.fixture
    async def harness(self, empty: MongoSettings) -> AsyncIterator[StoreHarness[CatalogStore]]:
        harness = MongoStoreHarness[CatalogStore](MongoCatalog, empty)
        yield harness
        await harness.close()


class TestMongoSchedules(DurableScheduleStoreSuite):
    @pytest.fixture
    async def harness(self, empty: MongoSettings) -> AsyncIterator[StoreHarness[ScheduleStore]]:
        harness = MongoStoreHarness[ScheduleStore](MongoScheduleStore, empty)
        yield harness
        await harness.close()


class TestMongoPendingWork(DurablePendingStoreSuite):
    @pytest.fixture
    async def harness(self, empty: MongoSettings) -> AsyncIterator[StoreHarness[PendingStore]]:
        harness = MongoStoreHarness[PendingStore](MongoPendingStore, empty)
        yield harness
        await harness.close()


class TestMongoGates(DurableGateStoreSuite):
    @pytest.fixture
    async def harness(self, empty: MongoSettings) -> AsyncIterator[StoreHarness[GateStore]]:
        harness = MongoStoreHarness[GateStore](MongoGateStore, empty)
        yield harness
        await harness.close()
