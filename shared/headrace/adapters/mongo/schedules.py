"""Schedules on MongoDB: one document per schedule trigger.

A document holds `_id` (the workflow and the trigger, a blank between them: identifiers have none), `v`, `rev`,
`write_id` (the fence of compare-and-set, and which batch wrote it), `version`, `spec`, and `due_at` unless nothing is
due any more.
"""

from collections.abc import Sequence
from typing import Final

from headrace.adapters.mongo.bulk import BulkWriter, in_rounds, judge_revs, replacement
from headrace.adapters.mongo.database import Document, MongoDatabase
from headrace.adapters.mongo.errors import translated
from headrace.adapters.mongo.indexes import SCHEDULES
from headrace.adapters.mongo.versions import Shape
from headrace.ports.schedules import StoredSchedule

SHAPE: Final = Shape("schedule")


class MongoScheduleStore:
    """The ScheduleStore port."""

    def __init__(self, database: MongoDatabase) -> None:
        self._schedules = database.collection(SCHEDULES)
        self._writer = BulkWriter(database, SCHEDULES, "schedules", ("rev",))

    async def load(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredSchedule]:
        """See the port. Raises UndecodableDocumentError."""
        if not keys:
            return {}
        with translated(f"load {len(keys)} schedules"):
            cursor = self._schedules.find({"_id": {"$in": [_id(key) for key in keys]}})
            found = [_decode(document) for document in await cursor.to_list()]
        return {schedule.key: schedule for schedule in found}

    async def save(self, writes: Sequence[StoredSchedule]) -> list[bool]:
        """See the port. A write that another one replaced before its outcome could be read gets False as well."""
        return await in_rounds([_id(write.key) for write in writes], writes, self._save)

    async def delete(self, key: tuple[str, str], rev: int) -> bool:
        """See the port."""
        with translated("delete a schedule"):
            result = await self._schedules.delete_one({"_id": {"$in": [_id(key)]}, "rev": rev})
        return result.deleted_count == 1

    async def due(self, now: int, limit: int) -> list[StoredSchedule]:
        """See the port."""
        if limit <= 0:
            return []
        with translated("look for due schedules"):
            cursor = self._schedules.find(
                {"due_at": {"$lte": now}}, sort=[("due_at", 1), ("_id", 1)], limit=limit, batch_size=limit, hint="due"
            )
            return [_decode(document) for document in await cursor.to_list()]

    async def _save(self, writes: Sequence[StoredSchedule]) -> list[bool]:
        """Save schedules that differ from each other."""
        if not writes:
            return []
        write_id = self._writer.next_write_id()

        operations = [replacement(_encode(write, write_id), write.rev) for write in writes]
        return await self._writer.write(
            [_id(write.key) for write in writes], operations, write_id, judge_revs([write.rev for write in writes])
        )


def _id(key: tuple[str, str]) -> str:
    return f"{key[0]} {key[1]}"


def _encode(write: StoredSchedule, write_id: int) -> Document:
    document: Document = {
        "_id": _id(write.key), "v": 1, "rev": write.rev, "write_id": write_id, "version": write.version,
        "spec": write.spec,
    }  # fmt: skip
    if write.due_at is not None:
        document["due_at"] = write.due_at
    return document


def _decode(document: Document) -> StoredSchedule:
    document = SHAPE.read(document)
    workflow, _, trigger = document["_id"].partition(" ")
    return StoredSchedule(
        workflow, trigger, document["rev"], document["version"], document["spec"], document.get("due_at")
    )  # fmt: skip
