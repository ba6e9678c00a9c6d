"""Instants and their ISO 8601 form."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.core.times import iso, parse_iso

LAST = 253_402_300_799_999
"""The last millisecond of the year 9999."""


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (1_795_338_000_123, "2026-11-22T09:00:00.123Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (LAST, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_instants_are_written_in_utc_with_milliseconds(at: int, text: str) -> None:
    assert iso(at) == text
    assert parse_iso(text) == at


@given(st.integers(min_value=-30_000_000_000_000, max_value=LAST))
@example(1_700_000_000_999)
def test_what_is_written_is_read_back(at: int) -> None:
    assert parse_iso(iso(at)) == at


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T09:00:00Z",
        "2026-11-22T09:00:00.000Z",
        "2026-11-22T09:00:00+00:00",
        "2026-11-22T11:00:00+02:00",
        "2026-11-22T03:30:00-05:30",
        "2026-11-22 09:00:00Z",
        "2026-11-22T09:00Z",
        "2026-11-22T09:00:00.0009999Z",
        "20261122T090000Z",
    ],
)
def test_every_offset_names_the_same_instant_and_fractions_of_a_millisecond_are_dropped(text: str) -> None:
    assert parse_iso(text) == 1_795_338_000_000


def test_fractions_before_the_epoch_are_dropped_downwards_too() -> None:
    assert parse_iso("1969-12-31T23:59:59.9995Z") == -1


@pytest.mark.parametrize(
    "text", ["", "now", "2026-11-22", "2026-11-22T09:00:00", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "17", "Z"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_iso(text)


def test_a_time_without_zone_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="end it with Z or an offset"):
        parse_iso("2026-11-22T09:00:00")
