"""Gates in the trigger service, on stores and a log that fail on demand."""

from typing import Any

import pytest

from headrace.contracts.codec import decode_command, encode_command
from headrace.core import ids
from headrace.core.commands import AdmitRun, CancelRun, Command, LeaveGate, StartRun
from headrace.core.gate import CHECK_MS
from headrace.core.run import Causation, Run
from headrace.ports.errors import UnavailableError
from headrace.ports.gates import StoredGate
from headrace.ports.log import Message, Record
from headrace.ports.stores import StoredRun
from headrace_trigger.gatekeeper import Gatekeeper, GatekeeperSettings
from tests.conformance.samples import START
from tests.unit.services.parts import record
from tests.unit.services.trigger.lookout import TOPICS, Lookout, listener


async def commands(lookout: Lookout) -> list[Command]:
    return [decode_command(one) for one in await lookout.log.port.read(TOPICS.run_commands, 0, limit=10_000)]


async def the_gate(lookout: Lookout) -> StoredGate:
    name = ids.gate_id("a", "changed", "service/x")
    stored: StoredGate = (await lookout.gates.port.load([name]))[name]
    return stored


def over(run_id: str, offset: int = 1) -> Record:
    left = LeaveGate(ids.gate_id("a", "changed", "service/x"), run_id, START)
    return record(encode_command(left, TOPICS), offset)


async def test_events_of_one_entity_start_runs_one_after_the_other(lookout: Lookout) -> None:
    await lookout.save(listener("a", perEntity="serial"), listener("b"))
    await lookout.handle(lookout.event("1"), lookout.event("2"))
    first, second = [it for it in await lookout.started() if it.workflow == "a"]

    assert (first.held, second.held, first.gate, second.gate) == (False, True, second.gate, first.gate)
    assert [it.held for it in await lookout.started() if it.workflow == "b"] == [False, False]
    said = {entry.event_id: entry.verdicts[0] for entry in await lookout.entries()}
    assert sorted(it.verdict for it in said.values()) == ["matched", "waiting"]
    assert {it.run_id for it in said.values()} == {first.run_id, second.run_id}
    await lookout.handle(over(first.run_id))
    assert (await commands(lookout))[-1] == AdmitRun(second.run_id, START)
    assert len(lookout.done) == 3


@pytest.mark.parametrize(
    ("port", "verb"), [("gates", "load"), ("gates", "save"), ("log", "publish"), ("ledger", "record")]
)
@pytest.mark.parametrize("after", [False, True])
async def test_whatever_fails_in_the_middle_each_event_has_its_run_once_and_waits_once(
    lookout: Lookout, port: str, verb: str, after: bool
) -> None:
    await lookout.save(listener("a", perEntity="serial"))
    events = [lookout.event("1"), lookout.event("2")]
    getattr(lookout, port).fail(verb, after=after)
    with pytest.raises(UnavailableError):
        await lookout.handle(*events)
    assert lookout.done == []

    await lookout.handle(*events)

    asked = {command.run_id: command for command in await lookout.started()}
    assert [command.held for command in asked.values()] == [False, True]
    gate = (await the_gate(lookout)).gate
    assert (gate.holder, [it.run_id for it in gate.waiting]) == (next(iter(asked)), list(asked)[1:])
    said = sorted(verdict.verdict for entry in await lookout.entries() for verdict in entry.verdicts)
    assert said == ["matched", "waiting"]


@pytest.mark.parametrize(("port", "verb"), [("gates", "save"), ("log", "publish")])
@pytest.mark.parametrize("after", [False, True])
async def test_whatever_fails_when_a_run_is_over_the_next_one_is_admitted(
    lookout: Lookout, port: str, verb: str, after: bool
) -> None:
    await lookout.save(listener("a", perEntity="serial"))
    await lookout.handle(lookout.event("1"), lookout.event("2"), lookout.event("3"))
    first, second, _ = await lookout.started()
    getattr(lookout, port).fail(verb, after=after)
    with pytest.raises(UnavailableError):
        await lookout.handle(over(first.run_id))
    await lookout.handle(over(first.run_id))

    admitted = {it.run_id for it in await commands(lookout) if isinstance(it, AdmitRun)}
    assert admitted == {second.run_id}
    assert (await the_gate(lookout)).gate.holder == second.run_id


