"""All indexes, and with them all collections: one list. `headrace init` makes them, every service checks them.

An index costs the server work with every write, so each one says which question it answers. Those marked as partial or
sparse hold only documents that the question is about, and stay small however many runs are stored.
"""

from dataclasses import dataclass
from typing import Any, Final

from pymongo import IndexModel
from pymongo.errors import OperationFailure

from headrace.adapters.mongo.database import MongoDatabase
from headrace.adapters.mongo.errors import MongoRefusedError, codes, translated

RUNS: Final = "runs"
WORKFLOWS: Final = "workflows"
WORKFLOW_VERSIONS: Final = "workflow_versions"
COUNTERS: Final = "counters"
CLAIMS: Final = "claims"
LEDGER: Final = "ledger"
BLUEPRINTS: Final = "blueprints"
ENTITIES: Final = "entities"
SCHEDULES: Final = "schedules"
PENDING: Final = "pending_work"
GATES: Final = "gates"

COLLECTIONS: Final = (
    RUNS,
    WORKFLOWS,
    WORKFLOW_VERSIONS,
    COUNTERS,
    CLAIMS,
    LEDGER,
    BLUEPRINTS,
    ENTITIES,
    SCHEDULES,
    PENDING,
    GATES,
)

_OTHER_OPTIONS: Final = frozenset((85, 86))
_NO_SUCH_COLLECTION: Final = 26


@dataclass(frozen=True, slots=True)
class Index:
    """`purpose` is the question that the index answers."""

    collection: str
    name: str
    keys: tuple[tuple[str, int], ...]
    purpose: str
    sparse: bool = False
    only_with: str | None = None
    """A field: documents without it are left out (a partial index)."""
    is_ttl: bool = False

    def model(self) -> IndexModel:
        options: dict[str, Any] = {"name": self.name}
        if self.sparse:
            options["sparse"] = True
        if self.only_with is not None:
            options["partialFilterExpression"] = {self.only_with: {"$exists": True}}
        if self.is_ttl:
            options["expireAfterSeconds"] = 0
        return IndexModel(list(self.keys), **options)


_NEWEST: Final = (("created_at", -1), ("_id", -1))
_LATEST: Final = (("at", -1), ("_id", -1))

INDEXES: Final = (
    Index(RUNS, "by_state", (("state", 1), *_NEWEST), "all runs, or those in some states, newest first"),
    Index(RUNS, "by_workflow", (("workflow", 1), ("state", 1), *_NEWEST), "the runs of workflows, newest first"),
    Index(RUNS, "by_creator", (("created_by", 1), ("state", 1), *_NEWEST), "the runs of a user, newest first"),
    Index(RUNS, "by_node_run", (("nodes", 1),), "which run owns a node run", sparse=True),
    Index(RUNS, "by_external_id", (("external", 1),), "which runs carry an external id", sparse=True),
    Index(RUNS, "due", (("next_due", 1), ("_id", 1)), "which timers are due", only_with="next_due"),
    Index(RUNS, "unsent", (("unsent_since", 1), ("_id", 1)), "whose outbox waits", only_with="unsent_since"),
    Index(RUNS, "expiry", (("expire_at", 1),), "which finished runs to forget", sparse=True, is_ttl=True),
    Index(WORKFLOWS, "unannounced", (("unannounced", 1),), "which changes nobody announced", sparse=True),
    Index(WORKFLOW_VERSIONS, "by_workflow", (("workflow", 1), ("version", -1)), "the versions of a workflow"),
    Index(CLAIMS, "expiry", (("expire_at", 1),), "which claims to forget", is_ttl=True),
    Index(LEDGER, "by_time", _LATEST, "the latest entries"),
    Index(LEDGER, "by_entity", (("entity", 1), *_LATEST), "the entries of an entity"),
    Index(LEDGER, "by_blueprint", (("blueprint", 1), *_LATEST), "the entries of a blueprint"),
    Index(LEDGER, "by_workflow", (("workflows", 1), *_LATEST), "the entries that name it", only_with="workflows"),
    Index(LEDGER, "expiry", (("expire_at", 1),), "which entries to forget", is_ttl=True),
    Index(ENTITIES, "due", (("next_due", 1), ("_id", 1)), "which timers are due", only_with="next_due"),
    Index(ENTITIES, "unsent", (("unsent_since", 1), ("_id", 1)), "whose outbox waits", only_with="unsent_since"),
    Index(ENTITIES, "expiry", (("expire_at", 1),), "which deleted ones to forget", sparse=True, is_ttl=True),
    Index(SCHEDULES, "due", (("due_at", 1), ("_id", 1)), "which schedules are due", only_with="due_at"),
    Index(
        PENDING, "claimable", (("installation", 1), ("visible_at", 1), ("_id", 1)), "what an installation can claim",
        only_with="visible_at",
    ),
    Index(PENDING, "expiry", (("expire_at", 1),), "which pending work to forget", is_ttl=True),
    Index(GATES, "due", (("due_at", 1), ("_id", 1)), "where something is due", only_with="due_at"),
    Index(GATES, "unsent", (("unsent_since", 1), ("_id", 1)), "whose outbox waits", only_with="unsent_since"),
    Index(GATES, "expiry", (("expire_at", 1),), "which idle ones to forget", sparse=True, is_ttl=True),
)  # fmt: skip


async def create_indexes(database: MongoDatabase) -> None:
    """Make every index that is missing, and the collections with them. To repeat is safe.

    Raises MongoRefusedError when an index of one of these names exists with other keys or options; UnavailableError.
    """
    for collection in COLLECTIONS:
        models = [index.model() for index in INDEXES if index.collection == collection]
        if not models:
            continue
        with translated(f"make the indexes of {database.name}.{collection}"):
            try:
                await database.collection(collection).create_indexes(models)
            except OperationFailure as error:
                if not _OTHER_OPTIONS.intersection(codes(error)):
                    raise
                raise MongoRefusedError(
                    f"An index of {database.name}.{collection} is not the one that this release needs. Compare "
                    f"db.{collection}.getIndexes() with docs/mongodb.md, drop the one that differs, and run "
                    "`headrace init` again."
                ) from None


async def missing_indexes(database: MongoDatabase) -> list[Index]:
    """The indexes that are not there, or not as this release needs them. Raises UnavailableError."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for collection in {index.collection for index in INDEXES}:
        with translated(f"list the indexes of {database.name}.{collection}"):
            try:
                cursor = await database.collection(collection).list_indexes()
                found.update({(collection, document["name"]): dict(document) async for document in cursor})
            except OperationFailure as error:
                if _NO_SUCH_COLLECTION not in codes(error):
                    raise
    return [index for index in INDEXES if not _is_as_needed(index, found.get((index.collection, index.name)))]


async def require_indexes(database: MongoDatabase) -> None:
    """For the start of a service. Raises MongoRefusedError when an index is missing; UnavailableError."""
    missing = await missing_indexes(database)
    if missing:
        names = ", ".join(f"{index.collection}.{index.name}" for index in missing)
        raise MongoRefusedError(
            f"The MongoDB database {database.name!r} lacks indexes: {names}. Run `headrace init`, then start again."
        )


def _is_as_needed(index: Index, found: dict[str, Any] | None) -> bool:
    if found is None or list(found["key"].items()) != list(index.keys):
        return False
    wanted = dict(index.model().document)
    options = ("sparse", "partialFilterExpression", "expireAfterSeconds")
    return all(found.get(option) == wanted.get(option) for option in options)
