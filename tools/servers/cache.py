"""Downloads that are kept between runs: made once, whole or not at all, by one process at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

DIRECTORY_VARIABLE = "HEADRACE_SERVERS_CACHE"


def root(environment: Mapping[str, str] = os.environ) -> Path:
    """`$HEADRACE_SERVERS_CACHE`, else `headrace/servers` in the user's cache directory."""
    if chosen := environment.get(DIRECTORY_VARIABLE):
        return Path(chosen).absolute()
    home = environment.get("XDG_CACHE_HOME") or str(Path(environment.get("HOME", "~")).expanduser() / ".cache")
    return Path(home) / "headrace" / "servers"


def kept(name: str, make: Callable[[Path], None], directory: Path | None = None) -> Path:
    """The folder `name` in the cache; `make` fills a fresh one when it is not there yet.

    A folder appears under its name only when `make` has returned, and a process that finds another one at work waits
    for it. What `make` raises is passed on, and nothing is kept.
    """
    directory = directory or root()
    wanted = directory / name
    if wanted.is_dir():
        return wanted
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if wanted.is_dir():
            return wanted
        fresh = Path(tempfile.mkdtemp(prefix=f"{name}.", suffix=".part", dir=directory))
        try:
            make(fresh)
            fresh.chmod(0o755)
            fresh.rename(wanted)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
    return wanted
