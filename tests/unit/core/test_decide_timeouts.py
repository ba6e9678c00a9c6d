"""Time-outs: the deadlines that authors set, and the time-outs that the invoker reports."""

from typing import Any

import pytest

from headrace.core.commands import Accepted, Failed, FireTimer, Succeeded
from headrace.core.events import NodeAccepted
from tests.scenario import BEGIN, RUN_ID, Scenario, edge, start_node, webhook

TIMEOUT = Failed("timeout", "no answer within 30 s", retryable=True)
TAKEN = Accepted({"response": {"status": 202}})
RETRY = {"maxAttempts": 2, "backoffSeconds": 60}


def scenario_of(**config: Any) -> Scenario:
    """A run whose action `a` is at work, and `b` would follow."""
    return Scenario.of(
        [start_node(), webhook("a", **config), webhook("b")], [edge("start", "a"), edge("a", "b")]
    ).start()


def test_without_a_limit_there_is_no_deadline() -> None:
    assert scenario_of().state.timers == ()


def test_the_deadline_leaves_the_invoker_the_first_word() -> None:
    scenario = scenario_of(timeoutSeconds=20)

    (timer,) = scenario.state.timers
    assert (timer.kind, timer.node, timer.attempt) == ("deadline", "a", 1)
    assert timer.due_at == BEGIN + 25_000
    assert timer.id == f"{scenario.node('a').id}:1:deadline"
    assert scenario.requests[0].timeout_seconds == 20


def test_an_answer_in_time_removes_the_deadline() -> None:
    scenario = scenario_of(timeoutSeconds=20)

    scenario.answer("a")

    assert scenario.state.timers == ()


def test_a_deadline_does_not_fire_early() -> None:
    decision = scenario_of(timeoutSeconds=20).fire("deadline", wait=False)

    assert decision.rejection is not None
    assert decision.rejection.reason == "not-due"


def test_an_attempt_without_answer_fails_at_its_deadline() -> None:
    scenario = scenario_of(timeoutSeconds=20)

    scenario.fire("deadline")

    assert (scenario.node("a").result, scenario.node("a").error) == ("FAILED", "Nobody answered within 20 s.")
    assert scenario.state.result == "FAILED"
    assert scenario.answer("a").rejection is not None


def test_the_deadline_outlives_the_acceptance_and_ends_a_wait_without_report() -> None:
    scenario = scenario_of(synchronized=False, timeoutSeconds=20)
    scenario.answer("a", TAKEN)
    assert [timer.kind for timer in scenario.state.timers] == ["deadline"]

    scenario.fire("deadline")

    assert scenario.node("a").error == "Nobody reported back within 20 s."
    assert scenario.node("a").result == "FAILED"
    assert scenario.report("a", status="COMPLETED", result="SUCCESS").rejection is not None


@pytest.mark.parametrize("accepted", [False, True], ids=["running", "waiting"])
@pytest.mark.parametrize("synchronized", [True, False], ids=["sync", "async"])
def test_on_timeout_continue_succeeds_at_the_deadline(synchronized: bool, accepted: bool) -> None:
    scenario = scenario_of(synchronized=synchronized, timeoutSeconds=20, onTimeout="continue")
    if accepted:
        scenario.answer("a", TAKEN)

    scenario.fire("deadline")

    assert scenario.node("a").result == "SUCCESS"
    output = scenario.state.outputs["a"]
    assert isinstance(output, dict)
    assert output["timeout"] is True
    assert ("response" in output) is accepted
    assert scenario.requested() == [("a", 1), ("b", 1)]


def test_a_timeout_that_the_invoker_reports_fails_the_node() -> None:
    scenario = scenario_of()

    scenario.answer("a", TIMEOUT)

    assert (scenario.node("a").result, scenario.node("a").error) == ("FAILED", "no answer within 30 s")


def test_a_synchronous_node_may_continue_after_a_reported_timeout() -> None:
    scenario = scenario_of(onTimeout="continue")

    scenario.answer("a", TIMEOUT)

    assert scenario.state.outputs["a"] == {"timeout": True}
    assert scenario.requested() == [("a", 1), ("b", 1)]


def test_an_asynchronous_node_waits_for_its_callback_after_a_reported_timeout() -> None:
    scenario = scenario_of(synchronized=False, onTimeout="continue")

    decision = scenario.answer("a", TIMEOUT)

    assert [type(event) for event in decision.events] == [NodeAccepted]
    assert (scenario.node("a").phase, scenario.node("a").output) == ("waiting", {"timeout": True})
    scenario.report("a", status="COMPLETED", result="SUCCESS", output={"late": 1})
    assert scenario.state.outputs["a"] == {"timeout": True, "late": 1}


