"""Instants: whole milliseconds since the Unix epoch, UTC, and their ISO 8601 form."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso(at: int) -> str:
    """`2026-11-22T09:00:00.000Z`."""
    seconds, milliseconds = divmod(at, 1000)
    moment = _EPOCH + timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def parse_iso(text: str) -> int:
    """The instant of an ISO 8601 date-time with an offset or `Z`; ValueError for anything else, naive included."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: end it with Z or an offset such as +02:00")
    return (moment - _EPOCH) // timedelta(milliseconds=1)
