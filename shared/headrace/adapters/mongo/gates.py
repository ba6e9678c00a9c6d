"""Gates on MongoDB: one document per entity and trigger that has one.

A document holds `_id` (the gate's id), `v`, `rev`, `write_id` (the fence of compare-and-set, and which batch wrote it),
`saved_at`, `gate` (the gate, as contracts/gate_documents.py writes it), `outbox` and `unsent_since` while messages are
unpublished, `due_at` when something is due, and `expire_at` (`expire_when_sent` while the outbox is not empty) when it
is idle.
"""

from collections.abc import Sequence
from typing import Final

from bson.datetime_ms import DatetimeMS
from pymongo import UpdateOne
from pymongo.write_concern import WriteConcern

from headrace.adapters.mongo.bulk import MAX_BYTES, BulkWriter, in_rounds, judge_revs, replacement, sent, too_large
from headrace.adapters.mongo.database import Document, MongoDatabase
from headrace.adapters.mongo.errors import translated
from headrace.adapters.mongo.indexes import GATES
from headrace.adapters.mongo.run_documents import MS_PER_DAY
from headrace.adapters.mongo.versions import Shape
from headrace.contracts.documents import pack, unpack
from headrace.contracts.gate_documents import decode_gate, encode_gate
from headrace.ports.gates import StoredGate

SHAPE: Final = Shape("gate")


class MongoGateStore:
    """The GateStore port. A gate that is idle is forgotten a day later."""

    def __init__(self, database: MongoDatabase) -> None:
        self._gates = database.collection(GATES)
        self._unacknowledged = self._gates.with_options(write_concern=WriteConcern(w=0))
        self._writer = BulkWriter(database, GATES, "gates", ("rev",))

    async def load(self, gate_ids: Sequence[str]) -> dict[str, StoredGate]:
        """See the port. Raises UndecodableDocumentError."""
        if not gate_ids:
            return {}
        with translated(f"load {len(gate_ids)} gates"):
            cursor = self._gates.find({"_id": {"$in": list(dict.fromkeys(gate_ids))}})
            documents = await cursor.to_list()
        return {document["_id"]: _decode(document) for document in documents}

    async def save(self, writes: Sequence[StoredGate]) -> list[bool]:
        """See the port. A write that another one replaced before its outcome could be read gets False as well.

        Raises UnencodableMessageError, DocumentTooLargeError: nothing was written.
        """
        return await in_rounds([write.gate.id for write in writes], writes, self._save)

    async def mark_sent(self, revs: Sequence[tuple[str, int]]) -> None:
        """See the port. Unacknowledged: a reader may not see it at once, and it may be lost."""
        if not revs:
            return
        with translated(f"mark {len(revs)} gates as published"):
            updates = [UpdateOne({"_id": gate_id}, sent(rev)) for gate_id, rev in revs]
            await self._unacknowledged.bulk_write(updates, ordered=False)

    async def unsent(self, saved_before: int, limit: int) -> list[StoredGate]:
        """See the port."""
        return await self._first("unsent_since", {"$lt": saved_before}, limit, "unsent")

    async def due(self, now: int, limit: int) -> list[StoredGate]:
        """See the port."""
        return await self._first("due_at", {"$lte": now}, limit, "due")

    async def _first(self, field: str, condition: Document, limit: int, index: str) -> list[StoredGate]:
        if limit <= 0:
            return []
        with translated(f"look for gates that are {index}"):
            cursor = self._gates.find(
                {field: condition}, sort=[(field, 1), ("_id", 1)], limit=limit, batch_size=limit, hint=index
            )
            return [_decode(document) for document in await cursor.to_list()]

    async def _save(self, writes: Sequence[StoredGate]) -> list[bool]:
        """Save gates that differ from each other."""
        if not writes:
            return []
        write_id = self._writer.next_write_id()
        operations = [replacement(_encode(write, write_id), write.rev) for write in writes]
        return await self._writer.write(
            [write.gate.id for write in writes], operations, write_id, judge_revs([write.rev for write in writes])
        )


def _encode(stored: StoredGate, write_id: int) -> Document:
    gate = stored.gate
    data, outbox = encode_gate(gate), pack(stored.outbox)
    document: Document = {
        "_id": gate.id, "v": 1, "rev": stored.rev, "write_id": write_id, "saved_at": stored.saved_at, "gate": data,
    }  # fmt: skip
    if outbox:
        document |= {"outbox": outbox, "unsent_since": stored.saved_at}
    if gate.due_at is not None:
        document["due_at"] = gate.due_at
    if gate.is_idle:
        document["expire_when_sent" if outbox else "expire_at"] = DatetimeMS(stored.saved_at + MS_PER_DAY)
    if len(data) + len(outbox) > MAX_BYTES:
        raise too_large("gate", gate.id, len(data) + len(outbox))
    return document


def _decode(document: Document) -> StoredGate:
    document = SHAPE.read(document)
    return StoredGate(
        decode_gate(document["gate"]), document["rev"], unpack(document.get("outbox", b"")), document["saved_at"]
    )
