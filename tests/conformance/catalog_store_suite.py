"""What every CatalogStore adapter promises."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from headrace.contracts.entity_change import decode_entity_change
from headrace.contracts.topics import TopicNames
from headrace.core.catalog.change import Author
from headrace.core.catalog.entity import Entity
from headrace.core.catalog.timers import Timers
from headrace.core.json import JsonObject
from headrace.core.times import iso
from headrace.ports.catalog import CatalogStore, StoredBlueprint, StoredEntity
from headrace.ports.log import Message, Record, TopicPartition
from headrace.runtime.catalog import CatalogWriter, WriteOrigin
from headrace.runtime.catalog_sweep import CatalogSweeper
from tests.conformance.harness import StoreHarness
from tests.conformance.samples import START, ManualClock, message
from tests.unit.services.parts import Faulty

Harness = StoreHarness[CatalogStore]
OUT = message("changes", "service/a", b"\x00\xffbytes", type=b"io.headrace.entity.updated")
TOPICS = TopicNames()
ORIGIN = WriteOrigin(Author("ann"))


def blueprint(identifier: str = "service", rev: int = 0, document: JsonObject | None = None) -> StoredBlueprint:
    return StoredBlueprint(
        identifier, document or {"identifier": identifier, "n": rev}, rev, "ann", START, "bob", START
    )


def entity(identifier: str = "a", of: str = "service", **properties: Any) -> Entity:
    return Entity(of, identifier, START, "ann", START + 1, "bob", properties=properties)


def stored(
    identifier: str = "a", rev: int = 0, *outbox: Message, of: str = "service", saved_at: int = START, **timers: int
) -> StoredEntity:
    return StoredEntity(entity(identifier, of, n=rev), rev, outbox, saved_at, Timers(timers))


async def keys(harness: Harness, of: str | None = None, after: str | None = None, limit: int = 100) -> list[str]:
    return [it.entity.key for it in await harness.store.page(of, after, limit)]


class Recorder:
    """A log that takes everything, and lets others run before it does."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.publishes = 0

    async def publish(self, messages: list[Message]) -> None:
        await asyncio.sleep(0)
        self.publishes += 1
        self.messages.extend(messages)

    def events(self, action: str) -> list[tuple[str, str, Message]]:
        """Of each event of that action: our id of it, its entity, and its record."""
        found = []
        for it in self.messages:
            source = TopicPartition(it.topic, 0)
            change = decode_entity_change(Record(source, 0, it.key, it.value, it.headers, START))
            if change.action == action:
                found.append((change.event_id, change.entity, it))
        return found


class Sandbox:
    """The writer and any number of sweepers on one store, with a clock moved by hand."""

    def __init__(self, store: CatalogStore) -> None:
        # lets others run before every call, so that they do get between a look and a save
        self.store: Any = Faulty(store)
        self.clock = ManualClock()
        self.log = Recorder()
        log: Any = self.log
        self.writer = CatalogWriter(self.store, log, self.clock, TOPICS)
        self.sweepers = [CatalogSweeper(self.store, log, self.clock, TOPICS) for _ in range(3)]

    async def prepare(self, *identifiers: str, ttl: int = START + 1_000) -> None:
        """A blueprint with a timer, and entities whose timer is set to `ttl`."""
        schema: JsonObject = {"properties": {"ttl": {"type": "string", "format": "timer"}}}
        await self.store.save_blueprint(blueprint("sandbox", document={"identifier": "sandbox", "schema": schema}))
        for identifier in identifiers:
            await self.set(identifier, ttl)

    async def set(self, identifier: str, ttl: int) -> None:
        document: JsonObject = {"identifier": identifier, "properties": {"ttl": iso(ttl)}}
        await self.writer.write("sandbox", document, "upsert-merge", ORIGIN)


