"""What is over is forgotten after its time, and nothing else is."""

import asyncio
import secrets

import pytest

from headrace.adapters.mongo import (
    MongoClaimStore,
    MongoDatabase,
    MongoLedger,
    MongoRunStore,
    MongoSettings,
    create_indexes,
)
from headrace.ports.stores import Claim, RunQuery
from tests.conformance.samples import START, ManualClock, calling, completed, entry, make_run, message, write
from tools.servers import Mongo

# one worker, and so one private server
pytestmark = pytest.mark.xdist_group("servers")

PATIENCE_SECONDS = 20.0
OUT = message("events")


async def test_only_what_is_over_and_published_is_forgotten(private_mongo: Mongo) -> None:
    """The samples are of last year, so whatever may be forgotten is so at once."""
    settings = MongoSettings.model_validate({"uri": private_mongo.uri, "database": f"test_{secrets.token_hex(4)}"})
    database = MongoDatabase(settings)
    await create_indexes(database)
    runs, claims = MongoRunStore(database), MongoClaimStore(database, ManualClock())
    ledger = MongoLedger(database, ManualClock())
    await claims.record([Claim("c1", "me", 1, START, "DONE", b"r")])
    await ledger.record([entry("ev1")])
    await runs.save(
        [
            write(calling(make_run("live"))),
            write(completed(make_run("unsent")), 0, OUT),
            write(completed(make_run("sent")), 0, OUT),
            write(completed(make_run("over"))),
        ]
    )
    await runs.mark_sent([("sent", 0)])

    async def left() -> set[str]:
        kept = {run.id for run in await runs.query(RunQuery())} | set(await claims.load(["c1"]))
        return kept | {it.event_id for it in await ledger.query()}

    async with asyncio.timeout(PATIENCE_SECONDS):
        while await left() != {"live", "unsent"}:
            await asyncio.sleep(0.1)
    await asyncio.sleep(1.5)  # another round of the server's

    assert await left() == {"live", "unsent"}
    await database.client.drop_database(database.name)
    await database.close()
