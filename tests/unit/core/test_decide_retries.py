"""Failed attempts: when they are repeated, and which answers still count."""

from typing import Any

import pytest

from headrace.core import ids
from headrace.core.commands import Accepted, Failed, FireTimer, Succeeded
from headrace.core.events import AttemptFailed, AttemptStarted
from headrace.core.run import FailedAttempt, LogLine
from tests.scenario import BEGIN, RUN_ID, Scenario, edge, start_node, webhook

NODE_RUN = ids.node_run_id(RUN_ID, "a")
DOWN = Failed("connection", "nobody home", retryable=True)


def scenario_of(**config: Any) -> Scenario:
    """A run whose only action `a` is at work, with up to three attempts ten seconds apart."""
    config = {"retry": {"maxAttempts": 3, "backoffSeconds": 10, "multiplier": 2}, **config}
    return Scenario.of([start_node(), webhook("a", **config)], [edge("start", "a")]).start()


def test_a_failed_attempt_plans_the_next_one_and_asks_for_nothing_yet() -> None:
    scenario = scenario_of()

    decision = scenario.answer("a", DOWN)

    (event,) = decision.events
    assert isinstance(event, AttemptFailed)
    assert (event.attempt, event.error, decision.requests) == (1, "nobody home", ())
    assert scenario.node("a").phase == "retrying"
    assert scenario.node("a").failed_attempts == (FailedAttempt(1, BEGIN, "nobody home"),)
    assert scenario.state.timers == (event.retry,)
    assert event.retry.id == f"{NODE_RUN}:1:retry"
    assert scenario.state.next_due_at == event.retry.due_at


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 10), (2, 20)])
def test_the_next_attempt_is_due_after_the_delay_of_the_policy(attempt: int, seconds: int) -> None:
    scenario = scenario_of()
    for number in range(1, attempt):
        scenario.answer("a", DOWN, number)
        scenario.fire()

    scenario.answer("a", DOWN, attempt)

    waited = (scenario.state.timers[0].due_at - scenario.now) / 1000
    assert 0.8 * seconds <= waited <= 1.2 * seconds
    spread = 0.8 + 0.4 * ids.fraction("retry", NODE_RUN, str(attempt))
    assert waited == pytest.approx(seconds * spread, abs=0.001)


def test_a_retry_after_is_honoured() -> None:
    scenario = scenario_of()

    scenario.answer("a", Failed("status", "busy", retryable=True, retry_after_seconds=100))

    assert scenario.state.timers[0].due_at == BEGIN + 100_000


def test_the_timer_starts_the_next_attempt_with_the_same_config() -> None:
    scenario = scenario_of(body={"run": "{{ .workflowRun.identifier }}"})
    scenario.answer("a", DOWN)

    decision = scenario.fire()

    assert [type(event) for event in decision.events] == [AttemptStarted]
    first, second = scenario.requests
    assert (second.id, second.attempt) == (f"{NODE_RUN}:2", 2)
    assert (second.config, second.node_run_id) == (first.config, first.node_run_id)
    assert (scenario.node("a").phase, scenario.node("a").attempt) == ("running", 2)
    assert scenario.state.timers == ()


def test_a_later_attempt_that_succeeds_makes_the_node_succeed() -> None:
    scenario = scenario_of()
    scenario.answer("a", DOWN)
    scenario.fire()

    scenario.answer("a", attempt=2)

    assert (scenario.node("a").result, scenario.node("a").error) == ("SUCCESS", None)
    assert len(scenario.node("a").failed_attempts) == 1
    assert scenario.state.result == "SUCCESS"


def test_when_the_attempts_are_used_up_the_node_fails_with_the_last_error() -> None:
    scenario = scenario_of()
    for attempt in (1, 2):
        scenario.answer("a", DOWN, attempt)
        scenario.fire()

    scenario.answer("a", Failed("connection", "still nobody", retryable=True), 3)

    assert scenario.requested() == [("a", 1), ("a", 2), ("a", 3)]
    assert (scenario.node("a").result, scenario.node("a").error) == ("FAILED", "still nobody")
    assert scenario.state.result == "FAILED"
    assert scenario.state.timers == ()


