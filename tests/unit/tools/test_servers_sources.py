"""Which source serves, what is written into its settings, and how downloads are kept: all that needs no server."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tools.servers import Kafka, MissingProgramError, Mongo, cache, containers, kafka, mongo, process, source

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("environment", "has_docker", "chosen"),
    [
        ({"KAFKA_BOOTSTRAP_SERVERS": "a:1"}, True, "given"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "a:1"}, False, "given"),
        ({"MONGODB_URI": "mongodb://a"}, True, "container"),
        ({"KAFKA_BOOTSTRAP_SERVERS": ""}, False, "process"),
    ],
)
def test_a_set_variable_wins_then_docker_then_a_process(
    environment: dict[str, str], has_docker: bool, chosen: source.Source
) -> None:
    assert source.choose(source.KAFKA, environment, lambda: has_docker) == chosen


def test_the_brokers_container_advertises_the_port_on_the_host() -> None:
    environment = containers.kafka_environment(23_456)

    assert environment["KAFKA_ADVERTISED_LISTENERS"] == "PLAINTEXT://127.0.0.1:23456"
    assert environment["KAFKA_LISTENERS"] == "PLAINTEXT://:9092,CONTROLLER://:9093"
    assert environment["KAFKA_CONTROLLER_QUORUM_VOTERS"] == "1@localhost:9093"
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert environment["KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR"] == "1"
    assert all("." not in name for name in environment)


def test_the_images_of_kafka_and_the_artifacts_are_of_one_release() -> None:
    assert f"apache/kafka:{kafka.version()}" == containers.KAFKA_IMAGE


def test_a_setting_of_the_broker_is_given_with_underscores_and_wins_over_ours(tmp_path: Path) -> None:
    broker = Kafka(tmp_path, 23_456, group_min_session_timeout_ms=1000, auto_create_topics_enable="true")

    lines = broker._properties(23_457).splitlines()

    assert "group.min.session.timeout.ms=1000" in lines
    assert "auto.create.topics.enable=true" in lines
    assert "auto.create.topics.enable=false" not in lines
    assert "listeners=PLAINTEXT://127.0.0.1:23456,CONTROLLER://127.0.0.1:23457" in lines
    assert broker.bootstrap_servers == "127.0.0.1:23456"


def test_data_of_a_replica_set_is_served_on_the_port_that_its_configuration_names(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("23456")

    assert Mongo(tmp_path).uri == "mongodb://127.0.0.1:23456/?directConnection=true"


def test_no_server_gets_a_port_that_an_outgoing_connection_could_be_given() -> None:
    ports = {process.free_port() for _ in range(50)}

    assert all(process.LOWEST_PORT <= port < process.FIRST_EPHEMERAL_PORT for port in ports)
    assert len(ports) > 40


def test_a_port_where_something_listens_and_says_nothing_is_no_broker() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        assert not kafka.answers("127.0.0.1", port, time_limit_seconds=0.2)


@pytest.mark.parametrize("addresses", ["", "no-port", "host:", "127.0.0.1:1,also-none"])
def test_an_address_that_is_none_is_not_an_answer(addresses: str) -> None:
    assert not source.broker_answers(addresses)


def test_the_cache_is_where_the_variables_say() -> None:
    assert cache.root({"HEADRACE_SERVERS_CACHE": "/a/b", "XDG_CACHE_HOME": "/c"}) == Path("/a/b")
    assert cache.root({"XDG_CACHE_HOME": "/c"}) == Path("/c/headrace/servers")
    assert cache.root({"HOME": "/d"}) == Path("/d/.cache/headrace/servers")


def test_a_download_is_made_once(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "program").write_text("x")

    first = cache.kept("thing-1", make, tmp_path)
    second = cache.kept("thing-1", make, tmp_path)

    assert first == second == tmp_path / "thing-1"
    assert (first / "program").read_text() == "x"
    assert len(made) == 1


def test_a_download_that_fails_leaves_nothing_and_is_tried_again(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise OSError("cut off")

    with pytest.raises(OSError, match="cut off"):
        cache.kept("thing-1", fail, tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["thing-1.lock"]
    assert cache.kept("thing-1", lambda folder: None, tmp_path).is_dir()


MAKES = """
import os, sys, time
from pathlib import Path
from tools.servers import cache
def make(folder):
    time.sleep(0.2)
    with open(sys.argv[1] + "/made", "a") as made:
        made.write("once\\n")
cache.kept("thing", make, Path(sys.argv[1]))
"""


def test_two_processes_that_want_the_same_download_make_it_once(tmp_path: Path) -> None:
    both = [subprocess.Popen([sys.executable, "-c", MAKES, str(tmp_path)], cwd=ROOT) for _ in range(2)]

    assert [process.wait(20) for process in both] == [0, 0]

    assert (tmp_path / "made").read_text() == "once\n"


def program(folder: Path, name: str, says: str, status: int = 0, stream: int = 1) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}' >&{stream}\nexit {status}\n")
    path.chmod(0o755)
    return path


def test_too_old_a_java_is_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "java", 'openjdk version "11.0.2" 2019-01-15', stream=2)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")

    with pytest.raises(MissingProgramError, match=r"Java 17 or later; .*java says.*11\.0\.2.*apt-get install"):
        kafka.find_java()


def test_a_missing_maven_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HEADRACE_SERVERS_CACHE", str(tmp_path / "cache"))

    with pytest.raises(MissingProgramError, match="no `mvn` on PATH"):
        kafka.fetch()


def test_a_mongod_on_path_is_taken_when_it_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mongod = program(tmp_path, "mongod", "db version v7.0.14")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")

    assert mongo.find_mongod() == str(mongod)


def test_a_mongod_that_lacks_a_library_says_which_and_how_to_get_it(tmp_path: Path) -> None:
    mongod = program(tmp_path, "mongod", "error while loading shared libraries: libcurl.so.4", status=127, stream=2)

    with pytest.raises(MissingProgramError, match=r"libcurl\.so\.4.*apt-get install libcurl4"):
        mongo.version_of(str(mongod))


def test_a_machine_for_which_no_mongod_can_be_fetched_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")

    with pytest.raises(MissingProgramError, match=r"riscv64.*Install MongoDB 6 or later"):
        mongo.fetch()
