"""When schedules fire: instants from cron expressions, at changes of the clocks too, and missed ones (spec 2.3)."""

from datetime import UTC, datetime, tzinfo
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest

from headrace.core import limits, schedule
from headrace.core.definition import MissedRuns, ScheduleTrigger
from headrace.core.schedule import Schedule, Timetable, Turn

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = 60_000
HOUR = 60 * MINUTE


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def instants(cron: str, zone: tzinfo, after: str, count: int) -> list[str]:
    found = islice(Timetable(cron, zone).after(ms(after)), count)
    return [datetime.fromtimestamp(at / 1000, UTC).strftime("%m-%d %H:%M:%S") for at in found]


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 9 * * 1-5", ["11-24 09:00:00", "11-25 09:00:00", "11-26 09:00:00", "11-27 09:00:00", "11-30 09:00:00"]),
        ("*/20 8,9 * * *", ["11-24 08:00:00", "11-24 08:20:00", "11-24 08:40:00", "11-24 09:00:00", "11-24 09:20:00"]),
        ("30 0 1 */3 *", ["01-01 00:30:00", "04-01 00:30:00", "07-01 00:30:00", "10-01 00:30:00", "01-01 00:30:00"]),
        ("15 0 12 * * *", ["11-24 12:00:15", "11-25 12:00:15", "11-26 12:00:15", "11-27 12:00:15", "11-28 12:00:15"]),
        ("@hourly", ["11-24 01:00:00", "11-24 02:00:00", "11-24 03:00:00", "11-24 04:00:00", "11-24 05:00:00"]),
        ("0 0 13 * 5", ["11-27 00:00:00", "12-04 00:00:00", "12-11 00:00:00", "12-13 00:00:00", "12-18 00:00:00"]),
    ],
)
def test_the_next_instants_of_an_expression(cron: str, expected: list[str]) -> None:
    assert instants(cron, UTC, "2026-11-24T00:00:00Z", 5) == expected


def test_an_instant_is_later_than_the_one_before_it_even_to_the_millisecond() -> None:
    at = ms("2026-11-24T09:00:00Z")

    assert Timetable("0 9 * * *", UTC).next_after(at - 1) == at
    assert Timetable("0 9 * * *", UTC).next_after(at) == at + 24 * HOUR


def test_a_wall_clock_time_that_is_skipped_comes_right_after_the_gap() -> None:
    # 2027-03-28: from 2:00 to 3:00 the clock in Berlin shows nothing
    assert instants("30 2 * * *", BERLIN, "2027-03-27T12:00:00Z", 2) == ["03-28 01:00:00", "03-29 00:30:00"]


def test_a_wall_clock_time_that_is_shown_twice_comes_the_first_time_only() -> None:
    # 2026-10-25: the clock in Berlin shows 2:30 at 0:30 and at 1:30 UTC
    assert instants("30 2 * * *", BERLIN, "2026-10-24T12:00:00Z", 2) == ["10-25 00:30:00", "10-26 01:30:00"]


def test_a_schedule_of_every_half_hour_follows_the_time_that_has_passed() -> None:
    found = list(islice(Timetable("*/30 * * * *", BERLIN).after(ms("2026-10-24T22:00:00Z")), 12))

    assert {later - earlier for earlier, later in pairwise(found)} == {30 * MINUTE}


@pytest.mark.parametrize("zone", [BERLIN, ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")])
@pytest.mark.parametrize("cron", ["30 2 * * *", "*/15 * * * *", "0 1-3 * * *", "45 1,2 * * *"])
def test_instants_only_ever_go_forward_through_a_year(zone: tzinfo, cron: str) -> None:
    found = list(islice(Timetable(cron, zone).after(ms("2026-09-01T00:00:00Z")), 3_000))

    assert found == sorted(set(found))


def test_days_that_do_not_exist_never_come() -> None:
    assert not schedule.ever_fires("0 0 30 2 *")
    assert schedule.ever_fires("0 0 29 2 *")
    assert Timetable("0 0 31 4 *", UTC).next_after(ms("2026-11-24T00:00:00Z")) is None


def test_the_latest_instants_of_a_long_span_are_found_without_counting_through_it() -> None:
    since, until = ms("1990-01-01T00:00:00Z"), ms("2026-11-24T12:00:30Z")

    assert Timetable("* * * * *", UTC).latest(since, until, 3) == tuple(
        until - 30_000 - minutes * MINUTE for minutes in (2, 1, 0)
    )


def _turn(missed_runs: MissedRuns, due: str, now: str, grace_ms: int = 5 * MINUTE) -> Turn:
    config = ScheduleTrigger("0 * * * *", missed_runs=missed_runs)
    return schedule.take_turn(Schedule("w", 1, "clock", 0, config), UTC, ms(due), ms(now), grace_ms)


def test_an_instant_on_time_starts_whatever_the_policy() -> None:
    at = ms("2026-11-24T09:00:00Z")
    policies: tuple[MissedRuns, ...] = ("skip", "latest", "all")

    for policy in policies:
        turn = _turn(policy, "2026-11-24T09:00:00Z", "2026-11-24T09:00:01Z")
        assert turn == Turn((at,), None, at + HOUR)


def test_after_a_night_away_skip_starts_nothing_that_is_old() -> None:
    turn = _turn("skip", "2026-11-24T01:00:00Z", "2026-11-24T08:30:00Z")

    assert turn == Turn((), (ms("2026-11-24T01:00:00Z"), ms("2026-11-24T08:00:00Z")), ms("2026-11-24T09:00:00Z"))


def test_after_a_night_away_latest_starts_the_last_instant_and_says_which_were_skipped() -> None:
    turn = _turn("latest", "2026-11-24T01:00:00Z", "2026-11-24T08:30:00Z")

    assert turn.starts == (ms("2026-11-24T08:00:00Z"),)
    assert turn.skipped == (ms("2026-11-24T01:00:00Z"), ms("2026-11-24T07:00:00Z"))


def test_after_a_long_time_away_all_starts_the_last_hundred() -> None:
    turn = _turn("all", "2026-11-01T00:00:00Z", "2026-11-24T08:30:00Z")

    assert len(turn.starts) == limits.MISSED_RUNS
    assert turn.starts[-1] == ms("2026-11-24T08:00:00Z")
    assert turn.skipped == (ms("2026-11-01T00:00:00Z"), turn.starts[0] - HOUR)


def test_the_cause_of_an_instant_is_the_same_whoever_asks() -> None:
    config = ScheduleTrigger("0 * * * *")
    one, other = Schedule("w", 1, "clock", 0, config), Schedule("w", 2, "clock", 5, config)

    assert one.cause(HOUR) == other.cause(HOUR)
    assert one.cause(HOUR) != one.cause(2 * HOUR)
