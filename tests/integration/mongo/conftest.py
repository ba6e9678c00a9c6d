"""A MongoDB of these tests' own, whose commands can be made to fail, and databases on it and on the session's."""

from collections.abc import AsyncIterator, Iterator

import pytest
from pymongo import MongoClient

from headrace.adapters.mongo import MongoDatabase, create_indexes
from tests.integration.mongo.databases import lasting
from tools.servers import Mongo


@pytest.fixture(scope="session")
def private_mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongo]:
    with Mongo(tmp_path_factory.mktemp("mongo"), enableTestCommands=1, ttlMonitorSleepSecs=1) as mongo:
        yield mongo


@pytest.fixture
async def database(mongodb_uri: str) -> AsyncIterator[MongoDatabase]:
    """An empty database with its indexes on the session's server."""
    database = MongoDatabase(lasting(mongodb_uri))
    await database.connect()
    await create_indexes(database)
    yield database
    await database.client.drop_database(database.name)
    await database.close()


@pytest.fixture
async def fragile(private_mongo: Mongo) -> AsyncIterator[MongoDatabase]:
    """An empty database with its indexes on the server whose commands can be made to fail; impatient."""
    database = MongoDatabase(
        lasting(
            private_mongo.uri,
            server_selection_timeout_seconds=2.0,
            write_timeout_seconds=1.0,
            socket_timeout_seconds=1.5,
        )
    )
    await database.connect()
    await create_indexes(database)
    yield database
    with MongoClient[dict[str, object]](private_mongo.uri) as client:
        client.admin.command("configureFailPoint", "failCommand", mode="off")
        client.drop_database(database.name)
    await database.close()
