"""How a process of ours runs: on which event loop, and how often Python looks for garbage in cycles."""

import asyncio
import gc
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")

_YOUNG = 20_000
_OLDER = 20


def run(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """The result of `main`, as `asyncio.run` gives it, on uvloop where there is one."""
    if sys.platform == "win32" or sys.implementation.name != "cpython":
        return asyncio.run(main)
    import uvloop

    return uvloop.run(main)


def settle() -> None:
    """Call once all that lives as long as the process is there; collect less often from then on.

    Our objects are trees, freed when their last user lets go; cycles come from libraries and tracebacks, a few at a
    time. With Python's own thresholds the collector took 30 to 40 % of a busy process for them, most of it walking over
    modules again and again (docs/benchmarks.md). What is loaded now is never looked at any more, and what comes later
    only when there is much of it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _OLDER, _OLDER)
