"""The definition store on MongoDB: a head per workflow decides, old versions lie beside it, a counter tells readers.

*The head* (`workflows`, `_id` = identifier) holds the newest version whole and changes by compare-and-set on `rev`. So
of two who change a workflow at once one wins, and a workflow is one document to read.

*Old versions* (`workflow_versions`, `_id` = number and identifier). Before the head moves on, the version that it holds
is copied here; a copy of a head that then did not move is harmless, since only numbers below the head's are read here.

*The counter* (`counters`, `definitions`) is the revision. A reader remembers the revision, reads what it needs, and
reads again when the revision differs; so the revision may grow only after the change can be read. If it grew before, a
reader could take the old workflows for those of the new revision, and keep them. But growing afterwards may be
forgotten: the process may die in between. So the head says with the change itself that it is not announced yet; the
mark goes away when the counter has grown. Every process looks for such marks every few seconds while it asks for the
revision, and announces what somebody else could not.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson
import structlog
from pymongo import InsertOne
from pymongo.errors import DuplicateKeyError

from headrace.adapters.mongo.bulk import MAX_BYTES, BulkWriter, Operation, only_if, too_large
from headrace.adapters.mongo.database import Document, MongoDatabase
from headrace.adapters.mongo.errors import translated
from headrace.adapters.mongo.indexes import COUNTERS, WORKFLOW_VERSIONS, WORKFLOWS
from headrace.adapters.mongo.versions import Shape
from headrace.core.json import JsonObject
from headrace.ports.errors import AlreadyExistsError, NotFoundError, UnavailableError, VersionConflictError
from headrace.ports.stores import WorkflowVersion

SHAPE: Final = Shape("workflow")

_COUNTER: Final = {"_id": "definitions"}
_LOOK_SECONDS: Final = 5.0
_MAX_ROUNDS: Final = 20

_log = structlog.get_logger("headrace.mongo")


@dataclass(frozen=True, slots=True)
class _Head:
    """The newest version of a workflow, and how often the workflow was changed before."""

    latest: WorkflowVersion
    rev: int


class MongoDefinitionStore:
    """The DefinitionStore port.

    `created_by` and `created_at` are those of the workflow: later versions repeat them, until it is created anew after
    a deletion. The version that was the latest at a deletion keeps its mark, by whom and when, for good.
    All methods raise UnavailableError; after one from a change, the change may have been made or not.
    """

    def __init__(self, database: MongoDatabase) -> None:
        self._heads = database.collection(WORKFLOWS)
        self._versions = database.collection(WORKFLOW_VERSIONS)
        self._counters = database.collection(COUNTERS)
        self._writer = BulkWriter(database, WORKFLOWS, "workflows", ("rev",))
        self._next_look = 0.0

    async def create(self, identifier: str, document: JsonObject, by: str, at: int) -> WorkflowVersion:
        """See the port. Raises DocumentTooLargeError."""
        for _ in range(_MAX_ROUNDS):
            head = await self._head(identifier)
            if head is not None and not head.latest.deleted:
                raise AlreadyExistsError(f"workflow {identifier!r} exists already (version {head.latest.version})")
            number = 1 if head is None else head.latest.version + 1
            new = WorkflowVersion(identifier, number, document, by, at, by, at)
            if (saved := await self._change(head, new)) is not None:
                return saved
        raise _contended(identifier)

    async def update(
        self, identifier: str, document: JsonObject, by: str, at: int, expected_version: int | None = None
    ) -> WorkflowVersion:
        """See the port. A deleted workflow is not found. Raises DocumentTooLargeError."""
        for _ in range(_MAX_ROUNDS):
            head = await self._existing(identifier)
            latest = head.latest
            if expected_version is not None and expected_version != latest.version:
                raise VersionConflictError(
                    f"workflow {identifier!r} is at version {latest.version}, not {expected_version}: read it again"
                )
            created = (latest.created_by, latest.created_at)
            new = WorkflowVersion(identifier, latest.version + 1, document, *created, by, at)
            if (saved := await self._change(head, new)) is not None:
                return saved
        raise _contended(identifier)

    async def delete(self, identifier: str, by: str, at: int) -> WorkflowVersion:
        """See the port. A deleted workflow is not found."""
        for _ in range(_MAX_ROUNDS):
            head = await self._existing(identifier)
            new = replace(head.latest, updated_by=by, updated_at=at, deleted=True)
            if (saved := await self._change(head, new)) is not None:
                return saved
        raise _contended(identifier)

    async def latest(self, identifier: str) -> WorkflowVersion | None:
        """See the port."""
        head = await self._head(identifier)
        return None if head is None else head.latest

    async def version(self, identifier: str, version: int) -> WorkflowVersion | None:
        """See the port."""
        head = await self._head(identifier)
        if head is None or not 1 <= version <= head.latest.version:
            return None
        if version == head.latest.version:
            return head.latest
        with translated("read a version of a workflow"):
            document = await self._versions.find_one({"_id": _key(identifier, version)})
        return None if document is None else _decode(document, identifier)

    async def versions(self, identifier: str) -> list[WorkflowVersion]:
        """See the port."""
        head = await self._head(identifier)
        if head is None:
            return []
        older = {"workflow": {"$in": [identifier]}, "version": {"$lt": head.latest.version}}
        with translated("read the versions of a workflow"):
            cursor = self._versions.find(older, sort=[("version", -1)], hint="by_workflow")
            return [head.latest, *[_decode(document, identifier) for document in await cursor.to_list()]]

    async def all(self, include_deleted: bool = False) -> list[WorkflowVersion]:
        """See the port."""
        wanted: dict[str, Any] = {} if include_deleted else {"deleted": False}
        with translated("read all workflows"):
            cursor = self._heads.find(wanted, sort=[("_id", 1)], hint="_id_")
            return [_decode(document, document["_id"]) for document in await cursor.to_list()]

    async def revision(self) -> int:
        """See the port. Grows only after the change can be read; see the module for how."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_SECONDS
            await self._announce_left_behind()
        with translated("read the revision of the workflows"):
            counter = await self._counters.find_one(_COUNTER)
        return 0 if counter is None else int(counter["value"])

    async def _head(self, identifier: str) -> _Head | None:
        with translated("read a workflow"):
            document = await self._heads.find_one({"_id": {"$in": [identifier]}})
        return None if document is None else _Head(_decode(document, identifier), document["rev"])

    async def _existing(self, identifier: str) -> _Head:
        head = await self._head(identifier)
        if head is None or head.latest.deleted:
            raise NotFoundError(f"there is no workflow {identifier!r}")
        return head

    async def _change(self, before: _Head | None, new: WorkflowVersion) -> WorkflowVersion | None:
        """Move the head on and announce it; None when somebody else moved it first."""
        data = orjson.dumps(new.document)
        if len(data) > MAX_BYTES:
            raise too_large("workflow", new.identifier, len(data))
        if before is not None and before.latest.version != new.version:
            await self._keep_old(before)
        rev = 0 if before is None else before.rev + 1
        write_id = self._writer.next_write_id()
        document = {"_id": new.identifier, **_encode(new, data), "rev": rev, "write_id": write_id, "unannounced": True}
        operation: Operation = InsertOne(document)
        if before is not None:
            operation = only_if({"$eq": ["$rev", before.rev]}, document)

        def judge(_: int, held: Mapping[str, Any] | None) -> bool | None:
            return None if (-1 if held is None else held["rev"]) == rev - 1 else False

        (won,) = await self._writer.write([new.identifier], [operation], write_id, judge)
        if not won:
            return None
        try:
            await self._announce(new.identifier, rev)
        except UnavailableError as error:  # the change stands; whoever asks for the revision next will announce it
            _log.warning("workflow changed, but not announced yet", workflow=new.identifier, error=str(error))
        return replace(new, document=orjson.loads(data))

    async def _keep_old(self, head: _Head) -> None:
        """Copy the version that the head holds to where old versions lie. A later copy of it is never replaced."""
        old = head.latest
        key = _key(old.identifier, old.version)
        document = _encode(old, orjson.dumps(old.document))
        document |= {"workflow": old.identifier, "head_rev": head.rev}
        with translated("keep a version of a workflow"):
            try:
                await self._versions.replace_one({"_id": key, "head_rev": {"$lte": head.rev}}, document, upsert=True)
            except DuplicateKeyError:
                if await self._versions.find_one({"_id": key}, {"_id": True}) is None:
                    raise

    async def _announce(self, identifier: str, rev: int) -> None:
        with translated("announce the change of a workflow"):
            await self._counters.update_one(_COUNTER, {"$inc": {"value": 1}}, upsert=True)
            await self._heads.update_one({"_id": identifier, "rev": rev}, {"$unset": {"unannounced": ""}})

    async def _announce_left_behind(self) -> None:
        with translated("look for changed workflows"):
            cursor = self._heads.find({"unannounced": True}, {"rev": True}, hint="unannounced")
            left = await cursor.to_list()
        for document in left:
            await self._announce(document["_id"], document["rev"])


def _encode(version: WorkflowVersion, data: bytes) -> Document:
    return {
        "v": 1,
        "version": version.version,
        "document": data,
        "created_by": version.created_by,
        "created_at": version.created_at,
        "updated_by": version.updated_by,
        "updated_at": version.updated_at,
        "deleted": version.deleted,
    }


def _decode(document: Document, identifier: str) -> WorkflowVersion:
    document = SHAPE.read(document)
    return WorkflowVersion(
        identifier, document["version"], orjson.loads(document["document"]), document["created_by"],
        document["created_at"], document["updated_by"], document["updated_at"], document["deleted"],
    )  # fmt: skip


def _key(identifier: str, version: int) -> str:
    """The number comes first: it cannot contain the colon, the identifier might."""
    return f"{version}:{identifier}"


def _contended(identifier: str) -> UnavailableError:
    return UnavailableError(f"workflow {identifier!r} is being changed by others all the time: try again")
