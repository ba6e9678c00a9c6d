"""The catalog's writer and sweeper on ports that fail on demand."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.adapters.embedded import EmbeddedCatalog, EmbeddedLog
from headrace.contracts.entity_change import EntityChange, decode_entity_change
from headrace.contracts.topics import TopicNames
from headrace.core.catalog.change import Author
from headrace.core.json import JsonObject
from headrace.core.run import Causation
from headrace.core.times import iso
from headrace.ports.catalog import StoredBlueprint, StoredEntity
from headrace.ports.errors import AlreadyExistsError, NotFoundError, UnavailableError, VersionConflictError
from headrace.runtime.catalog import CatalogWriter, InvalidEntityError, Mode, WriteOrigin, Written
from headrace.runtime.catalog_sweep import CatalogSweeper
from tests.conformance.samples import START, ManualClock
from tests.unit.services.parts import Faulty

TOPICS = TopicNames()
ANN = WriteOrigin(Author("ann"))
SANDBOX: dict[str, Any] = {
    "identifier": "sandbox",
    "schema": {
        "properties": {"tier": {"type": "string"}, "ttl": {"type": "string", "format": "timer"}},
    },
    "relations": {"parent": {"target": "sandbox"}},
}


class Shop:
    """A catalog with one blueprint, and everything that was published."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store: Any = Faulty(EmbeddedCatalog())
        log = EmbeddedLog(self.clock, partitions=1, retention_records=100_000, retention_bytes=1 << 28)
        self.log: Any = Faulty(log)
        self.writer = CatalogWriter(self.store, self.log, self.clock, TOPICS)
        self.sweeper = CatalogSweeper(self.store, self.log, self.clock, TOPICS)

    async def write(
        self, mode: Mode = "upsert-merge", name: str | None = "a", origin: WriteOrigin = ANN, **document: Any
    ) -> Written:
        given = document if name is None else {"identifier": name, **document}
        return await self.writer.write("sandbox", given, mode, origin)

    async def set_timer(self, at: int, name: str = "a", origin: WriteOrigin = ANN) -> Written:
        return await self.write(name=name, origin=origin, properties={"ttl": iso(at)})

    async def changes(self) -> list[EntityChange]:
        records = await self.log.port.read(TOPICS.entity_changes, 0, limit=100_000)
        return [decode_entity_change(record) for record in records]

    async def actions(self) -> list[str]:
        return [change.action for change in await self.changes()]

    async def held(self, name: str = "a") -> StoredEntity:
        found: dict[str, StoredEntity] = await self.store.port.load([f"sandbox/{name}"])
        return found[f"sandbox/{name}"]


@pytest.fixture
async def shop() -> Shop:
    made = Shop()
    await made.store.port.save_blueprint(StoredBlueprint("sandbox", SANDBOX, 0, "ann", START, "ann", START))
    return made


# writing


async def test_every_write_is_an_event_with_the_entity_before_and_after(shop: Shop) -> None:
    created = await shop.write(properties={"tier": "small"})
    shop.clock.at += 5
    changed = await shop.write(origin=WriteOrigin(Author("bob", "UI", "org_1")), properties={"tier": "large"})
    await shop.writer.delete("sandbox", "a", ANN)

    changes = await shop.changes()
    assert (created.created, created.changed, changed.created, changed.changed) == (True, True, False, True)
    assert [it.action for it in changes] == ["CREATE", "UPDATE", "DELETE"]
    update: Any = changes[1].event
    assert update["trigger"] == {
        "by": {"userId": "bob", "orgId": "org_1"}, "origin": "UI", "at": iso(START + 5),
    }  # fmt: skip
    assert [update["diff"][side]["properties"]["tier"] for side in ("before", "after")] == ["small", "large"]
    assert (update["diff"]["after"]["createdBy"], update["diff"]["after"]["updatedBy"]) == ("ann", "bob")
    assert len({it.event_id for it in changes}) == 3
    assert (await shop.held()).outbox == ()


