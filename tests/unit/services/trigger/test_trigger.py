"""The trigger service's batch and index, on stores that fail on demand."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from headrace.contracts.entity_change import event_id
from headrace.core.loop_guard import StartRate
from headrace.core.run import Causation
from headrace.ports.errors import UnavailableError
from headrace.ports.stores import COUNTED
from headrace.runtime.metrics import Metrics
from headrace_trigger.handler import TriggerHandler, TriggerSettings
from tests.conformance.samples import START
from tests.unit.services.trigger.lookout import TOPICS, Lookout, listener


async def test_an_event_asks_for_a_run_per_match_and_is_done_after_the_ledger(lookout: Lookout) -> None:
    await lookout.save(listener("a"), listener("b"), listener("other", blueprint="team"))
    one = lookout.event()
    await lookout.handle(one)
    started = await lookout.started()
    assert [command.workflow for command in started] == ["a", "b"]
    assert lookout.done == [one.offset]
    entry = (await lookout.entries())[0]
    assert (entry.considered, entry.entity, entry.source) == (2, "x", f"{TOPICS.entity_changes}/0/{one.offset}")
    assert [verdict.run_id for verdict in entry.verdicts] == [command.run_id for command in started]


async def test_the_same_event_delivered_again_asks_for_the_same_runs(lookout: Lookout) -> None:
    await lookout.save(listener("a"))
    await lookout.handle(lookout.event("once"), lookout.event("once"))
    await lookout.handle(lookout.event("once"), lookout.event("twice"))
    assert len({command.run_id for command in await lookout.started()}) == 2
    assert len(await lookout.entries()) == 2


async def test_an_event_that_was_sent_twice_says_so_with_its_run_and_one_that_is_delivered_twice_does_not(
    lookout: Lookout,
) -> None:
    await lookout.save(listener("a"), listener("b", '.diff.after.properties.tier == "gold"'))
    first = lookout.event("once")
    await lookout.handle(first)
    await lookout.handle(first)
    assert await lookout.verdicts() == {"a": "matched"}

    await lookout.handle(lookout.event("once"))

    (entry,) = await lookout.entries()
    (said,) = entry.verdicts
    assert (said.verdict, said.run_id) == ("deduplicated", (await lookout.started())[0].run_id)
    assert said.reason == f"the same event came before, {TOPICS.entity_changes}/0/{first.offset}: it has one run"
    assert len(await lookout.started()) == 2, "asked for when it was delivered, not when it was sent again"


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
    lookout: Lookout, port: str, verb: str, after: bool
) -> None:
    await lookout.save(listener("a", "[range(2)] | length == 2"))
    one = lookout.event()
    getattr(lookout, port).fail(verb, after=after)
    with pytest.raises(UnavailableError):
        await lookout.handle(one)
    assert lookout.done == []
    await lookout.handle(one)
    assert lookout.done == [one.offset]
    assert len({command.run_id for command in await lookout.started()}) == 1
    assert await lookout.verdicts() == {"a": "matched"}


async def test_foreign_conditions_of_a_whole_batch_go_to_the_evaluator_in_one_call(lookout: Lookout) -> None:
    await lookout.save(*(listener(f"w{number}", f"[range({number})] | length == {number}") for number in range(5)))
    await lookout.handle(*(lookout.event(str(number)) for number in range(4)))
    assert lookout.evaluator.calls["evaluate"] == 1
    assert len(await lookout.started()) == 20


async def test_native_conditions_need_no_evaluator(lookout: Lookout) -> None:
    await lookout.save(listener("gold", '.diff.after.properties.tier == "gold"'), listener("any"))
    await lookout.handle(lookout.event(tier="silver"), lookout.event("f", tier="gold"))
    assert lookout.evaluator.calls["evaluate"] == 0
    assert [command.workflow for command in await lookout.started()].count("gold") == 1


async def test_what_is_no_event_becomes_a_dead_letter_and_its_neighbours_are_judged(lookout: Lookout) -> None:
    await lookout.save(listener("a"))
    await lookout.handle(lookout.poison(), lookout.event(), lookout.poison())
    letters = await lookout.log.port.read(TOPICS.dead_letters(TOPICS.entity_changes), 0)
    assert [letter.value for letter in letters] == [b"{", b"{"]
    assert (len(lookout.done), len(await lookout.started())) == (3, 1)


@pytest.mark.parametrize(("at", "verdict"), [(START - 1, "older"), (START, "matched"), (START + 1, "matched")])
async def test_an_event_must_not_be_older_than_the_workflow(lookout: Lookout, at: int, verdict: str) -> None:
    await lookout.save(listener("a"))
    await lookout.handle(lookout.event(at=at))
    assert await lookout.verdicts() == {"a": verdict}


async def test_an_update_of_the_workflow_does_not_make_earlier_events_too_old(lookout: Lookout) -> None:
    await lookout.save(listener("a"))
    await lookout.definitions.port.update("a", listener("a"), "me", START + 1_000)
    await lookout.handle(lookout.event(at=START + 500))
    assert await lookout.verdicts() == {"a": "matched"}
    assert (await lookout.started())[0].version == 2


@pytest.mark.parametrize(("depth", "verdict"), [(0, "matched"), (1, "matched"), (2, "loop"), (900, "loop")])
async def test_the_loop_guard_counts_the_runs_behind_an_event(lookout: Lookout, depth: int, verdict: str) -> None:
    await lookout.save(listener("a"))
    # the event that a run makes is one run deeper than the run itself
    await lookout.handle(lookout.event(cause=Causation("e", "root", depth, ("w",) * min(depth, 3))))
    assert await lookout.verdicts() == {"a": verdict}
    assert [command.causation.depth for command in await lookout.started()] == (
        [depth + 1] if verdict == "matched" else []
    )


class TestListeners:
    async def test_the_index_is_read_again_only_when_the_revision_moves(self, lookout: Lookout) -> None:
        await lookout.save(listener("a"))
        for number in range(3):
            await lookout.handle(lookout.event(str(number)))
        assert (lookout.definitions.calls["all"], lookout.definitions.calls["revision"]) == (1, 3)
        await lookout.save(listener("b"))
        await lookout.handle(lookout.event("later"))
        assert lookout.definitions.calls["all"] == 2
        assert await lookout.verdicts() == {"a": "matched", "b": "matched"}

    async def test_a_deleted_workflow_hears_nothing_any_more(self, lookout: Lookout) -> None:
        await lookout.save(listener("a"), listener("b"))
        await lookout.handle(lookout.event())
        await lookout.definitions.port.delete("a", "me", START)
        await lookout.handle(lookout.event("later"))
        assert [command.workflow for command in await lookout.started()] == ["a", "b", "b"]

    async def test_an_updated_workflow_hears_with_its_newest_version_only(self, lookout: Lookout) -> None:
        await lookout.save(listener("a", "true"))
        await lookout.handle(lookout.event())
        await lookout.definitions.port.update("a", listener("a", "false"), "me", START)
        await lookout.handle(lookout.event("later"))
        assert len(await lookout.started()) == 1

    async def test_a_version_that_cannot_be_read_hears_nothing_and_disturbs_no_other(
        self, lookout: Lookout, logged: list[Any]
    ) -> None:
        await lookout.save({"identifier": "broken", "nodes": 7}, listener("whole"))
        await lookout.handle(lookout.event())
        assert await lookout.verdicts() == {"whole": "matched"}
        assert [entry["workflow"] for entry in logged if entry["event"] == "workflow cannot be read"] == ["broken"]

    async def test_a_store_that_fails_between_revision_and_workflows_is_read_again(self, lookout: Lookout) -> None:
        await lookout.save(listener("a"))
        lookout.definitions.fail("all", times=2)
        for _ in range(2):
            with pytest.raises(UnavailableError):
                await lookout.listeners.index()
        await lookout.listeners.index()
        assert [it.workflow for it in lookout.listeners.all()] == ["a"]

    async def test_an_unpublished_trigger_does_not_listen(self, lookout: Lookout) -> None:
        await lookout.save(listener("silent", published=False))
        await lookout.handle(lookout.event())
        assert await lookout.started() == []


class TestExplaining:
    async def test_a_past_event_is_explained_with_what_was_recorded_even_after_the_workflow_is_gone(
        self, lookout: Lookout
    ) -> None:
        await lookout.save(listener("a"), listener("b", "false"))
        await lookout.handle(lookout.event())
        entry = (await lookout.entries())[0]
        await lookout.definitions.port.delete("a", "me", START)

        explained: Any = await lookout.explainer.explain(entry.event_id)

        shown = {it["workflow"]: (it["verdict"], it["asOf"]) for it in explained["verdicts"]}
        assert shown == {"a": ("matched", "recorded"), "b": ("filtered", "recorded")}

    async def test_an_unknown_event_has_no_explanation(self, lookout: Lookout) -> None:
        assert await lookout.explainer.explain("evt_unknown") is None

    async def test_foreign_conditions_are_asked_again_when_an_event_is_tried(self, lookout: Lookout) -> None:
        await lookout.save(listener("a", "[range(2)] | length == 2"), listener("b", "[range(2)] == 1"))
        event = orjson.loads(lookout.event().value or b"")
        tried: Any = await lookout.explainer.would_match(event)
        assert {it["workflow"]: it["verdict"] for it in tried} == {"a": "matched", "b": "filtered"}
        assert await lookout.entries() == []


async def test_an_entity_that_starts_a_trigger_too_often_is_cut_as_a_loop_and_others_go_on(lookout: Lookout) -> None:
    lookout.handler = TriggerHandler(
        lookout.listeners, lookout.evaluator, lookout.ledger, lookout.gatekeeper, lookout.log, lookout.clock, TOPICS,
        Metrics(), TriggerSettings(max_starts_per_minute=2),
    )  # fmt: skip
    await lookout.save(listener("a"))
    await lookout.handle(*(lookout.event(str(number)) for number in range(4)))
    await lookout.handle(lookout.event("later", at=START + 60_000))
    reasons = {entry.event_id: entry.verdicts[0] for entry in await lookout.entries()}
    assert sorted(it.verdict for it in reasons.values()) == ["loop", "loop", "matched", "matched", "matched"]
    assert {it.reason for it in reasons.values() if it.verdict == "loop"} == {
        "stopped: loop, service/x started this trigger 2 times in a minute"
    }
    assert len(await lookout.started()) == 3


MINUTE = 60 * TriggerSettings().kept_per_second


async def test_events_that_start_nothing_are_counted_when_they_come_too_fast(lookout: Lookout) -> None:
    await lookout.save(listener("gold", '.diff.after.properties.tier == "gold"'))
    noise = [lookout.event(f"e{number}", tier="iron") for number in range(MINUTE + 1_000)]
    await lookout.handle(*noise)
    await lookout.handle(lookout.event("gold", tier="gold"))
    await lookout.handler.counting.write()
    await lookout.handler.counting.write()

    entries = await lookout.ledger.port.query(limit=10_000)
    counts = await lookout.ledger.port.query(workflow=COUNTED)
    assert len(entries) == MINUTE + 2
    assert [entry.event_id for entry in counts] == [f"counted:{event_id('urn:x', f'e{MINUTE}')}"]
    (said,) = counts[0].verdicts
    assert (said.verdict, said.detail) == ("counted", {"events": 1_000})
    assert "1,000 events UPDATE of service that started nothing were counted" in said.reason
    assert "more came than 10 a second" in said.reason
    assert len(lookout.done) == len(noise) + 1
    assert await lookout.ledger.port.find(event_id("urn:x", "gold")) is not None


async def test_events_whose_condition_fails_are_always_kept(lookout: Lookout) -> None:
    await lookout.save(listener("fails", '.diff.after.properties.tier | error("no")'))
    await lookout.handle(*(lookout.event(f"e{number}", tier="iron") for number in range(MINUTE + 50)))

    assert len(await lookout.ledger.port.query(limit=10_000)) == MINUTE + 50


async def test_counts_that_the_ledger_did_not_take_are_told_again(lookout: Lookout) -> None:
    await lookout.handle(*(lookout.event(f"e{number}") for number in range(MINUTE + 7)))
    lookout.ledger.fail("record")
    with pytest.raises(UnavailableError):
        await lookout.handler.counting.write()
    await lookout.handler.counting.write()

    (counted,) = await lookout.ledger.port.query(workflow=COUNTED)
    assert counted.verdicts[0].detail == {"events": 7}


async def test_an_event_that_was_cut_as_a_loop_is_not_taken_for_one_that_has_a_run(lookout: Lookout) -> None:
    lookout.handler._rate = StartRate(1)
    await lookout.save(listener("a"))
    await lookout.handle(lookout.event("1"), lookout.event("2"))
    await lookout.handle(lookout.event("2", at=START + 60_000))

    assert {it.verdict for entry in await lookout.entries() for it in entry.verdicts} == {"matched"}
    assert len(await lookout.started()) == 2
