"""When the outcome of a write is unknown, it is read; no error is ever taken as an answer."""

import asyncio
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from pymongo import MongoClient

from headrace.adapters.mongo import (
    MongoClaimStore,
    MongoDatabase,
    MongoDefinitionStore,
    MongoLedger,
    MongoRunStore,
    create_indexes,
)
from headrace.ports.errors import UnavailableError
from headrace.ports.stores import Claim, StoredRun
from tests.conformance.samples import START, ManualClock, called, calling, entry, make_run, message, write
from tests.integration.mongo.cutting_proxy import CuttingProxy
from tests.integration.mongo.databases import lasting
from tools.servers import Mongo

# one worker, and so one private server
pytestmark = pytest.mark.xdist_group("servers")

WRITES = ["insert", "update"]
OUT = message("requests", "call", b"a message")

NOT_CONFIRMED = {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}
STEPPED_DOWN_AFTER = {"writeConcernError": {"code": 189, "errmsg": "stepped down"}}
NOT_PRIMARY = {"errorCode": 10107}
CLOSED_BEFORE = {"closeConnection": True}
DISK_FULL = {"errorCode": 14031}


@contextmanager
def failing(mongo: Mongo, failure: dict[str, Any], times: int | None, commands: list[str] = WRITES) -> Iterator[None]:
    """The next commands of the stores fail in that way; None: all of them."""
    mode: Any = "alwaysOn" if times is None else {"times": times}
    data = {"failCommands": commands, "appName": "headrace", **failure}
    with MongoClient[dict[str, Any]](mongo.uri) as client:
        client.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)
        try:
            yield
        finally:
            client.admin.command("configureFailPoint", "failCommand", mode="off")


async def answers_are_true(store: MongoRunStore, writes: list[StoredRun], answers: list[bool]) -> None:
    stored = await store.load([write.run.id for write in writes])
    assert answers == [stored.get(write.run.id) == write for write in writes]


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("failure", [NOT_CONFIRMED, STEPPED_DOWN_AFTER, NOT_PRIMARY, CLOSED_BEFORE], ids=str)
async def test_every_answer_is_what_the_store_holds_after_a_failure(
    private_mongo: Mongo, fragile: MongoDatabase, failure: dict[str, Any], times: int
) -> None:
    """New runs, updates that win, and updates that lose, in one batch that fails underway."""
    store = MongoRunStore(fragile)
    runs = [make_run(f"r{i}", at=START + i) for i in range(12)]
    assert all(await store.save([write(run) for run in runs[:8]]))
    assert all(await store.save([write(run, 1) for run in runs[6:8]]))
    writes = [
        *(write(calling(run), 1, OUT, saved_at=START + 1) for run in runs[:8]),
        *(write(run, 0, OUT, saved_at=START + 1) for run in runs[8:]),
    ]

    with failing(private_mongo, failure, times):
        answers = await store.save(writes)

    assert answers == [True] * 6 + [False] * 2 + [True] * 4
    await answers_are_true(store, writes, answers)


@pytest.mark.parametrize("failure", [NOT_PRIMARY, CLOSED_BEFORE, DISK_FULL], ids=str)
async def test_a_failure_that_lasts_is_told_and_the_batch_can_be_given_again(
    private_mongo: Mongo, fragile: MongoDatabase, failure: dict[str, Any]
) -> None:
    store = MongoRunStore(fragile)
    writes = [write(make_run("r1", by="secret-user"), 0, OUT), write(make_run("r2"), 0)]

    with failing(private_mongo, failure, None), pytest.raises(UnavailableError) as raised:
        await store.save(writes)

    assert await store.load(["r1", "r2"]) == {}
    assert await store.save(writes) == [True, True]
    told = "".join(traceback.format_exception(raised.value))
    assert "secret-user" not in told
    assert "a message" not in told
    if failure is DISK_FULL:
        assert "OutOfDiskSpace" in str(raised.value)


