"""DELAY nodes: a run waits for its time, as a timer."""

from typing import Any

import pytest

from headrace.core.commands import CancelRun, FireTimer
from headrace.core.events import fold
from headrace.core.json import JsonObject
from tests.scenario import BEGIN, RUN_ID, Scenario, edge, start_node, webhook

HOUR = 3_600_000


def delayed(**config: Any) -> Scenario:
    pause: JsonObject = {"identifier": "pause", "config": {"type": "DELAY", **config}}
    return Scenario.of([start_node(), pause, webhook("then")], [edge("start", "pause"), edge("pause", "then")]).start()


@pytest.mark.parametrize(
    ("config", "due"),
    [
        ({"seconds": 3600}, BEGIN + HOUR),
        ({"seconds": 0.25}, BEGIN + 250),
        ({"seconds": 0}, BEGIN),
        ({"seconds": "{{ 60 * 2 }}"}, BEGIN + 120_000),
        ({"seconds": '{{ "90" }}'}, BEGIN + 90_000),
        ({"until": "2023-11-14T23:13:20Z"}, BEGIN + HOUR),
        ({"until": "2023-11-15T00:13:20+01:00", "seconds": 5}, BEGIN + HOUR),
        ({"until": "2001-01-01T00:00:00Z"}, BEGIN),
    ],
)
def test_it_waits_until_its_time_has_come(config: JsonObject, due: int) -> None:
    scenario = delayed(**config)

    (timer,) = scenario.state.timers
    assert (timer.kind, timer.due_at) == ("delay", due)
    assert scenario.requests == []
    scenario.fire("delay")

    assert scenario.node("pause").result == "SUCCESS"
    assert isinstance(scenario.state.outputs["pause"], dict)
    assert scenario.requested() == [("then", 1)]
    assert scenario.state.timers == ()
    assert fold(None, scenario.events) == scenario.run


def test_it_puts_out_when_its_time_had_come() -> None:
    scenario = delayed(seconds=1)

    scenario.fire("delay")

    assert scenario.state.outputs["pause"] == {"until": "2023-11-14T22:13:21.000Z"}


def test_it_does_not_end_early_and_not_twice() -> None:
    scenario = delayed(seconds=10)
    (timer,) = scenario.state.timers

    early = scenario.give(FireTimer(RUN_ID, BEGIN + 9_999, timer.id))
    scenario.give(FireTimer(RUN_ID, BEGIN + 10_000, timer.id))
    again = scenario.give(FireTimer(RUN_ID, BEGIN + 10_001, timer.id))

    assert [it.rejection.reason for it in (early, again) if it.rejection] == ["not-due", "unknown-timer"]


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"seconds": '{{ "soon" }}'}, '"seconds" is no number'),
        ({"seconds": "{{ null }}"}, '"seconds" is no number'),
        ({"seconds": "{{ true }}"}, '"seconds" is no number'),
        ({"seconds": '{{ "nan" }}'}, '"seconds" is no number'),
        ({"seconds": "{{ 1e300 }}"}, '"seconds" is 1e+300; it may be'),
        ({"seconds": "{{ 0 - 1 }}"}, '"seconds" is -1; it may be from 0'),
        ({"seconds": "{{ 31622401 }}"}, "it may be from 0 to 31,622,400"),
        ({"until": "{{ 5 }}"}, '"until" is no instant'),
        ({"until": '{{ "tomorrow" }}'}, '"until" is no instant'),
        ({"until": '{{ "2026-01-01T00:00:00" }}'}, '"until" is no instant'),
        ({"until": '{{ "9999-01-01T00:00:00Z" }}'}, "may be at most 31,622,400 seconds away"),
    ],
)
def test_what_is_no_time_fails_the_node_with_a_reason(config: JsonObject, reason: str) -> None:
    scenario = delayed(**config)

    node = scenario.node("pause")
    assert node.result == "FAILED"
    assert reason in str(node.error)
    assert scenario.state.result == "FAILED"


def test_a_delay_that_cannot_begin_may_be_gone_past() -> None:
    scenario = delayed(seconds="{{ null }}", onFailure="continue")

    assert scenario.requested() == [("then", 1)]


def test_cancelling_ends_it_at_once() -> None:
    scenario = delayed(seconds=3600)

    scenario.give(CancelRun(RUN_ID, BEGIN + 1, "ann"))

    assert (scenario.state.result, scenario.node("pause").result) == ("CANCELLED", "CANCELLED")
    assert scenario.state.timers == ()
