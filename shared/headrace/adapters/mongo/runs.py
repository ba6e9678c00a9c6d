"""The run store on MongoDB: one document per run, one command per batch."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pymongo import InsertOne, UpdateOne
from pymongo.write_concern import WriteConcern

from headrace.adapters.mongo import run_documents
from headrace.adapters.mongo.bulk import BulkWriter, Operation, in_rounds, only_if, sent
from headrace.adapters.mongo.database import MongoDatabase
from headrace.adapters.mongo.errors import translated
from headrace.adapters.mongo.indexes import RUNS
from headrace.adapters.mongo.run_documents import MS_PER_DAY, ONLY_RUN, STORED
from headrace.adapters.mongo.run_queries import select
from headrace.core.run import Run
from headrace.ports.stores import DueTimer, RunQuery, StoredRun

_NEWEST_FIRST: Final = (("created_at", -1), ("_id", -1))


class MongoRunStore:
    """The RunStore port. A finished run whose outbox is empty is deleted after `run_retention_days`."""

    def __init__(self, database: MongoDatabase) -> None:
        self._runs = database.collection(RUNS)
        self._unacknowledged = self._runs.with_options(write_concern=WriteConcern(w=0))
        self._writer = BulkWriter(database, RUNS, "runs", ("rev",))
        self._retention_ms = database.settings.run_retention_days * MS_PER_DAY

    async def load(self, run_ids: Sequence[str]) -> dict[str, StoredRun]:
        """See the port. Raises UndecodableDocumentError."""
        if not run_ids:
            return {}
        wanted = list(dict.fromkeys(run_ids))
        with translated(f"load {len(wanted)} runs"):
            cursor = self._runs.find({"_id": {"$in": wanted}}, STORED, batch_size=len(wanted) + 1)
            documents = await cursor.to_list()
        return {document["_id"]: run_documents.decode(document) for document in documents}

    async def save(self, writes: Sequence[StoredRun]) -> list[bool]:
        """See the port. A write that another one replaced before its outcome could be read gets False as well.

        Raises UnencodableMessageError, DocumentTooLargeError: nothing was written.
        """
        return await in_rounds([write.run.id for write in writes], writes, self._save)

    async def mark_sent(self, revs: Sequence[tuple[str, int]]) -> None:
        """See the port. Unacknowledged: a reader may not see it at once, and it may be lost."""
        if not revs:
            return
        updates = [UpdateOne({"_id": run_id}, sent(rev)) for run_id, rev in revs]
        with translated(f"mark {len(revs)} runs as published"):
            await self._unacknowledged.bulk_write(updates, ordered=False)

    async def unsent(self, saved_before: int, limit: int) -> list[StoredRun]:
        """See the port."""
        if limit <= 0:
            return []
        with translated("look for unpublished runs"):
            cursor = self._runs.find(
                {"unsent_since": {"$lt": saved_before}}, STORED, sort=[("unsent_since", 1), ("_id", 1)],
                limit=limit, batch_size=limit, hint="unsent",
            )  # fmt: skip
            return [run_documents.decode(document) for document in await cursor.to_list()]

    async def due(self, now: int, limit: int) -> list[DueTimer]:
        """See the port."""
        if limit <= 0:
            return []
        with translated("look for due timers"):
            cursor = self._runs.find(
                {"next_due": {"$lte": now}}, {"timers": True, "v": True}, sort=[("next_due", 1), ("_id", 1)],
                limit=limit, batch_size=limit, hint="due",
            )  # fmt: skip
            documents = [run_documents.SHAPE.read(document) for document in await cursor.to_list()]
        found = [
            (due_at, document["_id"], timer_id)
            for document in documents
            for timer_id, due_at in document["timers"]
            if due_at <= now
        ]
        found.sort()
        return [DueTimer(run_id, timer_id, due_at) for due_at, run_id, timer_id in found[:limit]]

    async def query(self, query: RunQuery) -> list[Run]:
        """See the port. Runs of one instant are in the order of their ids, the highest first."""
        selection = select(query)
        if selection is None or query.limit <= 0:
            return []
        with translated("list runs"):
            cursor = self._runs.find(
                selection.filter, ONLY_RUN, sort=_NEWEST_FIRST, skip=max(0, query.offset),
                limit=query.limit, batch_size=query.limit, hint=selection.hint, allow_disk_use=True,
            )  # fmt: skip
            return [run_documents.decode_only_run(document) for document in await cursor.to_list()]

    async def find_node_run(self, node_run_id: str) -> Run | None:
        """See the port."""
        with translated("find the run of a node run"):
            document = await self._runs.find_one({"nodes": {"$in": [node_run_id]}}, ONLY_RUN, hint="by_node_run")
        return None if document is None else run_documents.decode_only_run(document)

    async def find_external(self, external_run_id: str) -> list[Run]:
        """See the port. Newest first."""
        with translated("find runs by an external id"):
            cursor = self._runs.find({"external": {"$in": [external_run_id]}}, ONLY_RUN, hint="by_external_id")
            runs = [run_documents.decode_only_run(document) for document in await cursor.to_list()]
        return sorted(runs, key=lambda run: (run.created_at, run.id), reverse=True)

    async def _save(self, writes: Sequence[StoredRun]) -> list[bool]:
        """Save runs that differ from each other."""
        if not writes:
            return []
        write_id = self._writer.next_write_id()
        retention_ms = self._retention_ms
        operations: list[Operation] = []
        for write in writes:
            document = run_documents.encode(write, write_id, retention_ms)
            is_new = write.rev == 0
            operations.append(InsertOne(document) if is_new else only_if({"$eq": ["$rev", write.rev - 1]}, document))

        def judge(i: int, held: Mapping[str, Any] | None) -> bool | None:
            rev = -1 if held is None else held["rev"]
            return None if rev == writes[i].rev - 1 else False

        return await self._writer.write([write.run.id for write in writes], operations, write_id, judge)
