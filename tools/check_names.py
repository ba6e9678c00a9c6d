"""Refuse shipped modules without a docstring, and modules named for no concern (utils, common, helpers, models).

A stranger should find a thing by its file's name and learn from its first line why the file exists.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from tools import sources

NAMELESS = frozenset({"common", "helper", "helpers", "misc", "models", "util", "utils"})
ADVICE = "Name the module for its one concern; say in its first line what it is for."


def nameless_parts(path: Path) -> list[str]:
    """The folders and the module of this path that are named for nothing."""
    names = [*path.parent.parts, path.stem]
    return [name for name in names if name.strip("_").lower() in NAMELESS]


def has_docstring(source: str) -> bool:
    """Whether the module says what it is for."""
    return bool((ast.get_docstring(ast.parse(source)) or "").strip())


def check(root: Path) -> list[str]:
    """All problems of a checkout."""
    problems = []
    for path in sources.python_files(root):
        problems += [f"{path}: `{name}` says nothing about what is in it" for name in nameless_parts(path)]
        if sources.is_shipped(path) and not has_docstring((root / path).read_text(encoding="utf-8")):
            problems.append(f"{path}: no module docstring")
    return problems


if __name__ == "__main__":
    sys.exit(sources.report(check(sources.ROOT), ADVICE))
