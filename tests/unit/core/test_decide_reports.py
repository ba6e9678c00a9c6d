"""Work that is reported from outside: asynchronous nodes, human steps, logs."""

from typing import Any

import pytest

from headrace.core.commands import Accepted, Failed, Succeeded
from headrace.core.events import NodeAccepted, NodeCompleted, NodeReported
from headrace.core.run import MAX_LOG_LINES, MAX_REPORTS, LogLine
from tests.scenario import BEGIN, Scenario, condition, edge, input_node, start_node, webhook

TAKEN = Accepted({"response": {"status": 202}})


def scenario_of(**config: Any) -> Scenario:
    """A run whose asynchronous action `a` is at work, and `b` would follow."""
    nodes = [start_node(), webhook("a", synchronized=False, **config), webhook("b")]
    return Scenario.of(nodes, [edge("start", "a"), edge("a", "b")]).start()


def waiting(**config: Any) -> Scenario:
    """The same, with the work accepted."""
    scenario = scenario_of(**config)
    scenario.answer("a", TAKEN)
    return scenario


def asking(*outlets: Any) -> Scenario:
    """A run that asks people; each outlet leads to an action of its name."""
    names = [outlet if isinstance(outlet, str) else outlet["identifier"] for outlet in outlets]
    nodes = [start_node(), input_node("ask", *outlets), *[webhook("on_" + name) for name in names]]
    return Scenario.of(nodes, [edge("start", "ask"), *[edge("ask", "on_" + name, name) for name in names]]).start()


def lines(*messages: str) -> tuple[LogLine, ...]:
    return tuple(LogLine(BEGIN, "INFO", message) for message in messages)


def test_accepted_work_waits_for_its_report() -> None:
    scenario = scenario_of()

    decision = scenario.answer("a", TAKEN)

    assert [type(event) for event in decision.events] == [NodeAccepted]
    assert (scenario.node("a").phase, scenario.node("a").output) == ("waiting", {"response": {"status": 202}})
    assert "a" not in scenario.state.outputs
    assert scenario.requested() == [("a", 1)]


@pytest.mark.parametrize("outcome", [Succeeded({}), TAKEN, Failed("connection", "down", retryable=True)], ids=repr)
def test_an_attempt_is_answered_once(outcome: Any) -> None:
    scenario = waiting()

    decision = scenario.answer("a", outcome)

    assert decision.rejection is not None
    assert decision.rejection.reason == "duplicate"


def test_reports_merge_their_output_and_the_last_value_of_a_key_wins() -> None:
    scenario = waiting()

    scenario.report("a", status="IN_PROGRESS", output={"url": "u", "done": 10})
    scenario.report("a", output={"done": 60})
    assert scenario.node("a").output == {"response": {"status": 202}, "url": "u", "done": 60}
    assert "a" not in scenario.state.outputs
    scenario.report("a", status="COMPLETED", result="SUCCESS", output={"done": 100})

    assert scenario.state.outputs["a"] == {"response": {"status": 202}, "url": "u", "done": 100}
    assert scenario.requested() == [("a", 1), ("b", 1)]


def test_a_report_leaves_as_they_are_the_fields_that_it_does_not_name() -> None:
    scenario = waiting()
    scenario.report("a", external_run_id="gh-1", links=("https://x.test",), output={"n": 1})

    scenario.report("a", status="IN_PROGRESS")

    node = scenario.node("a")
    assert (node.external_run_id, node.links) == ("gh-1", ("https://x.test",))
    assert node.output == {"response": {"status": 202}, "n": 1}
    assert node.phase == "waiting"


def test_logs_are_appended_in_order() -> None:
    scenario = scenario_of()
    scenario.answer("a", TAKEN, logs=lines("one"))

    scenario.report("a", logs=lines("two", "three"))
    scenario.report("a", status="COMPLETED", result="SUCCESS", logs=lines("four"))

    assert [line.message for line in scenario.node("a").logs] == ["one", "two", "three", "four"]


