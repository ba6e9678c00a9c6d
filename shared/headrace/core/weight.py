"""What a value may weigh before it becomes part of a run: templates can multiply what they read."""

from typing import Any

import orjson

from headrace.core import limits
from headrace.core.json import Json


def objection(value: Json, most: int = limits.RENDERED_BYTES) -> str | None:
    """Why a rendered value cannot be kept: too large, too deep, or nothing JSON can say; None when it can."""
    try:
        written = orjson.dumps(value)
    except TypeError as error:
        return f"The value cannot be written as JSON: {error}."
    if len(written) > most:
        return f"The value has {len(written) // 1024} KiB; at most {most // 1024} KiB can be kept."
    nesting = written.count(b"[") + written.count(b"{")
    if nesting > limits.RENDERED_DEPTH and is_deeper(value, limits.RENDERED_DEPTH):
        return f"The value is nested more than {limits.RENDERED_DEPTH} levels deep."
    return None


def is_deeper(data: Any, limit: int) -> bool:
    """Whether lists and objects are nested in each other more than `limit` times."""
    level = [data]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return False
    return True
