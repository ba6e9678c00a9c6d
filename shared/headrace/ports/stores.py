"""Stores: runs, definitions, claims and the ledger, as the services need them."""

from collections.abc import Sequence
from typing import Literal, Protocol

from headrace.core.json import Json, JsonObject
from headrace.core.run import Result, Run, RunStatus
from headrace.core.value_class import value_class
from headrace.ports.log import Message


@value_class
class StoredRun:
    """A run as it lies in the store.

    `rev` is the fence of compare-and-set: it grows by one with every save. `outbox` holds messages that the last saves
    asked for and that are not known to be published; `saved_at` says when it was filled (ms).
    """

    run: Run
    rev: int
    outbox: tuple[Message, ...] = ()
    saved_at: int = 0


@value_class
class RunQuery:
    """Which runs to list (spec 10). Empty tuples do not filter. Newest first."""

    run_ids: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()
    versions: tuple[int, ...] = ()
    created_by: str | None = None
    statuses: tuple[RunStatus, ...] = ()
    results: tuple[Result, ...] = ()
    viewer: str | None = None
    """When set: only runs this user created, or of a workflow in `open_workflows` (spec 8.3)."""
    open_workflows: frozenset[str] = frozenset()
    limit: int = 100
    offset: int = 0


@value_class
class DueTimer:
    run_id: str
    timer_id: str
    due_at: int


class RunStore(Protocol):
    """Runs. All reads on which a decision rests are majority reads; one run is the unit of atomicity."""

    async def load(self, run_ids: Sequence[str]) -> dict[str, StoredRun]:
        """The stored runs; unknown ids are absent. Raises UnavailableError."""
        ...

    async def save(self, writes: Sequence[StoredRun]) -> list[bool]:
        """Write each run if the store holds its `rev - 1` (`rev` 0: if it holds none). One answer per write.

        False means that another writer was first: load it again and decide again, never trust it as proof that the
        other write lasts. Raises UnavailableError: the outcome of every write is unknown.
        """
        ...

    async def mark_sent(self, revs: Sequence[tuple[str, int]]) -> None:
        """Empty the outbox of each (run id, rev) that still has that rev. Losing this only repeats a publish."""
        ...

    async def unsent(self, saved_before: int, limit: int) -> list[StoredRun]:
        """Runs whose outbox has waited since before that instant, oldest first."""
        ...

    async def due(self, now: int, limit: int) -> list[DueTimer]:
        """Every timer due at `now`, earliest first; also those that were returned before and still stand."""
        ...

    async def query(self, query: RunQuery) -> list[Run]: ...

    async def find_node_run(self, node_run_id: str) -> Run | None:
        """The run that owns a node run."""
        ...

    async def find_external(self, external_run_id: str) -> list[Run]:
        """Runs with a node run that carries this external id."""
        ...


@value_class
class WorkflowVersion:
    """One immutable version of a workflow. `document` is what the author sent; instants are ms since the epoch."""

    identifier: str
    version: int
    document: JsonObject
    created_by: str
    created_at: int
    updated_by: str
    updated_at: int
    deleted: bool = False


class DefinitionStore(Protocol):
    """Workflows and their versions. Versions are immutable; deletion is soft (spec 1.5)."""

    async def create(self, identifier: str, document: JsonObject, by: str, at: int) -> WorkflowVersion:
        """Version 1, or the next version of a deleted workflow. Raises AlreadyExistsError."""
        ...

    async def update(
        self, identifier: str, document: JsonObject, by: str, at: int, expected_version: int | None = None
    ) -> WorkflowVersion:
        """The next version. Raises NotFoundError; VersionConflictError when `expected_version` is not the latest."""
        ...

    async def delete(self, identifier: str, by: str, at: int) -> WorkflowVersion:
        """Mark deleted: no new runs; runs in flight finish. Raises NotFoundError."""
        ...

    async def latest(self, identifier: str) -> WorkflowVersion | None:
        """The newest version, deleted or not."""
        ...

    async def version(self, identifier: str, version: int) -> WorkflowVersion | None: ...

    async def versions(self, identifier: str) -> list[WorkflowVersion]:
        """All versions, newest first."""
        ...

    async def all(self, include_deleted: bool = False) -> list[WorkflowVersion]:
        """The newest version of every workflow, by identifier."""
        ...

    async def revision(self) -> int:
        """Grows with every change of any workflow; cheap enough to ask once a batch."""
        ...


