"""One server as a process: start, stop, kill -9, freeze and thaw, and start again on the same data and port.

Each one runs under `supervisor.py`, which ends it when the process that started it is gone.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.servers import supervisor
from tools.servers.errors import ServerError

HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 15.0
# Below the range from which the system takes ports for outgoing connections: else, while a killed server is away, a
# client's connection may be given its port, and the server cannot come back on it.
LOWEST_PORT, FIRST_EPHEMERAL_PORT = 20_000, 32_768

Progress = Callable[[str], None]


def silent(_: str) -> None:
    """The progress that nobody wants to see."""


def free_port() -> int:
    """A loopback port that was free a moment ago and that no outgoing connection will be given."""
    chance = random.SystemRandom()
    for _ in range(100):
        port = chance.randrange(LOWEST_PORT, FIRST_EPHEMERAL_PORT)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise ServerError(f"no free port between {LOWEST_PORT} and {FIRST_EPHEMERAL_PORT} on {HOST} in 100 tries")


class Process:
    """A process that some supervisor started, known by its pid and its start time."""

    def __init__(self, pid: int, started_at: str | None = None) -> None:
        self.pid = pid
        self.started_at = started_at or supervisor.started_at(pid)

    def is_running(self) -> bool:
        """Whether it has not ended yet; a frozen one runs."""
        return self.started_at is not None and supervisor.started_at(self.pid) == self.started_at

    def send(self, *signals: int) -> None:
        """Send these signals, if it still runs; never to another process with the same pid."""
        for number in signals:
            if self.is_running():
                os.kill(self.pid, number)

    def ended_within(self, seconds: float) -> bool:
        """Wait until it has ended, so long at most; whether it has."""
        limit = time.monotonic() + seconds
        while self.is_running():
            if time.monotonic() > limit:
                return False
            time.sleep(0.01)
        return True

    def stop(self, grace_seconds: float) -> None:
        """SIGTERM, then SIGKILL after the grace. Returns when it has ended."""
        self.send(signal.SIGTERM, signal.SIGCONT)
        if not self.ended_within(grace_seconds):
            self.kill()

    def kill(self) -> None:
        """SIGKILL. Returns when it has ended."""
        self.send(signal.SIGKILL)
        if not self.ended_within(10.0):
            raise ServerError(f"process {self.pid} is still there 10 s after SIGKILL; the system cannot end it")

    def freeze(self) -> None:
        """SIGSTOP. Returns when every thread stands: one that was at work may take a moment, and answer in it."""
        self.send(signal.SIGSTOP)
        limit = time.monotonic() + 10.0
        while self.is_running() and not supervisor.is_frozen(self.pid):
            if time.monotonic() > limit:
                raise ServerError(f"process {self.pid} still runs 10 s after SIGSTOP; the system cannot freeze it")
            time.sleep(0.005)


def run_supervised(
    command: list[str], output: Path, folder: Path, watched: int | None = None, grace_seconds: float = STOP_SECONDS
) -> Process:
    """Start a command in a folder; it ends with the process `watched` (this one unless told).

    Its output is added to a file. Raises ServerError when the command cannot be started at all.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    told = [str(watched or os.getpid()), str(grace_seconds), str(output), *command]
    done = subprocess.run(
        [sys.executable, "-I", supervisor.__file__, *told],
        stdin=subprocess.DEVNULL, capture_output=True, cwd=folder, text=True, check=False,
    )  # fmt: skip
    if not done.stdout.strip():
        raise ServerError(f"cannot start {command[0]}: {done.stderr.strip() or 'its supervisor said nothing'}")
    return Process(int(done.stdout))


class Server(ABC):
    """A server process with data and a log in a directory of its own.

    All verbs block; beside a running event loop call `start` and `stop` by way of `asyncio.to_thread`, or use
    `async with`, which does so. `kill`, `pause` and `resume` take milliseconds.
    """

    name: str

    def __init__(self, directory: Path, port: int | None = None, progress: Progress = silent) -> None:
        self.directory = directory.absolute()
        self.port = port or free_port()
        self._progress = progress
        self._process: Process | None = None
        self._lock = threading.RLock()

    @property
    @abstractmethod
    def address(self) -> str:
        """What a client needs to connect."""

    @property
    def pid(self) -> int:
        """The server's own process id (not its supervisor's). Raises ServerError when it was never started."""
        return self._started().pid

    @property
    def log(self) -> Path:
        """The file with all that the server has written, all its lives one after the other."""
        return self.directory / "logs" / f"{self.name.lower()}.log"

    @property
    def data(self) -> Path:
        """Where the server keeps its data; it survives `kill` and `stop`."""
        return self.directory / "data"

    def is_running(self) -> bool:
        """Whether the process is there, frozen or not."""
        return self._process is not None and self._process.is_running()

    def start(self, wait_seconds: float = START_SECONDS) -> None:
        """Start the server, on the data it has, and wait until it answers. Nothing happens when it runs already.

        Raises ServerError when it ends or does not answer in time (it is killed then), with the end of its log;
        MissingProgramError when the machine lacks what it needs.
        """
        with self._lock:
            if self.is_running():
                return
            command = self._prepare()
            begun = time.monotonic()
            self._progress(f"starting {self.name} on {HOST}:{self.port}")
            self._process = run_supervised(command, self.log, self.directory)
            try:
                self._wait(begun + wait_seconds)
            except BaseException:
                self.kill()
                raise
            self._progress(f"{self.name} answers after {time.monotonic() - begun:.1f} s")

    def stop(self, grace_seconds: float = STOP_SECONDS) -> None:
        """SIGTERM, then SIGKILL after the grace. Nothing happens when it does not run."""
        with self._lock:
            if self._process is not None:
                self._process.stop(grace_seconds)

    def kill(self) -> None:
        """kill -9; returns when the process has ended. `start` brings it back on the same data and port."""
        self._started().kill()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, and nothing answers."""
        self._started().freeze()

    def resume(self) -> None:
        """SIGCONT: go on after `pause`."""
        self._started().send(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self.start)
        except asyncio.CancelledError:
            await asyncio.to_thread(self.stop)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    @abstractmethod
    def _prepare(self) -> list[str]:
        """Fetch the program, write its files; the command that runs it."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether a client could work with it now."""

    def _started(self) -> Process:
        if self._process is None:
            raise ServerError(f"{self.name} in {self.directory} was never started: call start() first")
        return self._process

    def _wait(self, limit: float) -> None:
        while not self._answers():
            if not self.is_running():
                raise ServerError(f"{self.name} ended while it started. The end of {self.log}:\n{self._last_words()}")
            if time.monotonic() > limit:
                raise ServerError(f"{self.name} does not answer in time. The end of {self.log}:\n{self._last_words()}")
            time.sleep(0.05)

    def _last_words(self, lines: int = 25) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
