"""The checker can complain: each thing that must not be is made by hand, and reported in words. What is well is not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.faults import checker, history
from tests.faults.history import Call, Event, History, Stored, Takeover, Wanted
from tests.faults.receiver import read_log

RUN, ASK = "wfr_1", "wfnr_ask"
ANSWER = {"ticket": 7}

Change = Callable[[History], None]


def recorded(seq: int, kind: str, offset: int | None = None, run: str = RUN, **more: Any) -> Event:
    data = {
        "v": 1, "type": f"io.headrace.{kind}", "runId": run, "seq": seq, "at": f"2026-11-22T09:00:0{seq}.100Z",
        "workflow": "tier-change", **more,
    }  # fmt: skip
    value = json.dumps(data).encode()
    return history.event([("ce_id", f"{run}/{seq}".encode())], value, 0, seq if offset is None else offset)


def trigger(subject: str = "billing") -> dict[str, Any]:
    output = {"diff": {"after": {"identifier": subject}}}
    return {
        "node": "changed",
        "nodeRunId": "wfnr_t",
        "nodeType": "EVENT_TRIGGER",
        "result": "SUCCESS",
        "output": output,
    }


def ask(**more: Any) -> dict[str, Any]:
    return {"node": "ask", "nodeRunId": ASK, **more}


def sound() -> History:
    """A run that took two attempts to ask, the first of which was taken over from an invoker that was killed."""
    output = {"response": {"status": 200, "data": ANSWER}}
    return History(
        wanted=[Wanted("tier-change", "billing", frozenset({"changed", "ask"}))],
        events=[
            recorded(1, "run.started"),
            recorded(2, "node.completed", **trigger()),
            recorded(3, "node.started", **ask(nodeType="WEBHOOK")),
            recorded(4, "attempt.failed", **ask(attempt=1, error="The receiver answered 503: busy")),
            recorded(5, "attempt.started", **ask(attempt=2)),
            recorded(6, "node.completed", **ask(nodeType="WEBHOOK", result="SUCCESS", output=output)),
            recorded(7, "run.completed", result="SUCCESS"),
            recorded(3, "node.started", offset=20, **ask(nodeType="WEBHOOK")),
        ],
        calls=[
            Call(1, 10.0, ASK, "invoker-1.1", "body"),
            Call(2, 20.0, ASK, "invoker-2.1", "body", 20.1, 503, {"error": "busy"}),
            Call(3, 30.0, ASK, "invoker-2.1", "body", 30.1, 200, ANSWER),
        ],
        stored={RUN: Stored(RUN, "SUCCESS", 4, frozenset({"wfnr_t", ASK}), False, 0)},
        takeovers=[Takeover(frozenset({"invoker-1.1"}), 10.5, 12.5)],
    )


def without(*numbers: int) -> Change:
    def change(it: History) -> None:
        it.events = [event for event in it.events if event.seq not in numbers]

    return change


def with_events(*more: Event) -> Change:
    def change(it: History) -> None:
        it.events += more

    return change


def with_calls(*more: Call) -> Change:
    def change(it: History) -> None:
        it.calls += more

    return change


def storing(**fields: Any) -> Change:
    def change(it: History) -> None:
        it.stored[RUN] = replace(it.stored[RUN], **fields)

    return change


def wanting(*wanted: Wanted) -> Change:
    def change(it: History) -> None:
        it.wanted = list(wanted)

    return change


def doing(change: Callable[[History], object]) -> Change:
    def apply(it: History) -> None:
        change(it)

    return apply


def second_run(it: History) -> None:
    """The same event started another run, which went the same way."""
    copies = [json.loads(event.value) | {"runId": "wfr_2"} for event in it.events[:2]]
    it.events += [
        history.event([("ce_id", f"wfr_2/{data['seq']}".encode())], json.dumps(data).encode(), 1, data["seq"])
        for data in (*copies, {**copies[0], "type": history.COMPLETED, "seq": 3, "result": "SUCCESS"})
    ]
    it.stored["wfr_2"] = Stored("wfr_2", "SUCCESS", 1, frozenset({"wfnr_t"}), False, 0)


def answered_and_taken_over_later(it: History) -> None:
    it.calls[0].answered = 10.1
    it.takeovers = [Takeover(frozenset({"invoker-1.1"}), 18.0, 20.0)]


def without_calls(*numbers: int) -> Change:
    def change(it: History) -> None:
        it.calls = [call for call in it.calls if call.number not in numbers]

    return change


FAULTS: dict[str, tuple[Change, str]] = {
    "a gap": (without(4), r"run wfr_1: no events \[4\] of 7"),
    "a run without its beginning": (without(1), r"no events \[1\] of 7"),
    "a run that never ended": (without(7), r"run wfr_1: never ended: its last event is 6"),
    "a run that goes on after its end": (
        with_events(recorded(8, "node.reported", **ask())), r"goes on after its end, with io.headrace.node.reported",
    ),
    "a node that began twice": (
        with_events(recorded(8, "node.started", **ask())), r"2 times io.headrace.node.started of ask",
    ),
    "a node that was completed twice": (
        with_events(recorded(8, "node.completed", **trigger())), r"2 times io.headrace.node.completed of changed",
    ),
    "a run that ended twice": (
        with_events(recorded(8, "run.completed", result="SUCCESS")), r"2 times io.headrace.run.completed",
    ),
    "an attempt out of turn": (
        with_events(recorded(8, "attempt.started", **ask(attempt=4))), r"attempt 4 of ask began after 1 failures",
    ),
    "a failure of an attempt that is over": (
        with_events(recorded(8, "attempt.failed", **ask(attempt=1, error="503"))), r"attempt 1 .* and 2 was at work",
    ),
    "one number with two values": (
        with_events(recorded(7, "run.completed", offset=30, result="FAILED")), r"event wfr_1/7 came with two values",
    ),
    "an id that belongs to another event": (
        with_events(replace(recorded(7, "run.completed", offset=30, result="SUCCESS"), id="wfr_1/8")),
        r"event wfr_1/8 tells of wfr_1/7",
    ),
    "numbers out of order": (
        doing(lambda it: it.events.__setitem__(6, replace(it.events[6], offset=0))), r"run wfr_1: 7 came before 1",
    ),
    "a run in two partitions": (
        doing(lambda it: it.events.__setitem__(7, replace(it.events[7], partition=1))), r"is in partitions 0 and 1",
    ),
    "an event without its run": (
        wanting(sound().wanted[0], Wanted("tier-change", "ledger", frozenset())), r"0 runs of tier-change for ledger",
    ),
    "two runs for one event": (doing(second_run), r"2 runs of tier-change for billing"),
    "a run that nobody asked for": (wanting(), r"nobody asked for runs of tier-change for billing"),
    "another way through the graph": (
        wanting(Wanted("tier-change", "billing", frozenset({"changed"}))), r"not as SUCCESS by way of \['changed'\]",
    ),
    "another result": (
        wanting(replace(sound().wanted[0], result="FAILED")), r"ended as \['SUCCESS'\] .* not as FAILED",
    ),
    "an attempt that nobody called": (
        without_calls(1, 2), r"2 attempts, and only 1 calls",
    ),
    "a call too many": (
        with_calls(Call(4, 31.0, ASK, "invoker-1.2", "body", 31.1, 200, ANSWER)),
        r"2 attempts, 1 takeovers, and 4 calls",
    ),
    "a repeated call without a takeover": (
        doing(lambda it: it.takeovers.clear()), r"2 attempts, 0 takeovers, and 3 calls",
    ),
    "a takeover from somebody who had not called": (
        doing(lambda it: it.takeovers.__setitem__(0, Takeover(frozenset({"invoker-3.1"}), 10.5, 12.5))),
        r"2 attempts, 0 takeovers, and 3 calls",
    ),
    "a takeover before the call": (
        doing(lambda it: it.takeovers.__setitem__(0, Takeover(frozenset({"invoker-1.1"}), 7.0, 9.0))),
        r"2 attempts, 0 takeovers, and 3 calls",
    ),
    "a takeover long after the answer": (
        doing(answered_and_taken_over_later),
        r"2 attempts, 0 takeovers, and 3 calls",
    ),
    "one process that called too often": (
        with_calls(Call(4, 31.0, ASK, "invoker-2.1", "body", 31.1, 200, ANSWER)), r"invoker-2.1 made 3 calls for 2",
    ),
    "a repeated call with another body": (
        doing(lambda it: setattr(it.calls[1], "body", "other")), r"its calls differ in their bodies",
    ),
    "a result that nobody gave": (
        doing(lambda it: setattr(it.calls[2], "answer", {"ticket": 8})), r"was completed with .*7.* the answers: .*8",
    ),
    "a failure that nobody answered": (
        doing(lambda it: setattr(it.calls[1], "status", 500)), r"attempt 1 failed with .*503.*, which nobody answered",
    ),
    "a call for nothing": (
        with_calls(Call(4, 31.0, "wfnr_x", "invoker-2.1", "body")), r"1 calls under wfnr_x, which no event tells of",
    ),
    "a call that no invoker signed": (
        with_calls(Call(4, 31.0, ASK, "nobody", "body")), r"signature is not an invoker's: 4 calls",
    ),
    "a run without a document": (doing(lambda it: it.stored.clear()), r"wfr_1 has events, and no document"),
    "a document without events": (
        doing(lambda it: it.stored.__setitem__("wfr_3", replace(it.stored[RUN], id="wfr_3"))),
        r"wfr_3 has a document, and no events",
    ),
    "a document of a run that goes on": (storing(state="IN_PROGRESS"), r"wfr_1 is stored as IN_PROGRESS"),
    "a document with another result": (storing(state="FAILED"), r"stored as FAILED, and its events do not say so"),
    "a full outbox": (storing(unsent=True), r"wfr_1 has unpublished messages"),
    "a timer of a run that is over": (storing(timers=1), r"wfr_1 has 1 timers left"),
    "more saves than transitions": (storing(rev=8), r"wfr_1 was saved 8 times for 7 transitions"),
    "a node run that no event tells of": (storing(node_runs=frozenset({"wfnr_t", ASK, "wfnr_z"})), r"wfnr_z"),
    "a dead letter": (
        doing(lambda it: it.dead_letters.append("run.commands.v1.dlq: not JSON")), r"dead letter: run.commands",
    ),
}  # fmt: skip


def test_a_sound_history_is_not_complained_about() -> None:
    assert checker.complaints(sound()) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_reported(fault: str) -> None:
    change, words = FAULTS[fault]
    broken = sound()
    change(broken)

    found = checker.complaints(broken)

    assert any(re.search(words, it) for it in found), found


def test_a_call_that_was_answered_just_before_its_caller_was_struck_may_come_again() -> None:
    it = sound()
    it.calls[0].answered, it.calls[0].status = 10.1, 200

    assert checker.complaints(it) == []


def test_the_receivers_log_tells_of_calls_that_were_answered_and_of_those_that_were_not(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [
        {"number": 1, "at": 10.0, "id": ASK, "life": "invoker-1.1", "body": "b", "path": "/changes"},
        {"number": 2, "at": 11.0, "id": ASK, "life": "invoker-2.1", "body": "b", "path": "/changes"},
        {"number": 2, "answered": 11.5, "status": 200, "answer": ANSWER},
    ]
    log = tmp_path / "calls.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))

    assert read_log(log) == [
        Call(1, 10.0, ASK, "invoker-1.1", "b"),
        Call(2, 11.0, ASK, "invoker-2.1", "b", 11.5, 200, ANSWER),
    ]


def test_what_a_run_is_about_is_what_its_trigger_put_out() -> None:
    form: dict[str, Any] = {
        "node": "ask",
        "nodeRunId": "wfnr_t",
        "nodeType": "SELF_SERVE_TRIGGER",
        "output": {"service": "ledger"},
    }

    assert history.subject_of(sound().events) == ("tier-change", "billing")
    assert history.subject_of([recorded(1, "run.started"), recorded(2, "node.completed", **form)])[1] == "ledger"
    assert history.subject_of([recorded(1, "run.started")])[1] == ""
