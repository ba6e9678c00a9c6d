"""What every ClaimStore adapter promises."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from headrace.ports.stores import Claim, ClaimStore
from tests.conformance.harness import StoreHarness
from tests.conformance.samples import START

Harness = StoreHarness[ClaimStore]
CLAIM = Claim("wfnr_1:1", "me", 1, START + 60_000, "CLAIMED")
DONE = replace(CLAIM, state="DONE", result=b"\x00result\xff")


class ClaimStoreSuite:
    @pytest.fixture
    def harness(self) -> AsyncIterator[Harness]:
        raise NotImplementedError("the adapter's test class brings the harness")

    async def test_a_claim_comes_back_as_it_was_saved(self, harness: Harness) -> None:
        assert await harness.store.save([(CLAIM, None)]) == [True]
        assert await harness.store.save([(DONE, CLAIM)]) == [True]

        assert await harness.store.load([CLAIM.id, "none"]) == {CLAIM.id: DONE}
        assert await harness.store.load([]) == {}

    async def test_an_empty_result_is_not_no_result(self, harness: Harness) -> None:
        empty = replace(DONE, result=b"")
        await harness.store.save([(empty, None)])

        assert await harness.store.load([CLAIM.id]) == {CLAIM.id: empty}

    async def test_a_claim_that_must_be_new_loses_to_one_that_is_there(self, harness: Harness) -> None:
        await harness.store.save([(CLAIM, None)])

        assert await harness.store.save([(replace(CLAIM, owner="you"), None)]) == [False]

        assert await harness.store.load([CLAIM.id]) == {CLAIM.id: CLAIM}

    @pytest.mark.parametrize(
        "expected",
        [
            replace(CLAIM, owner="you"),
            replace(CLAIM, fence=2),
            replace(CLAIM, until=CLAIM.until + 1),
            replace(CLAIM, state="SENT"),
            replace(CLAIM, state="DONE", result=b"r"),
        ],
    )
    async def test_a_write_that_expects_another_claim_loses_and_changes_nothing(
        self, harness: Harness, expected: Claim
    ) -> None:
        await harness.store.save([(CLAIM, None)])

        assert await harness.store.save([(DONE, expected)]) == [False]

        assert await harness.store.load([CLAIM.id]) == {CLAIM.id: CLAIM}

    async def test_a_write_that_expects_a_claim_loses_when_there_is_none(self, harness: Harness) -> None:
        assert await harness.store.save([(DONE, CLAIM)]) == [False]

        assert await harness.store.load([CLAIM.id]) == {}

    async def test_of_two_that_take_over_one_claim_one_wins(self, harness: Harness) -> None:
        await harness.store.save([(CLAIM, None)])
        heirs = [replace(CLAIM, owner=f"heir {i}", fence=2) for i in range(5)]

        answers = await asyncio.gather(*(harness.store.save([(heir, CLAIM)]) for heir in heirs))

        assert sorted(answer for (answer,) in answers) == [False] * 4 + [True]
        assert await harness.store.load([CLAIM.id]) == {CLAIM.id: heirs[answers.index([True])]}

    async def test_a_thousand_writes_get_an_answer_each_in_order(self, harness: Harness) -> None:
        claims = [replace(CLAIM, id=f"wfnr_{i}:1") for i in range(1_000)]
        await harness.store.save([(claim, None) for claim in claims[::2]])

        answers = await harness.store.save([(replace(claim, state="SENT"), None) for claim in claims])

        assert answers == [i % 2 == 1 for i in range(1_000)]
        stored = await harness.store.load([claim.id for claim in claims])
        assert [stored[claim.id].state for claim in claims] == ["CLAIMED", "SENT"] * 500

    async def test_a_mebibyte_of_result_comes_back(self, harness: Harness) -> None:
        big = replace(DONE, result=bytes(range(256)) * 4_096)
        await harness.store.save([(big, None)])

        assert await harness.store.load([CLAIM.id]) == {CLAIM.id: big}

    async def test_saving_nothing_is_fine(self, harness: Harness) -> None:
        assert await harness.store.save([]) == []


class DurableClaimStoreSuite(ClaimStoreSuite):
    async def test_claims_outlive_the_process(self, harness: Harness) -> None:
        other = replace(CLAIM, id="wfnr_2:1", state="SENT", fence=7)
        await harness.store.save([(CLAIM, None), (other, None)])
        await harness.store.save([(DONE, CLAIM)])

        await harness.reopen()

        assert await harness.store.load([CLAIM.id, other.id]) == {CLAIM.id: DONE, other.id: other}
        assert await harness.store.save([(CLAIM, None), (replace(other, fence=8), other)]) == [False, True]
