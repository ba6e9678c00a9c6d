"""Compare-and-set on `rev`, as the stores in memory do it before they write anything."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Protocol, TypeVar


class Fenced(Protocol):
    """What is stored under a fence."""

    @property
    def rev(self) -> int: ...


FencedT = TypeVar("FencedT", bound=Fenced)
KeyT = TypeVar("KeyT", bound=Hashable)


def accept(
    writes: Sequence[FencedT], key_of: Callable[[FencedT], KeyT], stored: Mapping[KeyT, FencedT]
) -> tuple[list[bool], dict[KeyT, FencedT]]:
    """Which writes win, an answer for each, and the last winner of each key.

    A write wins over the `rev` before its own, and with `rev` 0 where there is nothing. Writes of one batch count one
    after the other.
    """
    answers: list[bool] = []
    accepted: dict[KeyT, FencedT] = {}
    for write in writes:
        key = key_of(write)
        wins = rev_of(accepted.get(key) or stored.get(key)) == write.rev - 1
        answers.append(wins)
        if wins:
            accepted[key] = write
    return answers, accepted


def rev_of(stored: Fenced | None) -> int:
    """The `rev` of what is stored; -1 of nothing."""
    return -1 if stored is None else stored.rev
