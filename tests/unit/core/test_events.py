"""Folding events into a run."""

import pytest

from headrace.core.events import (
    AttemptFailed,
    AttemptStarted,
    Event,
    NodeAccepted,
    NodeCompleted,
    NodeReported,
    NodeStarted,
    RunCancelling,
    RunCompleted,
    RunStarted,
    apply,
    fold,
)
from headrace.core.run import FailedAttempt, LogLine, Run, Timer
from tests.scenario import CAUSE, RUN_ID

STARTED = RunStarted(1, 100, RUN_ID, "flow", 3, "start", "SELF_SERVE_TRIGGER", "ada", CAUSE, {7: False})
DEADLINE = Timer("wfnr_a:1:deadline", "a", 1, "deadline", 900)
OTHER = Timer("wfnr_b:1:deadline", "b", 1, "deadline", 800)
AGAIN = Timer("wfnr_a:1:retry", "a", 1, "retry", 700)
RUNNING: list[Event] = [
    STARTED,
    NodeStarted(2, 200, "a", "wfnr_a", "WEBHOOK", {"url": "u"}, timers=(DEADLINE,)),
    NodeStarted(3, 200, "b", "wfnr_b", "WEBHOOK", None, timers=(OTHER,)),
]


def folded(*events: Event) -> Run:
    run = fold(None, [*RUNNING, *events])
    assert run is not None
    return run


def test_a_run_begins_with_what_its_first_event_says() -> None:
    run = apply(None, STARTED)

    assert (run.id, run.workflow, run.version, run.trigger, run.created_by) == (RUN_ID, "flow", 3, "start", "ada")
    assert (run.created_at, run.updated_at, run.seq) == (100, 100, 1)
    assert (run.status, run.result, run.edges, run.nodes, run.timers) == ("IN_PROGRESS", None, {7: False}, {}, ())


def test_folding_nothing_changes_nothing() -> None:
    run = folded()

    assert fold(run, []) is run
    assert fold(None, []) is None


def test_a_run_cannot_start_twice() -> None:
    with pytest.raises(AssertionError, match="starts once"):
        apply(folded(), STARTED)


def test_a_run_cannot_begin_in_the_middle() -> None:
    with pytest.raises(AssertionError, match="starts with RunStarted"):
        apply(None, RUNNING[1])


@pytest.mark.parametrize("seq", [0, 3, 5])
def test_a_gap_or_a_repetition_is_noticed(seq: int) -> None:
    with pytest.raises(AssertionError, match=f"event {seq} after event 3"):
        apply(folded(), RunCancelling(seq, 300, "boss"))


def test_the_given_run_is_not_touched() -> None:
    before = folded()
    copy = fold(None, RUNNING)

    apply(before, NodeCompleted(4, 300, "a", "wfnr_a", "WEBHOOK", "SUCCESS", {"n": 1}, {"n": 1}, edges={0: True}))

    assert before == copy


def test_every_event_moves_the_number_and_the_time() -> None:
    tails: list[Event] = [
        NodeAccepted(4, 300, "a", {}),
        NodeReported(4, 300, "a"),
        AttemptFailed(4, 300, "a", 1, "no", AGAIN),
        AttemptStarted(4, 300, "a", 2),
        NodeCompleted(4, 300, "a", "wfnr_a", "WEBHOOK", "SUCCESS"),
        RunCancelling(4, 300, "boss"),
        RunCompleted(4, 300, "SUCCESS"),
    ]
    for event in tails:
        run = folded(event)
        assert (run.seq, run.updated_at, run.created_at) == (4, 300, 100), event
        if not isinstance(event, RunCancelling | RunCompleted):
            assert run.nodes["a"].updated_at == 300, event
            assert run.nodes["b"].updated_at == 200, event


def test_an_acceptance_keeps_the_deadline() -> None:
    run = folded(NodeAccepted(4, 300, "a", {"n": 1}))

    assert (run.nodes["a"].phase, run.nodes["a"].output) == ("waiting", {"n": 1})
    assert run.timers == (DEADLINE, OTHER)