def test_on_timeout_says_nothing_about_other_failures() -> None:
    scenario = scenario_of(onTimeout="continue")

    scenario.answer("a", Failed("connection", "nobody home"))

    assert scenario.state.result == "FAILED"


def test_on_timeout_continue_tries_again_first() -> None:
    scenario = scenario_of(retry=RETRY, onTimeout="continue")

    scenario.answer("a", TIMEOUT)
    assert scenario.node("a").phase == "retrying"
    scenario.fire()
    scenario.answer("a", TIMEOUT, attempt=2)

    assert (scenario.node("a").result, scenario.node("a").output) == ("SUCCESS", {"timeout": True})


def test_on_failure_speaks_after_on_timeout() -> None:
    scenario = scenario_of(onFailure="continue", timeoutSeconds=20)

    scenario.fire("deadline")

    assert scenario.state.outputs["a"] == {"error": {"message": "Nobody answered within 20 s."}}
    assert scenario.requested() == [("a", 1), ("b", 1)]


@pytest.mark.parametrize("accepted", [False, True], ids=["running", "waiting"])
def test_a_deadline_plans_the_next_attempt_which_gets_a_deadline_of_its_own(accepted: bool) -> None:
    scenario = scenario_of(timeoutSeconds=20, retry=RETRY, synchronized=False)
    if accepted:
        scenario.answer("a", TAKEN)

    scenario.fire("deadline")
    assert [timer.kind for timer in scenario.state.timers] == ["retry"]
    scenario.fire("retry")

    (timer,) = scenario.state.timers
    assert (timer.kind, timer.attempt, timer.due_at) == ("deadline", 2, scenario.now + 25_000)
    assert timer.id.endswith(":2:deadline")


def test_the_answer_to_an_attempt_that_timed_out_is_refused() -> None:
    scenario = scenario_of(timeoutSeconds=20, retry=RETRY)
    scenario.fire("deadline")

    planned = scenario.answer("a")
    scenario.fire("retry")
    running = scenario.answer("a")

    assert planned.rejection is not None
    assert running.rejection is not None
    assert [planned.rejection.reason, running.rejection.reason] == ["duplicate", "stale-attempt"]


@pytest.mark.parametrize("accepted", [False, True], ids=["running", "waiting"])
def test_a_call_that_must_not_be_made_twice_is_not_repeated_at_its_deadline(accepted: bool) -> None:
    """A deadline once started another attempt of nodes with `delivery: at_most_once`: a second call."""
    scenario = scenario_of(timeoutSeconds=20, retry=RETRY, delivery="at_most_once", synchronized=False)
    if accepted:
        scenario.answer("a", TAKEN)

    scenario.fire("deadline")

    assert scenario.node("a").result == "FAILED"
    assert scenario.requested() == [("a", 1)]


def test_a_call_that_certainly_was_not_made_may_be_repeated_whatever_the_delivery() -> None:
    scenario = scenario_of(retry=RETRY, delivery="at_most_once")

    scenario.answer("a", Failed("connection", "no such host", retryable=True))

    assert scenario.node("a").phase == "retrying"


def test_a_deadline_keeps_the_progress_that_was_reported() -> None:
    scenario = scenario_of(timeoutSeconds=20, synchronized=False, onFailure="continue")
    scenario.report("a", output={"progress": 80})

    scenario.fire("deadline")

    assert scenario.state.outputs["a"] == {"progress": 80, "error": {"message": "Nobody answered within 20 s."}}


def test_limits_below_a_second_are_not_rounded_away() -> None:
    scenario = scenario_of(timeoutSeconds=1.5)

    assert scenario.state.timers[0].due_at == BEGIN + 6_500
    scenario.fire("deadline")
    assert scenario.node("a").error == "Nobody answered within 1.5 s."


def test_the_deadline_of_a_finished_attempt_is_unknown() -> None:
    scenario = scenario_of(timeoutSeconds=20)
    timer = scenario.state.timers[0]
    scenario.answer("a", Succeeded({}))

    decision = scenario.give(FireTimer(RUN_ID, timer.due_at, timer.id))

    assert decision.rejection is not None
    assert decision.rejection.reason == "unknown-timer"
