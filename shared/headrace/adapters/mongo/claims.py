"""The claim store on MongoDB: one document per attempt, written in bulk, forgotten by themselves when they are old."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bson.datetime_ms import DatetimeMS
from pymongo import InsertOne

from headrace.adapters.mongo.bulk import MAX_BYTES, BulkWriter, Operation, in_rounds, only_if, too_large
from headrace.adapters.mongo.database import MongoDatabase
from headrace.adapters.mongo.errors import translated
from headrace.adapters.mongo.indexes import CLAIMS
from headrace.adapters.mongo.run_documents import MS_PER_DAY
from headrace.adapters.mongo.versions import Shape
from headrace.ports.clock import Clock
from headrace.ports.stores import Claim

SHAPE: Final = Shape("claim")

_FIELDS: Final = ("owner", "fence", "until", "state", "result")
_STORED: Final = dict.fromkeys(("v", *_FIELDS), True)


class MongoClaimStore:
    """The ClaimStore port. A claim is deleted `claim_retention_days` after it was written last.

    A document holds `_id` (the attempt), `v`, the fields of the claim, `write_id` (which batch wrote it) and
    `expire_at`. `result` is absent without one.
    """

    def __init__(self, database: MongoDatabase, clock: Clock) -> None:
        self._clock = clock
        self._claims = database.collection(CLAIMS)
        self._writer = BulkWriter(database, CLAIMS, "claims", _FIELDS)
        self._retention_ms = database.settings.claim_retention_days * MS_PER_DAY

    async def load(self, claim_ids: Sequence[str]) -> dict[str, Claim]:
        """See the port. Raises UndecodableDocumentError."""
        if not claim_ids:
            return {}
        wanted = list(dict.fromkeys(claim_ids))
        with translated(f"load {len(wanted)} claims"):
            cursor = self._claims.find({"_id": {"$in": wanted}}, _STORED, batch_size=len(wanted) + 1)
            documents = await cursor.to_list()
        return {document["_id"]: _decode(SHAPE.read(document)) for document in documents}

    async def save(self, writes: Sequence[tuple[Claim, Claim | None]]) -> list[bool]:
        """See the port. A write that another one replaced before its outcome could be read gets False as well.

        Raises DocumentTooLargeError: nothing was written.
        """
        return await in_rounds([claim.id for claim, _ in writes], writes, self._save)

    async def record(self, claims: Sequence[Claim]) -> None:
        """See the port. Raises DocumentTooLargeError: nothing was written."""
        if not claims:
            return
        write_id, expire_at = self._stamps()
        documents = [_encode(claim, write_id, expire_at) for claim in claims]
        # mostly there is no claim yet, and an insert costs the server a fifth of an update that may insert
        inserts = [InsertOne(document) for document in documents]
        updates = [
            only_if(_may_be_replaced_by(claim), document, upsert=True)
            for claim, document in zip(claims, documents, strict=True)
        ]

        def judge(i: int, held: Mapping[str, Any] | None) -> bool | None:
            if held is None:
                return None
            is_of_another = claims[i].state != "DONE" and held["owner"] != claims[i].owner
            return True if is_of_another or held["state"] == "DONE" else None

        await self._writer.write([claim.id for claim in claims], inserts, write_id, judge, otherwise=updates)

    async def _save(self, writes: Sequence[tuple[Claim, Claim | None]]) -> list[bool]:
        """Save claims that differ from each other."""
        if not writes:
            return []
        write_id, expire_at = self._stamps()
        operations: list[Operation] = []
        for claim, expected in writes:
            document = _encode(claim, write_id, expire_at)
            operations.append(InsertOne(document) if expected is None else only_if(_is(expected), document))

        def judge(i: int, held: Mapping[str, Any] | None) -> bool | None:
            expected = writes[i][1]
            if expected is None or held is None:
                return None if held is None and expected is None else False
            return None if _decode(dict(held)) == expected else False

        return await self._writer.write([claim.id for claim, _ in writes], operations, write_id, judge)

    def _stamps(self) -> tuple[int, DatetimeMS]:
        return self._writer.next_write_id(), DatetimeMS(self._clock.now() + self._retention_ms)


def _encode(claim: Claim, write_id: int, expire_at: DatetimeMS) -> dict[str, Any]:
    document: dict[str, Any] = {
        "_id": claim.id,
        "v": 1,
        "owner": claim.owner,
        "fence": claim.fence,
        "until": claim.until,
        "state": claim.state,
        "write_id": write_id,
        "expire_at": expire_at,
    }
    if claim.result is not None:
        if len(claim.result) > MAX_BYTES:
            raise too_large("the result of claim", claim.id, len(claim.result))
        document["result"] = claim.result
    return document


def _is(claim: Claim) -> dict[str, Any]:
    """Whether the stored document holds exactly this claim."""
    result = {"$eq": [{"$ifNull": ["$result", None]}, {"$literal": claim.result}]}
    fields = ("owner", "fence", "until", "state")
    return {"$and": [*({"$eq": [f"${name}", {"$literal": getattr(claim, name)}]} for name in fields), result]}


def _may_be_replaced_by(claim: Claim) -> dict[str, Any]:
    """Whether the stored document, if there is one, gives way to a claim that is recorded."""
    is_open = {"$ne": ["$state", "DONE"]}
    if claim.state == "DONE":
        return is_open
    return {"$and": [is_open, {"$in": [{"$ifNull": ["$owner", None]}, {"$literal": [None, claim.owner]}]}]}


def _decode(document: dict[str, Any]) -> Claim:
    return Claim(
        document["_id"], document["owner"], document["fence"], document["until"], document["state"],
        document.get("result"),
    )  # fmt: skip
