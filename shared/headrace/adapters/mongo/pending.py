"""Pending work on MongoDB: one document per node run that an installation shall take.

A document holds `_id` (the node run), `v`, `rev`, `write_id` (the fence of compare-and-set, and which batch wrote it),
`run`, `attempt`, `installation`, `offered_at`, `visible_at` unless somebody acknowledged it, and `expire_at`.
"""

from collections.abc import Sequence
from typing import Final

from bson.datetime_ms import DatetimeMS

from headrace.adapters.mongo.bulk import BulkWriter, in_rounds, judge_revs, replacement
from headrace.adapters.mongo.database import Document, MongoDatabase
from headrace.adapters.mongo.errors import translated
from headrace.adapters.mongo.indexes import PENDING
from headrace.adapters.mongo.run_documents import MS_PER_DAY
from headrace.adapters.mongo.versions import Shape
from headrace.ports.pending import PendingWork

SHAPE: Final = Shape("pending work")


class MongoPendingStore:
    """The PendingStore port. A document is forgotten `run_retention_days` after its work was offered."""

    def __init__(self, database: MongoDatabase) -> None:
        self._works = database.collection(PENDING)
        self._writer = BulkWriter(database, PENDING, "pieces of pending work", ("rev",))
        self._retention_ms = database.settings.run_retention_days * MS_PER_DAY

    async def load(self, node_run_ids: Sequence[str]) -> dict[str, PendingWork]:
        """See the port. Raises UndecodableDocumentError."""
        if not node_run_ids:
            return {}
        with translated(f"load {len(node_run_ids)} pieces of pending work"):
            cursor = self._works.find({"_id": {"$in": list(dict.fromkeys(node_run_ids))}})
            found = [_decode(document) for document in await cursor.to_list()]
        return {work.node_run_id: work for work in found}

    async def save(self, writes: Sequence[PendingWork]) -> list[bool]:
        """See the port. A write that another one replaced before its outcome could be read gets False as well."""
        return await in_rounds([write.node_run_id for write in writes], writes, self._save)

    async def claimable(self, installation: str, now: int, limit: int) -> list[PendingWork]:
        """See the port."""
        if limit <= 0:
            return []
        with translated("look for pending work"):
            cursor = self._works.find(
                {"installation": {"$in": [installation]}, "visible_at": {"$lte": now}},
                sort=[("visible_at", 1), ("_id", 1)], limit=limit, batch_size=limit, hint="claimable",
            )  # fmt: skip
            return [_decode(document) for document in await cursor.to_list()]

    async def _save(self, writes: Sequence[PendingWork]) -> list[bool]:
        """Save pieces of work of different node runs."""
        if not writes:
            return []
        write_id = self._writer.next_write_id()

        operations = [replacement(self._encode(write, write_id), write.rev) for write in writes]
        return await self._writer.write(
            [write.node_run_id for write in writes], operations, write_id, judge_revs([write.rev for write in writes])
        )

    def _encode(self, write: PendingWork, write_id: int) -> Document:
        document: Document = {
            "_id": write.node_run_id, "v": 1, "rev": write.rev, "write_id": write_id, "run": write.run_id,
            "attempt": write.attempt, "installation": write.installation, "offered_at": write.offered_at,
            "expire_at": DatetimeMS(write.offered_at + self._retention_ms),
        }  # fmt: skip
        if write.visible_at is not None:
            document["visible_at"] = write.visible_at
        return document


def _decode(document: Document) -> PendingWork:
    document = SHAPE.read(document)
    return PendingWork(
        document["_id"], document["run"], document["attempt"], document["installation"], document["offered_at"],
        document["rev"], document.get("visible_at"),
    )  # fmt: skip
