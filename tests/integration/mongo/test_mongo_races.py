"""Writers that race: one wins each round, and no change is lost."""

import asyncio
from dataclasses import replace

from headrace.adapters.mongo import MongoClaimStore, MongoDatabase, MongoDefinitionStore, MongoRunStore
from headrace.ports.errors import AlreadyExistsError
from headrace.ports.stores import Claim, WorkflowVersion
from tests.conformance.samples import START, ManualClock, make_run, write

ROUNDS = 200


async def test_two_writers_lose_no_update(mongodb_uri: str, database: MongoDatabase) -> None:
    """Each adds one to a number in the run until both together did so 200 times; a lost update would be missed."""
    await MongoRunStore(database).save([write(make_run("r1"))])
    wins = {"ann": 0, "bob": 0}
    losses = 0

    async def count(name: str) -> None:
        nonlocal losses
        mine = MongoDatabase(database.settings)
        store = MongoRunStore(mine)
        while True:
            stored = (await store.load(["r1"]))["r1"]
            if stored.run.seq >= ROUNDS:
                break
            run = replace(stored.run, seq=stored.run.seq + 1)
            if await store.save([write(run, stored.rev + 1)]) == [True]:
                wins[name] += 1
            else:
                losses += 1
        await mine.close()

    await asyncio.gather(count("ann"), count("bob"))

    stored = (await MongoRunStore(database).load(["r1"]))["r1"]
    assert sum(wins.values()) + 1 == stored.run.seq == ROUNDS
    assert stored.rev == sum(wins.values())
    assert losses > 0


async def test_of_many_who_create_one_workflow_one_wins(database: MongoDatabase) -> None:
    stores = [MongoDefinitionStore(database) for _ in range(8)]

    results = await asyncio.gather(
        *(store.create("deploy", {"by": i}, f"user{i}", START) for i, store in enumerate(stores)),
        return_exceptions=True,
    )

    winners = [result for result in results if isinstance(result, WorkflowVersion)]
    assert len(winners) == 1
    assert sum(isinstance(result, AlreadyExistsError) for result in results) == 7
    assert await stores[0].versions("deploy") == winners


async def test_updates_that_expect_nothing_all_become_versions_of_their_own(database: MongoDatabase) -> None:
    store = MongoDefinitionStore(database)
    await store.create("deploy", {"by": 0}, "ann", START)

    updated = await asyncio.gather(*(store.update("deploy", {"by": i}, "bob", START) for i in range(1, 7)))

    versions = await store.versions("deploy")
    assert [version.version for version in versions] == [7, 6, 5, 4, 3, 2, 1]
    assert sorted(updated, key=lambda version: -version.version) == versions[:-1]


async def test_a_deletion_between_an_update_s_reading_and_writing_is_not_lost(database: MongoDatabase) -> None:
    """Either the update came first and its version is deleted, or the deletion and there is nothing to update."""
    for i in range(20):
        store = MongoDefinitionStore(database)
        await store.create(f"w{i}", {"n": 1}, "ann", START)

        updated, deleted = await asyncio.gather(
            store.update(f"w{i}", {"n": 2}, "bob", START), store.delete(f"w{i}", "cid", START), return_exceptions=True
        )

        assert isinstance(deleted, WorkflowVersion)
        latest = await store.latest(f"w{i}")
        assert latest is not None
        assert latest == deleted
        assert latest.deleted
        assert latest.version == (2 if isinstance(updated, WorkflowVersion) else 1)


async def test_who_sees_a_new_revision_sees_the_change(database: MongoDatabase) -> None:
    writer, reader = MongoDefinitionStore(database), MongoDefinitionStore(database)
    await writer.create("deploy", {"n": 0}, "ann", START)
    done = False

    async def change() -> None:
        nonlocal done
        for i in range(40):
            await writer.update("deploy", {"n": i}, "ann", START)
        done = True

    changing = asyncio.create_task(change())
    seen = 0
    while not done:
        revision = await reader.revision()
        latest = await reader.latest("deploy")
        assert latest is not None
        assert latest.version >= revision
        seen += 1
    await changing

    assert seen > 40
    assert await reader.revision() == 41


async def test_of_many_claims_that_are_taken_over_at_once_each_has_one_new_owner(database: MongoDatabase) -> None:
    store = MongoClaimStore(database, ManualClock())
    old = [Claim(f"c{i}:1", "nobody", 1, START, "CLAIMED") for i in range(100)]
    assert all(await store.save([(claim, None) for claim in old]))

    async def take_over(name: str) -> list[bool]:
        return await store.save([(replace(claim, owner=name, fence=2), claim) for claim in old])

    answers = await asyncio.gather(*(take_over(f"owner{n}") for n in range(4)))

    held = await store.load([claim.id for claim in old])
    for i, claim in enumerate(old):
        winners = [n for n in range(4) if answers[n][i]]
        assert [held[claim.id].owner] == [f"owner{n}" for n in winners]
