"""A disk that can be full: a file system in memory, of so many bytes, that only those who are let in see.

It is mounted in a mount namespace of its own, so it needs no rights on most Linux machines, nobody else meets it, and
nothing is left of it when its keeper has ended.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from tools.servers import Mongo, ServerError
from tools.servers.process import Process, run_supervised

_FILLER = "filler"
_MOUNT_SECONDS = 10.0


class NoDiskError(Exception):
    """This machine lets nobody mount one; the message says in whose words."""


class SmallDisk:
    """A disk at `path`, for those who start by way of `enter`."""

    def __init__(self, path: Path, size: int, log: Path) -> None:
        self._path = path
        self._size = size
        self._log = log
        self._keeper: Process | None = None

    def mount(self) -> None:
        """Raises NoDiskError."""
        self._path.mkdir(parents=True, exist_ok=True)
        mount = f"mount -t tmpfs -o size={self._size} none '{self._path}' && exec sleep infinity"
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount]
        try:
            self._keeper = run_supervised(command, self._log, self._path.parent)
        except ServerError as error:
            raise NoDiskError(str(error)) from error
        limit = time.monotonic() + _MOUNT_SECONDS
        while not (self._keeper.is_running() and self._inside.is_mount()):
            if not self._keeper.is_running() or time.monotonic() > limit:
                self._keeper.kill()
                raise NoDiskError(self._log.read_text())
            time.sleep(0.01)

    def unmount(self) -> None:
        """Its data go with it, when nobody uses it any more."""
        if self._keeper is not None:
            self._keeper.kill()

    @property
    def enter(self) -> list[str]:
        """What to put before a command, so that it sees the disk."""
        assert self._keeper is not None
        return ["nsenter", f"--target={self._keeper.pid}", "--user", "--mount", "--preserve-credentials"]

    @property
    def _inside(self) -> Path:
        assert self._keeper is not None
        return Path(f"/proc/{self._keeper.pid}/root{self._path}")

    @property
    def free_bytes(self) -> int:
        found = os.statvfs(self._inside)
        return found.f_bavail * found.f_frsize

    def fill(self) -> None:
        """Take all the room that is left."""
        with (self._inside / _FILLER).open("wb") as filler:
            while (free := self.free_bytes) > 0:
                try:
                    os.posix_fallocate(filler.fileno(), filler.seek(0, os.SEEK_END), free)
                except OSError:  # somebody else was quicker: take what is left now
                    continue

    def make_room(self) -> None:
        """Give it back."""
        (self._inside / _FILLER).unlink()


class CrampedMongo(Mongo):
    """A MongoDB whose data are on a small disk. It writes them often, and so learns soon that the disk is full."""

    def __init__(self, directory: Path, disk: SmallDisk) -> None:
        super().__init__(directory, options=("--syncdelay", "1"))
        self._disk = disk

    def _prepare(self) -> list[str]:
        return [*self._disk.enter, *super()._prepare()]
