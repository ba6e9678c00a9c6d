"""Apache Kafka on loopback: broker and controller in one node, from its Maven artifacts. Needs Java 17 and Maven."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.servers import cache
from tools.servers.errors import MissingProgramError, ServerError
from tools.servers.process import HOST, Progress, Server, free_port, silent

POM = Path(__file__).with_name("pom.xml")
LOGGING = Path(__file__).with_name("log4j2.properties")
JAVA_OPTIONS = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC")
OLDEST_JAVA = 17

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "delete.topic.enable": "true",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    # Fault tests want short sessions; the broker's own least is 6 s.
    "group.min.session.timeout.ms": "500",
    # 128 MiB of a small heap otherwise.
    "log.cleaner.dedupe.buffer.size": "16777216",
}

# A killed broker may register again only when its former life's session has run out: the broker's own 9 s are long for
# who kills it, and right for who does not, since a busy machine that delays heartbeats must not put it out of service.
QUICK_RETURN = {"broker_session_timeout_ms": 2000, "broker_heartbeat_interval_ms": 400}
STEADY_SESSION_MS = 9000


class Kafka(Server):
    """A Kafka broker of one's own.

    `settings` are the broker's, with underscores for the dots: `Kafka(path, message_max_bytes=2_000_000)`. They are
    written at each start. `scram_users` are names and passwords for SCRAM-SHA-512, known to the broker from the first
    start on this data. Data in `directory` that an earlier Kafka left there is used again, on any port.
    """

    name = "Kafka"

    def __init__(
        self, directory: Path, port: int | None = None, *, progress: Progress = silent,
        java_options: Sequence[str] = JAVA_OPTIONS, scram_users: Mapping[str, str] | None = None, **settings: str | int,
    ) -> None:  # fmt: skip
        super().__init__(directory, port, progress)
        self.settings = {name.replace("_", "."): str(value) for name, value in {**QUICK_RETURN, **settings}.items()}
        self._java_options = tuple(java_options)
        self._scram_users = dict(scram_users or {})

    @property
    def bootstrap_servers(self) -> str:
        """`host:port`, for a client's option of that name."""
        return f"{HOST}:{self.port}"

    @property
    def address(self) -> str:
        return self.bootstrap_servers

    def _prepare(self) -> list[str]:
        java = find_java()
        jars = fetch(self._progress)
        self.data.mkdir(parents=True, exist_ok=True)
        properties = self.directory / "server.properties"
        controller_port = self._controller_port()
        properties.write_text(self._properties(controller_port))
        run = [java, f"-Dlog4j2.configurationFile={LOGGING}", "-cp", f"{jars}/*"]
        if not (self.data / "meta.properties").exists():
            self._format([*run, "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool"], properties)
        return [*run, *self._java_options, "kafka.Kafka", str(properties)]

    def _answers(self) -> bool:
        return answers(HOST, self.port)

    def _controller_port(self) -> int:
        """The same in every life: it is written into the formatted data."""
        noted = self.directory / "controller.port"
        if not noted.exists():
            noted.write_text(str(free_port()))
        return int(noted.read_text())

    def _properties(self, controller_port: int) -> str:
        settings = {
            **SETTINGS,
            "controller.quorum.bootstrap.servers": f"{HOST}:{controller_port}",
            "listeners": f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{controller_port}",
            "log.dirs": str(self.data),
            **self.settings,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())

    def _format(self, tool: list[str], properties: Path) -> None:
        begun = time.monotonic()
        cluster_id = base64.urlsafe_b64encode(b"\0" + secrets.token_bytes(15)).decode().rstrip("=")
        command = [*tool, "format", "-t", cluster_id, "-c", str(properties), "--standalone"]
        for user, password in self._scram_users.items():
            command += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ServerError(f"Kafka cannot format its storage in {self.data}:\n{done.stdout}{done.stderr}")
        self._progress(f"formatted {self.name}'s storage in {time.monotonic() - begun:.1f} s")


def find_java() -> str:
    """The Java to run Kafka with: `$JAVA_HOME`'s, else the first on PATH. Raises MissingProgramError."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    remedy = f"Install Java {OLDEST_JAVA} or later (Debian: apt-get install openjdk-17-jre-headless), or point "
    remedy += "KAFKA_BOOTSTRAP_SERVERS at a broker that runs."
    if java is None:
        raise MissingProgramError(f"Kafka needs Java, and there is none on PATH or in JAVA_HOME. {remedy}")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found.group(1)) < OLDEST_JAVA:
        raise MissingProgramError(f"Kafka needs Java {OLDEST_JAVA} or later; {java} says: {said.strip()} {remedy}")
    return java


def version() -> str:
    """The release of Kafka that `pom.xml` names."""
    found = re.search(r"<kafka.version>([^<]+)<", POM.read_text())
    assert found is not None
    return found.group(1)


def fetch(progress: Progress = silent) -> Path:
    """The folder with Kafka's jars, by Maven the first time. Raises MissingProgramError without it, ServerError."""
    name = f"kafka-{version()}-{hashlib.sha256(POM.read_bytes()).hexdigest()[:8]}"

    def make(folder: Path) -> None:
        maven = shutil.which("mvn")
        if maven is None:
            raise MissingProgramError(
                "Kafka's jars are fetched with Maven, and there is no `mvn` on PATH. Install it (Debian: apt-get "
                "install maven), or point KAFKA_BOOTSTRAP_SERVERS at a broker that runs."
            )
        begun = time.monotonic()
        progress(f"fetching {name} with Maven (54 MB, once)")
        command = [maven, "-q", "-B", "-C", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
        done = subprocess.run(
            [*command, f"-DoutputDirectory={folder}"], capture_output=True, text=True, check=False, cwd=folder
        )
        if done.returncode != 0 or not any(folder.glob("kafka_*.jar")):
            raise ServerError(f"Maven could not fetch Kafka's jars:\n{(done.stdout + done.stderr)[-4000:]}")
        progress(f"fetched Kafka in {time.monotonic() - begun:.1f} s")

    return cache.kept(name, make)


def answers(host: str, port: int, time_limit_seconds: float = 2.0) -> bool:
    """Whether a broker there answers a metadata request and names at least one broker that is ready for clients."""
    client = b"headrace-probe"
    # Metadata, version 1, correlation id 7, about no topic.
    request = struct.pack(">hhih", 3, 1, 7, len(client)) + client + struct.pack(">i", 0)
    try:
        with socket.create_connection((host, port), time_limit_seconds) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as replies:
                replies.read(4)
                correlation, brokers = struct.unpack(">ii", replies.read(8))
    except (OSError, struct.error):
        return False
    return bool(correlation == 7 and brokers > 0)
