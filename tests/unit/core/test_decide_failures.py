"""What a failed node does to the run: `onFailure`, branches at its side, and templates that cannot be rendered."""

from typing import Any

import pytest

from headrace.core.commands import Accepted, Failed
from headrace.core.events import NodeCompleted, NodeStarted, RunCompleted
from tests.scenario import Scenario, condition, edge, input_node, start_node, webhook

FAILURE = Failed("status", "the receiver answered 500")
BROKEN = {"x": "{{ .outputs.start.n.m }}"}
"""Cannot be rendered while `n` is a number."""


def chain(**config: Any) -> Scenario:
    """start → a → b, with `a` at work."""
    nodes = [start_node(), webhook("a", **config), webhook("b", body={"said": "{{ .outputs.a.error.message }}"})]
    return Scenario.of(nodes, [edge("start", "a"), edge("a", "b")]).start({"n": 1})


def parallel(**config: Any) -> Scenario:
    """start → (a, b, c), all at work."""
    nodes = [start_node(), webhook("a", **config), webhook("b"), webhook("c")]
    return Scenario.of(nodes, [edge("start", "a"), edge("start", "b"), edge("start", "c")]).start({"n": 1})


def test_a_failed_node_ends_the_run_and_nothing_follows() -> None:
    scenario = chain()

    decision = scenario.answer("a", FAILURE)

    assert [type(event) for event in decision.events] == [NodeCompleted, RunCompleted]
    assert (scenario.state.status, scenario.state.result) == ("COMPLETED", "FAILED")
    assert scenario.requested() == [("a", 1)]


def test_a_failed_node_that_continues_keeps_its_result_and_the_run_succeeds() -> None:
    scenario = chain(onFailure="continue")

    scenario.answer("a", FAILURE)
    assert scenario.requested() == [("a", 1), ("b", 1)]
    scenario.answer("b")

    assert scenario.results() == {"start": "SUCCESS", "a": "FAILED", "b": "SUCCESS"}
    assert scenario.state.result == "SUCCESS"


def test_later_nodes_read_the_error_message_of_a_node_that_continues() -> None:
    scenario = chain(onFailure="continue")

    scenario.answer("a", FAILURE)

    config = scenario.requests[-1].config
    assert isinstance(config, dict)
    assert config["body"] == {"said": "the receiver answered 500"}
    assert scenario.state.outputs["a"] == {"error": {"message": "the receiver answered 500"}}


def test_a_failed_node_keeps_what_the_receiver_answered() -> None:
    scenario = chain(onFailure="continue")

    scenario.answer("a", Failed("status", "no", output={"response": {"status": 418}}))

    expected = {"response": {"status": 418}, "error": {"message": "no"}}
    assert scenario.node("a").output == expected
    assert scenario.state.outputs["a"] == expected


def test_a_failed_node_does_not_evaluate_its_variables() -> None:
    scenario = chain(onFailure="continue", variables={"gone": "{{ .response.status }}"})

    scenario.answer("a", FAILURE)

    assert scenario.state.outputs["a"] == {"error": {"message": "the receiver answered 500"}}


def test_a_failure_without_words_still_has_a_message() -> None:
    scenario = chain(onFailure="continue")

    scenario.answer("a", Failed("connection", ""))

    assert scenario.state.outputs["a"] == {"error": {"message": "failed"}}


@pytest.mark.parametrize("accepted", [False, True], ids=["running", "waiting"])
def test_a_failing_branch_cancels_the_others_and_refuses_what_they_report_later(accepted: bool) -> None:
    scenario = parallel()
    if accepted:
        scenario.answer("b", Accepted({}))

    scenario.answer("a", FAILURE)

    assert scenario.results() == {"start": "SUCCESS", "a": "FAILED", "b": "CANCELLED", "c": "CANCELLED"}
    assert scenario.node("b").error == "The run failed at node a."
    assert "b" not in scenario.state.outputs
    for late in (scenario.answer("b"), scenario.answer("c", FAILURE), scenario.report("b", output={"x": 1})):
        assert late.rejection is not None
        assert late.rejection.reason == "run-over"


def test_a_failing_branch_stops_the_retries_of_the_others() -> None:
    nodes = [start_node(), webhook("a"), webhook("b", retry={"maxAttempts": 2}, timeoutSeconds=9)]
    scenario = Scenario.of(nodes, [edge("start", "a"), edge("start", "b")]).start()
    scenario.answer("b", Failed("connection", "down", retryable=True))

    scenario.answer("a", FAILURE)

    assert scenario.results()["b"] == "CANCELLED"
    assert scenario.state.timers == ()