class CatalogStoreSuite:
    @pytest.fixture
    def harness(self) -> AsyncIterator[Harness]:
        raise NotImplementedError("the adapter's test class brings the harness")

    # blueprints

    async def test_blueprints_come_back_by_identifier_and_unknown_ones_do_not(self, harness: Harness) -> None:
        assert await harness.store.blueprints() == []
        assert await harness.store.blueprint("service") is None
        for name in ("team", "domain", "service"):
            assert await harness.store.save_blueprint(blueprint(name))

        assert [it.identifier for it in await harness.store.blueprints()] == ["domain", "service", "team"]
        assert await harness.store.blueprint("service") == blueprint("service")

    @pytest.mark.parametrize(("rev", "wins"), [(0, False), (1, False), (2, True), (3, False)])
    async def test_a_blueprint_is_replaced_by_its_next_revision_only(
        self, harness: Harness, rev: int, wins: bool
    ) -> None:
        await harness.store.save_blueprint(blueprint(rev=0))
        await harness.store.save_blueprint(blueprint(rev=1))

        assert await harness.store.save_blueprint(blueprint(rev=rev)) is wins

        assert await harness.store.blueprint("service") == blueprint(rev=rev if wins else 1)

    async def test_a_later_revision_of_a_blueprint_that_is_not_there_loses(self, harness: Harness) -> None:
        assert await harness.store.save_blueprint(blueprint(rev=1)) is False

    async def test_a_blueprint_is_deleted_at_its_revision_only_and_can_be_made_again(self, harness: Harness) -> None:
        await harness.store.save_blueprint(blueprint())
        assert await harness.store.delete_blueprint("service", 1) is False
        assert await harness.store.delete_blueprint("team", 0) is False
        assert await harness.store.delete_blueprint("service", 0) is True
        assert await harness.store.delete_blueprint("service", 0) is False

        assert await harness.store.blueprints() == []
        assert await harness.store.save_blueprint(blueprint()) is True

    # compare-and-set

    async def test_an_entity_comes_back_as_it_was_saved(self, harness: Harness) -> None:
        whole = Entity(
            "service", "a/b\\c", START, "ann", START + 9, "bob", "Ä", "Icon", ("pay", "ops"),
            {"n": 1.5, "o": {"x": [None, True, "é"]}}, {"domain": "money", "owners": ["x", "y"]},
        )  # fmt: skip
        saved = StoredEntity(whole, 0, (OUT, OUT), START + 7, Timers({"ttl": START + 9}, {"old": START - 5}))

        assert await harness.store.save([saved]) == [True]

        assert await harness.store.load(["service/a/b\\c", "service/none"]) == {"service/a/b\\c": saved}
        assert await harness.store.load([]) == {}

    @pytest.mark.parametrize("rev", [0, 1, 3])
    async def test_a_write_that_does_not_follow_the_stored_revision_loses_and_changes_nothing(
        self, harness: Harness, rev: int
    ) -> None:
        await harness.store.save([stored(rev=0), stored(rev=1)])

        assert await harness.store.save([stored("a", rev, OUT, ttl=START)]) == [False]

        assert await harness.store.load(["service/a"]) == {"service/a": stored(rev=1)}
        assert await harness.store.due(START, 9) == []
        assert await harness.store.unsent(START + 1, 9) == []

    async def test_of_two_writers_of_one_revision_one_wins(self, harness: Harness) -> None:
        await harness.store.save([stored()])

        answers = await asyncio.gather(
            *(harness.store.save([stored("a", 1, ttl=START + i), stored(f"b{i}")]) for i in range(5))
        )

        assert sorted(first for first, _ in answers) == [False] * 4 + [True]
        assert all(second for _, second in answers)
        winner = [first for first, _ in answers].index(True)
        assert (await harness.store.load(["service/a"]))["service/a"].timers == Timers({"ttl": START + winner})

    async def test_saving_nothing_is_fine(self, harness: Harness) -> None:
        assert await harness.store.save([]) == []

    async def test_names_that_look_like_operators_are_only_names(self, harness: Harness) -> None:
        odd = StoredEntity(entity("$where", "$rev", **{"$set": "$$ROOT", "a.b": 1}), 0)
        await harness.store.save([odd])

        assert await harness.store.save([replace(odd, rev=1)]) == [True]
        assert await harness.store.load(["$rev/$where"]) == {"$rev/$where": replace(odd, rev=1)}

    # the outbox

    async def test_marking_sent_empties_the_outbox_of_that_revision_only(self, harness: Harness) -> None:
        await harness.store.save([stored("a", 0, OUT, ttl=START + 5), stored("b", 0, OUT)])

        await harness.store.mark_sent([("service/a", 0), ("service/b", 1), ("service/none", 0)])
        await harness.settle()

        assert (await harness.store.load(["service/a"]))["service/a"] == stored("a", 0, ttl=START + 5)
        assert await harness.store.unsent(START + 1, 9) == [stored("b", 0, OUT)]

    async def test_unsent_entities_come_oldest_first_and_only_those_that_waited(self, harness: Harness) -> None:
        waiting = {"c": 30, "a": 10, "b": 20, "late": 40}
        await harness.store.save([stored(name, 0, OUT, saved_at=START + at) for name, at in waiting.items()])
        await harness.store.save([stored("empty")])

        assert [it.entity.identifier for it in await harness.store.unsent(START + 40, 9)] == ["a", "b", "c"]
        assert [it.entity.identifier for it in await harness.store.unsent(START + 40, 2)] == ["a", "b"]

    async def test_the_events_of_a_deleted_entity_stay_unsent_until_they_are_marked(self, harness: Harness) -> None:
        await harness.store.save([stored()])
        gone = replace(stored("a", 1, OUT), deleted=True)
        await harness.store.save([gone])
        assert await harness.store.unsent(START + 1, 9) == [gone]

        await harness.store.mark_sent([("service/a", 1)])
        await harness.settle()

        assert await harness.store.unsent(START + 1, 9) == []
        assert await harness.store.load(["service/a"]) == {"service/a": replace(gone, outbox=())}
        assert await harness.store.save([stored("a", 2)]) == [True], "who comes after counts on"
        assert await keys(harness) == ["service/a"]

    # timers

    async def test_due_entities_come_earliest_first_and_not_too_early(self, harness: Harness) -> None:
        both = stored("both", ttl=START + 30, ends=START + 10)
        await harness.store.save([stored("one", ttl=START + 20), both, stored("none")])

        assert await harness.store.due(START + 9, 9) == []
        assert await harness.store.due(START + 20, 9) == [both, stored("one", ttl=START + 20)]
        assert await harness.store.due(START + 20, 1) == [both]

    async def test_a_due_entity_is_told_again_until_its_timer_falls_away(self, harness: Harness) -> None:
        await harness.store.save([stored(ttl=START)])
        assert len(await harness.store.due(START, 9)) == len(await harness.store.due(START, 9)) == 1

        await harness.store.save([stored(rev=1, ttl=START + 50)])
        assert await harness.store.due(START + 49, 9) == []
        await harness.store.save([stored(rev=2, ttl=START)])
        assert len(await harness.store.due(START, 9)) == 1
        await harness.store.save([stored(rev=3)])

        assert await harness.store.due(START + 99, 9) == []

    # lists

    async def test_entities_are_listed_in_the_order_of_keys_page_by_page(self, harness: Harness) -> None:
        for of, names in {"service": "cab", "service-old": "x", "a": "z", "serviceX": "y"}.items():
            await harness.store.save([stored(name, of=of) for name in names])
        await harness.store.save([replace(stored("b", 1), deleted=True)])

        assert await keys(harness) == ["a/z", "service-old/x", "service/a", "service/c", "serviceX/y"]
        assert await keys(harness, limit=2) == ["a/z", "service-old/x"]
        assert await keys(harness, after="service-old/x", limit=2) == ["service/a", "service/c"]
        assert await keys(harness, "service") == ["service/a", "service/c"]
        assert await keys(harness, "service", after="service/a") == ["service/c"]
        assert await keys(harness, "service", after="service/b") == ["service/c"], "the place may be gone meanwhile"
        assert await keys(harness, "service", after="zzz") == []
        assert await keys(harness, "none") == []

    # what rests on it

    async def test_of_many_who_sweep_at_once_every_timer_makes_one_event(self, harness: Harness) -> None:
        sandbox = Sandbox(harness.store)
        names = [f"e{i:03}" for i in range(300)]
        await sandbox.prepare(*names)
        sandbox.clock.at = START + 1_000

        fired = await asyncio.gather(*(sweeper.fire() for sweeper in sandbox.sweepers))
        again = await asyncio.gather(*(sweeper.fire() for sweeper in sandbox.sweepers))

        events = sandbox.log.events("TIMER_EXPIRED")
        assert sum(fired) == 300
        assert again == [0, 0, 0]
        assert sorted(name for _, name, _ in events) == names

    async def test_of_many_who_resend_at_once_all_send_the_same_events(self, harness: Harness) -> None:
        sandbox = Sandbox(harness.store)
        await sandbox.prepare("a", "b")
        first = {id_: it for id_, _, it in sandbox.log.events("CREATE")}
        held = await harness.store.load(["sandbox/a", "sandbox/b"])
        lost = [replace(it, rev=it.rev + 1, outbox=(OUT,)) for it in held.values()]
        # as if the process had died between the save and the publish
        for it, (id_, record) in zip(lost, first.items(), strict=True):
            assert id_
            assert await harness.store.save([replace(it, outbox=(record,))]) == [True]
        sandbox.clock.at = START + 15_001

        await asyncio.gather(*(sweeper.resend() for sweeper in sandbox.sweepers))
        await harness.settle()

        events = sandbox.log.events("CREATE")
        assert len(events) > 2
        assert all(first[id_] == record for id_, _, record in events), "a repeated event is the same, byte for byte"
        assert {id_ for id_, _, _ in events} == first.keys()
        assert await harness.store.unsent(sandbox.clock.at + 1, 9) == []

    async def test_writers_of_one_entity_at_once_all_get_their_event_in_order(self, harness: Harness) -> None:
        sandbox = Sandbox(harness.store)
        await sandbox.prepare("a")

        await asyncio.gather(*(sandbox.set("a", START + 5_000 + i) for i in range(8)))

        ids = list(dict.fromkeys(id_ for id_, _, _ in sandbox.log.events("UPDATE")))
        held = (await harness.store.load(["sandbox/a"]))["sandbox/a"]
        assert (len(ids), held.rev) == (8, 8)


