"""Throw-away environments and side-by-side rounds for benchmarks of libraries that Headrace does not depend on.

A comparison of two client libraries needs both of them installed, at pinned versions, and neither in our own lock
file. Such a script keeps them in a virtual environment of its own below ``.cache/bench`` and runs its measured parts
there as child processes, so that the CPU time of a client is never mixed up with that of a server.
"""

from __future__ import annotations

import json
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "bench"


def set_up(name: str, requirements: Sequence[str]) -> Path:
    """Make (once per set of requirements) the environment of benchmark `name`; return its Python."""
    home = CACHE / name / "venv"
    stamp = home / "requirements.txt"
    wanted = "\n".join(requirements) + "\n"
    python = home / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"setting up {home.relative_to(ROOT)}: {', '.join(requirements)}", file=sys.stderr)
        venv.create(home, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
        stamp.write_text(wanted)
    return python


def clean(name: str) -> None:
    """Remove everything that benchmark `name` keeps between runs."""
    shutil.rmtree(CACHE / name, ignore_errors=True)


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def measure(python: Path, module: str, *arguments: str, time_limit_seconds: float = 180.0) -> dict[str, float]:
    """Run a measured part as a child process; its last line on standard output is a JSON object of figures."""
    command = [str(python), "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=time_limit_seconds, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)} failed with exit status {done.returncode}:\n{done.stderr[-4000:]}")
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


@contextmanager
def stopped_afterwards(process: subprocess.Popen[str], grace_seconds: float = 15.0) -> Iterator[subprocess.Popen[str]]:
    """Stop exactly this process at the end, politely first."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def print_table(title: str, unit: str, rounds: Mapping[str, Sequence[float]]) -> None:
    """Print median, minimum and maximum per row, and each median as a multiple of the first row's."""
    base = statistics.median(next(iter(rounds.values())))
    print(f"\n{title} (Python {platform.python_version()}, {unit}, {len(next(iter(rounds.values())))} rounds)\n")
    print(f"{'':<44} {'median':>9} {'min':>9} {'max':>9} {'ratio':>7}")
    for name, values in rounds.items():
        median = statistics.median(values)
        print(f"{name:<44} {median:>9.1f} {min(values):>9.1f} {max(values):>9.1f} {median / base:>6.1f}x")
