"""The orchestrator's batch against stores that lose races and answers: what is saved, published, done, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from headrace.adapters.embedded import EmbeddedDefinitionStore, EmbeddedLog, EmbeddedRunStore
from headrace.adapters.jq.cage import JqCage
from headrace.contracts.codec import decode_event, decode_leave, decode_request, encode_command
from headrace.contracts.envelope import is_redelivered
from headrace.contracts.topics import TopicNames
from headrace.core import ids
from headrace.core.commands import CancelRun, Command, FireTimer, ReportAttempt, StartRun, Succeeded
from headrace.core.run import Causation
from headrace.ports.errors import TooLargeError, UnavailableError
from headrace.ports.log import Message, Record
from headrace.ports.stores import StoredRun
from headrace.runtime.metrics import Metrics
from headrace.runtime.plans import Plans
from headrace_orchestrator.handler import ContentionError, Orchestrator
from headrace_orchestrator.outbox import Outbox
from headrace_orchestrator.timers import TimerPoller
from tests.conformance.samples import ManualClock
from tests.scenario import condition, edge, start_node, webhook, workflow
from tests.unit.services.parts import Faulty, record

TOPICS = TopicNames()
FLOW = workflow([start_node(), webhook("a"), webhook("b")], [edge("start", "a"), edge("a", "b")])
FOREIGN = workflow(
    [start_node(), condition("which", yes="[range(2)] | length == 2"), webhook("a")],
    [edge("start", "which"), edge("which", "a", "yes")],
)
RETRYING = workflow([start_node(), webhook("a", timeoutSeconds=5)], [edge("start", "a")])


RESEND_SECONDS = 15.0


class Desk:
    """What the loop knows of its membership."""

    revocations = 0
    fresh = True

    def is_fresh(self) -> bool:
        return self.fresh


class Office:
    """An orchestrator at its desk: embedded ports that fail on demand, and records handed over by hand."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.log = Faulty(EmbeddedLog(self.clock, partitions=1))
        self.runs = Faulty(EmbeddedRunStore())
        self.definitions = Faulty(EmbeddedDefinitionStore())
        self.evaluator = Faulty(JqCage())
        self.done: list[int] = []
        self._offset = 0
        self.desk = Desk()
        self.outbox, self.handler = self.colleague()

    def colleague(self) -> tuple[Outbox, Orchestrator]:
        """Another process on the same log and stores, with a memory of its own."""
        ports: Any = self
        outbox = Outbox(ports.log, ports.runs, self.clock, self.desk, RESEND_SECONDS)
        plans = Plans(ports.definitions)
        handler = Orchestrator(ports.runs, plans, ports.evaluator, ports.log, outbox, self.clock, TOPICS, Metrics())
        return outbox, handler

    def records(self, *commands: Command | bytes) -> list[Record]:
        made = []
        for command in commands:
            if isinstance(command, bytes):
                message = Message(TOPICS.run_commands, "k", command)
            else:
                message = encode_command(command, TOPICS)
            made.append(record(message, self._offset))
            self._offset += 1
        return made

    async def handle(self, *commands: Command | bytes) -> list[Record]:
        """Hand a batch over; its records."""
        records = self.records(*commands)
        await self.handler.handle(records, self.finish)
        return records

    def finish(self, one: Record) -> None:
        self.done.append(one.offset)

    async def topic(self, name: str) -> list[Record]:
        return list(await self.log.port.read(name, 0, limit=10_000))

    async def requests(self) -> list[tuple[str, int, bool]]:
        """Requests published so far: node, attempt, and whether they are marked as perhaps published before."""
        records = await self.topic(TOPICS.node_requests)
        return [(it.node, it.attempt, is_redelivered(one)) for one in records for it in [decode_request(one)]]

    async def sequence(self, run_id: str) -> list[int]:
        """The numbers of the run's published events."""
        records = await self.topic(TOPICS.run_events)
        return [decode_event(one).seq for one in records if one.key == run_id]

    async def state(self, run_id: str) -> Any:
        return (await self.runs.port.load([run_id])).get(run_id)


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    made = Office()
    for number, document in enumerate((FLOW, FOREIGN, RETRYING)):
        identifier = ("flow", "foreign", "retrying")[number]
        await made.definitions.port.create(identifier, {**document, "identifier": identifier}, "me", 1)
    yield made
    await made.evaluator.port.close()


def start(number: int = 0, workflow: str = "flow", version: int = 1, output: Any = None) -> StartRun:
    run_id = ids.run_id(workflow, "start", str(number))
    return StartRun(run_id, 1_000, workflow, version, "start", output or {}, "me", Causation("e", "e"))


