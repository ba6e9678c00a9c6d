"""Loops are cut by depth, and where nobody passes the depth on, by rate."""

from headrace.core.loop_guard import WINDOW_MS, StartRate, too_deep
from headrace.core.run import Causation


def test_an_event_as_many_runs_deep_as_allowed_starts_nothing_and_the_reason_ends_the_chain() -> None:
    at_the_limit = Causation("e", "r", 3, ("a", "b", "c", "d"))

    assert too_deep(Causation("e", "r", 2, ("a", "b")), "w", 3) is None
    assert too_deep(at_the_limit, "w", 3) == "stopped: loop, 3 runs deep (b > c > d > w)"


def test_an_entity_starts_a_trigger_so_often_in_a_minute_and_again_in_the_next() -> None:
    rate = StartRate(3)

    assert [rate.admit("w", "t", "e", at) for at in (0, 10, 20, 30, WINDOW_MS - 1)] == [True, True, True, False, False]
    assert [rate.admit("w", "t", "e", WINDOW_MS + at) for at in range(4)] == [True, True, True, False]


def test_each_workflow_trigger_and_entity_is_counted_for_itself() -> None:
    rate = StartRate(1)

    assert all(rate.admit(*key, 0) for key in [("w", "t", "e"), ("w", "t", "f"), ("w", "u", "e"), ("x", "t", "e")])
    assert not rate.admit("w", "t", "e", 1)


def test_what_it_remembers_is_bounded_and_the_last_ones_are_kept() -> None:
    rate = StartRate(2, most_keys=10)
    assert rate.admit("w", "t", "hot", 0)
    for number in range(9):
        rate.admit("w", "t", str(number), 1)
    assert rate.admit("w", "t", "hot", 2)
    rate.admit("w", "t", "one more", 3)

    assert not rate.admit("w", "t", "hot", 4)
    assert len(rate._windows) == 10
