"""INPUT nodes: responses, quorum, time-out and notifications (spec 5.1, docs/people.md)."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.core import ids
from headrace.core.commands import CancelRun, Failed, ReportAttempt, ReportNode, RespondNode, Succeeded
from headrace.core.decision import Decision
from headrace.core.events import NodeCompleted, NodeReported, NodeStarted, fold
from headrace.core.responses import Tally, responses_of, submitter_of, tally
from headrace.core.run import LogLine
from tests.scenario import BEGIN, RUN_ID, Scenario, edge, input_node, start_node, webhook

TWO = {"identifier": "approve", "title": "Yes", "numOfResponders": 2}
NOTICE = {"target": "webhook", "url": "https://chat.test/x"}


def waiting(**config: Any) -> Scenario:
    """A run that waits for two to approve or one to reject; `done` follows the one, `undo` the other."""
    config.setdefault("description", "Really, {{ .workflowRun.createdBy }}?")
    outlets = [TWO, "reject", *config.pop("outlets", [])]
    nodes = [start_node(), input_node("ask", *outlets, **config), webhook("done"), webhook("undo")]
    edges = [edge("start", "ask"), edge("ask", "done", "approve"), edge("ask", "undo", "reject")]
    if "timeoutOutlet" in config:
        edges[2] = edge("ask", "undo", config["timeoutOutlet"])
    return Scenario.of(nodes, edges).start()


def press(scenario: Scenario, by: str, button: str = "approve", **inputs: Any) -> Decision:
    scenario.now += 1_000
    node_run = ids.node_run_id(RUN_ID, "ask")
    return scenario.give(RespondNode(RUN_ID, scenario.now, node_run, by, button, inputs))


def test_nothing_is_asked_of_the_invoker_while_people_are_waited_for() -> None:
    scenario = waiting()

    assert scenario.requests == []
    assert (scenario.node("ask").phase, scenario.state.timers) == ("waiting", ())
    assert scenario.node("ask").config["description"] == "Really, tester?"  # type: ignore[index,call-overload]


def test_the_outlet_is_taken_that_has_as_many_responses_as_it_needs() -> None:
    scenario = waiting()

    press(scenario, "ann", reason="fine")
    assert tally(scenario.node("ask")) == [Tally("approve", 1, 2), Tally("reject", 0, 1)]
    assert scenario.node("ask").status == "IN_PROGRESS"
    press(scenario, "bob")

    node = scenario.node("ask")
    assert (node.result, node.outlet) == ("SUCCESS", "approve")
    assert scenario.requested() == [("done", 1)]
    assert scenario.state.outputs["ask"] == {
        "selectedOutlet": {"identifier": "approve", "title": "Yes"},
        "responses": [
            {
                "button": "approve", "inputs": {"reason": "fine"}, "submitterInfo": {"submittedBy": "ann"},
                "submittedAt": "2023-11-14T22:13:21.000Z",
            },
            {
                "button": "approve", "inputs": {}, "submitterInfo": {"submittedBy": "bob"},
                "submittedAt": "2023-11-14T22:13:22.000Z",
            },
        ],
    }  # fmt: skip


def test_one_no_ends_it_however_many_said_yes_before() -> None:
    scenario = waiting()

    press(scenario, "ann")
    press(scenario, "bob", "reject")

    assert scenario.node("ask").outlet == "reject"
    assert scenario.requested() == [("undo", 1)]


def test_each_person_counts_once_whichever_button_comes_second() -> None:
    scenario = waiting()
    press(scenario, "ann")
    before = scenario.run

    again = [press(scenario, "ann"), press(scenario, "ann", "reject")]

    assert [it.rejection.reason for it in again if it.rejection] == ["duplicate", "duplicate"]
    assert scenario.run is before


def test_every_response_is_an_event_and_the_events_are_all_there_is_to_know() -> None:
    scenario = waiting()
    press(scenario, "ann")
    press(scenario, "bob")

    mine = [event for event in scenario.events if getattr(event, "node", "") == "ask"]
    assert [type(event) for event in mine] == [NodeStarted, NodeReported, NodeReported, NodeCompleted]
    assert fold(None, scenario.events) == scenario.run


@pytest.mark.parametrize(
    ("button", "node", "reason"),
    [("maybe", "ask", "unfit-response"), ("approve", "start", "node-over"), ("approve", "gone", "unknown-node")],
)
def test_a_response_that_does_not_fit_changes_nothing(button: str, node: str, reason: str) -> None:
    scenario = waiting()
    before = scenario.run

    command = RespondNode(RUN_ID, BEGIN, ids.node_run_id(RUN_ID, node), "ann", button, {})
    decision = scenario.give(command)

    assert decision.rejection is not None
    assert decision.rejection.reason == reason
    assert scenario.run is before


def test_a_response_that_is_too_large_for_the_run_changes_nothing() -> None:
    scenario = waiting(outlets=[])
    one = [press(scenario, "ann", reason="x" * 32_768)]
    before = scenario.run
    large = Scenario.of(
        [start_node(), input_node("ask", {"identifier": "ok", "numOfResponders": 20})], [edge("start", "ask")]
    ).start()

    all_of_them = [press(large, f"person {number}", "ok", reason="x" * 32_000) for number in range(9)]

    assert before is scenario.run
    assert [it.rejection.reason for it in one if it.rejection] == ["unfit-response"]
    assert [it.rejection is None for it in all_of_them] == [True] * 8 + [False]
    assert all_of_them[-1].rejection is not None
    assert "256 KiB can be kept" in all_of_them[-1].rejection.detail


def reported(scenario: Scenario, **fields: Any) -> Decision:
    return scenario.give(ReportNode(RUN_ID, scenario.now, scenario.node("ask").id, "machine", **fields))


def test_a_report_does_not_make_people_forgotten_so_that_they_may_respond_again() -> None:
    scenario = waiting()
    press(scenario, "ann")
    reported(scenario, output={"responses": [], "ticket": 7})

    again = press(scenario, "ann")

    assert again.rejection is not None
    assert again.rejection.reason == "duplicate"
    assert scenario.node("ask").output is not None
    assert scenario.node("ask").output["ticket"] == 7  # type: ignore[index]


@pytest.mark.parametrize(
    ("brought", "by"),
    [
        (None, ["ann"]),
        ([{"button": "reject", "submitterInfo": {"submittedBy": "zoe"}}], ["ann", "zoe"]),
        ([{"button": "reject", "submitterInfo": {"submittedBy": "ann"}}], ["ann"]),
    ],
)
def test_responses_that_a_machine_brings_stand_beside_those_of_people(brought: Any, by: list[str]) -> None:
    scenario = waiting()
    press(scenario, "ann")
    ended: Any = {"selectedOutlet": {"identifier": "reject"}, "responses": brought}

    reported(scenario, status="COMPLETED", result="SUCCESS", output=ended)

    assert scenario.node("ask").outlet == "reject"
    assert [submitter_of(it) for it in responses_of(scenario.node("ask"))] == by


def test_an_action_takes_no_responses() -> None:
    scenario = Scenario.of([start_node(), webhook("ask")], [edge("start", "ask")]).start()

    decision = press(scenario, "ann")

    assert decision.rejection is not None
    assert decision.rejection.reason == "unfit-response"


def test_a_response_after_the_end_is_refused() -> None:
    scenario = waiting()
    press(scenario, "bob", "reject")

    decision = press(scenario, "ann")

    assert decision.rejection is not None
    assert decision.rejection.reason == "node-over"


def test_when_time_is_up_the_node_fails_and_says_how_far_it_came() -> None:
    scenario = waiting(timeoutSeconds=3600)
    press(scenario, "ann")
    (timer,) = scenario.state.timers
    assert (timer.kind, timer.due_at) == ("deadline", BEGIN + 3_600_000)

    scenario.fire("deadline")

    node = scenario.node("ask")
    assert node.result == "FAILED"
    assert node.error == "Not enough people responded within 3600 s (approve 1 of 2, reject 0 of 1)."
    assert node.output is not None
    assert len(node.output["responses"]) == 1  # type: ignore[arg-type]
    assert scenario.state.result == "FAILED"


def test_when_time_is_up_the_outlet_for_that_is_taken() -> None:
    late = {"identifier": "late", "title": "Nobody came"}
    scenario = waiting(outlets=[late], timeoutSeconds=3600, timeoutOutlet="late")

    scenario.fire("deadline")

    assert (scenario.node("ask").result, scenario.node("ask").outlet) == ("SUCCESS", "late")
    assert scenario.state.outputs["ask"] == {
        "responses": [], "selectedOutlet": {"identifier": "late", "title": "Nobody came"},
    }  # fmt: skip
    assert scenario.requested() == [("undo", 1)]
    assert scenario.state.timers == ()


def test_the_timer_goes_when_people_decided() -> None:
    scenario = waiting(timeoutSeconds=3600)
    (timer,) = scenario.state.timers

    press(scenario, "bob", "reject")

    assert timer not in scenario.state.timers


def test_cancelling_ends_the_wait_at_once() -> None:
    scenario = waiting(timeoutSeconds=3600)

    scenario.give(CancelRun(RUN_ID, BEGIN + 1, "ann"))

    assert (scenario.state.result, scenario.node("ask").result) == ("CANCELLED", "CANCELLED")


def test_notifications_are_asked_of_the_invoker_once_each_with_ids_of_their_own() -> None:
    email = {"target": "email", "fields": []}
    own = {**NOTICE, "body": {"who": "{{ .workflowRun.createdBy }}"}, "method": "PUT", "headers": {"a": "b"}}
    scenario = waiting(notifications=[NOTICE, email, own])

    first, third = scenario.requests
    node_run = scenario.node("ask").id
    assert (first.id, third.id) == (f"{node_run}:0:1", f"{node_run}:0:3")
    assert (first.type, first.attempt, first.poll, first.delivery) == ("WEBHOOK", 0, 1, "at_least_once")
    assert first.config == {
        "url": "https://chat.test/x",
        "body": {
            "workflow": "flow", "runIdentifier": RUN_ID, "nodeRunIdentifier": node_run, "node": "ask",
            "description": "Really, tester?", "buttons": ["approve", "reject"], "createdBy": "tester",
        },
    }  # fmt: skip
    assert third.config == {
        "url": "https://chat.test/x", "method": "PUT", "headers": {"a": "b"}, "body": {"who": "tester"},
    }  # fmt: skip


def told(scenario: Scenario, outcome: Any, number: int = 1) -> Decision:
    node_run = scenario.node("ask").id
    logs = (LogLine(BEGIN, "INFO", "POST https://chat.test"),)
    return scenario.give(ReportAttempt(RUN_ID, BEGIN + 5, "ask", node_run, 0, outcome, logs, number))


def test_what_became_of_a_notification_is_a_line_in_the_log_and_ends_nothing() -> None:
    scenario = waiting(notifications=[NOTICE, NOTICE])

    told(scenario, Succeeded({"response": {}}))
    told(scenario, Failed("connection", "Nobody listens there.", retryable=True), 2)

    node = scenario.node("ask")
    assert node.status == "IN_PROGRESS"
    assert node.output is None
    assert [(line.level, line.message) for line in node.logs] == [
        ("INFO", "POST https://chat.test"),
        ("INFO", "POST https://chat.test"),
        ("ERROR", "Notification 2 failed, and is not sent again. Nobody listens there."),
    ]


def test_an_answer_to_a_notification_that_comes_twice_counts_once() -> None:
    scenario = waiting(notifications=[NOTICE])
    told(scenario, Succeeded({}))

    again = told(scenario, Succeeded({}))

    assert again.rejection is not None
    assert again.rejection.reason == "duplicate"
    assert len(scenario.node("ask").logs) == 1


def test_an_answer_to_a_notification_that_comes_after_the_end_is_refused() -> None:
    scenario = waiting(notifications=[NOTICE])
    press(scenario, "bob", "reject")

    late = told(scenario, Succeeded({}))

    assert late.rejection is not None
    assert late.rejection.reason == "node-over"


def test_the_answer_of_another_attempt_is_no_notification() -> None:
    scenario = Scenario.of([start_node(), webhook("ask")], [edge("start", "ask")]).start()

    decision = told(scenario, Succeeded({}))

    assert decision.rejection is not None
    assert decision.rejection.reason == "stale-attempt"
