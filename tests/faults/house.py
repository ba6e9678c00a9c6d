"""A house to break: Kafka and MongoDB of its own, and two processes of each service that can be killed and frozen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import aiohttp

from tools.servers import Kafka, Mongo
from tools.servers.process import HOST, Process, free_port, run_supervised

COMMANDS = {
    "trigger": "headrace_trigger",
    "orchestrator": "headrace_orchestrator",
    "invoker": "headrace_invoker",
    "api": "headrace_cli.api_process",
}
"""What `headrace trigger` and so on become (headrace_cli.commands.serve)."""
TWINS = 2
PARTITIONS = 4
SESSION_SECONDS = 6.0
SECRET = "a secret for tests, long enough for everybody"
ADMIN = "admin"
DATABASE = "faults"
PREFIX = "faults."
START_SECONDS = 60.0
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR")


async def until(look: Callable[[], Awaitable[object]], what: str, seconds: float) -> float:
    """Look again and again until it holds; how many seconds that took."""
    began = time.monotonic()
    while not await look():
        assert time.monotonic() - began < seconds, f"waited {seconds:.0f} s in vain for {what}"
        await asyncio.sleep(0.05)
    return time.monotonic() - began


class Service:
    """One of two processes of a service: the same name, port and log over all its lives."""

    def __init__(self, role: str, number: int, folder: Path, environment: dict[str, str]) -> None:
        self.role = role
        self.group = f"{PREFIX.rstrip('.')}-{role}"
        self.name = f"{role}-{number}"
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.log = folder / "logs" / f"{self.name}.log"
        self.lives = 0
        self._folder = folder
        self._environment = environment
        self._process: Process | None = None

    @property
    def life(self) -> str:
        """Names this life; Kafka knows it as the client's id."""
        return f"{self.name}.{self.lives}"

    @property
    def next_life(self) -> str:
        return f"{self.name}.{self.lives + 1}"

    @property
    def next_secret(self) -> str:
        """What the next life will sign with."""
        return f"{SECRET} {self.next_life}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.is_running()

    def spawn(self) -> None:
        """Begin a life; blocks for a moment, and does not wait until the service is ready."""
        more = {
            "HEADRACE_PORT": str(self.port),
            "HEADRACE_KAFKA__CLIENT_ID": self.next_life,
            "HEADRACE_SIGNING_SECRET": self.next_secret,
        }
        self.lives += 1
        variables = [f"{name}={value}" for name, value in {**self._environment, **more}.items()]
        command = ["/usr/bin/env", "-i", *variables, sys.executable, "-P", "-m", COMMANDS[self.role]]
        self._process = run_supervised(command, self.log, self._folder)

    def kill(self) -> None:
        """kill -9"""
        assert self._process is not None
        self._process.kill()

    def pause(self) -> None:
        """SIGSTOP"""
        assert self._process is not None
        self._process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT"""
        assert self._process is not None
        self._process.send(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send(signal.SIGCONT)
            self._process.stop(10.0)

    async def ready(self, seconds: float = START_SECONDS) -> float:
        """Wait until it says that it is ready."""
        return await self._says(lambda complaint: complaint == "", "ready", seconds)

    async def complains(self, of: str, seconds: float = START_SECONDS) -> float:
        """Wait until it says that it is not ready, and names this as the reason."""
        return await self._says(lambda complaint: of in complaint, f"not ready because of {of}", seconds)

    async def _says(self, wanted: Callable[[str], bool], what: str, seconds: float) -> float:
        limit = aiohttp.ClientTimeout(total=3)
        async with aiohttp.ClientSession(timeout=limit) as session:

            async def look() -> bool:
                assert self.is_running, f"{self.life} ended: {self.last_words()}"
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(f"{self.url}/healthz/ready") as answer:
                        return wanted("" if answer.status == 200 else (await answer.json())["message"])
                return False

            return await until(look, f"{self.life} to be {what} ({self.log})", seconds)

    def last_words(self, lines: int = 5) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class House:
    """Everything but the receiver. Blocking verbs of the servers run in threads.

    `variables` are settings of the services which this house wants otherwise.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str] | None = None, mongo: Mongo | None = None) -> None:
        self.folder = folder
        self.kafka = Kafka(folder / "kafka")
        self.mongo = mongo or Mongo(folder / "mongo")
        self._variables = variables or {}
        environment = self._environment()
        self.services = [
            Service(role, number, folder, environment) for role in COMMANDS for number in range(1, TWINS + 1)
        ]

    def pair(self, role: str) -> list[Service]:
        return [service for service in self.services if service.role == role]

    def pids(self) -> dict[str, int]:
        """Who runs, by name."""
        return {service.name: service.pid for service in self.services if service.is_running}

    async def start_servers(self) -> None:
        """Kafka and MongoDB, and what `headrace init` makes in them."""
        await asyncio.gather(asyncio.to_thread(self.kafka.start), asyncio.to_thread(self.mongo.start))
        program = str(Path(sys.executable).with_name("headrace"))
        init = await asyncio.create_subprocess_exec(
            program, "init", env=self._environment(), stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await init.communicate()
        assert init.returncode == 0, output.decode()

    async def bring_back(self, service: Service) -> None:
        """Start a service that does not run, and wait until it is ready."""
        await asyncio.to_thread(service.spawn)
        await service.ready()

    async def stop(self) -> None:
        """End everything, the services first."""
        await asyncio.gather(*(asyncio.to_thread(service.stop) for service in self.services))
        await asyncio.gather(asyncio.to_thread(self.kafka.stop), asyncio.to_thread(self.mongo.stop))

    def forget(self) -> None:
        """Remove the data of the servers, which are big; all logs stay."""
        for data in (self.kafka.data, self.mongo.data):
            shutil.rmtree(data, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
            "HOME": str(self.folder),
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "MONGODB_URI": self.mongo.uri,
            "HEADRACE_MONGODB__DATABASE": DATABASE,
            "HEADRACE_TOPIC_PREFIX": PREFIX,
            "HEADRACE_PARTITIONS": str(PARTITIONS),
            "HEADRACE_KAFKA__SESSION_TIMEOUT_MS": str(int(SESSION_SECONDS * 1000)),
            "HEADRACE_KAFKA__HEARTBEAT_INTERVAL_MS": "500",
            "HEADRACE_TOKEN_SECRET": SECRET,
            "HEADRACE_ADMIN__CLIENT_ID": ADMIN,
            "HEADRACE_ADMIN__CLIENT_SECRET": SECRET,
            "HEADRACE_EGRESS__ALLOWED_NETWORKS": "127.0.0.0/8",
            "HEADRACE_EGRESS__PER_HOST_CONCURRENCY": "200",
            "HEADRACE_JQ_PROCESSES": "1",
            "HEADRACE_LEASE_SECONDS": "15",
            **self._variables,
        }
