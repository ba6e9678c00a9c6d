"""What the production benchmarks measure: Kafka, MongoDB and the four services, a process each.

The servers are processes of this benchmark's own (tools.servers), never those of `KAFKA_BOOTSTRAP_SERVERS`: their CPU
time and their files are part of the figures.
"""

import itertools
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import _workload
from bench.throwaway import ROOT
from headrace.adapters.mongo.database import MongoDatabase
from headrace.adapters.mongo.definitions import MongoDefinitionStore
from headrace.adapters.mongo.settings import MongoSettings
from headrace.runtime import process
from tools.servers import Kafka, Mongo
from tools.servers.kafka import STEADY_SESSION_MS
from tools.servers.process import HOST, free_port

PROGRAM = Path(sys.executable).with_name("headrace")
SERVICES = ("trigger", "orchestrator", "invoker", "api")
PARTITIONS = 12
SECRET = "a secret of the benchmark, which runs on loopback only"
_READY_SECONDS = 60.0
_STOP_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class Servers:
    """A broker and a database that are ours alone."""

    kafka: Kafka
    mongo: Mongo

    @property
    def pids(self) -> dict[str, list[int]]:
        """The two as groups of processes."""
        return {"broker": [self.kafka.pid], "database": [self.mongo.pid]}

    def environment(self, name: str = "headrace") -> dict[str, str]:
        """What services of an installation with this name are told."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HEADRACE_", "KAFKA_", "MONGO"))}
        return {
            **kept,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "MONGODB_URI": self.mongo.uri,
            "HEADRACE_MONGODB__DATABASE": name,
            "HEADRACE_TOPIC_PREFIX": f"{name}.",
            "HEADRACE_PARTITIONS": str(PARTITIONS),
            "HEADRACE_LOG_LEVEL": "WARNING",
            "HEADRACE_TOKEN_SECRET": SECRET,
            "HEADRACE_SIGNING_SECRET": SECRET,
            "HEADRACE_ADMIN__CLIENT_SECRET": SECRET,
            "HEADRACE_EGRESS__ALLOWED_NETWORKS": "127.0.0.0/8",
        }


@contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Start both in a folder, stop them at the end. Raises ServerError when one is not to be had."""
    say = print_progress
    with ExitStack() as stack:
        kafka = Kafka(folder / "kafka", progress=say, broker_session_timeout_ms=STEADY_SESSION_MS)
        mongo = Mongo(folder / "mongo", progress=say)
        yield Servers(stack.enter_context(kafka), stack.enter_context(mongo))


def print_progress(text: str) -> None:
    """One line for who waits."""
    print(f"         {text}", flush=True)


class Child:
    """A process of the benchmark with its words in a file; stopped by its process id."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self._log = log
        with log.open("ab") as words:
            self._process = subprocess.Popen(
                command, env=dict(environment), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=words,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.pid = self._process.pid

    def check(self) -> None:
        """Raises SystemExit when it has ended, with its last words."""
        if self._process.poll() is not None:
            words = self._log.read_text(errors="replace")[-4000:]
            raise SystemExit(f"{self.name} ended with exit status {self._process.returncode}:\n{words}")

    def ask_to_end(self) -> None:
        """SIGTERM."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def ended(self) -> None:
        """Wait for its end, and make it end when it takes too long."""
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class House:
    """An installation of Headrace on the servers: its topics, its database, its services."""

    def __init__(self, its: Servers, folder: Path, name: str = "headrace") -> None:
        self.servers = its
        self.name = name
        self._folder = folder
        self.environment = its.environment(name)
        self._database = {"uri": its.mongo.uri, "database": name}
        self.ports: dict[str, list[int]] = {}

    def prepare(self, receiver: str) -> None:
        """Make topics and indexes, and save W1 for a receiver at that URL."""
        self.init()
        process.run(_save_w1(MongoSettings.model_validate(self._database), receiver))

    def init(self) -> None:
        """Make topics and indexes as an operator does. Raises SystemExit with what `headrace init` said."""
        done = subprocess.run([PROGRAM, "init"], env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"headrace init ended with exit status {done.returncode}:\n{done.stdout}{done.stderr}")

    @contextmanager
    def services(self, **counts: int) -> Iterator[dict[str, list[int]]]:
        """Run the services, one process of each unless told otherwise; yields their process ids."""
        children: list[Child] = []
        try:
            self.ports = {name: [free_port() for _ in range(counts.get(name, 1))] for name in SERVICES}
            for name, ports in self.ports.items():
                for port in ports:
                    log = self._folder / f"{self.name}-{name}.log"
                    settings = {**self.environment, "HEADRACE_PORT": str(port)}
                    children.append(Child(name, [str(PROGRAM), name], settings, log))
            for child, port in zip(children, itertools.chain(*self.ports.values()), strict=True):
                _wait_until_ready(child, port)
            yield {name: [child.pid for child in children if child.name == name] for name in SERVICES}
            for child in children:
                child.check()
        finally:
            for child in children:
                child.ask_to_end()
            for child in children:
                child.ended()


async def _save_w1(settings: MongoSettings, receiver: str) -> None:
    database = MongoDatabase(settings)
    try:
        await database.connect()
        await _workload.save_w1(MongoDefinitionStore(database), receiver)
    finally:
        await database.close()


def _wait_until_ready(child: Child, port: int) -> None:
    url = f"http://{HOST}:{port}/healthz/ready"
    deadline = time.monotonic() + _READY_SECONDS
    answer = "no answer"
    while time.monotonic() < deadline:
        child.check()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError as error:
            answer = error.read().decode(errors="replace")
        except OSError as error:
            answer = str(error)
        time.sleep(0.05)
    raise SystemExit(f"{child.name} is not ready after {_READY_SECONDS:g} s: {answer}")


@contextmanager
def receiver(folder: Path) -> Iterator[tuple[str, int]]:
    """The receiver of the webhooks (bench.echo_server) in a process of its own; yields its URL and its process id."""
    log = folder / "receiver.log"
    child = Child("the receiver", [sys.executable, "-m", "bench.echo_server"], os.environ, log)
    try:
        while not log.read_text().endswith("\n"):
            child.check()
            time.sleep(0.02)
        yield f"http://{HOST}:{int(log.read_text())}", child.pid
    finally:
        child.ask_to_end()
        child.ended()
