"""The same servers as containers, by testcontainers, where a Docker engine answers.

Never run with an engine: the machines that build and test this have none. What needs no engine has tests, with a
stand-in for the library; and release 4.15.0 of the library itself was run once, by hand, against a stand-in for the
engine, which was asked for these images, settings and loopback ports.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import subprocess
import time
from collections.abc import Callable
from typing import Any

from tools.servers import kafka, mongo
from tools.servers.errors import ServerError
from tools.servers.process import HOST, START_SECONDS, Progress, free_port, silent

KAFKA_IMAGE = f"apache/kafka:{kafka.version()}"
MONGO_IMAGE = "mongo:8"
# Inside the containers.
KAFKA_PORT, CONTROLLER_PORT, MONGO_PORT = 9092, 9093, 27017


def can_be_used() -> bool:
    """Whether testcontainers is installed (`pip install headrace[testcontainers]`) and a Docker engine answers."""
    return importlib.util.find_spec("testcontainers") is not None and engine_answers()


def engine_answers(time_limit_seconds: float = 10.0) -> bool:
    """Whether `docker` is here and reaches its engine."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        asked = [docker, "version", "--format", "{{.Server.Version}}"]
        return subprocess.run(asked, capture_output=True, timeout=time_limit_seconds, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


class Container:
    """A server in a container of its own; removed with its data at `stop`."""

    def __init__(self, name: str, address: str, container: Any) -> None:
        self.name = name
        self.address = address
        self._container = container

    def is_running(self) -> bool:
        """Whether the engine says so."""
        wrapped = self._container.get_wrapped_container()
        wrapped.reload()
        return bool(wrapped.status == "running")

    def stop(self) -> None:
        """Remove the container. Nothing of it is kept, its log neither."""
        self._container.stop()


def open_kafka(progress: Progress = silent) -> Container:
    """A broker on a loopback port. Raises ServerError when it does not answer in time, with the end of its log."""
    port = free_port()
    container = _container(KAFKA_IMAGE, KAFKA_PORT, port)
    for name, value in kafka_environment(port).items():
        container.with_env(name, value)
    return _started(
        Container("Kafka", f"{HOST}:{port}", container), KAFKA_IMAGE, lambda: kafka.answers(HOST, port), progress
    )


def open_mongo(progress: Progress = silent) -> Container:
    """A replica set of one node on a loopback port. Raises ServerError when it does not answer in time."""
    port = free_port()
    uri = f"mongodb://{HOST}:{port}/?directConnection=true"
    container = _container(MONGO_IMAGE, MONGO_PORT, port)
    container.with_command(["--replSet", mongo.REPLICA_SET, "--bind_ip_all"])
    return _started(
        Container("MongoDB", uri, container), MONGO_IMAGE,
        lambda: mongo.is_primary(uri, initiate_as=f"{HOST}:{MONGO_PORT}"), progress,
    )  # fmt: skip


def kafka_environment(port: int) -> dict[str, str]:
    """The broker's settings as the image wants them. It advertises the port on the host, not the one inside."""
    settings = {
        **kafka.SETTINGS,
        "listeners": f"PLAINTEXT://:{KAFKA_PORT},CONTROLLER://:{CONTROLLER_PORT}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.quorum.voters": f"{kafka.SETTINGS['node.id']}@localhost:{CONTROLLER_PORT}",
    }
    names = {name: "KAFKA_" + name.upper().replace(".", "_") for name in settings}
    return {names[name]: value for name, value in settings.items()}


def _container(image: str, inside: int, port: int) -> Any:
    container = importlib.import_module("testcontainers.core.container").DockerContainer(image)
    # with_bind_ports() would publish the port on all interfaces.
    container.ports[f"{inside}/tcp"] = (HOST, port)
    return container


def _started(server: Container, image: str, answers: Callable[[], bool], progress: Progress) -> Container:
    begun = time.monotonic()
    progress(f"starting {server.name} as a container of {image} (fetched once)")
    try:
        server._container.start()
        limit = time.monotonic() + START_SECONDS
        while not answers():
            if time.monotonic() > limit or not server.is_running():
                output, errors = server._container.get_logs()
                words = (output + errors).decode(errors="replace").splitlines()[-25:]
                raise ServerError("\n".join([f"{server.name} in {image} does not answer. Its last words:", *words]))
            time.sleep(0.1)
    except BaseException:
        server.stop()
        raise
    progress(f"{server.name} answers after {time.monotonic() - begun:.1f} s")
    return server
