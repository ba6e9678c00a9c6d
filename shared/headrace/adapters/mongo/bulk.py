"""Conditional writes in bulk: a command or two for a whole batch, and an answer for each of its writes.

What must be new is inserted. What must replace a certain document is an update that selects by `_id` alone and compares
inside its pipeline: the server plans a query for every filter that names more than the `_id`, and that planning is two
fifths of the update's cost (docs/mongodb.md has the figures). Inserts and updates of a batch go out at the same time.

The server says how many updates changed something, not which; and a network error, a write concern that timed out or a
step-down say nothing at all. So when anything is not as it is when all writes win, the documents in doubt are read
again, and what is stored decides:

* it carries the `write_id` of this batch: the write won;
* it is what the write was meant to replace: the write did not happen, and nobody else was first. It is sent once more,
  which is safe, since only one of the two can still match;
* it is anything else: somebody was first.

No error is ever taken as an answer, a duplicate key included: the other document may be rolled back. The reading waits
for a majority to have all that the primary had applied when it began, or it fails, and then the outcome is unknown.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError, ServerSelectionTimeoutError

from headrace.adapters.clock import random_id
from headrace.adapters.mongo.database import Document, MongoDatabase
from headrace.adapters.mongo.errors import DocumentTooLargeError, is_too_large, translated, unavailable

T = TypeVar("T")
Operation = InsertOne[Document] | UpdateOne
Judge = Callable[[int, Mapping[str, Any] | None], bool | None]
"""What the stored document says of the write with that number, when it is not the write's own: False, somebody was
first; None, the write did not happen, but may still; True, what it wanted is so."""

MAX_BYTES: Final = 16 * 1024 * 1024 - 64 * 1024
"""Of what we count of a document; the rest is for what MongoDB adds."""

_ATTEMPTS: Final = 3


def replacement(document: Document, rev: int) -> Operation:
    """Write a document of this `rev` over the one before it, or, for `rev` 0, where there is none."""
    return InsertOne(document) if rev == 0 else only_if({"$eq": ["$rev", rev - 1]}, document)


def sent(rev: int) -> list[dict[str, Any]]:
    """Empties the outbox of that revision; selecting by `_id` alone, like the saves. A missing field stays missing."""
    is_that = {"$eq": ["$rev", rev]}
    fields = {"outbox": "$$REMOVE", "unsent_since": "$$REMOVE", "expire_at": "$expire_when_sent"}
    return [{"$set": {name: {"$cond": [is_that, value, f"${name}"]} for name, value in fields.items()}}]


def judge_revs(revs: Sequence[int]) -> Judge:
    """The judge of writes with these `rev`s."""

    def judge(i: int, held: Mapping[str, Any] | None) -> bool | None:
        return None if (-1 if held is None else held["rev"]) == revs[i] - 1 else False

    return judge


class BulkWriter:
    """Writes batches to one collection. `fields` are those that its judges look at; `thing` names its documents."""

    def __init__(self, database: MongoDatabase, collection: str, thing: str, fields: Sequence[str] = ()) -> None:
        self._database = database
        self._collection = database.collection(collection)
        self._thing = thing
        self._projection = dict.fromkeys(("write_id", *fields), True)
        self._read_time_ms = int(database.settings.write_timeout_seconds * 1000)
        # 60 bits, counted up from a random start: no other process gives such a number to a write of the same document
        self._write_id = int(random_id()[:15], 16)

    def next_write_id(self) -> int:
        """A number that no other batch carries."""
        self._write_id += 1
        return self._write_id

    async def write(
        self,
        ids: Sequence[str],
        operations: Sequence[Operation],
        write_id: int,
        judge: Judge,
        otherwise: Sequence[Operation] | None = None,
    ) -> list[bool]:
        """Do all operations, at most one for an id; an answer for each.

        Those that have to be sent again are taken from `otherwise`, when it is given.
        Raises UnavailableError: the outcomes are unknown. Raises DocumentTooLargeError.
        """
        answers = [True] * len(ids)
        open_ = list(range(len(ids)))
        error: PyMongoError | None = None
        for attempt in range(_ATTEMPTS):
            chosen = operations if attempt == 0 or otherwise is None else otherwise
            doubtful, error = await self._send([chosen[i] for i in open_])
            open_ = [open_[position] for position in doubtful]
            if not open_:
                return answers
            held = await self._read([ids[i] for i in open_])
            undone = []
            for i in open_:
                document = held.get(ids[i])
                is_ours = document is not None and document["write_id"] == write_id
                answer = True if is_ours else judge(i, document)
                if answer is None:
                    undone.append(i)
                else:
                    answers[i] = answer
            open_ = undone
            if not open_:
                return answers
        raise unavailable(f"write {len(open_)} of {len(ids)} {self._thing}", error)

    async def _send(self, operations: Sequence[Operation]) -> tuple[list[int], PyMongoError | None]:
        """Send them; the positions of those of which it is not certain that they were done, and an error if any."""
        inserts: list[int] = []
        updates: list[int] = []
        for position, operation in enumerate(operations):
            (inserts if isinstance(operation, InsertOne) else updates).append(position)
        if not inserts or not updates:
            doubtful, error = await self._send_alike(operations)
            return doubtful, error
        (new, of_inserts), (changed, of_updates) = await asyncio.gather(
            self._send_alike([operations[i] for i in inserts]), self._send_alike([operations[i] for i in updates])
        )
        return [inserts[i] for i in new] + [updates[i] for i in changed], of_inserts or of_updates

    async def _send_alike(self, operations: Sequence[Operation]) -> tuple[list[int], PyMongoError | None]:
        """Send operations of one kind in one command."""
        everything = list(range(len(operations)))
        try:
            result = await self._collection.bulk_write(operations, ordered=False)
        except ServerSelectionTimeoutError as error:  # nobody is there to be asked either
            raise unavailable(f"write {self._thing}", error) from None
        except PyMongoError as error:
            if is_too_large(error):
                raise too_large(self._thing) from None
            return _doubtful(error, operations), error
        done = result.inserted_count + result.modified_count + result.upserted_count
        return ([] if done == len(operations) else everything), None

    async def _read(self, ids: Sequence[str]) -> dict[str, Document]:
        with translated(f"tell what became of {len(ids)} {self._thing}"):
            async with self._database.client.start_session(causal_consistency=True) as session:
                await self._database.barrier(session)
                cursor = self._collection.find(
                    {"_id": {"$in": list(ids)}},
                    self._projection,
                    batch_size=len(ids) + 1,
                    max_time_ms=self._read_time_ms,
                    session=session,
                )
                return {document["_id"]: document async for document in cursor}


def only_if(condition: Document, document: Document, *, upsert: bool = False) -> UpdateOne:
    """Replace the document with the same `_id` if an aggregation expression is true of what is stored.

    What is stored stays as it is otherwise, and does not count as modified. Values of people's stand under `$literal`.
    """
    chosen = {"$cond": [condition, {"$literal": document}, "$$ROOT"]}
    return UpdateOne({"_id": document["_id"]}, [{"$replaceWith": chosen}], upsert=upsert)


def too_large(thing: str, which: str | None = None, size: int | None = None) -> DocumentTooLargeError:
    """The error for a document that MongoDB cannot hold."""
    named = f"{thing} {which}" if which else f"one of the {thing}"
    length = f" ({size} bytes)" if size else ""
    return DocumentTooLargeError(f"{named}{length} is larger than MongoDB stores, 16 MiB: let it hold less")


async def in_rounds(
    ids: Sequence[str], writes: Sequence[T], save: Callable[[Sequence[T]], Awaitable[Sequence[bool]]]
) -> list[bool]:
    """The answers to writes of documents with these ids, of which one may be written several times, in this order."""
    answers = [False] * len(writes)
    for numbers in rounds(ids):
        for i, answer in zip(numbers, await save([writes[i] for i in numbers]), strict=True):
            answers[i] = answer
    return answers


def rounds(ids: Sequence[str]) -> list[list[int]]:
    """The numbers of the writes in as few groups as it takes for no group to name an id twice, in their order."""
    if len(set(ids)) == len(ids):
        return [list(range(len(ids)))]
    groups: list[list[int]] = []
    seen: dict[str, int] = {}
    for i, id_ in enumerate(ids):
        turn = seen[id_] = seen.get(id_, -1) + 1
        if turn == len(groups):
            groups.append([])
        groups[turn].append(i)
    return groups


def _doubtful(error: PyMongoError, operations: Sequence[Operation]) -> list[int]:
    """The positions of which an error leaves it open whether they were done."""
    if isinstance(error, BulkWriteError) and not error.details["writeConcernErrors"]:
        refused = [it["index"] for it in error.details["writeErrors"]]
        # of inserts, those without an error were done, and a majority has them; of updates only their number is known
        if error.details["nInserted"] + len(refused) == len(operations):
            return refused
    return list(range(len(operations)))