async def test_what_a_process_saved_and_did_not_publish_another_one_publishes(lookout: Lookout) -> None:
    await lookout.save(listener("a", perEntity="serial"))
    lookout.log.fail("publish")
    with pytest.raises(UnavailableError):
        await lookout.handle(lookout.event("1"))
    other = Gatekeeper(lookout.gates.port, lookout.runs, lookout.log.port, lookout.clock, TOPICS)
    assert await other.resend() == 0

    lookout.clock.at += 20_000
    assert await other.resend() == 1

    assert [type(it) for it in await commands(lookout)] == [StartRun]
    await other.mark()
    lookout.clock.at += 20_000
    assert await other.resend() == 0


async def test_processes_that_keep_one_gate_at_the_same_time_lose_no_event(lookout: Lookout) -> None:
    await lookout.save(listener("a", perEntity="serial"))
    await lookout.handle(lookout.event("0"))
    inner = lookout.gates.port
    other = Gatekeeper(inner, lookout.runs, lookout.log.port, lookout.clock, TOPICS)
    first = (await lookout.started())[0]

    class Late:
        """A store whose save comes after somebody else's, once."""

        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

        async def save(self, writes: Any) -> Any:
            if not self.__dict__.setdefault("done", False):
                self.__dict__["done"] = True
                await other.leave([LeaveGate(ids.gate_id("a", "changed", "service/x"), first.run_id, START)])
            return await inner.save(writes)

    late: Any = Late()
    lookout.handler._gates = Gatekeeper(late, lookout.runs, lookout.log.port, lookout.clock, TOPICS)
    await lookout.handle(lookout.event("1"))

    gate = (await the_gate(lookout)).gate
    assert gate.holder == ids.run_id("a", "changed", (await lookout.entries())[0].event_id)
    assert {it.run_id: it.held for it in await lookout.started()} == {first.run_id: False, gate.holder: False}


async def test_the_latest_takes_the_place_of_the_one_that_waits(lookout: Lookout) -> None:
    await lookout.save(listener("a", perEntity="latest-wins"))
    await lookout.handle(*(lookout.event(name) for name in "123"))
    _, second, third = await lookout.started()

    assert [it for it in await commands(lookout) if isinstance(it, CancelRun)] == [
        CancelRun(second.run_id, START, f"headrace:latest-wins:{third.run_id}")
    ]
    assert third.output["merged"]


async def test_what_is_gathered_starts_when_its_time_has_come(lookout: Lookout) -> None:
    await lookout.save(listener("a", debounce={"seconds": 5}))
    await lookout.handle(lookout.event("1"), lookout.event("2"))
    assert set((await lookout.verdicts()).values()) == {"debounced"}
    lookout.clock.at += 4_900
    assert await lookout.gatekeeper.sweep() == 0
    lookout.clock.at += 200
    assert await lookout.gatekeeper.sweep() == 1
    assert await lookout.gatekeeper.sweep() == 0

    (run,) = await lookout.started()
    assert {verdict.run_id for entry in await lookout.entries() for verdict in entry.verdicts} == {run.run_id}
    assert (run.gate, run.held) == (None, False)


async def test_all_that_is_due_is_done_in_one_sweep(lookout: Lookout) -> None:
    await lookout.save(listener("a", debounce={"seconds": 5}), listener("b", debounce={"seconds": 5}))
    await lookout.handle(lookout.event("1"))
    lookout.gatekeeper._settings = GatekeeperSettings(batch=1)
    lookout.clock.at += 5_000

    assert await lookout.gatekeeper.sweep() == 2
    assert len(await lookout.started()) == 2


