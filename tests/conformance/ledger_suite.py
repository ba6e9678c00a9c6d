"""What every LedgerStore adapter promises."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from headrace.core.json import Json
from headrace.ports.stores import LedgerEntry, LedgerStore, TriggerVerdict
from tests.conformance.harness import StoreHarness
from tests.conformance.samples import START, entry

Harness = StoreHarness[LedgerStore]
MATCHED = TriggerVerdict("deploy", 3, "on-change", "matched", "all conditions hold", "wfr_1", {"seen": [1, None, "é"]})
FILTERED = TriggerVerdict(
    "scale", 1, "on-change", "filtered", "a condition is false", detail=[{"clause": ".a", "saw": 1.5}]
)


def numbered(count: int) -> list[LedgerEntry]:
    return [entry(f"ev{i}", at=START + i, entity=f"shop-{i % 3}") for i in range(count)]


def events(entries: list[LedgerEntry]) -> list[str]:
    return [entry.event_id for entry in entries]


class LedgerSuite:
    @pytest.fixture
    def harness(self) -> AsyncIterator[Harness]:
        raise NotImplementedError("the adapter's test class brings the harness")

    async def test_an_entry_comes_back_as_it_was_recorded(self, harness: Harness) -> None:
        recorded = entry("ev1", MATCHED, FILTERED, event=b'{"any": "\xff bytes"}\x00')
        await harness.store.record([recorded, entry("ev2")])

        assert await harness.store.find("ev1") == recorded
        assert await harness.store.find("ev2") == entry("ev2")
        assert await harness.store.find("ev3") is None

    @pytest.mark.parametrize("detail", [None, 0, "", [], {}, 2**70, {"deep": [[[{"x": -0.5}]]]}])
    async def test_every_detail_comes_back_as_it_was(self, harness: Harness, detail: Json) -> None:
        recorded = entry("ev1", replace(MATCHED, detail=detail))
        await harness.store.record([recorded])

        assert await harness.store.find("ev1") == recorded

    async def test_an_entry_of_the_same_event_replaces_the_first(self, harness: Harness) -> None:
        await harness.store.record([entry("ev1", MATCHED), entry("ev2")])
        again = entry("ev1", FILTERED, event=b"[]")

        await harness.store.record([again])

        assert await harness.store.find("ev1") == again
        assert len(await harness.store.query()) == 2
        assert await harness.store.query(workflow="deploy") == []
        assert await harness.store.query(workflow="scale") == [again]

    async def test_an_event_twice_in_one_batch_leaves_its_last_entry(self, harness: Harness) -> None:
        await harness.store.record([entry("ev1", MATCHED), entry("ev1", FILTERED)])

        assert await harness.store.query() == [entry("ev1", FILTERED)]

    async def test_queries_list_the_newest_first_up_to_the_limit(self, harness: Harness) -> None:
        entries = numbered(10)
        await harness.store.record(entries[:5])
        await harness.store.record(entries[5:])

        assert await harness.store.query() == entries[::-1]
        assert await harness.store.query(limit=3) == entries[:-4:-1]

    async def test_queries_select_by_blueprint_and_entity(self, harness: Harness) -> None:
        await harness.store.record([*numbered(9), entry("other", blueprint="team", entity="shop-1", at=START + 99)])

        assert events(await harness.store.query(blueprint="service", entity="shop-1")) == ["ev7", "ev4", "ev1"]
        assert events(await harness.store.query(blueprint="team")) == ["other"]
        assert events(await harness.store.query(entity="shop-1")) == ["other", "ev7", "ev4", "ev1"]
        assert events(await harness.store.query(blueprint="service", entity="shop-1", limit=2)) == ["ev7", "ev4"]
        assert await harness.store.query(blueprint="service", entity="none") == []
        assert await harness.store.query(blueprint="none") == []

    async def test_queries_select_the_entries_that_name_a_workflow(self, harness: Harness) -> None:
        await harness.store.record(
            [
                entry("ev1", MATCHED, FILTERED, at=START),
                entry("ev2", FILTERED, at=START + 1),
                entry("ev3", at=START + 2),
                entry("ev4", MATCHED, MATCHED, at=START + 3, entity="other"),
            ]
        )

        assert events(await harness.store.query(workflow="deploy")) == ["ev4", "ev1"]
        assert events(await harness.store.query(workflow="scale")) == ["ev2", "ev1"]
        assert events(await harness.store.query(workflow="deploy", blueprint="service", entity="shop")) == ["ev1"]
        assert await harness.store.query(workflow="none") == []

    async def test_a_batch_of_a_thousand_is_kept(self, harness: Harness) -> None:
        await harness.store.record(numbered(1_000))

        assert len(await harness.store.query(limit=2_000)) == 1_000

    async def test_a_mebibyte_of_event_comes_back(self, harness: Harness) -> None:
        big = entry("$event", MATCHED, event=bytes(range(256)) * 4_096, entity="$entity")

        await harness.store.record([entry("ev1"), big])
        await harness.store.record([big])

        assert await harness.store.query(entity="$entity") == [big]

    async def test_recording_nothing_is_fine(self, harness: Harness) -> None:
        await harness.store.record([])


class DurableLedgerSuite(LedgerSuite):
    async def test_entries_outlive_the_process(self, harness: Harness) -> None:
        recorded = [entry("ev1", MATCHED, FILTERED, event=b"\x00\xff"), *numbered(5)[2:]]
        await harness.store.record(recorded)

        await harness.reopen()

        assert await harness.store.query() == recorded[::-1]
        assert await harness.store.find("ev1") == recorded[0]
        assert await harness.store.query(workflow="scale") == [recorded[0]]
        assert events(await harness.store.query(blueprint="service", entity="shop-0")) == ["ev3"]
        await harness.store.record([entry("ev9", at=START + 9), entry("ev1")])
        await harness.reopen()
        assert events(await harness.store.query()) == ["ev9", "ev4", "ev3", "ev2", "ev1"]
        assert await harness.store.query(workflow="scale") == []