def test_the_oldest_log_lines_are_dropped_and_counted() -> None:
    scenario = waiting()
    scenario.report("a", logs=lines(*map(str, range(MAX_LOG_LINES))))
    assert scenario.node("a").logs_dropped == 0

    scenario.report("a", logs=lines("x", "y", "z"))
    scenario.report("a", status="COMPLETED", result="SUCCESS", logs=lines("end"))

    node = scenario.node("a")
    assert (len(node.logs), node.logs_dropped) == (MAX_LOG_LINES, 4)
    assert (node.logs[0].message, node.logs[-1].message) == ("4", "end")


def test_one_report_with_too_many_log_lines_keeps_the_newest() -> None:
    scenario = waiting()

    scenario.report("a", logs=lines(*map(str, range(MAX_LOG_LINES + 5))))

    node = scenario.node("a")
    assert (len(node.logs), node.logs_dropped, node.logs[0].message) == (MAX_LOG_LINES, 5, "5")


def test_a_report_delivered_twice_counts_once() -> None:
    scenario = waiting()
    scenario.report("a", logs=lines("once"), report_id="r1")
    before = scenario.run

    again = scenario.report("a", logs=lines("once"), report_id="r1")
    other = scenario.report("a", logs=lines("once"), report_id="r2")

    assert again.rejection is not None
    assert again.rejection.reason == "duplicate"
    assert again.run is before
    assert other.rejection is None
    assert len(scenario.node("a").logs) == 2


def test_reports_without_an_id_are_never_taken_for_one_another() -> None:
    scenario = waiting()

    for _ in range(3):
        assert scenario.report("a", logs=lines("tick")).rejection is None

    assert len(scenario.node("a").logs) == 3
    assert scenario.node("a").reports == ()


def test_reports_without_an_id_do_not_push_out_the_ids_that_are_remembered() -> None:
    """Every report once took a place among the remembered ids, so that 64 log lines made us forget them all."""
    scenario = waiting()
    scenario.report("a", report_id="r1")

    for _ in range(MAX_REPORTS):
        scenario.report("a", logs=lines("tick"))

    assert scenario.report("a", report_id="r1").rejection is not None


def test_the_newest_report_ids_are_remembered() -> None:
    scenario = waiting()
    for number in range(MAX_REPORTS + 1):
        scenario.report("a", report_id=f"r{number}")

    assert len(scenario.node("a").reports) == MAX_REPORTS
    assert scenario.report("a", report_id="r1").rejection is not None
    assert scenario.report("a", report_id="r0").rejection is None


def test_a_callback_may_come_before_the_acceptance() -> None:
    scenario = scenario_of()

    scenario.report("a", status="COMPLETED", result="SUCCESS", output={"fast": True})
    late = scenario.answer("a", TAKEN)

    assert scenario.state.outputs["a"] == {"fast": True}
    assert late.rejection is not None
    assert late.rejection.reason == "node-over"
    assert scenario.requested() == [("a", 1), ("b", 1)]


def test_progress_may_come_before_the_acceptance() -> None:
    scenario = scenario_of()

    scenario.report("a", status="IN_PROGRESS", output={"n": 1})
    assert scenario.node("a").phase == "running"
    scenario.answer("a", TAKEN)

    assert scenario.node("a").output == {"n": 1, "response": {"status": 202}}


@pytest.mark.parametrize("failure", ["continue", "terminate"])
def test_a_report_of_failure_respects_on_failure(failure: str) -> None:
    scenario = waiting(onFailure=failure)

    scenario.report("a", status="COMPLETED", result="FAILED", output={"error": {"message": "disk full"}})

    assert (scenario.node("a").result, scenario.node("a").error) == ("FAILED", "disk full")
    assert (("b", 1) in scenario.requested()) is (failure == "continue")
    assert scenario.state.result == (None if failure == "continue" else "FAILED")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"error": {"message": "disk full"}}, "disk full"),
        ({"error": "disk full"}, "disk full"),
        ({"error": {"message": 5}}, "The node run was reported as failed."),
        ({"error": {"message": ""}}, "The node run was reported as failed."),
        ({"error": None}, "The node run was reported as failed."),
        (None, "The node run was reported as failed."),
    ],
)
def test_the_message_of_a_reported_failure_is_what_the_report_says(output: Any, message: str) -> None:
    scenario = waiting(onFailure="continue")

    scenario.report("a", status="COMPLETED", result="FAILED", output=output)

    stored = scenario.state.outputs["a"]
    assert isinstance(stored, dict)
    assert stored["error"] == {"message": message}
    assert scenario.node("a").error == message


