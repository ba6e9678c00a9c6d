"""The four services as processes of their own, as an operator runs them: started, asked by probes, ended by signals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson

from tests.e2e.house import log_in, until
from tools.servers.process import HOST, free_port

PROGRAM = Path(sys.executable).with_name("headrace")
SERVICES = ("trigger", "orchestrator", "invoker", "api")
READY_SECONDS = 30.0
SECRET = "0123456789abcdef" * 3
ADMIN = ("admin", "a secret of the admin")


def environment(kafka: str, mongodb: str, name: str, **more: str) -> dict[str, str]:
    """What all services of one installation are told; its topics and its database are called `name`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HEADRACE_", "KAFKA_", "MONGODB_"))}
    return {
        **kept,
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "MONGODB_URI": mongodb,
        "HEADRACE_MONGODB__DATABASE": name,
        "HEADRACE_TOPIC_PREFIX": f"{name}.",
        "HEADRACE_PARTITIONS": "2",
        "HEADRACE_KAFKA__SESSION_TIMEOUT_MS": "6000",
        "HEADRACE_KAFKA__HEARTBEAT_INTERVAL_MS": "1000",
        "HEADRACE_TOKEN_SECRET": SECRET,
        "HEADRACE_SIGNING_SECRET": SECRET,
        "HEADRACE_ADMIN__CLIENT_SECRET": ADMIN[1],
        "HEADRACE_EGRESS__ALLOWED_NETWORKS": "127.0.0.0/8",
        **more,
    }


class ServiceProcess:
    """One service."""

    def __init__(self, name: str, settings: Mapping[str, str]) -> None:
        self.name = name
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self._settings = {**settings, "HEADRACE_PORT": str(self.port)}
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self.lines: list[str] = []
        """What it said, on standard output and standard error."""

    async def start(self, *command: str) -> None:
        """Begin a life. `command` is for other ways to start it than `headrace <name>`."""
        self._process = await asyncio.create_subprocess_exec(
            *(command or (str(PROGRAM), self.name)), env=self._settings, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def log(self) -> list[dict[str, Any]]:
        """The entries of its log; every line that it writes once it has started is one."""
        return [orjson.loads(line) for line in self.lines]

    def said(self, *parts: str) -> bool:
        """Whether one line holds all these."""
        return any(all(part in line for part in parts) for line in self.lines)

    async def ended(self, seconds: float = 20.0) -> int:
        """The exit code, which must come in time."""
        assert self._process is not None
        assert self._reading is not None
        async with asyncio.timeout(seconds):
            code = await self._process.wait()
            await self._reading
        return code

    async def terminate(self, seconds: float = 30.0) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return await self.ended(seconds)

    async def close(self) -> None:
        """Make sure that nothing is left of it."""
        if self.is_running:
            assert self._process is not None
            self._process.kill()
        if self._process is not None:
            await self.ended()

    async def probe(self, page: str) -> httpx.Response | None:
        """What a probe gets; None while nobody listens."""
        with contextlib.suppress(httpx.TransportError):
            async with httpx.AsyncClient(timeout=5.0) as client:
                return await client.get(f"{self.url}/healthz/{page}")
        return None

    async def ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until it says that it is ready."""

        async def look() -> bool:
            assert self.is_running, self.lines
            answer = await self.probe("ready")
            return answer is not None and answer.status_code == 200

        try:
            await until(look, f"{self.name} to be ready", seconds)
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self.lines])) from None

    async def not_ready(self, reason: str, seconds: float = 15.0) -> None:
        """Wait until it says that it is alive, and not ready, and why."""

        async def look() -> bool:
            answer, alive = await self.probe("ready"), await self.probe("live")
            if answer is None or alive is None:
                return False
            return alive.status_code == 200 and answer.status_code == 503 and reason in answer.json()["message"]

        await until(look, f"{self.name} not to be ready because {reason!r}", seconds)

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self.lines.append(line.decode().rstrip("\n"))


class Installation:
    """All services on one broker and database."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.settings = dict(settings)
        self.services = {name: ServiceProcess(name, settings) for name in SERVICES}
        self.client = httpx.AsyncClient(base_url=self.services["api"].url, timeout=30.0)

    async def start(self) -> None:
        await asyncio.gather(*(service.start() for service in self.services.values()))

    async def ready(self) -> None:
        """Wait until all are, and sign in."""
        await asyncio.gather(*(service.ready() for service in self.services.values()))
        await log_in(self.client, *ADMIN)

    async def call(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        response = await self.client.request(method, path, json=body)
        assert response.status_code == status, response.text
        return response.json()

    async def run_of(self, event_id: str, seconds: float = 30.0) -> dict[str, Any]:
        """The one run that an event started, once it is over."""

        async def look() -> dict[str, Any] | None:
            explained = await self.client.get(f"/v1/events/{event_id}/explain")
            if explained.status_code != 200:
                return None
            verdicts = explained.json()["explanation"]["verdicts"]
            started = [verdict["runId"] for verdict in verdicts if verdict["runId"] is not None]
            if len(started) != 1:
                return None
            answer = await self.client.get(f"/v1/workflows/runs/{started[0]}")
            run = answer.json().get("workflowRun") if answer.status_code == 200 else None
            return run if run and run["status"] == "COMPLETED" else None

        return await until(look, f"the run of event {event_id}", seconds)

    async def finished_run(self, run_id: str, seconds: float = 30.0) -> dict[str, Any]:
        """The run, once it is over."""

        async def look() -> dict[str, Any] | None:
            run = (await self.call("GET", f"/v1/workflows/runs/{run_id}"))["workflowRun"]
            return dict(run) if run["status"] == "COMPLETED" else None

        return await until(look, f"run {run_id} to end", seconds)

    def print_logs(self) -> None:
        """For whoever reads why a test failed."""
        for service in self.services.values():
            print(f"== {service.name}", *service.lines[-40:], sep="\n")

    async def close(self) -> None:
        await self.client.aclose()
        await asyncio.gather(*(service.close() for service in self.services.values()))


async def headrace(settings: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    """One command of the program to its end: exit code, and all that it wrote."""
    process = await asyncio.create_subprocess_exec(
        str(PROGRAM), *arguments, env=dict(settings), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


@asynccontextmanager
async def one(name: str, settings: Mapping[str, str], command: Sequence[str] = ()) -> AsyncIterator[ServiceProcess]:
    """One started service; nothing is left of it after the block."""
    service = ServiceProcess(name, settings)
    await service.start(*command)
    try:
        yield service
    finally:
        await service.close()


@asynccontextmanager
async def installed(settings: Mapping[str, str]) -> AsyncIterator[Installation]:
    """All four, on topics and indexes that `headrace init` made."""
    code, output = await headrace(settings, "init")
    assert code == 0, output
    async with AsyncExitStack() as stack:
        installation = Installation(settings)
        stack.push_async_callback(installation.close)
        await installation.start()
        await installation.ready()
        try:
            yield installation
        except BaseException:
            installation.print_logs()
            raise
