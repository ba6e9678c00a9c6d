"""The shape of cron expressions (spec 2.3): five fields, a second before them or not, or a macro.

When they fire is for `headrace.core.schedule` to say.
"""

import re
from itertools import pairwise

from headrace.core import limits
from headrace.core.schedule import MACROS, fields_of

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_ITEM = re.compile(r"(?P<first>\*|[0-9]{1,2}|[A-Z]{3})(?:-(?P<last>[0-9]{1,2}|[A-Z]{3}))?(?:/(?P<step>[0-9]{1,2}))?")


def find_fault(cron: str) -> str | None:
    """What is wrong with the expression, as a sentence; None when there is nothing wrong with its shape."""
    fields = fields_of(cron)
    if len(fields) == 1 and fields[0].startswith("@"):
        return f'There is no "{fields[0][:80]}"; there are {", ".join(MACROS)}.'
    if len(fields) == len(_FIELDS) + 1:
        second = fields.pop(0)
        if not (second.isascii() and second.isdecimal() and len(second) <= 2 and int(second) < 60):
            return f'"{second[:80]}" is not a valid second; as the first of six fields it is a number from 0 to 59.'
    if len(fields) != len(_FIELDS):
        return f"A schedule has five fields (minute, hour, day of month, month, day of week); this has {len(fields)}."
    for text, (name, low, high, names) in zip(fields, _FIELDS, strict=True):
        if _values(text, low, high, names) is None:
            return f'"{text[:80]}" is not a valid {name}; it goes from {low} to {high}.'
    return None


def is_too_frequent(cron: str) -> bool:
    """Whether a well-formed expression names two minutes closer than `limits.SCHEDULE_MINUTES` in one hour."""
    minutes = sorted(_values(fields_of(cron)[-len(_FIELDS)], 0, 59, {}) or ())
    return any(after - before < limits.SCHEDULE_MINUTES for before, after in pairwise(minutes))


def _values(text: str, low: int, high: int, names: dict[str, int]) -> set[int] | None:
    values: set[int] = set()
    for item in text.upper().split(","):
        match = _ITEM.fullmatch(item)
        bounds = match and _bounds(match, low, high, names)
        if match is None or bounds is None:
            return None
        step = int(match["step"] or 1)
        if step == 0 or not low <= bounds[0] <= bounds[1] <= high:
            return None
        values.update(range(bounds[0], bounds[1] + 1, step))
    return values


def _bounds(match: re.Match[str], low: int, high: int, names: dict[str, int]) -> tuple[int, int] | None:
    first, last = match["first"], match["last"]
    if first == "*":
        return (low, high) if last is None else None
    start = _number(first, names)
    end = _number(last, names) if last is not None else (high if match["step"] is not None else start)
    return None if start is None or end is None else (start, end)


def _number(text: str, names: dict[str, int]) -> int | None:
    return int(text) if text.isdecimal() else names.get(text)
