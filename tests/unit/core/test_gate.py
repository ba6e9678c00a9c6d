"""The gate of an entity: which of its events start a run, and when (docs/triggers.md)."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from headrace.core import gate as gates
from headrace.core import ids
from headrace.core.commands import AdmitRun, CancelRun, StartRun
from headrace.core.definition import Debounce, PerEntity
from headrace.core.gate import CHECK_MS, LOST_MS, MAX_MERGED, MAX_RECENT, MAX_WAITING, Entry, Gate, Position, Step
from headrace.core.run import Causation, NodeRun, Run
from tests.scenario import BEGIN


def start(event: str, at: int = BEGIN, before: Any = "b", **more: Any) -> StartRun:
    output: Any = {"action": "UPDATE", "diff": {"before": before, "after": f"after {event}"}}
    return StartRun(ids.run_id("w", "t", event), at, "w", 1, "t", output, "me", Causation(event, event), **more)


def run_id(event: str) -> str:
    return ids.run_id("w", "t", event)


@dataclass
class Story:
    """Events that come to one gate, and what it asks of runs."""

    policy: PerEntity = "serial"
    debounce: Debounce | None = None
    gate: Gate = field(default_factory=lambda: Gate("wfg_1", "w", "t", "service/x"))
    offset: int = 0

    def enter(self, event: str, at: int = BEGIN, before: Any = "b", offset: int | None = None) -> Step:
        self.offset = self.offset + 1 if offset is None else offset
        position = Position("changes/0", self.offset, at)
        entry = Entry("w", "t", "service/x", start(event, at, before), self.policy, self.debounce, position)
        return self._take(gates.enter(self.gate, entry))

    def says(self, event: str, **more: Any) -> str:
        heard = self.enter(event, **more).heard
        assert heard is not None
        return heard.verdict

    def leave(self, event: str, at: int = BEGIN) -> Step:
        return self._take(gates.leave(self.gate, run_id(event), at))

    def ripen(self, at: int) -> Step:
        return self._take(gates.ripen(self.gate, at))

    def check(self, holder: Run | None, at: int) -> Step:
        return self._take(gates.check(self.gate, holder, at))

    def _take(self, step: Step) -> Step:
        self.gate = step.gate
        return step


def started(step: Step) -> StartRun:
    (command,) = step.commands
    assert isinstance(command, StartRun)
    return command


def seen(event: str, held: bool = False, over: bool = False) -> Run:
    """The run of an event, as the store has it."""
    node = NodeRun(
        "wfnr", "t", "EVENT_TRIGGER", "IN_PROGRESS" if held else "COMPLETED", "waiting" if held else "done", 1, 0, 0
    )
    run = Run(run_id(event), "w", 1, "t", "EVENT_TRIGGER", "me", 0, 0, Causation(event, event), nodes={"t": node})
    return replace(run, status="COMPLETED") if over else run


def test_serial_runs_follow_one_another_in_the_order_of_their_events() -> None:
    story = Story("serial")

    first = story.enter("1")
    second, third = story.enter("2"), story.enter("3")

    assert first.commands == (start("1", gate="wfg_1"),)
    assert second.commands == (start("2", gate="wfg_1", held=True),)
    assert [step.heard.verdict for step in (first, second, third) if step.heard] == ["matched", "waiting", "waiting"]
    assert third.heard is not None
    assert third.heard.reason == f"it waits: run {run_id('1')} of service/x is at work, and 1 wait before it"
    assert story.leave("1", BEGIN + 9).commands == (AdmitRun(run_id("2"), BEGIN + 9),)
    assert story.leave("2").commands == (AdmitRun(run_id("3"), BEGIN),)
    assert story.leave("3").commands == ()
    assert story.gate.is_idle
    assert story.enter("4").commands == (start("4", gate="wfg_1"),)


def test_a_run_that_is_cancelled_while_it_waits_gives_its_place_up() -> None:
    story = Story("serial")
    for event in "123":
        story.enter(event)

    assert story.leave("2").commands == ()
    assert story.leave("2").gate is story.gate
    assert story.leave("1").commands == (AdmitRun(run_id("3"), BEGIN),)


def test_a_run_is_left_once() -> None:
    story = Story("serial")
    for event in "123":
        story.enter(event)
    story.leave("1")

    assert story.leave("1").commands == ()
    assert story.gate.holder == run_id("2")


def test_of_those_that_wait_the_latest_wins_and_knows_what_was_before_all_of_them() -> None:
    story = Story("latest-wins")
    story.enter("1", before="zero")
    second = story.enter("2", before="one")
    third = story.enter("3", before="two")
    fourth = story.enter("4", before="three")

    assert started(second) == start("2", before="one", gate="wfg_1", held=True)
    assert third.commands[1] == CancelRun(run_id("2"), BEGIN, f"headrace:latest-wins:{run_id('3')}")
    last, cancel = fourth.commands
    assert cancel == CancelRun(run_id("3"), BEGIN, f"headrace:latest-wins:{run_id('4')}")
    assert isinstance(last, StartRun)
    assert last.held
    assert last.output["diff"] == {"before": "one", "after": "after 4"}
    assert last.output["merged"] == {"count": 3, "eventIds": ["2", "3", "4"]}
    assert fourth.heard is not None
    assert fourth.heard.reason.endswith(f"in the place of run {run_id('3')}")
    assert story.leave("1").commands == (AdmitRun(run_id("4"), BEGIN),)


def test_events_are_dropped_while_a_run_is_at_work() -> None:
    story = Story("drop-while-running")
    story.enter("1")
    dropped = story.enter("2")

    assert dropped.commands == ()
    assert dropped.heard is not None
    assert (dropped.heard.verdict, dropped.heard.run_id) == ("dropped", None)
    assert run_id("1") in dropped.heard.reason
    story.leave("1")
    assert story.says("3") == "matched"


def test_as_many_wait_as_may_and_further_ones_are_dropped_with_a_word() -> None:
    story = Story("serial")
    said = [story.says(str(number)) for number in range(MAX_WAITING + 2)]

    assert said[:2] == ["matched", "waiting"]
    assert said[-2:] == ["waiting", "dropped"]
    assert story.gate.recent[-1].reason.endswith(f"and {MAX_WAITING} wait already")


@pytest.mark.parametrize("policy", ["serial", "latest-wins", "drop-while-running"])
def test_an_event_that_is_delivered_again_is_told_the_same_and_changes_nothing(policy: PerEntity) -> None:
    story = Story(policy)
    first = [story.enter(event).heard for event in "123"]
    before = story.gate

    again = [story.enter(event, offset=number + 1) for number, event in enumerate("123")]

    assert [step.heard for step in again] == first
    assert all(step.commands == () and step.gate is before for step in again)


def test_what_was_heard_long_ago_is_known_by_its_place_in_the_log() -> None:
    story = Story("drop-while-running")
    for number in range(MAX_RECENT + 5):
        story.enter(str(number), at=BEGIN + number)
    story.leave("0")

    assert story.says("1", at=BEGIN + 1, offset=2) == "dropped"
    assert story.gate.is_idle
    assert story.says("new", at=BEGIN + 100, offset=3) == "matched", "a topic that was made anew counts from 0"


def test_an_event_that_was_sent_twice_has_one_run() -> None:
    story = Story("serial")
    for event in ["x", *map(str, range(MAX_RECENT + 1))]:
        story.enter(event)

    again = story.enter("x")

    assert again.commands == ()
    assert again.heard is not None
    assert again.heard.run_id == run_id("x")


def test_events_are_gathered_until_it_is_quiet_and_start_one_run() -> None:
    story = Story("parallel", Debounce(10, 25))
    steps = [story.enter(str(number), at=BEGIN + number * 1000, before=number) for number in range(3)]

    assert all(step.commands == () for step in steps)
    assert {step.heard.run_id for step in steps if step.heard} == {run_id("0")}
    assert story.gate.due_at == BEGIN + 12_000
    assert story.ripen(BEGIN + 11_999).commands == ()
    run = started(story.ripen(BEGIN + 12_000))
    assert (run.run_id, run.at, run.held, run.gate) == (run_id("0"), BEGIN + 12_000, False, None)
    assert run.output["diff"] == {"before": 0, "after": "after 2"}
    assert run.output["merged"] == {"count": 3, "eventIds": ["0", "1", "2"]}
    assert run.causation.event_id == "2"
    assert story.gate.is_idle
    assert story.ripen(BEGIN + 99_000).commands == ()


def test_gathering_ends_at_its_limit_however_many_events_come() -> None:
    story = Story("parallel", Debounce(10, 25))
    for second in range(0, 30, 5):
        story.enter(str(second), at=BEGIN + second * 1000)

    assert story.gate.due_at == BEGIN + 25_000


def test_a_single_event_is_gathered_and_goes_on_as_it_came() -> None:
    story = Story("parallel", Debounce(1, 1))
    story.enter("1")

    assert started(story.ripen(BEGIN + 1_000)) == start("1", BEGIN + 1_000)


def test_of_many_merged_events_the_last_ids_are_told_and_all_are_counted() -> None:
    story = Story("parallel", Debounce(10, 25))
    for number in range(MAX_MERGED + 7):
        story.enter(str(number))

    merged: Any = started(story.ripen(BEGIN + 10_000)).output["merged"]
    assert merged["count"] == MAX_MERGED + 7
    assert merged["eventIds"] == [str(number) for number in range(7, MAX_MERGED + 7)]


def test_what_was_gathered_waits_behind_a_run_at_work_and_is_merged_on() -> None:
    story = Story("latest-wins", Debounce(1, 1))
    story.enter("1")
    story.ripen(BEGIN + 1_000)
    story.enter("2", at=BEGIN + 2_000, before="one")
    story.enter("3", at=BEGIN + 2_001, before="two")
    held = started(story.ripen(BEGIN + 3_001))
    story.enter("4", at=BEGIN + 4_000, before="three")
    last, cancel = story.ripen(BEGIN + 5_000).commands

    assert (held.run_id, held.held) == (run_id("2"), True)
    assert cancel == CancelRun(run_id("2"), BEGIN + 5_000, f"headrace:latest-wins:{run_id('4')}")
    assert isinstance(last, StartRun)
    assert last.output["merged"] == {"count": 3, "eventIds": ["2", "3", "4"]}
    assert last.output["diff"] == {"before": "one", "after": "after 4"}


def test_nothing_is_gathered_where_events_are_dropped_while_a_run_is_at_work() -> None:
    story = Story("drop-while-running", Debounce(1, 1))

    assert story.says("1") == "debounced"
    assert story.ripen(BEGIN + 1_000).commands == (start("1", BEGIN + 1_000, gate="wfg_1"),)
    assert story.says("2", at=BEGIN + 1_500) == "dropped"
    assert story.gate.gathering is None


def test_a_run_whose_end_nobody_told_of_is_found_over() -> None:
    story = Story("serial")
    story.enter("1")
    story.enter("2")

    assert story.check(seen("1", over=True), BEGIN + CHECK_MS - 1).commands == ()
    assert story.check(seen("1", over=True), BEGIN + CHECK_MS).commands == (AdmitRun(run_id("2"), BEGIN + CHECK_MS),)


def test_a_run_at_work_is_looked_at_more_and_more_seldom() -> None:
    story = Story("serial")
    story.enter("1")
    waits, at = [], BEGIN
    for _ in range(9):
        assert story.gate.check_at is not None
        waits.append((story.gate.check_at - at) // 1000)
        at = story.gate.check_at
        assert story.check(seen("1"), at).commands == ()

    assert waits == [15, 15, 30, 60, 120, 240, 480, 600, 600]


def test_a_run_that_holds_the_gate_and_was_not_admitted_is_admitted_again() -> None:
    story = Story("serial")
    story.enter("1")

    assert story.check(seen("1", held=True), BEGIN + CHECK_MS).commands == (AdmitRun(run_id("1"), BEGIN + CHECK_MS),)
    assert story.gate.holder == run_id("1")


def test_a_run_that_does_not_exist_keeps_its_place_as_long_as_its_command_may_still_be_found() -> None:
    story = Story("serial")
    story.enter("1")

    assert not story.check(None, BEGIN + LOST_MS - 1).gate.is_idle
    assert story.check(None, BEGIN + LOST_MS + 600_000).gate.is_idle


def test_how_many_wait_before_a_run_is_known_of_those_that_wait() -> None:
    story = Story("serial")
    for event in "123":
        story.enter(event)

    assert gates.place_of(story.gate, run_id("3")) == (run_id("1"), 1)
    assert gates.place_of(story.gate, run_id("1")) is None
    assert gates.place_of(None, run_id("1")) is None