async def test_when_the_outcome_cannot_be_read_either_it_is_unknown(
    private_mongo: Mongo, fragile: MongoDatabase
) -> None:
    store = MongoRunStore(fragile)
    stored = write(make_run("r1"), 0, OUT)

    with (
        failing(private_mongo, CLOSED_BEFORE, None, ["insert", "update", "find", "ping"]),
        pytest.raises(UnavailableError),
    ):
        await store.save([stored])

    assert await store.save([stored]) == [True]


@pytest.mark.parametrize("times", [1, 2])
async def test_a_write_whose_reply_is_lost_is_found_to_be_done(private_mongo: Mongo, times: int) -> None:
    """Once, the driver repeats the write by itself; twice, it gives up and the store is asked."""
    async with CuttingProxy(private_mongo.port) as proxy:
        database = MongoDatabase(lasting(proxy.uri))
        await create_indexes(database)
        store = MongoRunStore(database)
        claims = MongoClaimStore(database, ManualClock())
        run = calling(make_run("r1"))
        claim = Claim("wfnr_1:1", "me", 1, START, "CLAIMED")
        done = replace(claim, state="DONE", result=b"r")

        proxy.cut("insert", times)
        assert await store.save([write(run, 0, OUT), write(make_run("r2"))]) == [True, True]
        proxy.cut("update", times)
        assert await store.save([write(called(run), 1), write(make_run("r2"), 2)]) == [True, False]
        proxy.cut("insert", times)
        assert await claims.save([(claim, None)]) == [True]
        proxy.cut("update", times)
        assert await claims.save([(done, claim)]) == [True]
        proxy.cut("insert", times)
        await claims.record([replace(done, id="wfnr_2:1"), done])

        assert proxy.cuts == 5 * times
        assert (await store.load(["r1"]))["r1"] == write(called(run), 1)
        assert await claims.load(["wfnr_1:1", "wfnr_2:1"]) == {
            "wfnr_1:1": done,
            "wfnr_2:1": replace(done, id="wfnr_2:1"),
        }
        await database.client.drop_database(database.name)
        await database.close()


async def test_a_write_that_no_majority_confirms_is_neither_done_nor_lost(
    private_mongo: Mongo, fragile: MongoDatabase
) -> None:
    """The primary has it, and could still lose it: nobody may see it, and whether it lasts is unknown."""
    store = MongoRunStore(fragile)
    run = make_run("r1")
    await store.save([write(run)])

    with MongoClient[dict[str, Any]](private_mongo.uri) as client:
        client.admin.command("configureFailPoint", "disableSnapshotting", mode="alwaysOn")
        try:
            with pytest.raises(UnavailableError, match="could not tell what became of 2 runs"):
                await store.save([write(calling(run), 1, OUT), write(make_run("r2"))])
            unconfirmed = await store.load(["r1", "r2"])
        finally:
            client.admin.command("configureFailPoint", "disableSnapshotting", mode="off")

    assert unconfirmed == {"r1": write(run)}
    assert await store.save([write(calling(run), 1, OUT), write(make_run("r2"))]) == [False, False]
    assert await store.load(["r1", "r2"]) == {"r1": write(calling(run), 1, OUT), "r2": write(make_run("r2"))}


async def test_a_write_that_is_done_after_we_gave_it_up_does_no_harm(
    private_mongo: Mongo, fragile: MongoDatabase
) -> None:
    """The server holds the first command back for longer than the client waits; the second attempt is faster."""
    store = MongoRunStore(fragile)
    run = make_run("r1")
    await store.save([write(run)])
    held_back = {"blockConnection": True, "blockTimeMS": 2_500}

    with failing(private_mongo, held_back, 1):
        answers = await store.save([write(calling(run), 1, OUT)])
    await asyncio.sleep(2)

    assert answers == [True]
    assert await store.load(["r1"]) == {"r1": write(calling(run), 1, OUT)}
    assert await store.save([write(called(calling(run)), 2)]) == [True]


