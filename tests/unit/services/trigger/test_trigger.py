"""The trigger service's batch and index, on stores that fail on demand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from headrace.adapters.embedded import (
    EmbeddedDefinitionStore,
    EmbeddedGateStore,
    EmbeddedLedger,
    EmbeddedLog,
    EmbeddedRunStore,
)
from headrace.adapters.jq.cage import JqCage
from headrace.contracts.codec import decode_command
from headrace.contracts.entity_change import encode_entity_change, event_id
from headrace.contracts.topics import TopicNames
from headrace.core.commands import StartRun
from headrace.core.json import JsonObject
from headrace.core.loop_guard import StartRate
from headrace.core.run import Causation
from headrace.ports.errors import UnavailableError
from headrace.ports.log import Message, Record
from headrace.ports.stores import COUNTED, LedgerEntry
from headrace.runtime.metrics import Metrics
from headrace_trigger.explaining import TriggerExplainer
from headrace_trigger.gatekeeper import Gatekeeper
from headrace_trigger.handler import TriggerHandler, TriggerSettings
from headrace_trigger.listeners import Listeners
from tests.conformance.samples import START, ManualClock
from tests.unit.services.parts import Faulty, record

TOPICS = TopicNames()


def listener(name: str, *expressions: str, blueprint: str = "service", **config: Any) -> dict[str, Any]:
    trigger: dict[str, Any] = {
        "type": "EVENT_TRIGGER", "event": {"type": "ANY_ENTITY_CHANGE", "blueprintIdentifier": blueprint}, **config,
    }  # fmt: skip
    if expressions:
        trigger["condition"] = {"type": "JQ", "expressions": list(expressions)}
    return {"identifier": name, "nodes": [{"identifier": "changed", "config": trigger}], "connections": []}


class Gate:
    """A trigger handler, its ports, and records handed over by hand."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.log = Faulty(EmbeddedLog(self.clock, partitions=1))
        self.definitions = Faulty(EmbeddedDefinitionStore())
        self.ledger = Faulty(EmbeddedLedger())
        self.evaluator = Faulty(JqCage())
        ports: Any = self
        self.gates = Faulty(EmbeddedGateStore())
        self.runs = EmbeddedRunStore()
        self.gatekeeper = Gatekeeper(ports.gates, self.runs, ports.log, self.clock, TOPICS)
        self.listeners = Listeners(ports.definitions)
        self.handler = TriggerHandler(
            self.listeners,
            ports.evaluator,
            ports.ledger,
            self.gatekeeper,
            ports.log,
            self.clock,
            TOPICS,
            Metrics(),
            TriggerSettings(3),
        )
        self.explainer = TriggerExplainer(self.listeners, ports.evaluator, ports.ledger)
        self.done: list[int] = []
        self._offset = 0

    async def save(self, *documents: dict[str, Any], at: int = START) -> None:
        for document in documents:
            await self.definitions.port.create(document["identifier"], document, "me", at)

    def event(self, name: str = "e", cause: Causation | None = None, at: int = START, **properties: Any) -> Record:
        entity: JsonObject = {"identifier": "x", "blueprint": "service"}
        after: JsonObject = {**entity, "properties": properties}
        event: JsonObject = {"action": "UPDATE", "diff": {"before": entity, "after": after}}
        return self._record(encode_entity_change(event, name, "urn:x", at, TOPICS, cause), at)

    def _record(self, message: Message, at: int = START) -> Record:
        self._offset += 1
        return record(message, self._offset, at)

    def poison(self) -> Record:
        return self._record(Message(TOPICS.entity_changes, "k", b"{"))

    async def handle(self, *records: Record) -> None:
        await self.handler.handle(records, lambda one: self.done.append(one.offset))

    async def started(self) -> list[StartRun]:
        commands = [decode_command(one) for one in await self.log.port.read(TOPICS.run_commands, 0, limit=10_000)]
        return [command for command in commands if isinstance(command, StartRun)]

    async def entries(self) -> list[LedgerEntry]:
        found: list[LedgerEntry] = await self.ledger.port.query()
        return found

    async def verdicts(self) -> dict[str, str]:
        return {verdict.workflow: verdict.verdict for entry in await self.entries() for verdict in entry.verdicts}


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    made = Gate()
    yield made
    await made.evaluator.port.close()


