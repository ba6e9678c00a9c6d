"""A compiled node: its closure, and what is known of the result."""

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.core.jq.paths import Run


@dataclass(frozen=True, slots=True)
class Compiled:
    """A closure and the facts that keep it safe and exact.

    `growth`: how many times larger than its input, or than sixteen characters, the result can be. `work`: how many
    times it may traverse its input. `known`: the kind of every result, or "". `computed`: numbers in the result may
    differ from how the document or the program wrote them (`1.0` became `1`), so their text is not known.
    """

    run: Run
    growth: int = 1
    work: int = 0
    depth: int = 1
    known: str = ""
    computed: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """What is known of the current value: whether its numbers are computed, and whether it is an element of many."""

    computed: bool = False
    element: bool = False


def combine(run: Run, parts: Sequence[Compiled], known: str = "", work: int = 0) -> Compiled:
    """A closure over parts that all see the same input, whose result holds at most all of theirs."""
    return Compiled(
        run,
        growth=1 + sum(part.growth for part in parts),
        work=work + sum(part.work for part in parts),
        depth=1 + max((part.depth for part in parts), default=0),
        known=known,
        computed=any(part.computed for part in parts),
    )