def test_a_failed_attempt_replaces_the_nodes_timers_by_its_retry() -> None:
    run = folded(AttemptFailed(4, 300, "a", 1, "no", AGAIN))

    assert run.timers == (OTHER, AGAIN)
    assert run.nodes["a"].failed_attempts == (FailedAttempt(1, 300, "no"),)
    assert (run.nodes["a"].phase, run.nodes["a"].error) == ("retrying", "no")
    assert run.next_due_at == 700


def test_the_next_attempt_replaces_the_retry_by_its_deadline() -> None:
    deadline = Timer("wfnr_a:2:deadline", "a", 2, "deadline", 950)

    run = folded(AttemptFailed(4, 300, "a", 1, "no", AGAIN), AttemptStarted(5, 400, "a", 2, (deadline,)))

    assert run.timers == (OTHER, deadline)
    assert (run.nodes["a"].phase, run.nodes["a"].attempt) == ("running", 2)


def test_a_completion_removes_only_the_nodes_own_timers() -> None:
    run = folded(NodeCompleted(4, 300, "a", "wfnr_a", "WEBHOOK", "SUCCESS"))

    assert run.timers == (OTHER,)
    assert [node.node for node in run.in_progress()] == ["b"]


def test_the_end_of_a_run_removes_all_timers() -> None:
    run = folded(RunCompleted(4, 300, "CANCELLED"))

    assert (run.timers, run.next_due_at) == ((), None)
    assert (run.is_over, run.result, run.completed_at) == (True, "CANCELLED", 300)


def test_a_completion_tells_all_about_the_node_run() -> None:
    event = NodeCompleted(
        4, 300, "a", "wfnr_a", "WEBHOOK", "FAILED", {"raw": 1}, {"kept": 1}, "bad", "out", "label", "run label",
        ("https://x.test",), (LogLine(1, "INFO", "hi"),), "ext", {0: True, 1: False},
    )  # fmt: skip

    run = folded(event)

    node = run.nodes["a"]
    assert (node.status, node.phase, node.result, node.completed_at) == ("COMPLETED", "done", "FAILED", 300)
    assert (node.output, node.error, node.outlet, node.label) == ({"raw": 1}, "bad", "out", "label")
    assert (node.links, node.external_run_id) == (("https://x.test",), "ext")
    assert node.logs == (LogLine(1, "INFO", "hi"),)
    assert (node.config, node.created_at) == ({"url": "u"}, 200)
    assert run.outputs == {"a": {"kept": 1}}
    assert run.edges == {7: False, 0: True, 1: False}
    assert run.label == "run label"


def test_a_node_that_completes_at_once_needs_no_start() -> None:
    run = folded(NodeCompleted(4, 300, "c", "wfnr_c", "CONDITION", "SUCCESS", {}, {}, outlet="yes"))

    node = run.nodes["c"]
    assert (node.id, node.type, node.attempt, node.created_at, node.outlet) == ("wfnr_c", "CONDITION", 1, 300, "yes")


def test_a_cancelled_node_leaves_no_output() -> None:
    run = folded(NodeCompleted(4, 300, "a", "wfnr_a", "WEBHOOK", "CANCELLED", {"n": 1}, {"n": 1}))

    assert run.outputs == {}
    assert run.nodes["a"].output == {"n": 1}


def test_a_report_changes_only_what_it_names() -> None:
    first = NodeReported(4, 300, "a", "r1", {"n": 1}, (), "ext", ("https://x.test",))

    run = folded(first, NodeReported(5, 400, "a", "r2", {"m": 2}), NodeReported(6, 500, "a", links=()))

    node = run.nodes["a"]
    assert (node.output, node.external_run_id, node.links) == ({"n": 1, "m": 2}, "ext", ())
    assert node.reports == ("r1", "r2")
    assert node.phase == "running"


def test_a_run_being_cancelled_remembers_by_whom() -> None:
    run = folded(RunCancelling(4, 300, "boss"))

    assert (run.status, run.cancelled_by, run.is_over) == ("CANCELLING", "boss", False)
    assert run.timers == (DEADLINE, OTHER)
