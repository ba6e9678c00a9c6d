"""What every ClaimStore adapter promises."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Literal

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

    async def test_writes_of_one_claim_in_one_batch_follow_each_other(self, harness: Harness) -> None:
        rival = replace(CLAIM, owner="you")
        writes = [(CLAIM, None), (rival, None), (DONE, CLAIM), (rival, CLAIM)]

        assert await harness.store.save(writes) == [True, False, True, False]

        assert await harness.store.load([CLAIM.id]) == {CLAIM.id: DONE}

    async def test_names_that_look_like_operators_are_only_names(self, harness: Harness) -> None:
        odd = replace(CLAIM, id="$state", owner="$owner")
        heir = replace(odd, owner="$$ROOT", fence=2)

        assert await harness.store.save([(odd, None)]) == [True]
        assert await harness.store.save([(heir, replace(odd, owner="$$ROOT"))]) == [False]
        assert await harness.store.save([(heir, odd)]) == [True]
        await harness.store.record([replace(heir, owner="$owner"), replace(odd, id="$new")])
        await harness.store.record([replace(heir, until=START)])

        assert await harness.store.load(["$state", "$new"]) == {
            "$state": replace(heir, until=START),
            "$new": replace(odd, id="$new"),
        }

    async def test_a_mebibyte_of_result_comes_back(self, harness: Harness) -> None:
        big = replace(DONE, result=bytes(range(256)) * 4_096)
        await harness.store.save([(big, None)])

        assert await harness.store.load([CLAIM.id]) == {CLAIM.id: big}

    async def test_saving_nothing_is_fine(self, harness: Harness) -> None:
        assert await harness.store.save([]) == []

    async def test_a_result_is_recorded_where_there_is_no_claim(self, harness: Harness) -> None:
        await harness.store.record([DONE])

        assert await harness.store.load([CLAIM.id]) == {CLAIM.id: DONE}

    @pytest.mark.parametrize("state", ["CLAIMED", "SENT"])
    @pytest.mark.parametrize("owner", ["me", "you"])
    @pytest.mark.parametrize("until", [START - 1, START + 120_000])
    async def test_a_result_is_recorded_over_whatever_claim_there_is(
        self, harness: Harness, state: Literal["CLAIMED", "SENT"], owner: str, until: int
    ) -> None:
        await harness.store.save([(replace(CLAIM, state=state, owner=owner, until=until, fence=7), None)])

        await harness.store.record([DONE])

        assert await harness.store.load([CLAIM.id]) == {CLAIM.id: DONE}

    async def test_of_two_results_the_first_stays(self, harness: Harness) -> None:
        await harness.store.record([DONE])

        await harness.store.record([replace(DONE, owner="you", fence=2, result=b"another")])

        assert await harness.store.load([CLAIM.id]) == {CLAIM.id: DONE}

    async def test_of_results_that_are_recorded_at_once_one_stays(self, harness: Harness) -> None:
        results = [replace(DONE, owner=f"owner {i}", result=bytes([i])) for i in range(5)]

        await asyncio.gather(*(harness.store.record([result]) for result in results))

        first = (await harness.store.load([CLAIM.id]))[CLAIM.id]
        assert first in results
        await harness.store.record(results[:1])
        assert await harness.store.load([CLAIM.id]) == {CLAIM.id: first}

    async def test_a_lease_is_recorded_where_there_is_none_and_renewed_by_its_owner(self, harness: Harness) -> None:
        await harness.store.record([CLAIM])
        assert await harness.store.load([CLAIM.id]) == {CLAIM.id: CLAIM}

        renewed = replace(CLAIM, until=CLAIM.until + 60_000)
        await harness.store.record([renewed])
        assert await harness.store.load([CLAIM.id]) == {CLAIM.id: renewed}

    @pytest.mark.parametrize("until", [START - 1, START + 120_000])
    async def test_a_lease_is_never_recorded_over_the_claim_of_another_owner(
        self, harness: Harness, until: int
    ) -> None:
        theirs = replace(CLAIM, owner="you", fence=2, until=until)
        await harness.store.save([(theirs, None)])

        await harness.store.record([CLAIM])

        assert await harness.store.load([CLAIM.id]) == {CLAIM.id: theirs}

    async def test_a_lease_that_arrives_after_the_result_changes_nothing(self, harness: Harness) -> None:
        await harness.store.record([DONE])

        await harness.store.record([replace(CLAIM, until=CLAIM.until + 60_000)])

        assert await harness.store.load([CLAIM.id]) == {CLAIM.id: DONE}

    async def test_who_takes_over_finds_out_about_a_result_that_was_recorded_meanwhile(self, harness: Harness) -> None:
        await harness.store.save([(CLAIM, None)])
        theirs = replace(CLAIM, owner="you", fence=2)
        await harness.store.record([DONE])

        assert await harness.store.save([(theirs, CLAIM)]) == [False]
        assert await harness.store.save([(theirs, None)]) == [False]

        assert await harness.store.load([CLAIM.id]) == {CLAIM.id: DONE}

    async def test_a_thousand_records_each_find_their_own_answer(self, harness: Harness) -> None:
        """Results and leases, new, known, and of others, in one call."""
        claims = [replace(CLAIM, id=f"wfnr_{i}:1") for i in range(1_000)]
        theirs = {claim.id: replace(claim, owner="you") for claim in claims[::3]}
        await harness.store.save([(claim, None) for claim in theirs.values()])
        given = [replace(claim, state="DONE", result=claim.id.encode()) for claim in claims[:500]] + claims[500:]

        await harness.store.record(given)

        expected = {claim.id: claim for claim in given}
        expected |= {claim.id: theirs[claim.id] for claim in given[500:] if claim.id in theirs}
        assert await harness.store.load([claim.id for claim in claims]) == expected
        await harness.store.record(given)
        assert await harness.store.load([claim.id for claim in claims]) == expected

    async def test_a_mebibyte_of_result_can_be_recorded(self, harness: Harness) -> None:
        big = replace(DONE, result=bytes(range(256)) * 4_096)
        await harness.store.record([big])

        assert await harness.store.load([CLAIM.id]) == {CLAIM.id: big}

    async def test_recording_nothing_is_fine(self, harness: Harness) -> None:
        await harness.store.record([])


class DurableClaimStoreSuite(ClaimStoreSuite):
    async def test_claims_outlive_the_process(self, harness: Harness) -> None:
        other = replace(CLAIM, id="wfnr_2:1", state="SENT", fence=7)
        await harness.store.save([(CLAIM, None), (other, None)])
        await harness.store.save([(DONE, CLAIM)])

        await harness.reopen()

        assert await harness.store.load([CLAIM.id, other.id]) == {CLAIM.id: DONE, other.id: other}
        assert await harness.store.save([(CLAIM, None), (replace(other, fence=8), other)]) == [False, True]

    async def test_recorded_results_outlive_the_process(self, harness: Harness) -> None:
        lease = replace(CLAIM, id="wfnr_2:1")
        await harness.store.record([DONE, lease])

        await harness.reopen()

        assert await harness.store.load([DONE.id, lease.id]) == {DONE.id: DONE, lease.id: lease}
        await harness.store.record([replace(lease, state="DONE", result=b"r"), replace(DONE, result=b"late")])
        assert (await harness.store.load([DONE.id]))[DONE.id] == DONE