def test_what_a_reported_error_says_beside_its_message_is_kept() -> None:
    """It was once replaced by the message alone, in the raw output too."""
    scenario = waiting(onFailure="continue")

    scenario.report("a", status="COMPLETED", result="FAILED", output={"error": {"message": "no", "code": 7}})

    assert scenario.node("a").output == {"response": {"status": 202}, "error": {"message": "no", "code": 7}}


def test_a_node_cancelled_by_its_worker_stops_the_run() -> None:
    nodes = [start_node(), webhook("a", synchronized=False), webhook("b"), webhook("c")]
    scenario = Scenario.of(nodes, [edge("start", "a"), edge("start", "b"), edge("a", "c")]).start()

    scenario.report("a", status="COMPLETED", result="CANCELLED", output={"by": "hand"})

    assert scenario.results() == {"start": "SUCCESS", "a": "CANCELLED", "b": "CANCELLED"}
    assert (scenario.state.status, scenario.state.result) == ("COMPLETED", "CANCELLED")
    assert scenario.node("a").error == "Cancelled by reporter."
    assert scenario.node("b").error == "Node a was cancelled by reporter."
    assert set(scenario.state.outputs) == {"start"}


def test_a_completion_sets_links_and_the_external_id() -> None:
    scenario = waiting(links=["https://template.test"])

    scenario.report("a", status="COMPLETED", result="SUCCESS", external_run_id="gh-2", links=("https://own.test",))

    assert (scenario.node("a").external_run_id, scenario.node("a").links) == ("gh-2", ("https://own.test",))


def test_the_external_id_and_links_of_earlier_reports_are_kept_by_the_completion() -> None:
    scenario = waiting()
    scenario.report("a", external_run_id="gh-1", links=("https://own.test",))

    scenario.report("a", status="COMPLETED", result="SUCCESS")

    assert (scenario.node("a").external_run_id, scenario.node("a").links) == ("gh-1", ("https://own.test",))


@pytest.mark.parametrize("status", ["COMPLETED", "IN_PROGRESS", None])
def test_a_report_after_completion_is_refused(status: Any) -> None:
    scenario = waiting()
    scenario.report("a", status="COMPLETED", result="SUCCESS")
    before = scenario.run

    decision = scenario.report("a", status=status, result="FAILED", output={"x": 1})

    assert decision.rejection is not None
    assert decision.rejection.reason == "node-over"
    assert decision.run is before


def test_a_report_about_a_node_that_was_not_reached_is_refused() -> None:
    decision = waiting().report("b", status="COMPLETED", result="SUCCESS")

    assert decision.rejection is not None
    assert decision.rejection.reason == "unknown-node"


def test_a_report_may_end_a_synchronous_node_whose_answer_is_then_refused() -> None:
    scenario = Scenario.of([start_node(), webhook("a")], [edge("start", "a")]).start()

    scenario.report("a", status="COMPLETED", result="SUCCESS", output={"n": 1})

    assert scenario.state.result == "SUCCESS"
    assert scenario.answer("a").rejection is not None


def test_an_asynchronous_node_may_end_with_its_answer() -> None:
    scenario = scenario_of()

    decision = scenario.answer("a", Succeeded({"n": 1}))

    assert isinstance(decision.events[0], NodeCompleted)
    assert scenario.state.outputs["a"] == {"n": 1}