class DurableCatalogStoreSuite(CatalogStoreSuite):
    async def test_everything_outlives_the_process(self, harness: Harness) -> None:
        await harness.store.save_blueprint(blueprint())
        await harness.store.save_blueprint(blueprint("gone"))
        await harness.store.delete_blueprint("gone", 0)
        await harness.store.save_blueprint(blueprint(rev=1))
        await harness.store.save([stored("a", 0, OUT, ttl=START + 9), stored("b", 0, OUT), stored("c"), stored("d")])
        await harness.store.mark_sent([("service/b", 0)])
        await harness.store.save([replace(stored("d", 1, OUT), deleted=True)])
        await harness.settle()
        wanted = [f"service/{name}" for name in "abcd"]
        before = await harness.store.load(wanted)

        await harness.reopen()

        assert await harness.store.blueprints() == [blueprint(rev=1)]
        assert await harness.store.load(wanted) == before
        assert await keys(harness) == ["service/a", "service/b", "service/c"]
        assert [it.entity.identifier for it in await harness.store.unsent(START + 1, 9)] == ["a", "d"]
        assert [it.entity.identifier for it in await harness.store.due(START + 9, 9)] == ["a"]
        assert await harness.store.save([stored("e"), stored("a", 1)]) == [True, True]
        assert await harness.store.save_blueprint(blueprint("team"))