def answer(run_id: str, node: str = "a", attempt: int = 1, output: Any = None) -> ReportAttempt:
    node_run_id = ids.node_run_id(run_id, node)
    return ReportAttempt(run_id, 2_000, node, node_run_id, attempt, Succeeded(output or {"ok": 1}))


async def test_a_start_is_saved_published_and_done(office: Office) -> None:
    command = start()
    await office.handle(command)
    stored = await office.state(command.run_id)
    assert (stored.rev, stored.run.status, office.done) == (0, "IN_PROGRESS", [0])
    assert await office.requests() == [("a", 1, False)]
    assert await office.sequence(command.run_id) == [1, 2, 3]


async def test_commands_of_one_run_in_one_batch_are_one_save_in_their_order(office: Office) -> None:
    command = start()
    await office.handle(command, answer(command.run_id), answer(command.run_id, "b"))
    stored = await office.state(command.run_id)
    assert (stored.rev, stored.run.result, office.runs.calls["save"]) == (0, "SUCCESS", 1)
    assert await office.sequence(command.run_id) == list(range(1, stored.run.seq + 1))


async def test_many_runs_are_read_and_saved_together(office: Office) -> None:
    await office.handle(*(start(number) for number in range(50)))
    assert (office.runs.calls["load"], office.runs.calls["save"], office.log.calls["publish"]) == (1, 1, 1)
    assert len(office.done) == 50


async def test_a_lost_save_is_decided_again_and_nothing_of_the_lost_decision_gets_out(office: Office) -> None:
    command = start()
    await office.handle(command)
    _, other = office.colleague()
    report = answer(command.run_id, output={"from": "us"})

    async def overtake() -> None:
        await other.handle(office.records(CancelRun(command.run_id, 1_500, "boss")), lambda _: None)

    office.runs.before["save"] = overtake
    await office.handle(report)

    stored = await office.state(command.run_id)
    assert (stored.rev, stored.run.result) == (2, "CANCELLED")
    # what the winner saved and may not have published goes out once more, marked so
    assert sorted(set(await office.sequence(command.run_id))) == list(range(1, stored.run.seq + 1))
    assert {(node, again) for node, _, again in await office.requests()} == {("a", False), ("a", True)}


async def test_an_outbox_that_rides_on_the_next_save_is_marked_as_perhaps_published(office: Office) -> None:
    command = start()
    office.log.fail("publish")
    with pytest.raises(UnavailableError):
        await office.handle(command)
    _, other = office.colleague()
    await other.handle(office.records(answer(command.run_id)), lambda _: None)
    assert await office.requests() == [("a", 1, True), ("b", 1, False)]
    stored = await office.state(command.run_id)
    assert await office.sequence(command.run_id) == list(range(1, stored.run.seq + 1))


async def test_a_refusal_that_rests_on_the_cache_is_confirmed_by_a_fresh_read(office: Office) -> None:
    command = start()
    await office.handle(command)
    cached = office.runs.calls["load"]
    await office.handle(command)
    assert office.runs.calls["load"] == cached + 1

    _, other = office.colleague()
    # somebody else moved the run on to node b; to our cache an answer of b is about an unknown node
    await other.handle(office.records(answer(command.run_id)), lambda _: None)
    await office.handle(answer(command.run_id, "b"))
    assert (await office.state(command.run_id)).run.result == "SUCCESS"


async def test_an_accepted_command_needs_no_read_while_the_run_is_cached(office: Office) -> None:
    command = start()
    await office.handle(command)
    loads = office.runs.calls["load"]
    await office.handle(answer(command.run_id))
    assert office.runs.calls["load"] == loads


@pytest.mark.parametrize("verb", ["load", "save"])
@pytest.mark.parametrize("after", [False, True])
async def test_an_unavailable_store_leaves_the_records_undone_and_the_same_batch_then_succeeds(
    office: Office, verb: str, after: bool
) -> None:
    command = start()
    office.runs.fail(verb, after=after)
    with pytest.raises(UnavailableError):
        await office.handle(command)
    assert office.done == []
    assert await office.requests() == []

    await office.handler.handle(office.records(command), office.finish)

    assert len(office.done) == 1
    assert (await office.state(command.run_id)).rev == 0
    assert {(node, attempt) for node, attempt, _ in await office.requests()} == {("a", 1)}
    assert await office.sequence(command.run_id) == [1, 2, 3]


