"""The ledger on MongoDB: one document per entity event."""

from collections.abc import Sequence
from typing import Any, Final

from bson.datetime_ms import DatetimeMS
from pymongo import InsertOne, ReplaceOne
from pymongo.errors import BulkWriteError

from headrace.adapters.mongo.bulk import MAX_BYTES, too_large
from headrace.adapters.mongo.database import Document, MongoDatabase
from headrace.adapters.mongo.errors import DUPLICATE_KEY, codes, translated
from headrace.adapters.mongo.indexes import LEDGER
from headrace.adapters.mongo.run_documents import MS_PER_DAY
from headrace.adapters.mongo.versions import Shape
from headrace.adapters.verdicts import decode_verdicts, encode_verdicts, workflows_of
from headrace.ports.clock import Clock
from headrace.ports.stores import LedgerEntry

SHAPE: Final = Shape("ledger entry")

_LATEST_FIRST: Final = (("at", -1), ("_id", -1))


class MongoLedger:
    """The LedgerStore port. An entry is deleted `ledger_retention_days` after it was written last.

    A document holds `_id` (the event's id), `v`, `at`, `action`, `blueprint`, `entity`, `considered`, `source`, the
    event and the verdicts as bytes, the workflows that the verdicts name, and `expire_at`.
    """

    def __init__(self, database: MongoDatabase, clock: Clock) -> None:
        self._clock = clock
        self._entries = database.collection(LEDGER)
        self._retention_ms = database.settings.ledger_retention_days * MS_PER_DAY

    async def record(self, entries: Sequence[LedgerEntry]) -> None:
        """See the port. Of entries of one event the last one counts. Raises DocumentTooLargeError."""
        if not entries:
            return
        expire_at = DatetimeMS(self._clock.now() + self._retention_ms)
        documents = {entry.event_id: _encode(entry, expire_at) for entry in entries}
        with translated(f"record {len(documents)} entries of the ledger"):
            try:
                # mostly there is no entry yet, and an insert costs the server a quarter of a replacement
                await self._entries.bulk_write([InsertOne(it) for it in documents.values()], ordered=False)
            except BulkWriteError as error:
                if set(codes(error)) != {DUPLICATE_KEY}:
                    raise
                known = [it["op"]["_id"] for it in error.details["writeErrors"]]
                await self._entries.bulk_write(
                    [ReplaceOne({"_id": it}, documents[it], upsert=True) for it in known], ordered=False
                )

    async def find(self, event_id: str) -> LedgerEntry | None:
        """See the port."""
        with translated("find an entry of the ledger"):
            document = await self._entries.find_one({"_id": {"$in": [event_id]}})
        return None if document is None else _decode(document)

    async def query(
        self, blueprint: str | None = None, entity: str | None = None, workflow: str | None = None, limit: int = 50
    ) -> list[LedgerEntry]:
        """See the port. Entries of one instant are in the order of their events' ids, the highest first."""
        if limit <= 0:
            return []
        wanted = {"workflows": workflow, "entity": entity, "blueprint": blueprint}
        indexes = {"workflows": "by_workflow", "entity": "by_entity", "blueprint": "by_blueprint"}
        named = [name for name, value in wanted.items() if value is not None]
        hint = indexes[named[0]] if named else "by_time"
        with translated("list entries of the ledger"):
            cursor = self._entries.find(
                {name: {"$in": [wanted[name]]} for name in named}, sort=_LATEST_FIRST, limit=limit, batch_size=limit,
                hint=hint,
            )  # fmt: skip
            return [_decode(document) for document in await cursor.to_list()]


def _encode(entry: LedgerEntry, expire_at: DatetimeMS) -> Document:
    document: dict[str, Any] = {
        "_id": entry.event_id,
        "v": 1,
        "at": entry.at,
        "action": entry.action,
        "blueprint": entry.blueprint,
        "entity": entry.entity,
        "considered": entry.considered,
        "source": entry.source,
        "event": entry.event,
        "expire_at": expire_at,
    }
    size = len(entry.event)
    if entry.verdicts:
        document["workflows"] = workflows_of(entry.verdicts)
        document["verdicts"] = verdicts = encode_verdicts(entry.verdicts)
        size += len(verdicts)
    if size > MAX_BYTES:
        raise too_large("the ledger entry of event", entry.event_id, size)
    return document


def _decode(document: Document) -> LedgerEntry:
    document = SHAPE.read(document)
    return LedgerEntry(
        document["_id"], document["at"], document["action"], document["blueprint"], document["entity"],
        document["considered"], decode_verdicts(document.get("verdicts")), document["event"], document["source"],
    )  # fmt: skip
