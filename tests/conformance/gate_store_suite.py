"""What every GateStore adapter promises."""

import asyncio
from dataclasses import replace

from headrace.core.commands import StartRun
from headrace.core.gate import Gate, Gathering, Heard, Merged, Position, Waiting
from headrace.core.run import Causation
from headrace.ports.gates import GateStore, StoredGate
from headrace.ports.log import Message
from tests.conformance.harness import StoreHarness
from tests.conformance.samples import START

Harness = StoreHarness[GateStore]
MESSAGE = Message("headrace.run.commands.v1", "wfr_1", b'{"v":1}', (("traceparent", b"00-1"),))


def stored(name: str = "wfg_1", rev: int = 0, at: int | None = START, sent: bool = True, **more: object) -> StoredGate:
    """A gate that a run holds, to be looked at again at `at`; idle for None."""
    gate = Gate(name, "w", "t", "service/x")
    if at is not None:
        gate = replace(gate, holder="wfr_1", since_at=START, check_at=at)
    return StoredGate(replace(gate, **more), rev, () if sent else (MESSAGE,), START)  # type: ignore[arg-type]


class GateStoreSuite:
    async def test_what_was_saved_is_loaded_as_it_was(self, harness: Harness) -> None:
        start = StartRun("wfr_2", START, "w", 3, "t", {"diff": {"before": None}}, "me", Causation("e", "e"))
        full = stored(
            "wfg_2", sent=False,
            waiting=(Waiting("wfr_3"), Waiting("wfr_4", Merged({"a": [1]}, 2, ("e1", "e2")))),
            gathering=Gathering(start, "latest-wins", Merged("b", 1, ("e3",)), START, START + 1),
            position=Position("changes/0", 7, START), recent=(Heard("e", "waiting", "it waits", "wfr_1"),),
        )  # fmt: skip
        idle = stored("wfg_3", at=None)

        assert await harness.store.save([full, idle]) == [True, True]

        assert await harness.store.load(["wfg_2", "wfg_3", "gone"]) == {"wfg_2": full, "wfg_3": idle}
        assert await harness.store.load([]) == {}

    async def test_a_save_wins_only_over_the_revision_before_it(self, harness: Harness) -> None:
        first = stored()
        second = replace(first, rev=1, saved_at=START + 5)

        assert await harness.store.save([second]) == [False]
        assert await harness.store.save([first, second]) == [True, True]
        assert await harness.store.save([replace(first, saved_at=9)]) == [False]
        assert await harness.store.load(["wfg_1"]) == {"wfg_1": second}

    async def test_of_writers_at_the_same_time_one_wins(self, harness: Harness) -> None:
        await harness.store.save([stored()])
        writes = [stored(rev=1, at=START + number) for number in range(8)]

        answers = await asyncio.gather(*(harness.store.save([write]) for write in writes))

        assert sorted(answer[0] for answer in answers) == [False] * 7 + [True]
        assert await harness.store.load(["wfg_1"]) == {"wfg_1": writes[answers.index([True])]}

    async def test_what_is_due_comes_earliest_first_until_it_is_done(self, harness: Harness) -> None:
        early, late, later = stored("a", at=START - 1), stored("b"), stored("c", at=START + 1)
        await harness.store.save([late, early, later, stored("d", at=None)])

        assert await harness.store.due(START, 10) == [early, late]
        assert await harness.store.due(START, 1) == [early]
        assert await harness.store.due(START, 0) == []
        await harness.store.save([stored("a", rev=1, at=None), stored("b", rev=1, at=START + 9)])
        assert await harness.store.due(START, 10) == []

    async def test_an_outbox_waits_until_it_is_marked_in_the_revision_that_was_published(
        self, harness: Harness
    ) -> None:
        waiting, other = stored(sent=False), stored("wfg_2", at=None, sent=False)
        await harness.store.save([waiting, other, stored("wfg_3")])
        assert await harness.store.unsent(START, 10) == []
        assert await harness.store.unsent(START + 1, 10) == [waiting, other]
        assert await harness.store.unsent(START + 1, 1) == [waiting]

        await harness.store.mark_sent([("wfg_1", 1), ("wfg_2", 0), ("gone", 0)])

        await _eventually(harness, [waiting])
        assert (await harness.store.load(["wfg_2"]))["wfg_2"] == replace(other, outbox=())


class DurableGateStoreSuite(GateStoreSuite):
    async def test_gates_outlive_the_store(self, harness: Harness) -> None:
        one, idle, marked = stored(sent=False), stored("wfg_2", at=None), stored("wfg_3", sent=False)
        await harness.store.save([one, idle, marked])
        await harness.store.mark_sent([("wfg_3", 0)])
        await _eventually(harness, [one])

        await harness.reopen()

        gone = replace(marked, outbox=())
        assert await harness.store.load(["wfg_1", "wfg_2", "wfg_3"]) == {"wfg_1": one, "wfg_2": idle, "wfg_3": gone}
        assert await harness.store.due(START, 10) == [one, gone]
        assert await harness.store.unsent(START + 1, 10) == [one]


async def _eventually(harness: Harness, unsent: list[StoredGate]) -> None:
    """Marks may be seen a little later."""
    for _ in range(100):
        if await harness.store.unsent(START + 1, 10) == unsent:
            return
        await asyncio.sleep(0.02)
    assert await harness.store.unsent(START + 1, 10) == unsent
