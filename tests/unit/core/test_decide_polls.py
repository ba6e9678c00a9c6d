"""Accepted work that the engine asks about again: polls are state of the run, and each of them happens once."""

from typing import Any

import pytest

from headrace.core.commands import Accepted, Failed, FireTimer, Origin, Outcome, Succeeded
from headrace.core.events import NodeAccepted, PollStarted, fold
from headrace.core.json import JsonObject
from tests.scenario import BEGIN, RUN_ID, Scenario, edge, start_node, webhook

LINKS = ("https://ci.test/7",)
FOLLOWED = Accepted({"runId": 7}, "gh_1_2_7", LINKS, poll_after_seconds=10, poll_state={"run": 7})
RETRY = {"maxAttempts": 2, "backoffSeconds": 60}


def scenario_of(**config: Any) -> Scenario:
    """A run whose action `a` is at work, and `b` would follow."""
    nodes = [start_node(), webhook("a", synchronized=False, **config), webhook("b")]
    return Scenario.of(nodes, [edge("start", "a"), edge("a", "b")]).start()


def polling(**config: Any) -> Scenario:
    """The same, with its first poll under way."""
    scenario = scenario_of(**config)
    scenario.answer("a", FOLLOWED)
    scenario.fire("poll")
    return scenario


def test_accepted_work_is_asked_about_again_when_its_time_comes() -> None:
    scenario = scenario_of()

    scenario.answer("a", FOLLOWED)

    (timer,) = scenario.state.timers
    node = scenario.node("a")
    assert (timer.kind, timer.due_at, timer.attempt) == ("poll", BEGIN + 10_000, 1)
    assert timer.id == f"{node.id}:1:poll1"
    assert (node.phase, node.external_run_id, node.links, node.poll_state) == (
        "waiting", "gh_1_2_7", LINKS, {"run": 7},
    )  # fmt: skip
    assert scenario.requested() == [("a", 1)]


def test_a_poll_is_a_request_of_the_same_attempt_with_its_number_and_what_was_to_be_given_back() -> None:
    scenario = polling()

    first, poll = scenario.requests
    assert (poll.id, poll.attempt, poll.poll, poll.poll_state) == (f"{first.id}:1", 1, 1, {"run": 7})
    assert (poll.config, poll.node_run_id) == (first.config, first.node_run_id)
    assert (scenario.node("a").phase, scenario.state.timers) == ("polling", ())


def test_polls_follow_each_other_until_one_finds_the_end() -> None:
    scenario = polling()

    scenario.answer("a", Accepted({"jobs": 1}, poll_after_seconds=20, poll_state={"run": 7, "seen": 1}), poll=1)
    scenario.fire("poll")
    scenario.answer("a", Succeeded({"conclusion": "success"}), poll=2)

    assert [request.poll for request in scenario.requests] == [0, 1, 2, 0]
    assert scenario.requests[2].poll_state == {"run": 7, "seen": 1}
    assert scenario.state.outputs["a"] == {"runId": 7, "jobs": 1, "conclusion": "success"}
    node = scenario.node("a")
    assert (node.result, node.external_run_id, node.links) == ("SUCCESS", "gh_1_2_7", LINKS)
    assert scenario.requested()[-1] == ("b", 1)


def test_a_poll_that_finds_a_failure_fails_the_node_and_keeps_what_is_known() -> None:
    scenario = polling()

    scenario.answer("a", Failed("status", "the pipeline failed"), poll=1)

    node = scenario.node("a")
    assert (node.result, node.error, node.external_run_id) == ("FAILED", "the pipeline failed", "gh_1_2_7")


def test_a_poll_that_finds_that_nothing_was_done_may_lead_to_the_next_attempt_whose_polls_begin_anew() -> None:
    scenario = polling(retry=RETRY)

    scenario.answer("a", Failed("connection", "it never began", retryable=True), poll=1)
    scenario.fire("retry")
    assert (scenario.node("a").poll, scenario.node("a").poll_state) == (0, None)
    scenario.answer("a", FOLLOWED, attempt=2)
    scenario.fire("poll")

    assert [(it.attempt, it.poll) for it in scenario.requests] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert len({request.id for request in scenario.requests}) == 4