async def test_an_event_asks_for_a_run_per_match_and_is_done_after_the_ledger(gate: Gate) -> None:
    await gate.save(listener("a"), listener("b"), listener("other", blueprint="team"))
    one = gate.event()
    await gate.handle(one)
    started = await gate.started()
    assert [command.workflow for command in started] == ["a", "b"]
    assert gate.done == [one.offset]
    entry = (await gate.entries())[0]
    assert (entry.considered, entry.entity, entry.source) == (2, "x", f"{TOPICS.entity_changes}/0/{one.offset}")
    assert [verdict.run_id for verdict in entry.verdicts] == [command.run_id for command in started]


async def test_the_same_event_delivered_again_asks_for_the_same_runs(gate: Gate) -> None:
    await gate.save(listener("a"))
    await gate.handle(gate.event("once"), gate.event("once"))
    await gate.handle(gate.event("once"), gate.event("twice"))
    assert len({command.run_id for command in await gate.started()}) == 2
    assert len(await gate.entries()) == 2


async def test_an_event_that_was_sent_twice_says_so_with_its_run_and_one_that_is_delivered_twice_does_not(
    gate: Gate,
) -> None:
    await gate.save(listener("a"), listener("b", '.diff.after.properties.tier == "gold"'))
    first = gate.event("once")
    await gate.handle(first)
    await gate.handle(first)
    assert await gate.verdicts() == {"a": "matched"}

    await gate.handle(gate.event("once"))

    (entry,) = await gate.entries()
    (said,) = entry.verdicts
    assert (said.verdict, said.run_id) == ("deduplicated", (await gate.started())[0].run_id)
    assert said.reason == f"the same event came before, {TOPICS.entity_changes}/0/{first.offset}: it has one run"
    assert len(await gate.started()) == 2, "asked for when it was delivered, not when it was sent again"


@pytest.mark.parametrize(
    ("port", "verb"),
    [
        ("log", "publish"),
        ("ledger", "record"),
        ("definitions", "revision"),
        ("definitions", "all"),
        ("evaluator", "evaluate"),
    ],
)
@pytest.mark.parametrize("after", [False, True])
async def test_a_port_that_does_not_answer_leaves_the_batch_undone_and_its_repetition_adds_no_run(
    gate: Gate, port: str, verb: str, after: bool
) -> None:
    await gate.save(listener("a", "[range(2)] | length == 2"))
    one = gate.event()
    getattr(gate, port).fail(verb, after=after)
    with pytest.raises(UnavailableError):
        await gate.handle(one)
    assert gate.done == []
    await gate.handle(one)
    assert gate.done == [one.offset]
    assert len({command.run_id for command in await gate.started()}) == 1
    assert await gate.verdicts() == {"a": "matched"}


async def test_foreign_conditions_of_a_whole_batch_go_to_the_evaluator_in_one_call(gate: Gate) -> None:
    await gate.save(*(listener(f"w{number}", f"[range({number})] | length == {number}") for number in range(5)))
    await gate.handle(*(gate.event(str(number)) for number in range(4)))
    assert gate.evaluator.calls["evaluate"] == 1
    assert len(await gate.started()) == 20


async def test_native_conditions_need_no_evaluator(gate: Gate) -> None:
    await gate.save(listener("gold", '.diff.after.properties.tier == "gold"'), listener("any"))
    await gate.handle(gate.event(tier="silver"), gate.event("f", tier="gold"))
    assert gate.evaluator.calls["evaluate"] == 0
    assert [command.workflow for command in await gate.started()].count("gold") == 1


async def test_what_is_no_event_becomes_a_dead_letter_and_its_neighbours_are_judged(gate: Gate) -> None:
    await gate.save(listener("a"))
    await gate.handle(gate.poison(), gate.event(), gate.poison())
    letters = await gate.log.port.read(TOPICS.dead_letters(TOPICS.entity_changes), 0)
    assert [letter.value for letter in letters] == [b"{", b"{"]
    assert (len(gate.done), len(await gate.started())) == (3, 1)


