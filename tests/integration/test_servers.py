"""The servers for tests keep their promises: they answer, survive kill -9, and end with whoever started them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import AutoReconnect, PyMongoError

from tools.servers import Kafka, Mongo, ServerError, kafka, source, supervisor
from tools.servers.process import Process, Server
from tools.servers.shared import SharedServers

ROOT = Path(__file__).parents[2]


async def create_topic(bootstrap_servers: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def produce(bootstrap_servers: str, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", enable_idempotence=True) as producer:
        await producer.send_and_wait(topic, value)


async def first_record(bootstrap_servers: str, topic: str) -> bytes | None:
    async with (
        AIOKafkaConsumer(topic, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest") as consumer,
        asyncio.timeout(30),
    ):
        value: bytes | None = (await consumer.getone()).value
        return value


def until(holds: Callable[[], bool], what: str, seconds: float = 40.0) -> None:
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def supervisor_of(pid: int) -> Process:
    return Process(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]))


async def test_the_sessions_kafka_takes_a_record_and_gives_it_back(kafka_bootstrap_servers: str) -> None:
    await create_topic(kafka_bootstrap_servers, "servers-test")

    await produce(kafka_bootstrap_servers, "servers-test", b"hello")

    assert await first_record(kafka_bootstrap_servers, "servers-test") == b"hello"


async def test_the_sessions_mongodb_is_a_replica_set_that_takes_majority_writes(mongodb_uri: str) -> None:
    async with AsyncMongoClient[dict[str, object]](mongodb_uri, w="majority", wtimeoutms=10_000) as client:
        notes = client["servers_test"]["notes"]

        await notes.insert_one({"_id": 1, "text": "hello"})

        assert await notes.find_one({"_id": 1}) == {"_id": 1, "text": "hello"}
        assert (await client.admin.command("hello"))["setName"] == "rs0"
        await client.drop_database("servers_test")


async def test_kafka_keeps_its_records_over_kill_9_and_comes_back_on_the_same_port(tmp_path: Path) -> None:
    async with Kafka(tmp_path, broker_session_timeout_ms=1000, broker_heartbeat_interval_ms=200) as broker:
        await create_topic(broker.bootstrap_servers, "kept")
        await produce(broker.bootstrap_servers, "kept", b"before")
        before = broker.bootstrap_servers, broker.pid
        broker.kill()
        assert not kafka.answers("127.0.0.1", broker.port)

        await asyncio.to_thread(broker.start)

        assert broker.bootstrap_servers == before[0]
        assert broker.pid != before[1]
        assert await first_record(broker.bootstrap_servers, "kept") == b"before"

        broker.pause()
        assert not kafka.answers("127.0.0.1", broker.port, time_limit_seconds=0.3)
        broker.resume()
        until(lambda: kafka.answers("127.0.0.1", broker.port), "the broker to thaw")
    assert not broker.is_running()


async def test_mongodb_keeps_its_documents_over_kill_9_and_comes_back_on_the_same_port(tmp_path: Path) -> None:
    async with Mongo(tmp_path, enableTestCommands=1) as server:
        before = server.uri, server.pid
        with MongoClient[dict[str, object]](server.uri, w="majority", serverSelectionTimeoutMS=10_000) as client:
            client["kept"]["notes"].insert_one({"_id": "before"})
            server.kill()

            await asyncio.to_thread(server.start)

            assert server.uri == before[0]
            assert server.pid != before[1]
            assert client["kept"]["notes"].find_one({}) == {"_id": "before"}

            server.pause()
            with MongoClient[dict[str, object]](server.uri, timeoutMS=300) as hurried, pytest.raises(PyMongoError):
                hurried.admin.command("ping")
            server.resume()
            assert client.admin.command("ping")["ok"] == 1
    assert not server.is_running()


def test_a_private_mongodb_fails_on_command_when_asked_for_test_commands(tmp_path: Path) -> None:
    with Mongo(tmp_path, enableTestCommands=1) as server, MongoClient[dict[str, object]](server.uri) as client:
        data = {"failCommands": ["insert"], "closeConnection": True}
        client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": 2}, "data": data})

        with pytest.raises(AutoReconnect):  # the driver itself tries once again
            client["failing"]["notes"].insert_one({"_id": 1})

        client["failing"]["notes"].insert_one({"_id": 1})


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    server = Mongo(tmp_path, noSuchParameter=1)

    with pytest.raises(ServerError, match="ended while it started") as error:
        server.start()

    assert "noSuchParameter" in str(error.value)
    assert not server.is_running()


def test_a_given_address_where_nothing_answers_is_an_error_that_names_the_variable() -> None:
    with pytest.raises(ServerError, match="KAFKA_BOOTSTRAP_SERVERS is set"):
        source.given(source.KAFKA, "127.0.0.1:1", wait_seconds=0.1)


def test_the_given_servers_are_used_and_not_started(
    kafka_bootstrap_servers: str, mongodb_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:1,{kafka_bootstrap_servers}")
    monkeypatch.setenv("MONGODB_URI", mongodb_uri)
    shared = SharedServers(tmp_path / "servers", os.getpid())

    assert shared.address(source.KAFKA) == f"127.0.0.1:1,{kafka_bootstrap_servers}"
    assert shared.address(source.MONGO) == mongodb_uri
    assert not (tmp_path / "servers").exists()


@contextmanager
def program(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = {
        name: value for name, value in os.environ.items() if name not in {"KAFKA_BOOTSTRAP_SERVERS", "MONGODB_URI"}
    }
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_the_program_prints_both_variables_and_ends_cleanly_at_ctrl_c(tmp_path: Path) -> None:
    with program("-m", "tools.servers", "--data", str(tmp_path)) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(2)]
        bootstrap_servers = lines[0].removeprefix("export KAFKA_BOOTSTRAP_SERVERS=")
        uri = lines[1].removeprefix("export MONGODB_URI=").strip("'")
        assert source.broker_answers(bootstrap_servers)
        assert source.MONGO.answers(uri)

        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)

    assert process.returncode == 0, said
    assert "stopped" in said
    assert not source.broker_answers(bootstrap_servers)
    assert urlsplit(uri).port is not None
    assert not source.MONGO.answers(uri)


STARTS_AND_WAITS = """
import sys, time
from pathlib import Path
from tools.servers import Mongo
server = Mongo(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(60)
"""


def started_by_another(process: subprocess.Popen[str]) -> Process:
    assert process.stdout is not None
    server = Process(int(process.stdout.readline()))
    assert server.is_running()
    return server


def test_a_server_ends_when_the_process_that_started_it_is_killed_even_a_frozen_server(tmp_path: Path) -> None:
    with program("-c", STARTS_AND_WAITS, str(tmp_path)) as process:
        server = started_by_another(process)
        server.send(signal.SIGSTOP)

        process.kill()

        until(lambda: not server.is_running(), "the orphan to end")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux' kernel ends a child with its parent")
def test_a_server_ends_when_its_supervisor_is_killed(tmp_path: Path) -> None:
    with Mongo(tmp_path) as server:
        os.kill(supervisor_of(server.pid).pid, signal.SIGKILL)

        until(lambda: not server.is_running(), "the server to end with its supervisor")


def test_a_killed_test_session_leaves_no_server_behind(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with owner:
        shared = SharedServers(tmp_path, owner.pid)
        address = shared.address(source.MONGO)
        keeper = Process(json.loads((tmp_path / "mongo" / "keeper.json").read_text())["pid"])
        assert shared.address(source.MONGO) == address
        assert source.MONGO.answers(address)

        owner.kill()

    until(lambda: not keeper.is_running(), "the keeper to end")
    assert not source.MONGO.answers(address)
    assert not (tmp_path / "mongo" / "data").exists()


def test_a_session_whose_server_cannot_be_had_fails_all_who_ask_with_the_same_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.setenv("HEADRACE_SERVERS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    shared = SharedServers(tmp_path / "servers", os.getpid())

    with pytest.raises(ServerError, match="Kafka needs Java") as first:
        shared.address(source.KAFKA)
    with pytest.raises(ServerError) as second:
        SharedServers(tmp_path / "servers", os.getpid()).address(source.KAFKA)

    assert str(second.value) == str(first.value)


@contextmanager
def session(folder: Path, test: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A test session of its own with one test, which runs in a process of pytest-xdist."""
    (folder / "test_one.py").write_text(test)
    (folder / "conftest.py").write_text("from tests.conftest import *\n")
    options = ("-n1", "-p", "no:cacheprovider", "--rootdir", str(folder))
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, str(folder / "test_one.py")],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder), **environment},
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_a_test_that_asks_for_a_missing_server_fails_and_is_not_skipped(tmp_path: Path) -> None:
    missing = {"KAFKA_BOOTSTRAP_SERVERS": "", "PATH": str(tmp_path), "JAVA_HOME": ""}

    with session(tmp_path, "def test_asks(kafka_bootstrap_servers): pass\n", **missing) as process:
        said, _ = process.communicate(timeout=60)

    assert process.returncode == 1, said
    assert "Kafka needs Java" in said
    assert "What Kafka and MongoDB said is kept in" in said


