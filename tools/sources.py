"""Which files the checks look at: those that git tracks, or would track at the next `git add`."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ("shared", "services")


def tracked(root: Path, *patterns: str) -> list[Path]:
    """The files of a checkout that are not ignored, as paths relative to `root`; fails outside a checkout."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    paths = sorted({Path(name) for name in listed.split("\0") if name})
    return [path for path in paths if (root / path).is_file()]


def python_files(root: Path) -> list[Path]:
    """The Python files among them."""
    return tracked(root, "*.py")


def is_shipped(path: Path) -> bool:
    """Whether a file belongs to the product, not to its tests and tools."""
    return path.parts[0] in SHIPPED


def report(problems: list[str], advice: str) -> int:
    """Print the problems and what to do; return the exit status."""
    for problem in problems:
        print(problem)
    if problems:
        print(advice)
    return 1 if problems else 0
