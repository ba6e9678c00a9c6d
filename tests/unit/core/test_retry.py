"""When a failed attempt is repeated."""

import pytest

from headrace.core import ids, retry
from headrace.core.definition import RetryPolicy

NODE_RUN = "wfnr_0000000000000000"


def nominal(policy: RetryPolicy, attempt: int) -> float:
    """The delay without its spread."""
    delay = retry.delay_seconds(policy, NODE_RUN, attempt, None)
    assert delay is not None
    return delay / (0.8 + 0.4 * ids.fraction("retry", NODE_RUN, str(attempt)))


def test_without_a_policy_nothing_is_repeated() -> None:
    assert retry.delay_seconds(RetryPolicy(), NODE_RUN, 1, None) is None


@pytest.mark.parametrize(("attempt", "repeated"), [(1, True), (2, True), (3, False), (4, False)])
def test_there_are_as_many_attempts_as_the_policy_says(attempt: int, repeated: bool) -> None:
    policy = RetryPolicy(max_attempts=3)

    assert (retry.delay_seconds(policy, NODE_RUN, attempt, None) is not None) is repeated


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 2.0), (2, 6.0), (3, 18.0), (4, 50.0), (9, 50.0)])
def test_the_delay_grows_by_the_multiplier_up_to_the_maximum(attempt: int, seconds: float) -> None:
    policy = RetryPolicy(max_attempts=10, backoff_seconds=2, multiplier=3, max_backoff_seconds=50)

    assert nominal(policy, attempt) == pytest.approx(seconds)


def test_the_delay_is_spread_over_twenty_percent_to_either_side() -> None:
    policy = RetryPolicy(max_attempts=2, backoff_seconds=10)
    delays = [retry.delay_seconds(policy, f"wfnr_{number:016}", 1, None) or 0.0 for number in range(2000)]

    assert 8.0 <= min(delays) < 8.05
    assert 11.95 < max(delays) <= 12.0
    assert sum(delays) / len(delays) == pytest.approx(10, rel=0.01)


def test_the_spread_is_the_same_for_the_same_attempt_and_another_for_the_next() -> None:
    policy = RetryPolicy(max_attempts=9, backoff_seconds=10, multiplier=1)
    delays = [retry.delay_seconds(policy, NODE_RUN, attempt, None) for attempt in (1, 1, 2, 3)]

    assert delays[0] == delays[1]
    assert len(set(delays)) == 3


@pytest.mark.parametrize(
    ("asked_for", "at_least", "at_most"),
    [(None, 8, 12), (0.0, 8, 12), (5.0, 8, 12), (-5.0, 8, 12), (45.0, 45, 45), (60.0, 60, 60), (1e9, 60, 60)],
)
def test_a_receivers_retry_after_lengthens_the_delay_up_to_the_maximum(
    asked_for: float | None, at_least: float, at_most: float
) -> None:
    policy = RetryPolicy(max_attempts=2, backoff_seconds=10, max_backoff_seconds=60)

    delay = retry.delay_seconds(policy, NODE_RUN, 1, asked_for)

    assert delay is not None
    assert at_least <= delay <= at_most


def test_a_policy_without_backoff_repeats_at_once() -> None:
    assert retry.delay_seconds(RetryPolicy(max_attempts=2, backoff_seconds=0), NODE_RUN, 1, None) == 0


def test_the_steepest_policy_never_overflows() -> None:
    policy = RetryPolicy(max_attempts=10**9, backoff_seconds=86_400, multiplier=10, max_backoff_seconds=86_400)

    assert nominal(policy, 10**8) == pytest.approx(86_400)
