"""Every question that the stores ask is answered by an index; no document is read that is not asked for."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from headrace.adapters.mongo import (
    MongoCatalog,
    MongoClaimStore,
    MongoDatabase,
    MongoDefinitionStore,
    MongoLedger,
    MongoRefusedError,
    MongoRunStore,
    create_indexes,
    missing_indexes,
    require_indexes,
)
from headrace.adapters.mongo.indexes import INDEXES, RUNS
from headrace.core.catalog.entity import Entity
from headrace.core.catalog.timers import Timers
from headrace.ports.catalog import StoredBlueprint, StoredEntity
from headrace.ports.stores import RunQuery, TriggerVerdict
from tests.conformance.samples import START, ManualClock, calling, entry, make_run, message, reported, write

RESULTS: tuple[Any, ...] = (None, "SUCCESS", "FAILED", "CANCELLED", "SUCCESS")
MANY = tuple(f"w{i}" for i in range(60))


class Profiler:
    """What the server says it did for every command on this database since the profiler was made."""

    def __init__(self, database: MongoDatabase) -> None:
        self._client: MongoClient[dict[str, Any]] = MongoClient(database.settings.uri.get_secret_value())
        self._database = self._client[database.name]
        self._database.command("profile", 2)

    def entries(self) -> list[dict[str, Any]]:
        self._database.command("profile", 0)
        wanted = {"op": {"$in": ["query", "update", "getmore"]}, "ns": {"$not": {"$regex": "system"}}}
        return list(self._database["system.profile"].find(wanted))

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def profiler(database: MongoDatabase) -> Iterator[Profiler]:
    profiler = Profiler(database)
    yield profiler
    profiler.close()


async def fill(store: MongoRunStore) -> None:
    runs = [
        make_run(
            f"r{i:04}", workflow=f"w{i % 7}", version=1 + i % 3, by=f"u{i % 11}", at=START + i, result=RESULTS[i % 5]
        )
        for i in range(1_000)
    ]
    assert all(await store.save([write(run) for run in runs]))
    waiting = [reported(calling(run, "call", START + i), "call", f"x{i}") for i, run in enumerate(runs[::50])]
    out = message("requests")
    assert all(await store.save([write(run, 1, out, saved_at=START + i) for i, run in enumerate(waiting)]))


QUESTIONS: dict[str, tuple[Callable[[MongoRunStore], Awaitable[Any]], str]] = {
    "load": (lambda store: store.load(["r0001", "r0002"]), "_id_"),
    "unsent": (lambda store: store.unsent(START + 10, 5), "unsent"),
    "due": (lambda store: store.due(START + 10, 5), "due"),
    "node run": (lambda store: store.find_node_run("r0050:call"), "by_node_run"),
    "external id": (lambda store: store.find_external("x1"), "by_external_id"),
    "all": (lambda store: store.query(RunQuery(limit=10)), "by_state"),
    "deep": (lambda store: store.query(RunQuery(limit=10, offset=500)), "by_state"),
    "ids": (lambda store: store.query(RunQuery(run_ids=("r0001", "r0002"))), "_id_"),
    "a status": (lambda store: store.query(RunQuery(statuses=("IN_PROGRESS",), limit=10)), "by_state"),
    "workflows": (lambda store: store.query(RunQuery(workflows=("w1", "w2"), limit=10)), "by_workflow"),
    "a creator": (lambda store: store.query(RunQuery(created_by="u1", limit=10)), "by_creator"),
    "a viewer": (
        lambda store: store.query(RunQuery(viewer="u1", open_workflows=frozenset({"w1", "w2"}), limit=10)),
        "by_creator",
    ),
    "many workflows": (lambda store: store.query(RunQuery(workflows=MANY, limit=10)), "by_state"),
    "a viewer of many": (
        lambda store: store.query(RunQuery(viewer="u1", open_workflows=frozenset(MANY), limit=10)),
        "by_state",
    ),
}


@pytest.mark.parametrize("name", QUESTIONS)
async def test_a_question_about_runs_is_answered_by_its_index(database: MongoDatabase, name: str) -> None:
    """Of the 1,000 runs only those are read that are asked for, and none is sorted, but for the few named by id."""
    ask, index = QUESTIONS[name]
    store = MongoRunStore(database)
    await fill(store)
    profiler = Profiler(database)
    try:
        found = await ask(store)
        (done,) = profiler.entries()
    finally:
        profiler.close()

    assert found
    assert "COLLSCAN" not in done["planSummary"]
    assert index in {stage.get("indexName") for stage in stages(done["execStats"])}
    assert done["docsExamined"] <= 10
    assert not done.get("hasSortStage") or name == "ids"


def stages(stats: dict[str, Any]) -> list[dict[str, Any]]:
    children = [stats["inputStage"]] if "inputStage" in stats else stats.get("inputStages", [])
    return [stats, *(stage for child in children for stage in stages(child))]


async def test_no_other_store_scans_a_collection(database: MongoDatabase, profiler: Profiler) -> None:
    definitions, ledger = MongoDefinitionStore(database), MongoLedger(database, ManualClock())
    catalog = MongoCatalog(database)
    claims = MongoClaimStore(database, ManualClock())
    verdict = TriggerVerdict("deploy", 1, "on-change", "matched", "all conditions hold")
    for name in ("deploy", "scale"):
        await definitions.create(name, {"n": 1}, "ann", START)
    await definitions.update("deploy", {"n": 2}, "ann", START)
    await ledger.record([entry(f"ev{i}", verdict, at=START + i) for i in range(20)])
    await catalog.save_blueprint(StoredBlueprint("service", {}, 0, "ann", START, "ann", START))
    await catalog.save([_entity(i) for i in range(200)])

    await definitions.latest("deploy")
    await definitions.version("deploy", 1)
    await definitions.versions("deploy")
    await definitions.all()
    await definitions.revision()
    await claims.load(["c1", "c2"])
    await ledger.find("ev1")
    for about in ({}, {"blueprint": "service"}, {"entity": "shop"}, {"workflow": "deploy"}):
        assert len(await ledger.query(**about, limit=5)) == 5
    await catalog.blueprint("service")
    await catalog.load(["service/e001"])
    for found in (
        await catalog.due(START + 150, 5), await catalog.unsent(START + 150, 5),
        await catalog.page("service", "service/e100", 5), await catalog.page(None, None, 5),
    ):  # fmt: skip
        assert len(found) == 5

    done = profiler.entries()
    assert len(done) > 12
    plans = Counter(it.get("planSummary", "EOF").split()[0] for it in done)
    assert "COLLSCAN" not in plans
    assert not any(it.get("hasSortStage") for it in done)
    assert max(it["docsExamined"] for it in done if it["ns"].endswith(".entities") and it["op"] == "query") <= 5


def _entity(i: int) -> StoredEntity:
    entity = Entity("service", f"e{i:03}", START, "ann", START, "ann")
    return StoredEntity(entity, 0, (message("changes"),), START + i, Timers({"ttl": START + i}))


async def test_a_save_finds_its_runs_by_their_ids_without_planning_a_query(
    database: MongoDatabase, profiler: Profiler
) -> None:
    store = MongoRunStore(database)
    runs = [make_run(f"r{i}") for i in range(3)]
    await store.save([write(run) for run in runs])

    await store.save([write(run, 1) for run in runs])
    await store.mark_sent([("r1", 1)])
    await database.collection(RUNS).find_one({"_id": "r1"})

    assert {it["planSummary"] for it in profiler.entries()} == {"IDHACK"}


async def test_indexes_can_be_made_again(database: MongoDatabase) -> None:
    await create_indexes(database)

    assert await missing_indexes(database) == []
    await require_indexes(database)


async def test_a_missing_index_and_a_different_one_are_named_at_the_start(database: MongoDatabase) -> None:
    runs = database.collection(RUNS)
    await runs.drop_index("due")
    await runs.drop_index("expiry")
    await runs.create_index([("expire_at", 1)], name="expiry", expireAfterSeconds=60, sparse=True)

    with pytest.raises(MongoRefusedError, match=r"lacks indexes: runs\.due, runs\.expiry\. Run `headrace init`"):
        await require_indexes(database)
    with pytest.raises(MongoRefusedError, match=r"index of .*\.runs is not the one that this release needs"):
        await create_indexes(database)


async def test_an_empty_database_lacks_every_index(database: MongoDatabase) -> None:
    await database.client.drop_database(database.name)

    assert await missing_indexes(database) == list(INDEXES)
