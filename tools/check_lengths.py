"""Refuse long functions and long modules: 60 and 500 lines; 40 and 300 in the core; 800 for a test module.

Lines are counted on the syntax tree, from `def` to the last line of the body, docstring included: what separates a
readable codebase from another is its longest functions, not its median. `ruff` counts statements, hence this script.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools import sources

CORE = Path("shared/headrace/core")
ADVICE = "Split it by concern. If it must stay whole, list it in tools/check_lengths.py with the reason."

# "path" or "path::qualified.name" -> why it must be longer. Keep it empty.
EXCEPTIONS: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Limits:
    """How many lines a function and a module may have."""

    function: int
    module: int


def limits_for(path: Path) -> Limits:
    """The limits of one file, by where it lies."""
    if path.is_relative_to(CORE):
        return Limits(function=40, module=300)
    if path.parts[0] == "tests":
        return Limits(function=60, module=800)
    return Limits(function=60, module=500)


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Qualified name and length of every function, nested ones too."""
    for node in ast.iter_child_nodes(tree):
        inner = prefix
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{prefix}{node.name}."
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, (node.end_lineno or node.lineno) - node.lineno + 1
        yield from functions(node, inner)


def measured(path: Path, source: str) -> Iterator[tuple[str, int, int]]:
    """What the file holds, as (place, lines, limit)."""
    limits = limits_for(path)
    yield str(path), len(source.splitlines()), limits.module
    for name, lines in functions(ast.parse(source)):
        yield f"{path}::{name}", lines, limits.function


def check(root: Path, exceptions: dict[str, str]) -> list[str]:
    """All problems of a checkout, stale exceptions included."""
    problems = []
    unused = set(exceptions)
    for path in sources.python_files(root):
        for place, lines, limit in measured(path, (root / path).read_text(encoding="utf-8")):
            if lines > limit and place in exceptions:
                unused.discard(place)
            elif lines > limit:
                problems.append(f"{place}: {lines} lines, {limit} are allowed")
    return problems + [f"{place}: listed as an exception, but it needs none" for place in sorted(unused)]


if __name__ == "__main__":
    sys.exit(sources.report(check(sources.ROOT, EXCEPTIONS), ADVICE))
