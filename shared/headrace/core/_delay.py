"""DELAY nodes: a run waits for a span or for an instant, as a timer (issue 5; spec 3.9)."""

import math

from headrace.core import limits
from headrace.core.json import Json, JsonObject
from headrace.core.times import iso, parse_iso


def due_at(config: Json, now: int) -> int | str:
    """When a rendered DELAY ends, in ms and never before `now`; or a sentence that says what is wrong with it."""
    seconds, until = (config.get("seconds"), config.get("until")) if isinstance(config, dict) else (None, None)
    if until is not None:
        return _instant(until, now)
    if isinstance(seconds, str):
        seconds = _number(seconds)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        return '"seconds" is no number. Check the template.'
    if not 0 <= seconds <= limits.DELAY_SECONDS:
        return f'"seconds" is {seconds:g}; it may be from 0 to {limits.DELAY_SECONDS:,}.'
    return now + round(seconds * 1000)


def output(due: int) -> JsonObject:
    """What the node puts out when its time has come."""
    return {"until": iso(due)}


def instant(until: Json) -> int | None:
    """The instant that a text names (ms); None when it names none."""
    try:
        return parse_iso(until) if isinstance(until, str) else None
    except (ValueError, OverflowError):
        return None


def _instant(until: Json, now: int) -> int | str:
    due = instant(until)
    if due is None:
        return '"until" is no instant. Write it as in 2026-12-24T18:00:00Z, with a time zone.'
    if due > now + limits.DELAY_SECONDS * 1000:
        return f'"until" is {iso(due)}; it may be at most {limits.DELAY_SECONDS:,} seconds away.'
    return max(due, now)


def _number(text: str) -> Json:
    try:
        return float(text)
    except ValueError:
        return None
