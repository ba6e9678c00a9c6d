"""Closures for the two commonest programs, a path from the root and a path compared with a literal."""

from collections.abc import Callable
from typing import Any, TypeAlias

from headrace.core.jq.values import equal, index
from headrace.core.json import Json

Run: TypeAlias = Callable[[Any], Any]
PathKeys: TypeAlias = tuple[str | int, ...]


def read_path(keys: PathKeys) -> Run:
    """Reads a path. Where every step is there, it is a plain chain of subscripts; else `index` decides step by step."""
    if not all(isinstance(key, str) for key in keys) or not 1 <= len(keys) <= 6:
        return lambda root: _walk(root, keys)
    return _READERS[len(keys)](*keys)


def _walk(root: Json, keys: PathKeys) -> Json:
    for key in keys:
        root = index(root, key)
    return root


# A string key only ever subscripts a dict: on anything else Python raises, and `_walk` finds what JQ says.


def _read_1(a: str) -> Run:
    keys = (a,)

    def run(root: Any) -> Any:
        try:
            return root[a]
        except (KeyError, TypeError):
            return _walk(root, keys)

    return run


def _read_2(a: str, b: str) -> Run:
    keys = (a, b)

    def run(root: Any) -> Any:
        try:
            return root[a][b]
        except (KeyError, TypeError):
            return _walk(root, keys)

    return run


def _read_3(a: str, b: str, c: str) -> Run:
    keys = (a, b, c)

    def run(root: Any) -> Any:
        try:
            return root[a][b][c]
        except (KeyError, TypeError):
            return _walk(root, keys)

    return run


def _read_4(a: str, b: str, c: str, d: str) -> Run:
    keys = (a, b, c, d)

    def run(root: Any) -> Any:
        try:
            return root[a][b][c][d]
        except (KeyError, TypeError):
            return _walk(root, keys)

    return run


def _read_5(a: str, b: str, c: str, d: str, e: str) -> Run:
    keys = (a, b, c, d, e)

    def run(root: Any) -> Any:
        try:
            return root[a][b][c][d][e]
        except (KeyError, TypeError):
            return _walk(root, keys)

    return run


def _read_6(a: str, b: str, c: str, d: str, e: str, f: str) -> Run:
    keys = (a, b, c, d, e, f)

    def run(root: Any) -> Any:
        try:
            return root[a][b][c][d][e][f]
        except (KeyError, TypeError):
            return _walk(root, keys)

    return run


_READERS: dict[int, Callable[..., Run]] = {1: _read_1, 2: _read_2, 3: _read_3, 4: _read_4, 5: _read_5, 6: _read_6}


def match_literal(read: Run, literal: Json, wanted: bool) -> Run:
    """`read == literal` when `wanted`, else `read != literal`, for a scalar literal."""
    if literal is None or isinstance(literal, bool):
        if wanted:
            return lambda root: read(root) is literal
        return lambda root: read(root) is not literal
    if isinstance(literal, str):  # nothing but the same string is equal to a string
        if wanted:
            return lambda root: read(root) == literal
        return lambda root: read(root) != literal
    return lambda root: equal(read(root), literal) is wanted
