"""Time zones by their IANA names, from the system's data and else from the package `tzdata`."""

from datetime import UTC, tzinfo
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo


@cache
def names() -> frozenset[str]:
    """The names of all time zones.

    From the package, so that they do not differ from machine to machine: a system knows names of its own, such as
    `localtime`, and zones that count leap seconds.
    """
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


def find_zone(name: str) -> tzinfo | None:
    """The rules of the zone; None when there is no zone of this name."""
    if name == "UTC":
        return UTC
    return ZoneInfo(name) if name in names() else None
