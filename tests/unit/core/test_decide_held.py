"""Runs that are held at a gate: they wait, are admitted once, and tell the gate when they are over."""

from typing import Any

import pytest

from headrace.core import ids
from headrace.core.blocking import blocked_on
from headrace.core.commands import AdmitRun, LeaveGate, StartRun
from headrace.core.decide import decide
from headrace.core.events import fold
from headrace.core.gate import Gate, Waiting
from tests.scenario import BEGIN, CAUSE, RUN_ID, Scenario, edge, start_node, webhook

GATE = "wfg_1"


def begin(held: bool = True, **more: Any) -> Scenario:
    scenario = Scenario.of([start_node(), webhook("do")], [edge("start", "do")])
    given: dict[str, Any] = {"trigger": "start", **more}
    scenario.give(StartRun(RUN_ID, BEGIN, "flow", 1, output={"x": 1}, created_by="me", causation=CAUSE, gate=GATE,
                           held=held, **given))  # fmt: skip
    return scenario


def test_a_held_run_asks_for_nothing_until_it_is_admitted_and_then_reads_what_its_trigger_got() -> None:
    scenario = begin()
    assert scenario.state.is_held
    assert scenario.requested() == []
    assert "start" not in scenario.state.outputs

    scenario.give(AdmitRun(RUN_ID, BEGIN + 5))

    assert not scenario.state.is_held
    assert scenario.requested() == [("do", 1)]
    assert scenario.state.outputs["start"] == {"x": 1}
    assert fold(None, scenario.events) == scenario.state


def test_a_run_is_admitted_once() -> None:
    scenario = begin()
    scenario.give(AdmitRun(RUN_ID, BEGIN))
    again = scenario.give(AdmitRun(RUN_ID, BEGIN))

    assert again.rejection is not None
    assert again.rejection.reason == "duplicate"
    assert scenario.requested() == [("do", 1)]
    passing = begin(held=False).give(AdmitRun(RUN_ID, BEGIN))
    assert passing.rejection is not None


@pytest.mark.parametrize("held", [False, True])
def test_a_run_behind_a_gate_tells_it_once_when_it_is_over(held: bool) -> None:
    scenario = begin(held)
    scenario.give(AdmitRun(RUN_ID, BEGIN))
    assert scenario.commands == []

    scenario.answer("do")
    scenario.cancel()

    assert scenario.commands == [LeaveGate(GATE, RUN_ID, BEGIN)]


@pytest.mark.parametrize("force", [False, True])
def test_a_held_run_that_is_cancelled_is_over_at_once_and_gives_its_place_up(force: bool) -> None:
    scenario = begin()
    scenario.cancel(force)

    assert (scenario.state.status, scenario.state.result) == ("COMPLETED", "CANCELLED")
    assert scenario.requested() == []
    assert scenario.commands == [LeaveGate(GATE, RUN_ID, BEGIN)]


def test_a_run_that_cannot_begin_frees_its_gate() -> None:
    scenario = begin(trigger="gone")

    assert scenario.run is None
    assert scenario.commands == [LeaveGate(GATE, RUN_ID, BEGIN)]


def test_nobody_outside_completes_a_trigger_that_waits() -> None:
    scenario = begin()
    refused = scenario.report("start", status="COMPLETED", result="SUCCESS")

    assert refused.rejection is not None
    assert refused.rejection.reason == "unknown-node"
    assert scenario.state.is_held


def test_a_held_run_says_who_holds_the_key_and_how_many_wait_before_it() -> None:
    scenario = begin()
    node = scenario.node("start")
    gate = Gate(GATE, "flow", "start", "service/x", "wfr_holder", waiting=(Waiting("wfr_other"), Waiting(RUN_ID)))

    known = blocked_on(node, scenario.state, None, gate)
    unknown = blocked_on(node, scenario.state, None)

    assert known is not None
    assert known.reason == "its turn: run wfr_holder holds the concurrency key service/x; 1 more wait before it"
    assert unknown is not None
    assert (unknown.kind, unknown.reason) == ("turn", "its turn among the runs of its entity")


def test_runs_without_a_gate_tell_nobody() -> None:
    scenario = Scenario.of([start_node(), webhook("do")], [edge("start", "do")]).start()
    scenario.answer("do")

    assert scenario.commands == []
    assert decide(scenario.plan, scenario.run, AdmitRun(RUN_ID, BEGIN)).rejection is not None
    assert ids.gate_id("w", "t", "a/b") != ids.gate_id("w", "t", "a/c")