@pytest.mark.parametrize(
    ("poll", "reason"), [(0, "stale-attempt"), (1, "stale-attempt"), (2, "duplicate"), (3, "stale-attempt")]
)
@pytest.mark.parametrize("outcome", [Succeeded({}), FOLLOWED, Failed("status", "no")], ids=["ok", "more", "failed"])
def test_every_poll_is_answered_once(poll: int, reason: str, outcome: Outcome) -> None:
    scenario = polling()
    scenario.answer("a", FOLLOWED, poll=1)
    scenario.fire("poll")
    scenario.answer("a", FOLLOWED, poll=2)
    before = scenario.run

    decision = scenario.answer("a", outcome, poll=poll)

    assert decision.rejection is not None
    assert (decision.rejection.reason, decision.run) == (reason, before)
    assert decision.run is before


def test_a_poll_does_not_begin_early_and_begins_once() -> None:
    scenario = scenario_of()
    scenario.answer("a", FOLLOWED)
    timer = scenario.state.timers[0]

    early = scenario.fire("poll", wait=False)
    due = scenario.fire("poll")
    again = scenario.give(FireTimer(RUN_ID, timer.due_at, timer.id))

    assert [type(event) for event in due.events] == [PollStarted]
    assert early.rejection is not None
    assert again.rejection is not None
    assert (early.rejection.reason, again.rejection.reason) == ("not-due", "unknown-timer")


@pytest.mark.parametrize("out", [False, True], ids=["planned", "under way"])
def test_a_report_from_outside_ends_the_polling(out: bool) -> None:
    scenario = scenario_of()
    scenario.answer("a", FOLLOWED)
    if out:
        scenario.fire("poll")

    scenario.report("a", status="COMPLETED", result="SUCCESS", output={"by": "webhook"})

    assert (scenario.node("a").result, scenario.state.timers) == ("SUCCESS", ())
    late = scenario.answer("a", Failed("status", "late"), poll=1)
    assert late.rejection is not None
    assert late.rejection.reason == "node-over"


def test_a_report_of_progress_leaves_the_planned_poll() -> None:
    scenario = scenario_of()
    scenario.answer("a", FOLLOWED)

    scenario.report("a", output={"step": 1})

    assert [timer.kind for timer in scenario.state.timers] == ["poll"]


@pytest.mark.parametrize("out", [False, True], ids=["planned", "under way"])
def test_the_deadline_of_the_attempt_outlives_its_polls(out: bool) -> None:
    scenario = scenario_of(timeoutSeconds=60)
    scenario.answer("a", FOLLOWED)
    if out:
        scenario.fire("poll")

    scenario.fire("deadline")

    assert (scenario.node("a").result, scenario.node("a").error) == ("FAILED", "Nobody reported back within 60 s.")
    assert scenario.state.timers == ()


def test_while_a_run_is_cancelled_gracefully_its_work_is_followed_to_the_end() -> None:
    scenario = scenario_of()
    scenario.answer("a", FOLLOWED)
    scenario.cancel()

    scenario.fire("poll")
    scenario.answer("a", Succeeded({}), poll=1)

    assert (scenario.node("a").result, scenario.state.result) == ("SUCCESS", "CANCELLED")
    assert scenario.requested() == [("a", 1), ("a", 1)]


def test_a_cancel_by_force_ends_the_polling() -> None:
    scenario = polling()

    scenario.cancel(force=True)

    assert (scenario.state.result, scenario.state.timers) == ("CANCELLED", ())


def test_the_history_of_a_polled_node_folds_to_its_run() -> None:
    scenario = polling()
    scenario.answer("a", FOLLOWED, poll=1)

    assert fold(None, scenario.events) == scenario.run
    assert isinstance(scenario.events[-1], NodeAccepted)


def test_only_actions_that_need_it_are_told_who_started_the_run_and_when() -> None:
    kafka: JsonObject = {"identifier": "b", "config": {"type": "KAFKA", "payload": {}}}
    scenario = Scenario.of([start_node(), webhook("a"), kafka], [edge("start", "a"), edge("a", "b")]).start()
    scenario.now += 500
    scenario.answer("a")

    assert [request.origin for request in scenario.requests] == [
        None, Origin("tester", "SELF_SERVE_TRIGGER", BEGIN, BEGIN + 500),
    ]  # fmt: skip