@pytest.mark.parametrize(("at", "verdict"), [(START - 1, "older"), (START, "matched"), (START + 1, "matched")])
async def test_an_event_must_not_be_older_than_the_workflow(gate: Gate, at: int, verdict: str) -> None:
    await gate.save(listener("a"))
    await gate.handle(gate.event(at=at))
    assert await gate.verdicts() == {"a": verdict}


async def test_an_update_of_the_workflow_does_not_make_earlier_events_too_old(gate: Gate) -> None:
    await gate.save(listener("a"))
    await gate.definitions.port.update("a", listener("a"), "me", START + 1_000)
    await gate.handle(gate.event(at=START + 500))
    assert await gate.verdicts() == {"a": "matched"}
    assert (await gate.started())[0].version == 2


@pytest.mark.parametrize(("depth", "verdict"), [(0, "matched"), (1, "matched"), (2, "loop"), (900, "loop")])
async def test_the_loop_guard_counts_the_runs_behind_an_event(gate: Gate, depth: int, verdict: str) -> None:
    await gate.save(listener("a"))
    # the event that a run makes is one run deeper than the run itself
    await gate.handle(gate.event(cause=Causation("e", "root", depth, ("w",) * min(depth, 3))))
    assert await gate.verdicts() == {"a": verdict}
    assert [command.causation.depth for command in await gate.started()] == (
        [depth + 1] if verdict == "matched" else []
    )


class TestListeners:
    async def test_the_index_is_read_again_only_when_the_revision_moves(self, gate: Gate) -> None:
        await gate.save(listener("a"))
        for number in range(3):
            await gate.handle(gate.event(str(number)))
        assert (gate.definitions.calls["all"], gate.definitions.calls["revision"]) == (1, 3)
        await gate.save(listener("b"))
        await gate.handle(gate.event("later"))
        assert gate.definitions.calls["all"] == 2
        assert await gate.verdicts() == {"a": "matched", "b": "matched"}

    async def test_a_deleted_workflow_hears_nothing_any_more(self, gate: Gate) -> None:
        await gate.save(listener("a"), listener("b"))
        await gate.handle(gate.event())
        await gate.definitions.port.delete("a", "me", START)
        await gate.handle(gate.event("later"))
        assert [command.workflow for command in await gate.started()] == ["a", "b", "b"]

    async def test_an_updated_workflow_hears_with_its_newest_version_only(self, gate: Gate) -> None:
        await gate.save(listener("a", "true"))
        await gate.handle(gate.event())
        await gate.definitions.port.update("a", listener("a", "false"), "me", START)
        await gate.handle(gate.event("later"))
        assert len(await gate.started()) == 1

    async def test_a_version_that_cannot_be_read_hears_nothing_and_disturbs_no_other(
        self, gate: Gate, logged: list[Any]
    ) -> None:
        await gate.save({"identifier": "broken", "nodes": 7}, listener("whole"))
        await gate.handle(gate.event())
        assert await gate.verdicts() == {"whole": "matched"}
        assert [entry["workflow"] for entry in logged if entry["event"] == "workflow cannot be read"] == ["broken"]

    async def test_a_store_that_fails_between_revision_and_workflows_is_read_again(self, gate: Gate) -> None:
        await gate.save(listener("a"))
        gate.definitions.fail("all", times=2)
        for _ in range(2):
            with pytest.raises(UnavailableError):
                await gate.listeners.index()
        await gate.listeners.index()
        assert [it.workflow for it in gate.listeners.all()] == ["a"]

    async def test_an_unpublished_trigger_does_not_listen(self, gate: Gate) -> None:
        await gate.save(listener("silent", published=False))
        await gate.handle(gate.event())
        assert await gate.started() == []


