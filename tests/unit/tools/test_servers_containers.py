"""What testcontainers is asked for. It is not installed here and there is no engine: a stand-in notes it."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tools.servers import ServerError, containers, kafka, mongo


class NotedContainer:
    """The parts of testcontainers' DockerContainer (release 4.15) that are used."""

    made: list[NotedContainer]
    status = "running"

    def __init__(self, image: str) -> None:
        self.image = image
        self.ports: dict[str, Any] = {}
        self.env: dict[str, str] = {}
        self.command: list[str] = []
        self.life: list[str] = []
        self.made.append(self)

    def with_env(self, name: str, value: str) -> None:
        self.env[name] = value

    def with_command(self, command: list[str]) -> None:
        self.command = command

    def start(self) -> None:
        self.life.append("started")

    def stop(self) -> None:
        self.life.append("removed")

    def get_wrapped_container(self) -> Any:
        return SimpleNamespace(reload=lambda: None, status=self.status)

    def get_logs(self) -> tuple[bytes, bytes]:
        return b"said\n", b"complained\n"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[NotedContainer]:
    NotedContainer.made = []
    found = {"testcontainers.core.container": SimpleNamespace(DockerContainer=NotedContainer)}
    monkeypatch.setattr(importlib, "import_module", found.__getitem__)
    return NotedContainer.made


def test_a_broker_in_a_container_is_published_on_loopback_only(
    made: list[NotedContainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []

    def answers(host: str, port: int) -> bool:
        asked.append((host, port))
        return True

    monkeypatch.setattr(kafka, "answers", answers)
    server = containers.open_kafka()

    (container,) = made
    port = int(server.address.removeprefix("127.0.0.1:"))
    assert container.image == containers.KAFKA_IMAGE
    assert container.ports == {"9092/tcp": ("127.0.0.1", port)}
    assert container.env == containers.kafka_environment(port)
    assert asked == [("127.0.0.1", port)]
    assert (server.is_running(), container.life) == (True, ["started"])
    server.stop()
    assert container.life == ["started", "removed"]


def test_a_mongodb_in_a_container_is_a_replica_set_of_the_port_inside(
    made: list[NotedContainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def is_primary(uri: str, initiate_as: str) -> bool:
        asked.append((uri, initiate_as))
        return True

    monkeypatch.setattr(mongo, "is_primary", is_primary)
    server = containers.open_mongo()

    (container,) = made
    host, port = container.ports["27017/tcp"]
    assert (container.image, host) == ("mongo:8", "127.0.0.1")
    assert container.command == ["--replSet", "rs0", "--bind_ip_all"]
    assert server.address == f"mongodb://127.0.0.1:{port}/?directConnection=true"
    assert asked == [(server.address, "127.0.0.1:27017")]


def test_a_container_that_ends_is_an_error_with_its_last_words_and_is_removed(
    made: list[NotedContainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "answers", lambda host, port: False)
    monkeypatch.setattr(NotedContainer, "status", "exited")

    with pytest.raises(ServerError, match=r"apache/kafka.*does not answer(.|\n)*said\ncomplained"):
        containers.open_kafka()

    assert made[0].life == ["started", "removed"]


@pytest.mark.parametrize(("installed", "answers"), [(True, False), (False, True), (False, False), (True, True)])
def test_containers_are_used_where_both_the_library_and_the_engine_are(
    installed: bool, answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if installed else None)
    monkeypatch.setattr(containers, "engine_answers", lambda: answers)

    assert containers.can_be_used() == (installed and answers)


@pytest.mark.parametrize(("script", "answers"), [("exit 0", True), ("exit 1", False), ("sleep 9", False)])
def test_an_engine_answers_when_its_client_says_so_in_time(
    script: str, answers: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "docker"
    program.write_text(f"#!/bin/sh\nexec /bin/sh -c '{script}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    assert containers.engine_answers(time_limit_seconds=0.5) == answers
