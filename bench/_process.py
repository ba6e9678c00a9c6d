"""What a process costs: its CPU time and its memory."""

import os
import resource
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM, _CHILDREN_USER, _CHILDREN_SYSTEM = 11, 12, 13, 14
"""Fields of /proc/<pid>/stat, counted from behind the command's name."""


def cpu_seconds() -> float:
    """User and system time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_megabytes(pid: int | str = "self") -> float:
    """VmRSS of a process."""
    return _megabytes(pid, "VmRSS:")


def peak_megabytes(pid: int) -> float:
    """VmHWM of a process and of its children that live: the most that each ever had resident."""
    return sum(_megabytes(member, "VmHWM:") for member in (pid, *_children(pid)))


def cpu_seconds_of(pid: int) -> float:
    """User and system time of another process so far, with its children's, those included that have ended."""
    return sum(_ticks(pid, _USER, _SYSTEM, _CHILDREN_USER, _CHILDREN_SYSTEM)) / _TICKS + sum(
        cpu_seconds_of(child) for child in _children(pid)
    )


def cpu_seconds_by_group(groups: Mapping[str, Iterable[int]]) -> dict[str, float]:
    """The CPU time so far of groups of processes."""
    return {name: sum(cpu_seconds_of(pid) for pid in pids) for name, pids in groups.items()}


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())


def _ticks(pid: int, *fields: int) -> list[int]:
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(values[field]) for field in fields]


def _megabytes(pid: int | str, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no {name.rstrip(':')}")
