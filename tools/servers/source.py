"""Where a server for tests comes from: one that is given, a container, or a process on this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from tools.servers import containers, kafka, mongo
from tools.servers.errors import ServerError
from tools.servers.process import Progress, Server, silent

GIVEN_SECONDS = 10.0

Source = Literal["given", "container", "process"]


class Running(Protocol):
    """A server that answers."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def address(self) -> str:
        """What a client needs to connect: the value of the kind's variable."""

    def is_running(self) -> bool:
        """Whether it is still there."""

    def stop(self) -> None:
        """End it, if it is ours."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the two servers: how it is called, found, asked and made."""

    key: str
    name: str
    variable: str
    answers: Callable[[str], bool]
    in_container: Callable[[Progress], Running]
    as_process: Callable[[Path, Progress], Server]


@dataclass(frozen=True, slots=True)
class Given:
    """A server that somebody else runs; it is neither watched nor stopped."""

    name: str
    address: str

    def is_running(self) -> bool:
        """Nobody here can know; it did answer."""
        return True

    def stop(self) -> None:
        """Not ours to stop."""


def broker_answers(bootstrap_servers: str) -> bool:
    """Whether one of these brokers (`host:port`, separated by commas) answers a metadata request."""
    for entry in bootstrap_servers.split(","):
        host, _, port = entry.strip().rpartition(":")
        if host and port.isdecimal() and kafka.answers(host.strip("[]"), int(port)):
            return True
    return False


def steady_kafka(directory: Path, progress: Progress) -> kafka.Kafka:
    """A broker that nobody means to kill."""
    return kafka.Kafka(directory, progress=progress, broker_session_timeout_ms=kafka.STEADY_SESSION_MS)


KAFKA = Kind(
    "kafka", "Kafka", "KAFKA_BOOTSTRAP_SERVERS", broker_answers,
    containers.open_kafka, steady_kafka,
)  # fmt: skip
MONGO = Kind(
    "mongo", "MongoDB", "MONGODB_URI", mongo.is_primary,
    containers.open_mongo, lambda folder, progress: mongo.Mongo(folder, progress=progress),
)  # fmt: skip
KINDS = {kind.key: kind for kind in (KAFKA, MONGO)}


def choose(
    kind: Kind, environment: Mapping[str, str] = os.environ, has_docker: Callable[[], bool] = containers.can_be_used
) -> Source:
    """A set variable wins; then Docker with testcontainers, where both are there; else a process."""
    if environment.get(kind.variable):
        return "given"
    return "container" if has_docker() else "process"


def open_server(
    kind: Kind, directory: Path, progress: Progress = silent, environment: Mapping[str, str] = os.environ
) -> Running:
    """A server of this kind that answers, from the source of choice. A process keeps data and logs in `directory`.

    Raises ServerError when there is none: it does not answer, cannot be fetched, or the machine lacks a program.
    """
    match choose(kind, environment):
        case "given":
            return given(kind, environment[kind.variable])
        case "container":
            return kind.in_container(progress)
        case "process":
            directory.mkdir(parents=True, exist_ok=True)
            server = kind.as_process(directory, progress)
            server.start()
            return server


def given(kind: Kind, address: str, wait_seconds: float = GIVEN_SECONDS) -> Given:
    """The server at this address. Raises ServerError when it does not answer in time."""
    limit = time.monotonic() + wait_seconds
    while not kind.answers(address):
        if time.monotonic() > limit:
            raise ServerError(
                f"{kind.variable} is set, and no {kind.name} that is ready for clients answered there for "
                f"{wait_seconds:.0f} s. Start it (MongoDB: as a replica set with a primary), correct the variable, or "
                f"unset it to have a server started for the tests."
            )
        time.sleep(0.2)
    return Given(kind.name, address)