async def test_what_another_one_left_unpublished_goes_out_before_what_follows(lookout: Lookout) -> None:
    await lookout.save(listener("a", perEntity="serial"))
    lookout.log.fail("publish")
    with pytest.raises(UnavailableError):
        await lookout.handle(lookout.event("1"))
    heir = Gatekeeper(lookout.gates.port, lookout.runs, lookout.log.port, lookout.clock, TOPICS)
    lookout.handler._gates = heir
    await lookout.handle(lookout.event("2"))

    assert [it.held for it in await lookout.started()] == [False, True]
    assert len((await the_gate(lookout)).outbox) == 1, "what was published is not kept"


async def test_a_run_that_ended_without_a_word_is_found_and_the_next_one_admitted(lookout: Lookout) -> None:
    await lookout.save(listener("a", perEntity="serial"))
    await lookout.handle(lookout.event("1"), lookout.event("2"))
    first, second = await lookout.started()
    run = Run(first.run_id, "a", 1, "changed", "EVENT_TRIGGER", "me", START, START, Causation("e", "e"), "COMPLETED")
    await lookout.runs.save([StoredRun(run, 0)])
    lookout.clock.at += CHECK_MS - 1_000
    assert await lookout.gatekeeper.sweep() == 0
    lookout.clock.at += 1_000

    await lookout.gatekeeper.sweep()

    assert [it.run_id for it in await commands(lookout) if isinstance(it, AdmitRun)] == [second.run_id]


async def test_many_large_events_of_one_entity_are_saved_in_pieces(lookout: Lookout) -> None:
    await lookout.save(listener("a", perEntity="serial"))
    saved: list[list[Message]] = []
    save, publish = lookout.gates.port.save, lookout.log.port.publish
    published: set[str] = set()

    async def saving(writes: Any) -> Any:
        saved.extend(list(write.outbox) for write in writes)
        return await save(writes)

    async def publishing(messages: Any) -> Any:
        published.update(message.key for message in messages)
        return await publish(messages)

    lookout.gates.port.save, lookout.log.port.publish = saving, publishing
    await lookout.handle(*(lookout.event(str(number), text="x" * 700_000) for number in range(12)))

    assert len(published) == 12
    assert max(sum(len(it.value or b"") for it in outbox) for outbox in saved) < 6 * 1024 * 1024
    assert len((await the_gate(lookout)).gate.waiting) == 11


async def test_an_event_that_was_dropped_and_is_sent_again_is_said_to_be_dropped_again(lookout: Lookout) -> None:
    await lookout.save(listener("a", perEntity="drop-while-running"))
    await lookout.handle(lookout.event("1"), lookout.event("2"), lookout.event("2"))

    said = {it.verdict for entry in await lookout.entries() for it in entry.verdicts}
    assert said == {"matched", "dropped"}
    assert len(await lookout.started()) == 1


async def test_a_record_of_the_gates_that_nobody_understands_becomes_a_dead_letter(lookout: Lookout) -> None:
    await lookout.handle(record(Message(TOPICS.run_gates, "wfg_1", b"{"), 7), over("wfr_unknown", 8))

    letters = await lookout.log.port.read(TOPICS.dead_letters(TOPICS.run_gates), 0)
    assert len(letters) == 1
    assert lookout.done == [7, 8]
    assert await lookout.gates.port.load([ids.gate_id("a", "changed", "service/x")]) == {}


async def test_a_gate_that_others_change_all_the_time_is_given_up_for_now(lookout: Lookout) -> None:
    await lookout.save(listener("a", perEntity="serial"))

    async def never(writes: Any) -> list[bool]:
        return [False for _ in writes]

    lookout.gates.port.save = never
    with pytest.raises(UnavailableError, match="changed by somebody else"):
        await lookout.handle(lookout.event("1"))
    assert await lookout.started() == []
