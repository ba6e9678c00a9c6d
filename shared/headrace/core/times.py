"""Instants: whole milliseconds since the Unix epoch, UTC, and their ISO 8601 form."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso(at: int) -> str:
    """`2026-11-22T09:00:00.000Z`."""
    second, milliseconds = divmod(at, 1000)
    return f"{_text(second)}.{milliseconds:03d}Z"


@lru_cache(maxsize=1024)
def _text(second: int) -> str:
    """Instants come in crowds: one second is asked for again and again, and formatting it is slow."""
    return f"{_EPOCH + timedelta(seconds=second):%Y-%m-%dT%H:%M:%S}"


def parse_iso(text: str) -> int:
    """The instant of an ISO 8601 date-time with an offset or `Z`; ValueError for anything else, naive included."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: end it with Z or an offset such as +02:00")
    return (moment - _EPOCH) // timedelta(milliseconds=1)