ClaimState = Literal["CLAIMED", "SENT", "DONE"]
"""CLAIMED: somebody has it. SENT: somebody has it and may have called, and no one may call again. DONE: the end."""


@value_class
class Claim:
    """Who performs an attempt, and its result once known (docs/delivery.md).

    `owner` names a process. `fence` counts those who claimed the attempt one after the other by `save`. `until` (ms) is
    the end of the lease. `result` is the encoded result message once DONE. DONE is the last word: nothing replaces it.
    """

    id: str
    owner: str
    fence: int
    until: int
    state: ClaimState
    result: bytes | None = None


class ClaimStore(Protocol):
    async def load(self, claim_ids: Sequence[str]) -> dict[str, Claim]:
        """Majority read: what it returns lasts. Ids without a claim are absent. Raises UnavailableError."""
        ...

    async def save(self, writes: Sequence[tuple[Claim, Claim | None]]) -> list[bool]:
        """For each (new, expected): write `new` if the store holds exactly `expected` (None: holds none).

        One answer per write; False means another owner was first. Raises UnavailableError: outcomes unknown.
        """
        ...

    async def record(self, claims: Sequence[Claim]) -> None:
        """Tell the store what is so already, without asking what it holds; the ids differ from each other.

        * A DONE claim is written as given, over no claim and over a claim of anybody that is not DONE, live or not: the
          attempt was made, and whoever else has claimed it must find that out. Over DONE it changes nothing: the first
          result stays.
        * A claim in another state (the lease of a call that is out, or its renewal) is written over no claim, and over
          one of the same `owner` that is not DONE. Over a claim of another owner, live or expired, and over DONE it
          changes nothing, and nobody is told: the call goes on, and its result will be recorded.

        On return all of it is durable (majority): for every DONE claim given, `load` now finds a DONE, and none that
        could be rolled back. Raises UnavailableError: each of them may be written or not; to repeat is safe, also
        after others wrote.
        """
        ...


Verdict = Literal[
    "matched", "filtered", "error", "loop", "older", "missed", "waiting", "dropped", "debounced",
    "counted", "deduplicated",
]  # fmt: skip
"""`missed` is said of an instant of a schedule; `waiting`, `dropped` and `debounced` of events that matched, by a gate
(core/gate.py); `counted` of events that came faster than the ledger keeps them; `deduplicated` of one sent twice."""
COUNTED = ""
"""Stands for the workflow in the verdict of an entry about counted events: they started none."""


@value_class
class TriggerVerdict:
    """Why one trigger did or did not fire for an event. `detail` carries the clauses and the values they saw."""

    workflow: str
    version: int
    trigger: str
    verdict: Verdict
    reason: str
    run_id: str | None = None
    detail: Json = None


@value_class
class LedgerEntry:
    """What became of one entity event. `considered` counts the triggers that listen to its blueprint and type;
    `verdicts` names those that were judged one by one. `event` is the event as it came, for asking again."""

    event_id: str
    at: int
    action: str
    blueprint: str
    entity: str
    considered: int
    verdicts: tuple[TriggerVerdict, ...]
    event: bytes
    source: str
    """topic/partition/offset"""


class LedgerStore(Protocol):
    async def record(self, entries: Sequence[LedgerEntry]) -> None:
        """Keep the entries; an entry of an event that is there already replaces it. Raises UnavailableError."""
        ...

    async def find(self, event_id: str) -> LedgerEntry | None: ...

    async def query(
        self, blueprint: str | None = None, entity: str | None = None, workflow: str | None = None, limit: int = 50
    ) -> list[LedgerEntry]:
        """Newest first. `workflow` keeps entries that name it in a verdict."""
        ...
