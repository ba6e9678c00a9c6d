"""One evaluator process: started, asked, killed."""

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import struct
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Literal

from headrace.adapters.jq.limits import Limits
from headrace.ports.evaluator import EvaluatorUnavailableError

_WORKER = Path(__file__).with_name("worker.py")
_LARGEST_FRAME = 1 << 30


class ChildDiedError(Exception):
    """Raised when the process ended instead of answering: past its deadline, out of memory, or of some other cause."""

    def __init__(self, reason: Literal["time", "memory", "crash"]) -> None:
        super().__init__(reason)
        self.reason = reason


class Child:
    """A running worker. After ChildDiedError, or a cancelled `ask`, it is good for `end` only."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._handle = _open_handle(process.pid)
        self._overdue = False
        self.evaluations = 0

    @classmethod
    async def start(cls, limits: Limits) -> "Child":
        """A worker that has given up its rights and is ready. Raises EvaluatorUnavailableError."""
        directory = tempfile.mkdtemp(prefix="headrace-jq-")
        try:
            child = cls(await _spawn(limits, directory))
            try:
                await child.receive(limits.start_seconds)
            except BaseException:
                await asyncio.shield(child.end())
                raise
        except (OSError, ChildDiedError) as error:
            raise EvaluatorUnavailableError(f"cannot start an evaluator process: {error!r}") from error
        finally:
            with contextlib.suppress(FileNotFoundError):  # the worker removes it once it is inside
                os.rmdir(directory)
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None and not self._stdout.at_eof()

    def send(self, request: bytes) -> None:
        """Queues a request; what goes wrong shows in `receive`."""
        self._stdin.writelines((struct.pack(">I", len(request)), request))

    async def receive(self, deadline_seconds: float) -> bytes:
        """The next frame, if it comes in time: at the deadline the process is killed. Raises ChildDiedError."""
        timer = asyncio.get_running_loop().call_later(deadline_seconds, self._kill_overdue)
        try:
            (length,) = struct.unpack(">I", await self._stdout.readexactly(4))
            if length > _LARGEST_FRAME:
                raise ChildDiedError("crash")
            return await self._stdout.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise ChildDiedError(await self._find_reason()) from None
        finally:
            timer.cancel()

    def kill(self) -> None:
        """Ends the process at once; `end` still has to follow."""
        if self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            if self._handle is None:
                self._process.kill()
            else:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    async def end(self) -> None:
        """Kills the process if it still runs, and leaves no zombie and no open pipe."""
        self.kill()
        self._stdin.close()
        await self._process.wait()
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)
        with contextlib.suppress(OSError):  # what was not written no longer matters
            await self._stdin.wait_closed()

    def _kill_overdue(self) -> None:
        self._overdue = True
        self.kill()

    async def _find_reason(self) -> Literal["time", "memory", "crash"]:
        self.kill()  # it may have closed stdout and live on
        code = await self._process.wait()
        if self._overdue or code == -signal.SIGXCPU:
            return "time"
        return "memory" if code == -signal.SIGABRT else "crash"  # libjq aborts when memory runs out


async def _spawn(limits: Limits, directory: str) -> asyncio.subprocess.Process:
    settings = {
        "jq": _find_jq(),
        "memory_bytes": limits.memory_bytes,
        "output_bytes": limits.output_bytes,
        "parent": os.getpid(),
    }
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-B", str(_WORKER), json.dumps(settings)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        cwd=directory,
        start_new_session=True,  # a Ctrl-C at the terminal is for the service
    )


def _open_handle(pid: int) -> int | None:
    """A handle to signal the process by: unlike its id it cannot come to mean another process, and unlike
    `Process.kill` it does not reap the process behind the event loop's back."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


@cache
def _find_jq() -> str:
    """The extension module's file. It is found, not imported: libjq stays out of this process."""
    spec = importlib.util.find_spec("jq")
    if spec is None or spec.origin is None:
        raise EvaluatorUnavailableError("the package jq is not installed")
    return spec.origin