async def test_a_write_that_changes_nothing_is_no_event_and_no_revision(shop: Shop) -> None:
    await shop.write(properties={"tier": "small", "ttl": iso(START + 50)})
    shop.clock.at += 60
    await shop.sweeper.fire()
    before = await shop.held()

    written = await shop.write(properties={"tier": "small", "ttl": iso(START + 50)})

    assert written.changed is False
    assert await shop.held() == before
    assert await shop.actions() == ["CREATE", "TIMER_EXPIRED"]


async def test_an_entity_made_again_under_an_old_name_makes_new_events(shop: Shop) -> None:
    for _ in range(3):
        await shop.write(properties={"ttl": iso(START)})
        await shop.writer.delete("sandbox", "a", ANN)

    changes = await shop.changes()
    assert len({it.event_id for it in changes}) == len(changes) - 2, "one timer: same instant of birth, same value"
    assert [it.action for it in changes] == ["CREATE", "TIMER_EXPIRED", "DELETE"] * 3


async def test_modes_refuse_what_they_say(shop: Shop) -> None:
    with pytest.raises(NotFoundError, match='entity "a" of blueprint "sandbox"'):
        await shop.write("merge")
    with pytest.raises(NotFoundError):
        await shop.write("replace")
    with pytest.raises(NotFoundError):
        await shop.writer.delete("sandbox", "a", ANN)
    with pytest.raises(NotFoundError, match='no blueprint "none"'):
        await shop.writer.write("none", {"identifier": "a"}, "create", ANN)
    await shop.write("create")
    with pytest.raises(AlreadyExistsError):
        await shop.write("create")
    await shop.write("upsert", title="x")
    assert (await shop.write("replace")).stored.entity.title is None


async def test_an_expected_revision_that_is_past_is_refused(shop: Shop) -> None:
    await shop.write()
    await shop.write(title="x")
    document: JsonObject = {"title": "y"}

    with pytest.raises(VersionConflictError):
        await shop.writer.write("sandbox", document, "merge", ANN, identifier="a", expected_revs=frozenset((0,)))
    with pytest.raises(VersionConflictError):
        await shop.writer.delete("sandbox", "a", ANN, expected_revs=frozenset((0,)))
    await shop.writer.write("sandbox", document, "merge", ANN, identifier="a", expected_revs=frozenset((0, 1)))

    assert (await shop.held()).entity.title == "y"


async def test_everything_wrong_is_said_at_once_and_nothing_is_written(shop: Shop) -> None:
    with pytest.raises(InvalidEntityError) as caught:
        await shop.write(properties={"tier": 1, "x": 1}, relations={"parent": "none"})

    found = [(it.code, it.pointer) for it in caught.value.problems]
    assert found == [
        ("wrong-type", "/properties/tier"), ("unknown-property", "/properties/x"),
        ("unknown-entity", "/relations/parent"),
    ]  # fmt: skip
    assert await shop.changes() == []
    assert await shop.store.port.page(None, None, 9) == []


async def test_relations_lead_to_what_is_there_and_stay_when_it_goes(shop: Shop) -> None:
    await shop.write(name="root", relations={"parent": "root"})
    await shop.write(relations={"parent": "root"})
    await shop.writer.delete("sandbox", "root", ANN)

    await shop.write(title="still there")
    with pytest.raises(InvalidEntityError, match='no entity "root"'):
        await shop.write(name="b", relations={"parent": "root"})

    assert (await shop.held()).entity.relations == {"parent": "root"}


@pytest.mark.parametrize("title", ["\ud800", "a\0b"])
async def test_what_no_reader_would_take_is_refused(shop: Shop, title: str) -> None:
    with pytest.raises(InvalidEntityError, match="could not be read"):
        await shop.write(title=title)

    assert await shop.store.port.page(None, None, 9) == []


