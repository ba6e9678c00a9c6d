"""What every ScheduleStore adapter promises."""

import asyncio
from dataclasses import replace

from headrace.ports.schedules import ScheduleStore, StoredSchedule
from tests.conformance.harness import StoreHarness
from tests.conformance.samples import START

Harness = StoreHarness[ScheduleStore]


def schedule(
    workflow: str = "nightly", trigger: str = "every night", rev: int = 0, due_at: int | None = START
) -> StoredSchedule:
    return StoredSchedule(workflow, trigger.replace(" ", "-"), rev, 3, "0 3 * * * Europe/Berlin", due_at)


class ScheduleStoreSuite:
    async def test_what_was_saved_is_loaded_as_it_was(self, harness: Harness) -> None:
        one, other = schedule(), schedule("Täglich:1", "@t_", due_at=None)

        assert await harness.store.save([one, other]) == [True, True]

        loaded = await harness.store.load([one.key, other.key, ("nobody", "t")])
        assert loaded == {one.key: one, other.key: other}
        assert await harness.store.load([]) == {}

    async def test_a_save_wins_only_over_the_revision_before_it(self, harness: Harness) -> None:
        first = schedule()
        second = replace(first, rev=1, version=4, due_at=START + 1)

        assert await harness.store.save([second]) == [False]
        assert await harness.store.save([first]) == [True]
        assert await harness.store.save([replace(first, due_at=None)]) == [False]
        assert await harness.store.save([replace(second, rev=2)]) == [False]
        assert await harness.store.save([second]) == [True]
        assert await harness.store.load([first.key]) == {first.key: second}

    async def test_of_writers_at_the_same_time_one_wins(self, harness: Harness) -> None:
        await harness.store.save([schedule()])
        writes = [replace(schedule(rev=1), version=number) for number in range(10, 18)]

        answers = await asyncio.gather(*(harness.store.save([write]) for write in writes))

        assert sorted(answer[0] for answer in answers) == [False] * 7 + [True]
        (kept,) = (await harness.store.load([schedule().key])).values()
        assert kept == writes[answers.index([True])]

    async def test_what_is_due_comes_earliest_first_until_it_moves_on(self, harness: Harness) -> None:
        late, early, later, never = (
            schedule(name, due_at=at) for name, at in (("a", START), ("b", START - 1), ("c", START + 1), ("d", None))
        )
        await harness.store.save([late, early, later, never])

        assert await harness.store.due(START, 10) == [early, late]
        assert await harness.store.due(START, 1) == [early]
        assert await harness.store.due(START, 0) == []
        await harness.store.save([replace(early, rev=1, due_at=START + 5), replace(late, rev=1, due_at=None)])
        assert await harness.store.due(START, 10) == []

    async def test_it_is_deleted_in_the_revision_that_was_seen_only(self, harness: Harness) -> None:
        one = schedule()
        await harness.store.save([one, schedule("other", due_at=START - 5)])

        assert not await harness.store.delete(one.key, 1)
        assert await harness.store.delete(one.key, 0)
        assert not await harness.store.delete(one.key, 0)
        assert await harness.store.load([one.key]) == {}
        assert [it.workflow for it in await harness.store.due(START, 10)] == ["other"]
        assert await harness.store.save([one]) == [True]


class DurableScheduleStoreSuite(ScheduleStoreSuite):
    async def test_schedules_outlive_the_store(self, harness: Harness) -> None:
        one, gone = schedule(), schedule("gone")
        await harness.store.save([one, gone])
        moved = replace(one, rev=1, due_at=START + 9)
        await harness.store.save([moved])
        await harness.store.delete(gone.key, 0)

        await harness.reopen()

        assert await harness.store.load([one.key, gone.key]) == {one.key: moved}
        assert await harness.store.due(START + 9, 10) == [moved]
