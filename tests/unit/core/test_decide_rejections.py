"""Commands that do not apply: each is refused with its reason and changes nothing."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from headrace.core.commands import (
    CancelRun,
    Command,
    Failed,
    FireTimer,
    ReportAttempt,
    ReportNode,
    StartRun,
    Succeeded,
)
from headrace.core.decide import decide
from headrace.core.ids import node_run_id
from tests.scenario import BEGIN, CAUSE, RUN_ID, Scenario, edge, start_node, webhook

NODE_RUN = node_run_id(RUN_ID, "a")
COMMANDS: list[Command] = [
    StartRun(RUN_ID, BEGIN, "flow", 1, "start", {}, "tester", CAUSE),
    ReportAttempt(RUN_ID, BEGIN, "a", NODE_RUN, 1, Succeeded({})),
    ReportNode(RUN_ID, BEGIN, NODE_RUN, "w", "COMPLETED", "SUCCESS"),
    ReportNode(RUN_ID, BEGIN, NODE_RUN, "w", output={"x": 1}),
    FireTimer(RUN_ID, BEGIN + 10**9, f"{NODE_RUN}:1:deadline"),
    CancelRun(RUN_ID, BEGIN, "boss"),
    CancelRun(RUN_ID, BEGIN, "boss", force=True),
]
WITHOUT_START = COMMANDS[1:]


def scenario() -> Scenario:
    nodes = [start_node(), webhook("a", timeoutSeconds=60)]
    return Scenario.of(nodes, [edge("start", "a")]).start()


def succeed(run: Scenario) -> None:
    run.answer("a")


def fail(run: Scenario) -> None:
    run.answer("a", Failed("status", "no"))


def cancel(run: Scenario) -> None:
    run.cancel(force=True)


@pytest.mark.parametrize("command", WITHOUT_START, ids=lambda command: type(command).__name__)
@pytest.mark.parametrize("finish", [succeed, fail, cancel])
def test_everything_on_a_finished_run_is_refused(finish: Callable[[Scenario], None], command: Command) -> None:
    run = scenario()
    finish(run)
    before = run.run

    decision = run.give(command)

    assert decision.rejection is not None
    assert decision.rejection.reason == "run-over"
    assert decision.run is before
    assert (decision.events, decision.requests, decision.questions) == ((), (), ())


@pytest.mark.parametrize("finished", [False, True])
def test_a_run_starts_once(finished: bool) -> None:
    run = scenario()
    if finished:
        run.answer("a")
    before = run.run

    decision = run.give(COMMANDS[0])

    assert decision.rejection is not None
    assert decision.rejection.reason == "duplicate"
    assert decision.run is before


@pytest.mark.parametrize("command", WITHOUT_START, ids=lambda command: type(command).__name__)
def test_without_a_run_there_is_nothing_to_do(command: Command) -> None:
    decision = decide(scenario().plan, None, command)

    assert decision.rejection is not None
    assert decision.rejection.reason == "unknown-run"
    assert decision.run is None
    assert decision.events == ()


@pytest.mark.parametrize("command", WITHOUT_START, ids=lambda command: type(command).__name__)
def test_a_command_for_another_run_does_not_touch_this_one(command: Command) -> None:
    """A cancel that was handed to the wrong run was once carried out there."""
    run = scenario()
    before = run.run

    decision = run.give(replace(command, run_id="wfr_" + "9" * 16))

    assert decision.rejection is not None
    assert decision.rejection.reason == "unknown-run"
    assert decision.run is before


@pytest.mark.parametrize("trigger", ["a", "nobody", ""])
def test_a_run_starts_at_a_trigger_and_nowhere_else(trigger: str) -> None:
    run = Scenario.of([start_node(), webhook("a")], [edge("start", "a")])

    decision = run.give(StartRun(RUN_ID, BEGIN, "flow", 1, trigger, {}, "tester", CAUSE))

    assert decision.rejection is not None
    assert decision.rejection.reason == "unknown-trigger"
    assert decision.run is None


@pytest.mark.parametrize(
    ("node", "node_run"),
    [
        ("nobody", node_run_id(RUN_ID, "nobody")),
        ("nobody", NODE_RUN),
        ("a", "wfnr_0000000000000000"),
        ("start", NODE_RUN),
        ("a", node_run_id(RUN_ID, "start")),
    ],
)
def test_an_answer_must_name_a_node_and_its_node_run(node: str, node_run: str) -> None:
    decision = scenario().give(ReportAttempt(RUN_ID, BEGIN, node, node_run, 1, Succeeded({})))

    assert decision.rejection is not None
    assert decision.rejection.reason == "unknown-node"


def test_a_report_must_name_a_node_run() -> None:
    decision = scenario().give(ReportNode(RUN_ID, BEGIN, "wfnr_0000000000000000", "w", "COMPLETED", "SUCCESS"))

    assert decision.rejection is not None
    assert decision.rejection.reason == "unknown-node"


def test_time_never_runs_backwards_in_a_run() -> None:
    """Commands carry the clocks of several machines; a slow one must not reorder the history."""
    run = Scenario.of([start_node(), webhook("a"), webhook("b")], [edge("start", "a"), edge("a", "b")]).start()
    run.now = BEGIN - 60_000

    run.answer("a")

    assert [event.at for event in run.events] == [BEGIN] * len(run.events)
    assert run.state.updated_at == BEGIN
    assert run.node("b").created_at == BEGIN


def test_timers_count_from_the_later_of_both_clocks() -> None:
    policy = {"maxAttempts": 2, "backoffSeconds": 10, "maxBackoffSeconds": 0}
    run = Scenario.of([start_node(), webhook("a", retry=policy, timeoutSeconds=60)], [edge("start", "a")]).start()
    run.now = BEGIN - 60_000

    run.answer("a", Failed("connection", "down", retryable=True))

    assert run.state.timers[0].due_at == BEGIN


def test_a_slow_clock_fires_no_timer_early() -> None:
    run = scenario()
    timer = run.state.timers[0]

    decision = run.give(FireTimer(RUN_ID, timer.due_at - 1, timer.id))

    assert decision.rejection is not None
    assert decision.rejection.reason == "not-due"


def test_rejections_say_why_in_words() -> None:
    run = scenario()
    run.answer("a")

    decision = run.answer("a")

    assert decision.rejection is not None
    assert decision.rejection.detail == f"run {RUN_ID} is over with SUCCESS"