def test_a_failing_branch_that_continues_leaves_the_others_alone() -> None:
    scenario = parallel(onFailure="continue")

    scenario.answer("a", FAILURE)
    scenario.answer("b")
    scenario.answer("c")

    assert scenario.results() == {"start": "SUCCESS", "a": "FAILED", "b": "SUCCESS", "c": "SUCCESS"}
    assert scenario.state.result == "SUCCESS"


def test_a_join_runs_after_a_failed_branch_that_continues() -> None:
    nodes = [start_node(), webhook("a", onFailure="continue"), webhook("b"), webhook("join")]
    edges = [edge("start", "a"), edge("start", "b"), edge("a", "join"), edge("b", "join")]
    scenario = Scenario.of(nodes, edges).start()

    scenario.answer("a", FAILURE)
    assert ("join", 1) not in scenario.requested()
    scenario.answer("b")

    assert scenario.requested()[-1] == ("join", 1)


def test_a_config_that_cannot_be_rendered_fails_the_node_without_a_call() -> None:
    scenario = chain(body=BROKEN)

    assert scenario.requests == []
    assert scenario.state.result == "FAILED"
    error = scenario.node("a").error or ""
    assert error.startswith("The config could not be rendered. ")
    assert ".outputs.start.n.m" in error


def test_a_config_that_cannot_be_rendered_respects_on_failure() -> None:
    scenario = chain(body=BROKEN, onFailure="continue")

    assert scenario.requested() == [("b", 1)]
    assert scenario.results() == {"start": "SUCCESS", "a": "FAILED", "b": None}
    config = scenario.requests[0].config
    assert isinstance(config, dict)
    assert str(config["body"]).startswith("{'said': 'The config could not be rendered.")


def test_nodes_that_became_ready_together_are_not_started_once_one_of_them_failed_the_run() -> None:
    nodes = [start_node(), webhook("a", body=BROKEN), webhook("b"), condition("c", yes="true")]

    scenario = Scenario.of(nodes, [edge("start", "a"), edge("start", "b"), edge("start", "c")]).start({"n": 1})

    assert scenario.results() == {"start": "SUCCESS", "a": "FAILED"}
    assert scenario.requests == []


def test_nodes_started_just_before_the_failing_one_are_cancelled_in_the_same_decision() -> None:
    """Their requests leave all the same; what comes back is refused."""
    nodes = [start_node(), webhook("b"), webhook("a", body=BROKEN)]

    scenario = Scenario.of(nodes, [edge("start", "b"), edge("start", "a")]).start({"n": 1})

    assert scenario.results() == {"start": "SUCCESS", "b": "CANCELLED", "a": "FAILED"}
    assert [type(event) for event in scenario.events].count(NodeStarted) == 1
    late = scenario.answer("b")
    assert late.rejection is not None
    assert late.rejection.reason == "run-over"


def test_a_template_of_a_human_step_that_cannot_be_rendered_fails_the_run() -> None:
    nodes = [start_node(), input_node("ask", "yes", description="For {{ .outputs.start.n.m }}")]

    scenario = Scenario.of(nodes, [edge("start", "ask")]).start({"n": 1})

    assert scenario.results() == {"start": "SUCCESS", "ask": "FAILED"}
    assert scenario.state.result == "FAILED"


def test_a_condition_that_fails_cancels_what_runs_beside_it() -> None:
    nodes = [start_node(), webhook("a"), webhook("b"), condition("c", yes=".outputs.start.n.m")]
    edges = [edge("start", "a"), edge("start", "b"), edge("b", "c")]
    scenario = Scenario.of(nodes, edges).start({"n": 1})

    scenario.answer("b")

    assert scenario.results() == {"start": "SUCCESS", "a": "CANCELLED", "b": "SUCCESS", "c": "FAILED"}
    assert scenario.state.result == "FAILED"


def test_branches_after_the_one_that_failed_are_not_tried() -> None:
    nodes = [start_node(), condition("c", broken=".outputs.start.n.m", sound="true"), webhook("a")]

    scenario = Scenario.of(nodes, [edge("start", "c"), edge("c", "a", "sound")]).start({"n": 1})

    assert scenario.requests == []
    assert scenario.state.result == "FAILED"


def test_a_last_node_that_fails_and_continues_lets_the_run_succeed() -> None:
    scenario = Scenario.of([start_node(), webhook("a", onFailure="continue")], [edge("start", "a")]).start()

    scenario.answer("a", FAILURE)

    assert scenario.state.result == "SUCCESS"
