"""What every PendingStore adapter promises."""

import asyncio
from dataclasses import replace

from headrace.ports.pending import PendingStore, PendingWork
from tests.conformance.harness import StoreHarness
from tests.conformance.samples import START

Harness = StoreHarness[PendingStore]


def work(name: str = "wfnr_1", rev: int = 0, at: int | None = START, installation: str = "ops") -> PendingWork:
    return PendingWork(name, "wfr_1", 2, installation, START, rev, at)


class PendingStoreSuite:
    async def test_what_was_saved_is_loaded_as_it_was(self, harness: Harness) -> None:
        one, taken = work(), work("wfnr_2", at=None)

        assert await harness.store.save([one, taken]) == [True, True]

        assert await harness.store.load(["wfnr_1", "wfnr_2", "gone"]) == {"wfnr_1": one, "wfnr_2": taken}
        assert await harness.store.load([]) == {}

    async def test_a_save_wins_only_over_the_revision_before_it(self, harness: Harness) -> None:
        first = work()
        second = replace(first, rev=1, visible_at=START + 5)

        assert await harness.store.save([second]) == [False]
        assert await harness.store.save([first, second]) == [True, True]
        assert await harness.store.save([replace(first, attempt=9)]) == [False]
        assert await harness.store.load(["wfnr_1"]) == {"wfnr_1": second}

    async def test_of_those_who_claim_at_once_one_wins(self, harness: Harness) -> None:
        await harness.store.save([work()])
        claims = [work(rev=1, at=START + 1_000 + number) for number in range(8)]

        answers = await asyncio.gather(*(harness.store.save([claim]) for claim in claims))

        assert sorted(answer[0] for answer in answers) == [False] * 7 + [True]
        assert (await harness.store.load(["wfnr_1"]))["wfnr_1"] == claims[answers.index([True])]

    async def test_an_installation_is_offered_what_is_its_own_visible_and_the_longest_waiting_first(
        self, harness: Harness
    ) -> None:
        late, early, claimed, taken = work("c"), work("b", at=START - 1), work("d", at=START + 1), work("e", at=None)
        await harness.store.save([late, early, claimed, taken, work("f", installation="other")])

        assert await harness.store.claimable("ops", START, 10) == [early, late]
        assert await harness.store.claimable("ops", START, 1) == [early]
        assert await harness.store.claimable("ops", START, 0) == []
        assert await harness.store.claimable("ops", START + 1, 10) == [early, late, claimed]
        assert await harness.store.claimable("nobody", START, 10) == []

    async def test_what_is_claimed_or_acknowledged_is_offered_no_more(self, harness: Harness) -> None:
        await harness.store.save([work("a"), work("b"), work("c")])
        await harness.store.save([work("a", rev=1, at=START + 60_000), work("b", rev=1, at=None)])
        assert [it.node_run_id for it in await harness.store.claimable("ops", START, 10)] == ["c"]

        await harness.store.save([work("c", rev=1, at=None)])

        assert await harness.store.claimable("ops", START, 10) == []
        assert [it.node_run_id for it in await harness.store.claimable("ops", START + 60_000, 10)] == ["a"]

    async def test_work_may_go_to_another_installation(self, harness: Harness) -> None:
        await harness.store.save([work()])
        await harness.store.save([work(rev=1, installation="other")])

        assert await harness.store.claimable("ops", START, 10) == []
        assert len(await harness.store.claimable("other", START, 10)) == 1


class DurablePendingStoreSuite(PendingStoreSuite):
    async def test_pending_work_outlives_the_store(self, harness: Harness) -> None:
        claimed, taken = work("a", rev=1, at=START + 5), work("b", at=None)
        await harness.store.save([work("a"), taken, work("c")])
        await harness.store.save([claimed])

        await harness.reopen()

        assert await harness.store.load(["a", "b", "c"]) == {"a": claimed, "b": taken, "c": work("c")}
        assert await harness.store.claimable("ops", START + 5, 10) == [work("c"), claimed]