LONG_TEST = """
import pathlib, time
def test_long(mongodb_uri):
    pathlib.Path("address.part").write_text(mongodb_uri)
    pathlib.Path("address.part").rename("address")
    time.sleep(60)
"""


def test_ctrl_c_in_a_test_session_ends_its_servers_before_the_session_is_over(tmp_path: Path) -> None:
    with session(tmp_path, LONG_TEST, MONGODB_URI="") as process:
        until((tmp_path / "address").exists, "the inner test to have its server")
        address = (tmp_path / "address").read_text()
        assert source.MONGO.answers(address)

        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
        said, _ = process.communicate(timeout=60)

    assert process.returncode == pytest.ExitCode.INTERRUPTED, said
    assert not source.MONGO.answers(address)


def test_a_process_is_told_from_a_later_one_with_the_same_pid() -> None:
    other = Process(os.getpid(), "another time")

    other.send(signal.SIGKILL)

    assert not other.is_running()
    assert Process(os.getpid()).is_running()
    assert supervisor.started_at(os.getpid()) == Process(os.getpid()).started_at


def test_verbs_of_a_server_that_was_never_started_are_refused(tmp_path: Path) -> None:
    server: Server = Kafka(tmp_path)

    with pytest.raises(ServerError, match="never started"):
        server.kill()
    server.stop()