def test_a_failure_that_no_other_attempt_can_mend_is_final() -> None:
    scenario = scenario_of()

    scenario.answer("a", Failed("refused", "not allowed"))

    assert scenario.state.result == "FAILED"


def test_without_a_policy_a_failure_is_final() -> None:
    scenario = Scenario.of([start_node(), webhook("a")], [edge("start", "a")]).start()

    scenario.answer("a", DOWN)

    assert scenario.state.result == "FAILED"


@pytest.mark.parametrize("outcome", [Succeeded({}), Accepted({}), DOWN], ids=["succeeded", "accepted", "failed"])
def test_a_late_result_of_an_older_attempt_is_refused(outcome: Any) -> None:
    scenario = scenario_of()
    scenario.answer("a", DOWN)
    scenario.fire()
    before = scenario.run

    decision = scenario.answer("a", outcome, attempt=1)

    assert decision.rejection is not None
    assert decision.rejection.reason == "stale-attempt"
    assert decision.run is before


def test_the_result_of_an_attempt_that_was_never_asked_for_is_refused() -> None:
    scenario = scenario_of()

    decision = scenario.answer("a", attempt=2)

    assert decision.rejection is not None
    assert decision.rejection.reason == "stale-attempt"


def test_an_answer_that_comes_again_while_the_next_attempt_is_planned_is_a_duplicate() -> None:
    scenario = scenario_of()
    scenario.answer("a", DOWN)

    for outcome in (DOWN, Succeeded({})):
        decision = scenario.answer("a", outcome)
        assert decision.rejection is not None
        assert decision.rejection.reason == "duplicate"


def test_a_retry_is_not_started_a_millisecond_before_it_is_due() -> None:
    scenario = scenario_of()
    scenario.answer("a", DOWN)
    scenario.now = scenario.state.timers[0].due_at - 1

    early = scenario.fire(wait=False)
    scenario.now += 1
    due = scenario.fire(wait=False)

    assert early.rejection is not None
    assert early.rejection.reason == "not-due"
    assert early.rejection.detail.endswith("is due 1 ms later")
    assert due.rejection is None


def test_a_timer_fires_once() -> None:
    scenario = scenario_of()
    scenario.answer("a", DOWN)
    timer = scenario.state.timers[0]
    scenario.fire()

    decision = scenario.give(FireTimer(RUN_ID, timer.due_at, timer.id))

    assert decision.rejection is not None
    assert decision.rejection.reason == "unknown-timer"
    assert scenario.requested() == [("a", 1), ("a", 2)]


def test_an_unknown_timer_is_refused() -> None:
    decision = scenario_of().give(FireTimer(RUN_ID, BEGIN, "wfnr_nobody:1:retry"))

    assert decision.rejection is not None
    assert decision.rejection.reason == "unknown-timer"


def test_a_report_may_end_a_node_run_that_waits_for_its_next_attempt() -> None:
    scenario = scenario_of()
    scenario.answer("a", DOWN)

    scenario.report("a", status="COMPLETED", result="SUCCESS", output={"done": True})

    assert scenario.state.result == "SUCCESS"
    assert scenario.state.timers == ()


def test_the_timers_of_other_nodes_stay_when_one_is_retried() -> None:
    policy = {"maxAttempts": 3, "backoffSeconds": 10}
    nodes = [start_node(), webhook("a", retry=policy), webhook("b", retry=policy)]
    scenario = Scenario.of(nodes, [edge("start", "a"), edge("start", "b")]).start()
    scenario.answer("a", DOWN)
    scenario.answer("b", DOWN)
    own = [timer for timer in scenario.state.timers if timer.node == "b"]

    scenario.now = BEGIN + 60_000
    scenario.fire()

    assert scenario.requested() == [("a", 1), ("b", 1), ("a", 2)]
    assert list(scenario.state.timers) == own


def test_logs_of_failed_attempts_are_kept() -> None:
    scenario = scenario_of()
    lines = [LogLine(BEGIN, "INFO", f"attempt {number}") for number in (1, 2)]

    scenario.answer("a", DOWN, logs=(lines[0],))
    scenario.fire()
    scenario.answer("a", attempt=2, logs=(lines[1],))

    assert scenario.node("a").logs == tuple(lines)
