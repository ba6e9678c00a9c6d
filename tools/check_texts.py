"""Refuse files that name a package registry's host or an absolute path of somebody's machine.

Both are true on one machine only: behind a mirror, the host is another one, and nobody else has that home directory.
Lock files record hosts by design and vendored files are not ours, so both are left out.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tools import sources

ADVICE = "Say the package's name instead of its registry's address, and a path relative to the repository."
LEFT_OUT_NAMES = frozenset({"uv.lock", "package-lock.json"})
LEFT_OUT_FOLDERS = (Path("services/api/headrace_api/static/swagger-ui"),)

FORBIDDEN = {
    "a registry's host": re.compile(
        r"\b(?:pypi\.org|pythonhosted\.org|registry\.npmjs|registry\.yarnpkg|repo1?\.maven|proxy\.golang\.org)\b"
    ),
    "a path of one machine": re.compile(r"(?<![\w.~*/}-])/(?:home|Users|root|work|builds|workspace)/(?!<)[\w.]"),
}


def check_text(path: Path, text: str) -> list[str]:
    """The problems of one file."""
    return [
        f"{path}:{number}: {what}: {found.group()}"
        for number, line in enumerate(text.splitlines(), start=1)
        for what, pattern in FORBIDDEN.items()
        for found in pattern.finditer(line)
    ]


def is_left_out(path: Path) -> bool:
    """Whether a file may say what it likes."""
    return path.name in LEFT_OUT_NAMES or any(path.is_relative_to(folder) for folder in LEFT_OUT_FOLDERS)


def check(root: Path) -> list[str]:
    """All problems of a checkout; files that are not UTF-8 text are none of this check's business."""
    problems = []
    for path in sources.tracked(root):
        if not is_left_out(path):
            try:
                problems += check_text(path, (root / path).read_text(encoding="utf-8"))
            except UnicodeDecodeError:
                continue
    return problems


if __name__ == "__main__":
    sys.exit(sources.report(check(sources.ROOT), ADVICE))