@pytest.mark.parametrize("after", [False, True])
async def test_what_was_saved_and_not_published_is_published_when_the_batch_comes_again(
    office: Office, after: bool
) -> None:
    command = start()
    office.log.fail("publish", after=after)
    with pytest.raises(UnavailableError):
        await office.handle(command)
    assert (office.done, (await office.state(command.run_id)).rev) == ([], 0)

    await office.handle(command)

    requests = await office.requests()
    assert requests[-1] == ("a", 1, True)
    assert len(requests) == (2 if after else 1)
    assert sorted(set(await office.sequence(command.run_id))) == [1, 2, 3]


async def test_a_successor_publishes_what_its_predecessor_saved_and_marks_it_as_perhaps_published(
    office: Office,
) -> None:
    command = start()
    await office.handle(command)
    _, successor = office.colleague()
    await successor.handle(office.records(command), lambda _: None)
    assert await office.requests() == [("a", 1, False), ("a", 1, True)]


async def test_endless_contention_gives_the_batch_back(office: Office) -> None:
    command = start()
    await office.handle(command)

    class AlwaysLost:
        def __getattr__(self, name: str) -> Any:
            return getattr(office.runs, name)

        async def save(self, writes: Sequence[Any]) -> list[bool]:
            return [False] * len(writes)

    ports: Any = office
    runs: Any = AlwaysLost()
    handler = Orchestrator(
        runs, Plans(ports.definitions), ports.evaluator, ports.log, office.outbox, office.clock, TOPICS, Metrics()
    )
    done: list[Record] = []
    with pytest.raises(ContentionError):
        await handler.handle(office.records(answer(command.run_id)), done.append)
    assert done == []


async def test_records_that_cannot_be_understood_become_dead_letters_and_the_rest_is_handled(office: Office) -> None:
    command = start()
    records = await office.handle(b"{", command, b"\xff")
    letters = await office.topic(TOPICS.dead_letters(TOPICS.run_commands))
    assert [letter.value for letter in letters] == [b"{", b"\xff"]
    assert [letter.header("dl-group") for letter in letters] == [b"headrace-orchestrator"] * 2
    assert sorted(office.done) == [one.offset for one in records]
    assert await office.state(command.run_id) is not None


async def test_a_record_whose_decision_cannot_be_written_is_dead_lettered_alone(office: Office) -> None:
    good, bad, waiting = start(1), start(2), start(3)
    await office.handle(waiting)
    beyond_time = StartRun(bad.run_id, 10**17, "flow", 1, "start", {}, "me", Causation("e", "e"))

    records = await office.handle(good, beyond_time, answer(waiting.run_id))

    letters = await office.topic(TOPICS.dead_letters(TOPICS.run_commands))
    assert [letter.value for letter in letters] == [records[1].value]
    assert await office.state(good.run_id) is not None
    assert await office.state(bad.run_id) is None
    assert [node for node, _, _ in await office.requests()] == ["a", "a", "b"]
    assert len(office.done) == 4


async def test_an_output_that_cannot_be_written_fails_its_node_alone(office: Office) -> None:
    digits = {"n": "{{ .outputs.start.n | tonumber }}"}
    document = workflow(
        [start_node(), webhook("a", variables=digits), condition("which", yes="[range(2)] == []")],
        [edge("start", "a"), edge("a", "which")],
    )
    await office.definitions.port.create("greedy", {**document, "identifier": "greedy"}, "me", 1)
    greedy, good = start(1, "greedy", output={"n": "9" * 30}), start(2)
    await office.handle(greedy, good)

    await office.handle(answer(greedy.run_id), answer(good.run_id))

    failed = (await office.state(greedy.run_id)).run.nodes["a"]
    assert failed.result == "FAILED"
    assert "cannot be written as JSON" in (failed.error or "")
    assert await office.topic(TOPICS.dead_letters(TOPICS.node_results)) == []
    assert "b" in [node for node, _, _ in await office.requests()]


