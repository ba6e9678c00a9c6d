"""Cancelling a run, gracefully and by force, in each phase of its node runs."""

from typing import Any

import pytest

from headrace.core.commands import Accepted, Failed, Succeeded
from headrace.core.events import NodeCompleted, RunCancelling, RunCompleted
from tests.scenario import Scenario, edge, input_node, start_node, webhook

DOWN = Failed("connection", "down", retryable=True)


def scenario_in(phase: str, **config: Any) -> Scenario:
    """A run whose only node at work, `a`, is in this phase; `b` would follow."""
    if phase == "input":
        nodes = [start_node(), input_node("a", "yes"), webhook("b")]
        return Scenario.of(nodes, [edge("start", "a"), edge("a", "b", "yes")]).start()
    nodes = [start_node(), webhook("a", retry={"maxAttempts": 3}, synchronized=False, **config), webhook("b")]
    scenario = Scenario.of(nodes, [edge("start", "a"), edge("a", "b")]).start()
    if phase == "waiting":
        scenario.answer("a", Accepted({"taken": True}))
    elif phase == "retrying":
        scenario.answer("a", DOWN)
    return scenario


@pytest.mark.parametrize("phase", ["running", "waiting"])
def test_a_graceful_cancel_lets_the_node_at_work_finish(phase: str) -> None:
    scenario = scenario_in(phase)

    decision = scenario.cancel()

    assert [type(event) for event in decision.events] == [RunCancelling]
    assert (scenario.state.status, scenario.state.result) == ("CANCELLING", None)
    assert scenario.state.cancelled_by == "boss"
    assert scenario.node("a").phase == phase
    scenario.report("a", status="COMPLETED", result="SUCCESS", output={"n": 1})
    assert scenario.results() == {"start": "SUCCESS", "a": "SUCCESS"}
    assert scenario.state.outputs["a"] == {"n": 1} if phase == "running" else {"taken": True, "n": 1}
    assert (scenario.state.status, scenario.state.result) == ("COMPLETED", "CANCELLED")
    assert scenario.requested() == [("a", 1)]
    assert scenario.state.edges == {0: True}, "the way out of `a` was not taken"


@pytest.mark.parametrize("phase", ["retrying", "input"])
def test_a_graceful_cancel_ends_what_nobody_is_at_work_on(phase: str) -> None:
    scenario = scenario_in(phase)

    decision = scenario.cancel()

    assert [type(event) for event in decision.events] == [RunCancelling, NodeCompleted, RunCompleted]
    assert (scenario.node("a").result, scenario.node("a").error) == ("CANCELLED", "The run was cancelled by boss.")
    assert scenario.state.result == "CANCELLED"
    assert scenario.state.timers == ()
    assert "a" not in scenario.state.outputs


@pytest.mark.parametrize("phase", ["running", "waiting", "retrying", "input"])
def test_a_cancel_by_force_fails_whatever_is_in_progress(phase: str) -> None:
    scenario = scenario_in(phase)

    decision = scenario.cancel(force=True)

    assert [type(event) for event in decision.events] == [RunCancelling, NodeCompleted, RunCompleted]
    assert scenario.results() == {"start": "SUCCESS", "a": "FAILED"}
    assert scenario.node("a").error == "The run was cancelled by force by boss."
    assert (scenario.state.status, scenario.state.result) == ("COMPLETED", "CANCELLED")
    assert scenario.state.timers == ()
    assert scenario.report("a", status="COMPLETED", result="SUCCESS").rejection is not None


def test_force_keeps_what_was_reported_so_far() -> None:
    scenario = scenario_in("waiting")

    scenario.cancel(force=True)

    assert scenario.node("a").output == {"taken": True}


def test_force_may_follow_a_graceful_cancel() -> None:
    scenario = scenario_in("running")
    scenario.cancel()

    decision = scenario.cancel(force=True)

    assert [type(event) for event in decision.events] == [NodeCompleted, RunCompleted]
    assert scenario.state.result == "CANCELLED"