@pytest.mark.parametrize("failure", [NOT_CONFIRMED, STEPPED_DOWN_AFTER, NOT_PRIMARY, CLOSED_BEFORE], ids=str)
async def test_claims_are_answered_by_what_is_stored_too(
    private_mongo: Mongo, fragile: MongoDatabase, failure: dict[str, Any]
) -> None:
    store = MongoClaimStore(fragile, ManualClock())
    old = [Claim(f"old{i}:1", "me", 1, START, "CLAIMED") for i in range(4)]
    assert all(await store.save([(claim, None) for claim in old]))
    heirs = [replace(claim, owner="you", fence=2) for claim in old]
    new = [replace(claim, id=f"new{i}:1") for i, claim in enumerate(old)]
    lost = replace(old[3], owner="he")

    with failing(private_mongo, failure, 2):
        answers = await store.save([*zip(heirs[:3], old, strict=False), (heirs[3], lost), *((it, None) for it in new)])

    assert answers == [True] * 3 + [False] + [True] * 4
    assert await store.load([claim.id for claim in (*heirs, *new)]) == {
        claim.id: claim for claim in (*heirs[:3], old[3], *new)
    }


@pytest.mark.parametrize("failure", [NOT_CONFIRMED, STEPPED_DOWN_AFTER, NOT_PRIMARY, CLOSED_BEFORE], ids=str)
async def test_results_are_recorded_through_a_failure(
    private_mongo: Mongo, fragile: MongoDatabase, failure: dict[str, Any]
) -> None:
    store = MongoClaimStore(fragile, ManualClock())
    theirs = Claim("theirs:1", "you", 3, START, "CLAIMED")
    first = Claim("first:1", "you", 1, START, "DONE", b"first")
    await store.record([theirs, first])
    done = [Claim(id_, "me", 1, START, "DONE", b"result") for id_ in ("new:1", "theirs:1", "first:1")]
    leases = [Claim("lease:1", "me", 1, START, "CLAIMED")]

    with failing(private_mongo, failure, 2):
        await store.record([*done, *leases])

    expected = {claim.id: claim for claim in (*done[:2], first, *leases)}
    assert await store.load(list(expected)) == expected


@pytest.mark.parametrize("failure", [NOT_CONFIRMED, STEPPED_DOWN_AFTER, NOT_PRIMARY, CLOSED_BEFORE], ids=str)
async def test_a_workflow_is_changed_once_through_a_failure(
    private_mongo: Mongo, fragile: MongoDatabase, failure: dict[str, Any]
) -> None:
    store = MongoDefinitionStore(fragile)

    with failing(private_mongo, failure, 2):
        created = await store.create("deploy", {"n": 1}, "ann", START)

    assert await store.versions("deploy") == [created]
    store = MongoDefinitionStore(fragile)  # as if in another process, which looks for what is not announced at once
    revision = await store.revision()
    assert revision > 0
    assert (await store.update("deploy", {"n": 2}, "ann", START, expected_version=1)).version == 2
    assert await store.revision() > revision


async def test_a_change_that_its_process_could_not_announce_is_announced_by_another(
    private_mongo: Mongo, fragile: MongoDatabase
) -> None:
    mine, theirs = MongoDefinitionStore(fragile), MongoDefinitionStore(fragile)
    await mine.create("deploy", {"n": 1}, "ann", START)
    before = await mine.revision()

    # a change is an insert, since its workflow is new; to announce it takes updates
    with failing(private_mongo, NOT_PRIMARY, None, ["update"]):
        await mine.create("scale", {"n": 1}, "ann", START)

    assert [version.identifier for version in await mine.all()] == ["deploy", "scale"]
    assert await theirs.revision() == before + 1
    assert await theirs.revision() == before + 1


async def test_a_ledger_that_is_not_confirmed_says_so_and_takes_the_entries_again(
    private_mongo: Mongo, fragile: MongoDatabase
) -> None:
    store = MongoLedger(fragile, ManualClock())
    entries = [entry("ev1"), entry("ev2", at=START + 1)]

    with failing(private_mongo, NOT_CONFIRMED, None), pytest.raises(UnavailableError, match="majority"):
        await store.record(entries)

    await store.record(entries)
    assert await store.query() == entries[::-1]
