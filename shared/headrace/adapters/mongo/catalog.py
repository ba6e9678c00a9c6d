"""The catalog on MongoDB: one document per blueprint, one per entity, written as runs are.

An entity's document holds `_id` (its key), `v`, `rev`, `write_id` (the fence of compare-and-set, and which batch wrote
it), `saved_at`, `entity` (the entity and its timers, as contracts/catalog_documents.py writes them), `next_due` (the
earliest of its timers), `outbox` and `unsent_since` (unpublished events, and since when), `deleted`, and `expire_at`:
when the document of a deleted entity may go, once its outbox is empty; `expire_when_sent` is the same while it is not.
What an entity does not have is absent. A blueprint's document holds its `_id`, `v`, `rev`, `write_id`, the author's
document as bytes, and by whom and when it was made and changed.
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson
from bson.datetime_ms import DatetimeMS
from pymongo import UpdateOne
from pymongo.write_concern import WriteConcern

from headrace.adapters.mongo.bulk import MAX_BYTES, BulkWriter, in_rounds, judge_revs, replacement, sent, too_large
from headrace.adapters.mongo.database import Document, MongoDatabase
from headrace.adapters.mongo.errors import translated
from headrace.adapters.mongo.indexes import BLUEPRINTS, ENTITIES
from headrace.adapters.mongo.run_documents import MS_PER_DAY
from headrace.adapters.mongo.versions import Shape
from headrace.contracts.catalog_documents import decode_entity, encode_entity
from headrace.contracts.documents import pack, unpack
from headrace.contracts.envelope import dump
from headrace.ports.catalog import StoredBlueprint, StoredEntity

BLUEPRINT: Final = Shape("blueprint")
ENTITY: Final = Shape("entity")

_STORED: Final = dict.fromkeys(("v", "rev", "saved_at", "entity", "outbox", "deleted"), True)


class MongoCatalog:
    """The CatalogStore port. A deleted entity whose outbox is empty is forgotten after `run_retention_days`: as long
    as the runs are kept that its events started."""

    def __init__(self, database: MongoDatabase) -> None:
        self._blueprints = database.collection(BLUEPRINTS)
        self._entities = database.collection(ENTITIES)
        self._unacknowledged = self._entities.with_options(write_concern=WriteConcern(w=0))
        self._blueprint_writer = BulkWriter(database, BLUEPRINTS, "blueprints", ("rev",))
        self._entity_writer = BulkWriter(database, ENTITIES, "entities", ("rev",))
        self._retention_ms = database.settings.run_retention_days * MS_PER_DAY

    async def blueprints(self) -> list[StoredBlueprint]:
        """See the port."""
        with translated("read all blueprints"):
            cursor = self._blueprints.find({}, sort=[("_id", 1)], hint="_id_")
            return [_decode_blueprint(document) for document in await cursor.to_list()]

    async def blueprint(self, identifier: str) -> StoredBlueprint | None:
        """See the port."""
        with translated("read a blueprint"):
            document = await self._blueprints.find_one({"_id": {"$in": [identifier]}})
        return None if document is None else _decode_blueprint(document)

    async def save_blueprint(self, write: StoredBlueprint) -> bool:
        """See the port. Raises DocumentTooLargeError, UnencodableMessageError: nothing was written."""
        write_id = self._blueprint_writer.next_write_id()
        document = _encode_blueprint(write, write_id)
        operation = replacement(document, write.rev)
        (won,) = await self._blueprint_writer.write([write.identifier], [operation], write_id, judge_revs([write.rev]))
        return won

    async def delete_blueprint(self, identifier: str, rev: int) -> bool:
        """See the port."""
        with translated("delete a blueprint"):
            result = await self._blueprints.delete_one({"_id": {"$in": [identifier]}, "rev": rev})
        return result.deleted_count == 1

    async def load(self, keys: Sequence[str]) -> dict[str, StoredEntity]:
        """See the port. Raises UndecodableDocumentError."""
        if not keys:
            return {}
        wanted = list(dict.fromkeys(keys))
        with translated(f"load {len(wanted)} entities"):
            cursor = self._entities.find({"_id": {"$in": wanted}}, _STORED, batch_size=len(wanted) + 1)
            documents = await cursor.to_list()
        return {document["_id"]: _decode(document) for document in documents}

    async def save(self, writes: Sequence[StoredEntity]) -> list[bool]:
        """See the port. A write that another one replaced before its outcome could be read gets False as well.

        Raises UnencodableMessageError, DocumentTooLargeError: nothing was written.
        """
        return await in_rounds([write.entity.key for write in writes], writes, self._save)

    async def mark_sent(self, revs: Sequence[tuple[str, int]]) -> None:
        """See the port. Unacknowledged: a reader may not see it at once, and it may be lost."""
        if not revs:
            return
        updates = [UpdateOne({"_id": key}, sent(rev)) for key, rev in revs]
        with translated(f"mark {len(revs)} entities as published"):
            await self._unacknowledged.bulk_write(updates, ordered=False)

    async def unsent(self, saved_before: int, limit: int) -> list[StoredEntity]:
        """See the port."""
        return await self._find(
            "unpublished entities", {"unsent_since": {"$lt": saved_before}}, "unsent_since", "unsent", limit
        )

    async def due(self, now: int, limit: int) -> list[StoredEntity]:
        """See the port."""
        return await self._find("due timers", {"next_due": {"$lte": now}}, "next_due", "due", limit)

    async def page(self, blueprint: str | None, after: str | None, limit: int) -> list[StoredEntity]:
        """See the port."""
        bounds: dict[str, Any] = {}
        if blueprint is not None:
            bounds = {"$gte": f"{blueprint}/", "$lt": f"{blueprint}0"}  # "0" is the character after the slash
        if after is not None:
            bounds["$gt"] = after
        wanted: dict[str, Any] = {"deleted": {"$exists": False}}
        if bounds:
            wanted["_id"] = bounds
        return await self._find("entities", wanted, "_id", "_id_", limit)

    async def _find(self, what: str, wanted: Document, order: str, hint: str, limit: int) -> list[StoredEntity]:
        if limit <= 0:
            return []
        sort = [(order, 1)] if order == "_id" else [(order, 1), ("_id", 1)]
        with translated(f"look for {what}"):
            cursor = self._entities.find(wanted, _STORED, sort=sort, limit=limit, batch_size=limit, hint=hint)
            return [_decode(document) for document in await cursor.to_list()]

    async def _save(self, writes: Sequence[StoredEntity]) -> list[bool]:
        """Save entities that differ from each other."""
        if not writes:
            return []
        write_id = self._entity_writer.next_write_id()
        operations = [replacement(_encode(it, write_id, self._retention_ms), it.rev) for it in writes]
        revs = [write.rev for write in writes]
        return await self._entity_writer.write([it.entity.key for it in writes], operations, write_id, judge_revs(revs))


def _encode(stored: StoredEntity, write_id: int, retention_ms: int) -> Document:
    entity = stored.entity
    data = encode_entity(entity, stored.timers)
    document: Document = {
        "_id": entity.key, "v": 1, "rev": stored.rev, "write_id": write_id, "saved_at": stored.saved_at, "entity": data,
    }  # fmt: skip
    size = len(data)
    if stored.outbox:
        document["outbox"] = outbox = pack(stored.outbox)
        document["unsent_since"] = stored.saved_at
        size += len(outbox)
    if stored.timers.next_due_at is not None:
        document["next_due"] = stored.timers.next_due_at
    if stored.deleted:
        document["deleted"] = True
        expiry = "expire_when_sent" if stored.outbox else "expire_at"
        document[expiry] = DatetimeMS(entity.updated_at + retention_ms)
    if size > MAX_BYTES:
        raise too_large("entity", entity.key, size)
    return document


def _decode(document: Document) -> StoredEntity:
    document = ENTITY.read(document)
    entity, timers = decode_entity(document["entity"])
    outbox = document.get("outbox")
    return StoredEntity(
        entity, document["rev"], () if outbox is None else unpack(outbox), document["saved_at"], timers,
        document.get("deleted", False),
    )  # fmt: skip


def _encode_blueprint(blueprint: StoredBlueprint, write_id: int) -> Document:
    data = dump(blueprint.document)
    if len(data) > MAX_BYTES:
        raise too_large("blueprint", blueprint.identifier, len(data))
    return {
        "_id": blueprint.identifier, "v": 1, "rev": blueprint.rev, "write_id": write_id, "document": data,
        "created_by": blueprint.created_by, "created_at": blueprint.created_at, "updated_by": blueprint.updated_by,
        "updated_at": blueprint.updated_at,
    }  # fmt: skip


def _decode_blueprint(document: Document) -> StoredBlueprint:
    document = BLUEPRINT.read(document)
    return StoredBlueprint(
        document["_id"], orjson.loads(document["document"]), document["rev"], document["created_by"],
        document["created_at"], document["updated_by"], document["updated_at"],
    )  # fmt: skip
