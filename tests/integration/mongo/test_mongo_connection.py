"""Bad infrastructure gets clear behaviour: what can pass is waited for, the rest is refused with a reason."""

import asyncio
import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from structlog.testing import capture_logs

from headrace.adapters.mongo import MongoDatabase, MongoRefusedError, MongoRunStore, MongoSettings, create_indexes
from headrace.ports.errors import UnavailableError
from tests.conformance.samples import make_run, write
from tests.integration.mongo.databases import lasting
from tools.servers import Mongo
from tools.servers.process import free_port

# one worker, and so one private server
pytestmark = pytest.mark.xdist_group("servers")

IMPATIENT = {
    "server_selection_timeout_seconds": 0.5,
    "connect_timeout_seconds": 0.5,
    "write_timeout_seconds": 1.0,
    "socket_timeout_seconds": 2.0,
}


class StandaloneMongo(Mongo):
    """A mongod without a replica set."""

    def _prepare(self) -> list[str]:
        command = super()._prepare()
        at = command.index("--replSet")
        return command[:at] + command[at + 2 :]

    def _answers(self) -> bool:
        with MongoClient[dict[str, Any]](self.uri, serverSelectionTimeoutMS=1_000) as client:
            try:
                return bool(client.admin.command("ping"))
            except Exception:
                return False


class UninitiatedMongo(StandaloneMongo):
    """A member of a replica set that nobody initiated yet."""

    def _prepare(self) -> list[str]:
        return Mongo._prepare(self)


async def refusal_of(settings: MongoSettings) -> str:
    database = MongoDatabase(settings)
    try:
        with pytest.raises(MongoRefusedError) as raised:
            async with asyncio.timeout(10):
                await database.connect()
    finally:
        await database.close()
    return "".join(traceback.format_exception(raised.value))


@contextmanager
def refusing(mongo: Mongo, code: int) -> Iterator[None]:
    data = {"failCommands": ["find"], "errorCode": code, "appName": "headrace"}
    with MongoClient[dict[str, Any]](mongo.uri) as client:
        client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=data)
        yield
        client.admin.command("configureFailPoint", "failCommand", mode="off")


async def test_a_standalone_server_is_refused_with_a_reason_and_a_remedy(tmp_path: Path) -> None:
    async with StandaloneMongo(tmp_path) as mongo:
        told = await refusal_of(lasting(mongo.uri))

    assert f"127.0.0.1:{mongo.port} is a standalone server" in told
    assert "--replSet" in told


async def test_a_replica_set_that_is_not_initiated_is_waited_for(tmp_path: Path) -> None:
    async with UninitiatedMongo(tmp_path) as mongo:
        database = MongoDatabase(lasting(mongo.uri))
        with capture_logs() as logs:
            connecting = asyncio.create_task(database.connect())
            await asyncio.sleep(0.6)
            assert not connecting.done()
            mongo._answers = Mongo._answers.__get__(mongo)  # type: ignore[method-assign]
            async with asyncio.timeout(20):
                while not mongo._answers():
                    await asyncio.sleep(0.05)
                await connecting
        await database.close()

    assert "the replica set is not initiated yet: run rs.initiate() on it once" in {it.get("reason") for it in logs}


async def test_wrong_credentials_are_refused_at_once_and_never_shown(private_mongo: Mongo) -> None:
    uri = private_mongo.uri.replace("mongodb://", "mongodb://user:pass-w0rd@")

    told = await refusal_of(lasting(uri))

    assert "AuthenticationFailed: look at the user and the password" in told
    assert "pass-w0rd" not in told


async def test_a_user_without_rights_is_refused_at_once(private_mongo: Mongo) -> None:
    with refusing(private_mongo, 13):
        told = await refusal_of(lasting(private_mongo.uri))

    assert "Unauthorized: look at the rights of the user" in told


@pytest.mark.parametrize(
    "uri", ["mongodb://user:p@ss:w0rd@host", "http://host", "mongodb://", "mongodb://user:%zz-w0rd@host:port"]
)
def test_a_connection_string_that_is_none_is_refused_without_showing_it(uri: str) -> None:
    with pytest.raises(MongoRefusedError, match="connection string of MongoDB cannot be read") as raised:
        MongoDatabase(lasting(uri))

    assert "w0rd" not in "".join(traceback.format_exception(raised.value))


async def test_a_server_that_is_not_there_yet_is_waited_for_with_a_line_for_people(tmp_path: Path) -> None:
    mongo = Mongo(tmp_path, free_port())
    database = MongoDatabase(lasting(mongo.uri, **IMPATIENT))
    with capture_logs() as logs:
        connecting = asyncio.create_task(database.connect())
        await asyncio.sleep(1.5)
        assert not connecting.done()
        try:
            await asyncio.to_thread(mongo.start)
            async with asyncio.timeout(15):
                await connecting
        finally:
            await database.close()
            await asyncio.to_thread(mongo.stop)

    waiting = [it for it in logs if it["event"] == "waiting for MongoDB"]
    assert waiting[0]["addresses"] == f"127.0.0.1:{mongo.port}"
    assert "Connect call failed" in waiting[0]["reason"]
    assert "Topology" not in waiting[0]["reason"]
    assert logs[-1]["event"] == "connected to MongoDB"


async def test_a_server_that_dies_is_unavailable_and_is_found_again_with_all_it_acknowledged(tmp_path: Path) -> None:
    mongo = Mongo(tmp_path)
    await asyncio.to_thread(mongo.start)
    database = MongoDatabase(lasting(mongo.uri, **IMPATIENT))
    try:
        await database.connect()
        await create_indexes(database)
        store = MongoRunStore(database)
        assert await store.save([write(make_run("r1"))]) == [True]

        mongo.kill()
        for attempt in (store.save([write(make_run("r2"))]), store.load(["r1"]), database.ping()):
            with pytest.raises(UnavailableError, match="MongoDB could not"):
                await attempt
        await asyncio.to_thread(mongo.start)
        await database.connect()

        assert await store.load(["r1", "r2"]) == {"r1": write(make_run("r1"))}
        assert await store.save([write(make_run("r2"))]) == [True]
    finally:
        await database.close()
        await asyncio.to_thread(mongo.stop)
        shutil.rmtree(tmp_path / "data", ignore_errors=True)


async def test_concerns_are_those_of_the_code_whatever_the_connection_string_says(private_mongo: Mongo) -> None:
    options = "&w=0&journal=false&retryWrites=false&readConcernLevel=local&readPreference=secondaryPreferred"
    database = MongoDatabase(lasting(private_mongo.uri + options))
    runs = database.collection("runs")

    assert runs.write_concern.document == {"w": "majority", "j": True, "wtimeout": 10_000}
    assert runs.read_concern.document == {"level": "majority"}
    assert runs.read_preference.mode == 0
    assert database.client.options.retry_writes
    await database.connect()
    await database.close()