async def test_an_entity_whose_event_would_be_too_large_is_refused(shop: Shop) -> None:
    schema: JsonObject = {"properties": {f"p{i}": {"type": "string"} for i in range(6)}}
    wide = StoredBlueprint("sandbox", {"identifier": "sandbox", "schema": schema}, 1, "ann", START, "ann", START)
    await shop.store.port.save_blueprint(wide)
    await shop.write(properties={f"p{i}": "x" * 95_000 for i in range(6)})

    with pytest.raises(InvalidEntityError, match="before and after"):
        await shop.write(title="the event of a change holds it twice")

    await shop.write(properties={"p0": None, "p1": None})
    assert await shop.actions() == ["CREATE", "UPDATE"]


async def test_without_an_identifier_the_default_is_taken_and_without_one_it_is_missed(shop: Shop) -> None:
    written = await shop.writer.write("sandbox", {}, "upsert", ANN, default_identifier="derived")
    assert written.stored.entity.identifier == "derived"
    with pytest.raises(InvalidEntityError, match="no identifier"):
        await shop.write(name=None)


async def test_a_run_that_writes_passes_its_chain_on(shop: Shop) -> None:
    cause = Causation("evt_2", "evt_1", 3, ("first",))
    origin = WriteOrigin(Author("run", "AUTOMATION"), cause, "second")

    await shop.set_timer(START - 1, origin=origin)

    for change in await shop.changes():
        found = change.causation
        assert (found.root_event_id, found.depth, found.chain) == ("evt_1", 4, ("first", "second")), change.action
    assert await shop.actions() == ["CREATE", "TIMER_EXPIRED"]


async def test_two_writers_at_once_both_win_in_turn(shop: Shop) -> None:
    await shop.write()

    async def between() -> None:
        await shop.writer.write("sandbox", {"properties": {"tier": "mine"}}, "merge", ANN, identifier="a")

    shop.store.before["save"] = between
    await shop.write(title="theirs")

    entity = (await shop.held()).entity
    assert (entity.title, entity.properties) == ("theirs", {"tier": "mine"})
    assert await shop.actions() == ["CREATE", "UPDATE", "UPDATE"]


async def test_a_write_stands_when_the_log_is_away_and_its_event_comes_later(
    shop: Shop, logged: list[dict[str, Any]]
) -> None:
    shop.log.fail("publish", 2)
    await shop.write()
    await shop.write(title="x")
    assert await shop.changes() == []
    assert "published later" in logged[0]["event"]

    assert await shop.sweeper.resend() == 0, "it may be on its way still"
    shop.clock.at += 15_001
    assert await shop.sweeper.resend() == 1

    assert await shop.actions() == ["CREATE", "UPDATE"]
    assert (await shop.held()).outbox == ()


async def test_what_an_earlier_write_left_behind_goes_out_before_the_next(shop: Shop) -> None:
    shop.log.fail("publish", after=True)
    await shop.write()
    await shop.write(title="x")

    changes = await shop.changes()
    assert [it.action for it in changes] == ["CREATE", "CREATE", "UPDATE"]
    assert changes[0].event_id == changes[1].event_id


async def test_an_entity_gathers_so_many_events_and_no_more_while_the_log_is_away(shop: Shop) -> None:
    shop.log.fail("publish", 1_000)
    for i in range(50):
        await shop.write(title=str(i))
    with pytest.raises(UnavailableError, match="50 events"):
        await shop.write(title="too much")
    with pytest.raises(UnavailableError, match="50 events"):
        await shop.writer.delete("sandbox", "a", ANN)


async def test_a_save_whose_answer_was_lost_may_be_repeated(shop: Shop) -> None:
    shop.store.fail("save", after=True)
    with pytest.raises(UnavailableError):
        await shop.write(title="x")

    assert (await shop.write(title="x")).changed is False
    shop.clock.at += 15_001
    await shop.sweeper.resend()

    assert await shop.actions() == ["CREATE"]


# timers


