"""One server of each kind for a whole test session, however many processes it has.

Who asks first starts a keeper (`python -m tools.servers --state …`), which belongs to the session's first process, not
to the one that asked: under pytest-xdist a worker ends before others do. All meet in one directory, under a file lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

from tools.servers import source
from tools.servers.errors import ServerError
from tools.servers.process import Process, run_supervised

ROOT = Path(__file__).parents[2]
# The first start on a machine also downloads a hundred megabytes.
WAIT_SECONDS = 400.0
STOP_SECONDS = 40.0


class SharedServers:
    """The servers of the session that process `owner` leads. `directory` is made when the first one is asked for."""

    def __init__(self, directory: Path, owner: int) -> None:
        self.directory = directory
        self.owner = owner

    def address(self, kind: source.Kind) -> str:
        """Where the session's server of this kind is, started now if it is the first time that somebody asks.

        Raises ServerError when it is not to be had; after that, to everybody who asks, at once and with the same words.
        """
        if given := os.environ.get(kind.variable):
            return source.given(kind, given).address
        folder = self.directory / kind.key
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state = _read(folder / "state.json") or self._open(kind, folder)
        if "error" in state:
            raise ServerError(state["error"])
        return str(state["address"])

    def stop(self) -> None:
        """End what was started and remove its data; its logs stay. For the session's first process, at the end."""
        noted = [_read(folder / "keeper.json") for folder in self._folders()]
        keepers = [Process(keeper["pid"], keeper["started_at"]) for keeper in noted if keeper is not None]
        for keeper in keepers:
            keeper.send(signal.SIGTERM)
        for keeper in keepers:
            keeper.stop(STOP_SECONDS)
        for folder in self._folders():
            shutil.rmtree(folder / "data", ignore_errors=True)

    def remove_logs(self) -> None:
        """Remove the whole directory, when nobody will want to know what the servers said."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _folders(self) -> list[Path]:
        return [self.directory / key for key in source.KINDS if (self.directory / key).exists()]

    def _open(self, kind: source.Kind, folder: Path) -> dict[str, Any]:
        """Start the keeper and wait for its first word."""
        state = folder / "state.json"
        log = folder / "logs" / "keeper.log"
        command = [sys.executable, "-m", "tools.servers", f"--{kind.key}-only", "--state", str(state), "--data"]
        keeper = run_supervised([*command, str(self.directory)], log, ROOT, self.owner, STOP_SECONDS)
        _write(folder / "keeper.json", {"pid": keeper.pid, "started_at": keeper.started_at})
        limit = time.monotonic() + WAIT_SECONDS
        while True:
            is_running = keeper.is_running()
            if (told := _read(state)) is not None:
                return told
            if not is_running or time.monotonic() > limit:
                keeper.kill()
                words = log.read_text(errors="replace")[-4000:]
                error = {
                    "error": f"the keeper of the tests' {kind.name} {'hangs' if is_running else 'ended'}:\n{words}"
                }
                _write(state, error)
                return error
            time.sleep(0.05)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return document


def _write(path: Path, document: dict[str, Any]) -> None:
    """Whole or not at all: others read it without the lock."""
    fresh = path.with_suffix(".part")
    fresh.write_text(json.dumps(document))
    fresh.rename(path)


# What the keeper writes for those who wait for it.
write_state = _write