def test_the_output_of_a_worker_does_not_choose_a_way_out_of_an_action() -> None:
    scenario = waiting()

    scenario.report("a", status="COMPLETED", result="SUCCESS", output={"selectedOutlet": {"identifier": "x"}})

    assert scenario.node("a").outlet is None
    assert scenario.requested() == [("a", 1), ("b", 1)]


def test_a_human_step_waits_without_asking_the_invoker() -> None:
    scenario = asking("yes", "no")

    assert scenario.requests == []
    assert (scenario.node("ask").phase, scenario.node("ask").type) == ("waiting", "INPUT")
    assert scenario.state.timers == ()


@pytest.mark.parametrize("pressed", ["yes", "no"])
def test_a_human_step_goes_out_by_the_outlet_that_was_chosen(pressed: str) -> None:
    scenario = asking("yes", "no")

    scenario.report("ask", status="COMPLETED", result="SUCCESS", output={"selectedOutlet": {"identifier": pressed}})

    assert scenario.requested() == [("on_" + pressed, 1)]
    assert scenario.node("ask").outlet == pressed
    assert scenario.state.outputs["ask"] == {"selectedOutlet": {"identifier": pressed}}


@pytest.mark.parametrize(
    "output",
    [None, {}, {"selectedOutlet": None}, {"selectedOutlet": "yes"}, {"selectedOutlet": {"identifier": "maybe"}}],
)
def test_a_human_step_without_a_known_outlet_ends_the_path(output: Any) -> None:
    scenario = asking("yes")

    scenario.report("ask", status="COMPLETED", result="SUCCESS", output=output)

    assert scenario.requests == []
    assert (scenario.node("ask").outlet, scenario.state.result) == (None, "SUCCESS")


def test_responses_may_gather_before_the_outlet_is_chosen() -> None:
    scenario = asking("yes", "no")

    scenario.report("ask", output={"responses": [1]})
    assert scenario.happened()[-1] == NodeReported.__name__
    scenario.report("ask", output={"responses": [1, 2]})
    scenario.report("ask", status="COMPLETED", result="SUCCESS", output={"selectedOutlet": {"identifier": "yes"}})

    assert scenario.state.outputs["ask"] == {"responses": [1, 2], "selectedOutlet": {"identifier": "yes"}}


def test_a_human_step_labels_the_node_run_and_the_run() -> None:
    """The labels of outlets were once evaluated for conditions only."""
    outlet = {
        "identifier": "yes",
        "statusLabel": {"text": '"approved"'},
        "workflowStatusLabel": {"text": ".outputs.start.who"},
    }
    scenario = Scenario.of([start_node(), input_node("ask", outlet, "no")], [edge("start", "ask")])
    scenario.start({"who": "Ada"})

    scenario.report("ask", status="COMPLETED", result="SUCCESS", output={"selectedOutlet": {"identifier": "yes"}})

    assert (scenario.node("ask").label, scenario.state.label) == ("approved", "Ada")


def test_the_invoker_cannot_answer_for_people() -> None:
    scenario = asking("yes")

    decision = scenario.answer("ask")

    assert decision.rejection is not None
    assert decision.rejection.reason == "duplicate"


@pytest.mark.parametrize("result", ["FAILED", "CANCELLED"])
def test_a_human_step_may_fail_or_be_cancelled(result: Any) -> None:
    scenario = asking("yes")

    scenario.report("ask", status="COMPLETED", result=result, output={"selectedOutlet": {"identifier": "yes"}})

    assert scenario.state.result == result
    assert scenario.requests == []


def test_nodes_that_are_over_at_once_take_no_reports() -> None:
    nodes = [start_node(), condition("c", yes="true"), webhook("a")]
    scenario = Scenario.of(nodes, [edge("start", "c"), edge("c", "a", "yes")]).start()

    for name in ("start", "c"):
        for decision in (scenario.report(name, output={"x": 1}), scenario.answer(name)):
            assert decision.rejection is not None
            assert decision.rejection.reason == "node-over"