async def test_a_timer_fires_when_it_is_due_once_and_again_for_another_value(shop: Shop) -> None:
    await shop.set_timer(START + 1_000)
    assert await shop.sweeper.fire() == 0
    shop.clock.at += 1_000
    assert await shop.sweeper.fire() == 1
    assert await shop.sweeper.fire() == 0
    await shop.write(title="something else")
    await shop.set_timer(START + 1_000)
    assert await shop.sweeper.fire() == 0
    await shop.set_timer(START + 2_000)
    shop.clock.at += 1_000
    assert await shop.sweeper.fire() == 1

    fired = [it for it in await shop.changes() if it.action == "TIMER_EXPIRED"]
    assert len({it.event_id for it in fired}) == 2
    event: Any = fired[0].event
    assert fired[0].property == "ttl"
    assert event["diff"]["after"]["properties"] == {"ttl": iso(START + 1_000)}
    assert event["trigger"] == {"by": {"byPort": True}, "origin": "API", "at": iso(START + 1_000)}
    assert fired[0].causation.depth == 0, "time is the cause, whoever set the timer"


async def test_a_value_that_is_past_fires_at_once_and_after_the_change(shop: Shop) -> None:
    await shop.set_timer(START - 5)

    assert await shop.actions() == ["CREATE", "TIMER_EXPIRED"]
    assert await shop.sweeper.fire() == 0


async def test_a_timer_that_was_taken_away_or_deleted_never_fires(shop: Shop) -> None:
    await shop.set_timer(START + 5)
    await shop.set_timer(START + 5, "b")
    await shop.write(properties={"ttl": None})
    await shop.writer.delete("sandbox", "b", ANN)
    shop.clock.at += 10

    assert await shop.sweeper.fire() == 0


async def test_a_timer_that_is_set_anew_while_it_fires_fires_for_one_value_at_a_time(shop: Shop) -> None:
    await shop.set_timer(START + 5)
    shop.clock.at += 5

    async def between() -> None:
        await shop.writer.write("sandbox", {"properties": {"ttl": iso(START + 9)}}, "merge", ANN, identifier="a")

    shop.store.before["save"] = between
    assert await shop.sweeper.fire() == 0, "the write was first: the old value is gone"
    shop.clock.at += 5
    assert await shop.sweeper.fire() == 1

    assert await shop.actions() == ["CREATE", "UPDATE", "TIMER_EXPIRED"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("verb", ["due", "save", "publish", "mark_sent"])
async def test_a_timer_is_one_event_whatever_fails_while_it_fires(shop: Shop, verb: str, after: bool) -> None:
    await shop.set_timer(START + 5)
    shop.clock.at += 5
    (shop.log if verb == "publish" else shop.store).fail(verb, after=after)
    with pytest.raises(UnavailableError):
        await shop.sweeper.fire()

    await shop.sweeper.fire()
    shop.clock.at += 15_001
    await shop.sweeper.resend()
    await shop.sweeper.fire()

    fired = [it.event_id for it in await shop.changes() if it.action == "TIMER_EXPIRED"]
    assert 1 <= len(fired) <= 2
    assert len(set(fired)) == 1
    assert (await shop.held()).outbox == ()


async def test_ten_thousand_timers_of_one_second_cost_a_few_calls(shop: Shop) -> None:
    for i in range(10_000):
        await shop.set_timer(START + 1_000 + i % 1_000, f"e{i}")
    shop.clock.at += 2_000
    shop.store.calls.clear()
    shop.log.calls.clear()

    assert await shop.sweeper.fire() == 10_000

    batches = 10_000 // 500
    assert dict(shop.store.calls) == {"due": batches + 1, "save": batches, "mark_sent": batches}
    assert dict(shop.log.calls) == {"publish": batches}
    fired = [it for it in await shop.changes() if it.action == "TIMER_EXPIRED"]
    assert len({it.event_id for it in fired}) == len(fired) == 10_000


async def test_events_are_what_the_trigger_reads(shop: Shop) -> None:
    written = await shop.write(name="x/y:z")

    (change,) = await shop.changes()
    assert (change.blueprint, change.entity, change.source) == ("sandbox", "x/y:z", "urn:headrace:catalog")
    records = await shop.log.port.read(TOPICS.entity_changes, 0)
    assert records[0].key == "sandbox/x/y:z" == written.stored.entity.key