class TestExplaining:
    async def test_a_past_event_is_explained_with_what_was_recorded_even_after_the_workflow_is_gone(
        self, gate: Gate
    ) -> None:
        await gate.save(listener("a"), listener("b", "false"))
        await gate.handle(gate.event())
        entry = (await gate.entries())[0]
        await gate.definitions.port.delete("a", "me", START)

        explained: Any = await gate.explainer.explain(entry.event_id)

        shown = {it["workflow"]: (it["verdict"], it["asOf"]) for it in explained["verdicts"]}
        assert shown == {"a": ("matched", "recorded"), "b": ("filtered", "recorded")}

    async def test_an_unknown_event_has_no_explanation(self, gate: Gate) -> None:
        assert await gate.explainer.explain("evt_unknown") is None

    async def test_foreign_conditions_are_asked_again_when_an_event_is_tried(self, gate: Gate) -> None:
        await gate.save(listener("a", "[range(2)] | length == 2"), listener("b", "[range(2)] == 1"))
        event = orjson.loads(gate.event().value or b"")
        tried: Any = await gate.explainer.would_match(event)
        assert {it["workflow"]: it["verdict"] for it in tried} == {"a": "matched", "b": "filtered"}
        assert await gate.entries() == []


async def test_an_entity_that_starts_a_trigger_too_often_is_cut_as_a_loop_and_others_go_on(gate: Gate) -> None:
    gate.handler = TriggerHandler(
        gate.listeners, gate.evaluator, gate.ledger, gate.gatekeeper, gate.log, gate.clock, TOPICS, Metrics(),
        TriggerSettings(max_starts_per_minute=2),
    )  # fmt: skip
    await gate.save(listener("a"))
    await gate.handle(*(gate.event(str(number)) for number in range(4)))
    await gate.handle(gate.event("later", at=START + 60_000))
    reasons = {entry.event_id: entry.verdicts[0] for entry in await gate.entries()}
    assert sorted(it.verdict for it in reasons.values()) == ["loop", "loop", "matched", "matched", "matched"]
    assert {it.reason for it in reasons.values() if it.verdict == "loop"} == {
        "stopped: loop, service/x started this trigger 2 times in a minute"
    }
    assert len(await gate.started()) == 3


MINUTE = 60 * TriggerSettings().kept_per_second


async def test_events_that_start_nothing_are_counted_when_they_come_too_fast(gate: Gate) -> None:
    await gate.save(listener("gold", '.diff.after.properties.tier == "gold"'))
    noise = [gate.event(f"e{number}", tier="iron") for number in range(MINUTE + 1_000)]
    await gate.handle(*noise)
    await gate.handle(gate.event("gold", tier="gold"))
    await gate.handler.counting.write()
    await gate.handler.counting.write()

    entries = await gate.ledger.port.query(limit=10_000)
    counts = await gate.ledger.port.query(workflow=COUNTED)
    assert len(entries) == MINUTE + 2
    assert [entry.event_id for entry in counts] == [f"counted:{event_id('urn:x', f'e{MINUTE}')}"]
    (said,) = counts[0].verdicts
    assert (said.verdict, said.detail) == ("counted", {"events": 1_000})
    assert "1,000 events UPDATE of service that started nothing were counted" in said.reason
    assert "more came than 10 a second" in said.reason
    assert len(gate.done) == len(noise) + 1
    assert await gate.ledger.port.find(event_id("urn:x", "gold")) is not None


async def test_events_whose_condition_fails_are_always_kept(gate: Gate) -> None:
    await gate.save(listener("fails", '.diff.after.properties.tier | error("no")'))
    await gate.handle(*(gate.event(f"e{number}", tier="iron") for number in range(MINUTE + 50)))

    assert len(await gate.ledger.port.query(limit=10_000)) == MINUTE + 50


async def test_counts_that_the_ledger_did_not_take_are_told_again(gate: Gate) -> None:
    await gate.handle(*(gate.event(f"e{number}") for number in range(MINUTE + 7)))
    gate.ledger.fail("record")
    with pytest.raises(UnavailableError):
        await gate.handler.counting.write()
    await gate.handler.counting.write()

    (counted,) = await gate.ledger.port.query(workflow=COUNTED)
    assert counted.verdicts[0].detail == {"events": 7}


async def test_an_event_that_was_cut_as_a_loop_is_not_taken_for_one_that_has_a_run(gate: Gate) -> None:
    gate.handler._rate = StartRate(1)
    await gate.save(listener("a"))
    await gate.handle(gate.event("1"), gate.event("2"))
    await gate.handle(gate.event("2", at=START + 60_000))

    assert {it.verdict for entry in await gate.entries() for it in entry.verdicts} == {"matched"}
    assert len(await gate.started()) == 2