@pytest.mark.parametrize("force", [False, True])
def test_a_graceful_cancel_of_a_run_being_cancelled_is_a_duplicate(force: bool) -> None:
    scenario = scenario_in("running")
    scenario.cancel()
    before = scenario.run

    decision = scenario.cancel()

    assert decision.rejection is not None
    assert decision.rejection.reason == "duplicate"
    assert decision.run is before
    scenario.cancel(force=force)


@pytest.mark.parametrize("force", [False, True])
def test_a_run_that_is_over_cannot_be_cancelled(force: bool) -> None:
    scenario = scenario_in("running")
    scenario.cancel(force=True)

    decision = scenario.cancel(force)

    assert decision.rejection is not None
    assert decision.rejection.reason == "run-over"


def test_while_cancelling_a_failure_is_not_retried_and_does_not_fail_the_run() -> None:
    scenario = scenario_in("running")
    scenario.cancel()

    scenario.answer("a", DOWN)

    assert scenario.node("a").result == "FAILED"
    assert scenario.state.result == "CANCELLED"
    assert scenario.state.timers == ()


def test_while_cancelling_work_may_still_be_accepted_and_reported() -> None:
    scenario = scenario_in("running")
    scenario.cancel()

    scenario.answer("a", Accepted({}))
    assert scenario.state.status == "CANCELLING"
    scenario.report("a", output={"progress": 50})
    scenario.report("a", status="COMPLETED", result="SUCCESS")

    assert scenario.state.result == "CANCELLED"
    assert scenario.requested() == [("a", 1)]


@pytest.mark.parametrize("on_timeout", ["fail", "continue"])
def test_while_cancelling_a_deadline_ends_the_run(on_timeout: str) -> None:
    scenario = scenario_in("waiting", timeoutSeconds=9, onTimeout=on_timeout)
    scenario.cancel()

    scenario.fire("deadline")

    assert scenario.node("a").result == ("FAILED" if on_timeout == "fail" else "SUCCESS")
    assert scenario.state.result == "CANCELLED"
    assert scenario.requested() == [("a", 1)]


def test_the_run_waits_for_every_node_at_work() -> None:
    nodes = [start_node(), webhook("a"), webhook("b"), input_node("ask", "yes"), webhook("join")]
    edges = [edge("start", "a"), edge("start", "b"), edge("start", "ask"), edge("a", "join"), edge("b", "join")]
    scenario = Scenario.of(nodes, edges).start()

    scenario.cancel()
    scenario.answer("a")
    assert scenario.state.status == "CANCELLING"
    scenario.answer("b")

    assert scenario.results() == {"start": "SUCCESS", "a": "SUCCESS", "b": "SUCCESS", "ask": "CANCELLED"}
    assert scenario.state.result == "CANCELLED"


def test_a_worker_that_cancels_its_node_ends_a_run_being_cancelled_at_once() -> None:
    nodes = [start_node(), webhook("a"), webhook("b")]
    scenario = Scenario.of(nodes, [edge("start", "a"), edge("start", "b")]).start()
    scenario.cancel()

    scenario.report("a", status="COMPLETED", result="CANCELLED")

    assert scenario.results() == {"start": "SUCCESS", "a": "CANCELLED", "b": "CANCELLED"}
    assert scenario.state.result == "CANCELLED"


def test_variables_are_still_evaluated_while_cancelling() -> None:
    nodes = [start_node(), webhook("a", variables={"x": "{{ .n }}"})]
    scenario = Scenario.of(nodes, [edge("start", "a")]).start()
    scenario.cancel()

    scenario.answer("a", Succeeded({"n": 5}))

    assert scenario.state.outputs["a"] == {"x": 5}


def test_a_failure_that_would_end_the_run_gives_way_to_the_cancel() -> None:
    nodes = [start_node(), webhook("a"), webhook("b")]
    scenario = Scenario.of(nodes, [edge("start", "a"), edge("start", "b")]).start()
    scenario.cancel()

    scenario.answer("a", Failed("status", "no"))
    assert scenario.state.status == "CANCELLING"
    scenario.answer("b")

    assert scenario.state.result == "CANCELLED"