async def test_a_run_that_grows_beyond_what_the_store_takes_is_dead_lettered_alone(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge, good = start(1), start(2)
    save = office.runs.port.save

    async def save_small(writes: Sequence[StoredRun]) -> list[bool]:
        if any(write.run.id == huge.run_id for write in writes):
            raise TooLargeError("one of the runs is larger than the store takes")
        answers: list[bool] = await save(writes)
        return answers

    monkeypatch.setattr(office.runs.port, "save", save_small)

    records = await office.handle(huge, good)

    letters = await office.topic(TOPICS.dead_letters(TOPICS.run_commands))
    assert [letter.value for letter in letters] == [records[0].value]
    assert await office.state(huge.run_id) is None
    assert await office.state(good.run_id) is not None
    assert len(office.done) == 2


async def test_a_run_whose_version_is_missing_is_dead_lettered_alone(office: Office) -> None:
    missing, good = start(1, version=9), start(2)
    records = await office.handle(missing, good)
    letters = await office.topic(TOPICS.dead_letters(TOPICS.run_commands))
    assert [letter.value for letter in letters] == [records[0].value]
    assert letters[0].header("dl-error") == b"MissingVersionError"
    assert (await office.state(good.run_id)) is not None
    assert len(office.done) == 2


async def test_a_run_that_cannot_begin_frees_its_gate_whatever_the_reason(office: Office) -> None:
    no_version = replace(start(1, version=9), gate="wfg_1")
    no_trigger = replace(start(2), gate="wfg_2", trigger="gone")
    await office.handle(no_version, no_trigger, start(3, version=9))

    left = [decode_leave(one) for one in await office.topic(TOPICS.run_gates)]
    assert {(it.gate, it.run_id) for it in left} == {("wfg_1", no_version.run_id), ("wfg_2", no_trigger.run_id)}


async def test_a_run_behind_a_gate_says_that_it_is_over_with_its_last_save(office: Office) -> None:
    begun = replace(start(1), gate="wfg_1")
    await office.handle(begun)
    office.log.fail("publish")
    with pytest.raises(UnavailableError):
        await office.handle(CancelRun(begun.run_id, 1, "me", force=True))
    assert await office.topic(TOPICS.run_gates) == []
    await office.handle(CancelRun(begun.run_id, 1, "me", force=True))

    assert {decode_leave(one).run_id for one in await office.topic(TOPICS.run_gates)} == {begun.run_id}


async def test_commands_for_a_run_that_nobody_knows_are_done_without_effect(office: Office) -> None:
    await office.handle(answer("wfr_unknown"), FireTimer("wfr_unknown", 1, "t"), CancelRun("wfr_unknown", 1, "me"))
    assert len(office.done) == 3
    assert office.runs.calls["save"] == 0


async def test_questions_of_all_runs_go_to_the_evaluator_in_one_call(office: Office) -> None:
    commands = [start(number, "foreign") for number in range(5)]
    await office.handle(*commands, start(9))
    assert office.evaluator.calls["evaluate"] == 1
    assert [node for node, _, _ in await office.requests()] == ["a"] * 6


async def test_an_evaluator_that_is_away_leaves_the_batch_undone(office: Office) -> None:
    office.evaluator.fail("evaluate")
    with pytest.raises(UnavailableError):
        await office.handle(start(0, "foreign"))
    assert (office.done, office.runs.calls["save"]) == ([], 0)
    await office.handle(start(0, "foreign"))
    assert [node for node, _, _ in await office.requests()] == ["a"]


class TestMarking:
    """A request goes out plain only when nobody else can have published it before."""

    async def test_what_was_saved_just_now_goes_out_plain(self, office: Office) -> None:
        await office.handle(start())
        assert await office.requests() == [("a", 1, False)]

    async def test_a_process_that_may_be_a_zombie_marks_what_it_publishes(self, office: Office) -> None:
        office.desk.fresh = False
        await office.handle(start())
        assert await office.requests() == [("a", 1, True)]

    async def test_what_was_revoked_during_the_save_is_marked(self, office: Office) -> None:
        async def revoked() -> None:
            office.desk.revocations += 1

        office.runs.before["save"] = revoked
        await office.handle(start())
        await office.handle(start(1))
        assert await office.requests() == [("a", 1, True), ("a", 1, False)]

    @pytest.mark.parametrize(("seconds", "marked"), [(RESEND_SECONDS / 3, True), (RESEND_SECONDS / 3 - 0.001, False)])
    async def test_a_save_that_took_long_is_marked_well_before_the_sweep_would_find_it(
        self, office: Office, seconds: float, marked: bool
    ) -> None:
        async def later() -> None:
            office.clock.at += int(seconds * 1000)

        office.runs.before["save"] = later
        await office.handle(start())
        assert await office.requests() == [("a", 1, marked)]

    async def test_a_decision_that_took_long_counts_for_the_sweep_counts_from_before_it(self, office: Office) -> None:
        async def later() -> None:
            office.clock.at += int(RESEND_SECONDS / 3 * 1000)

        office.evaluator.before["evaluate"] = later
        await office.handle(start(workflow="foreign"))
        assert await office.requests() == [("a", 1, True)]


class TestOutbox:
    async def test_published_outboxes_are_marked_after_a_while_and_only_then(self, office: Office) -> None:
        command = start()
        await office.handle(command)
        await office.outbox.mark(1_000)
        assert (await office.state(command.run_id)).outbox
        office.clock.at += 1_000
        await office.outbox.mark(1_000)
        assert (await office.state(command.run_id)).outbox == ()
        await office.outbox.mark(1_000)
        assert office.runs.calls["mark_sent"] == 1

    async def test_a_mark_that_failed_is_made_again(self, office: Office) -> None:
        command = start()
        await office.handle(command)
        office.runs.fail("mark_sent")
        with pytest.raises(UnavailableError):
            await office.outbox.mark(0)
        await office.outbox.mark(0)
        assert (await office.state(command.run_id)).outbox == ()

    async def test_the_next_save_takes_the_place_of_a_mark(self, office: Office) -> None:
        command = start()
        await office.handle(command)
        await office.handle(answer(command.run_id))
        stored = await office.state(command.run_id)
        assert {decode_request(record(one)).node for one in stored.outbox if one.topic == TOPICS.node_requests} == {"b"}

    async def test_a_sweep_publishes_what_others_left_unsent_and_not_what_this_process_published(
        self, office: Office
    ) -> None:
        await office.handle(start())
        office.clock.at += 60_000
        assert await office.outbox.sweep(15_000) == 0
        successor, _ = office.colleague()
        assert await successor.sweep(15_000) == 1
        assert await successor.sweep(15_000) == 0
        assert await office.requests() == [("a", 1, False), ("a", 1, True)]

    async def test_a_sweep_leaves_young_outboxes_alone(self, office: Office) -> None:
        await office.handle(start())
        office.clock.at += 10_000
        successor, _ = office.colleague()
        assert await successor.sweep(15_000) == 0

    async def test_a_sweep_that_could_not_publish_tries_again(self, office: Office) -> None:
        await office.handle(start())
        office.clock.at += 60_000
        successor, _ = office.colleague()
        office.log.fail("publish")
        with pytest.raises(UnavailableError):
            await successor.sweep(15_000)
        assert await successor.sweep(15_000) == 1


class TestTimers:
    async def test_a_due_timer_is_asked_for_again_only_after_ten_seconds_and_never_once_it_fired(
        self, office: Office
    ) -> None:
        command = start(0, "retrying")
        await office.handle(command)
        timer = (await office.state(command.run_id)).run.timers[0]
        ports: Any = office
        poller = TimerPoller(ports.runs, ports.log, office.clock, TOPICS)

        office.clock.at = timer.due_at - 1
        assert await poller.poll() == 0
        office.clock.at += 1
        assert [await poller.poll(), await poller.poll()] == [1, 0]
        office.clock.at += 9_999
        assert await poller.poll() == 0
        office.clock.at += 1
        assert await poller.poll() == 1

        due = await office.topic(TOPICS.run_commands)
        assert len(due) == 2
        again = [record(Message(one.topic, one.key, one.value), number) for number, one in enumerate(due)]
        await office.handler.handle(again, lambda _: None)
        stored = await office.state(command.run_id)
        assert (stored.run.result, stored.run.timers) == ("FAILED", ())
        office.clock.at += 60_000
        assert await poller.poll() == 0

    async def test_a_timer_that_could_not_be_asked_for_is_asked_for_at_the_next_poll(self, office: Office) -> None:
        await office.handle(start(0, "retrying"))
        office.clock.at += 3_600_000
        ports: Any = office
        poller = TimerPoller(ports.runs, ports.log, office.clock, TOPICS)
        office.log.fail("publish")
        with pytest.raises(UnavailableError):
            await poller.poll()
        assert await poller.poll() == 1


async def test_handlers_that_race_for_the_same_records_save_each_change_once(office: Office) -> None:
    commands = [start(number) for number in range(20)]
    reports = [answer(command.run_id, node) for command in commands for node in ("a", "b")]
    handlers = [office.handler, *(office.colleague()[1] for _ in range(3))]
    await asyncio.gather(*(handler.handle(office.records(*commands, *reports), lambda _: None) for handler in handlers))
    for command in commands:
        stored = await office.state(command.run_id)
        assert stored.run.result == "SUCCESS"
        assert sorted(set(await office.sequence(command.run_id))) == list(range(1, stored.run.seq + 1))
