"""The embedded catalog: the CatalogStore port in memory, written through to the journal when there is one."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import replace
from heapq import heappop, heappush, nsmallest
from typing import Final

import orjson

from headrace.adapters.embedded.fence import accept, rev_of
from headrace.adapters.embedded.journal import Journal, Row
from headrace.contracts import catalog_documents
from headrace.contracts.documents import pack, unpack
from headrace.contracts.envelope import dump
from headrace.ports.catalog import StoredBlueprint, StoredEntity

_SAVE_BLUEPRINT: Final = (
    "INSERT OR REPLACE INTO blueprints (n, identifier, document, rev, created_by, created_at, updated_by, updated_at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_DELETE_BLUEPRINT: Final = "DELETE FROM blueprints WHERE n = ?"
_LOAD_BLUEPRINTS: Final = (
    "SELECT n, identifier, document, rev, created_by, created_at, updated_by, updated_at FROM blueprints ORDER BY n"
)
_SAVE_ENTITY: Final = (
    "INSERT OR REPLACE INTO entities (n, rev, saved_at, deleted, entity, outbox) VALUES (?, ?, ?, ?, ?, ?)"
)
_EMPTY_OUTBOX: Final = "UPDATE entities SET outbox = NULL WHERE n = ?"
_DELETE_ENTITY: Final = "DELETE FROM entities WHERE n = ?"
_LOAD_ENTITIES: Final = "SELECT n, rev, saved_at, deleted, entity, outbox FROM entities ORDER BY n"

_MAX_UNTIDY: Final = 1_000
"""Rows that may wait for the next save to be tidied with it."""


class EmbeddedCatalog:
    """Blueprints and entities in memory. Of deleted entities the last `max_deleted` whose events are out are kept."""

    def __init__(self, journal: Journal | None = None, *, max_deleted: int = 10_000) -> None:
        self._journal = journal
        self._max_deleted = max_deleted
        self._blueprints: dict[str, StoredBlueprint] = {}
        self._entities: dict[str, StoredEntity] = {}
        self._keys: list[str] = []  # of entities that are not deleted, in order
        self._numbers: dict[str, int] = {}  # of the rows; blueprints are in there with a slash before them
        self._last_n = 0
        self._timers = _Heap()
        self._unsent: dict[str, None] = {}
        self._deleted: dict[str, None] = {}
        # rows to change; they wait for the next save, because a transaction of their own would cost more than they do
        self._sent: dict[str, None] = {}
        self._evicted: list[int] = []
        if journal is not None:
            self._load(journal)

    async def blueprints(self) -> list[StoredBlueprint]:
        """See the port."""
        return sorted(self._blueprints.values(), key=lambda it: it.identifier)

    async def blueprint(self, identifier: str) -> StoredBlueprint | None:
        """See the port."""
        return self._blueprints.get(identifier)

    async def save_blueprint(self, write: StoredBlueprint) -> bool:
        """See the port. Here UnavailableError means that nothing was written."""
        if rev_of(self._blueprints.get(write.identifier)) != write.rev - 1:
            return False
        n = self._numbers.get("/" + write.identifier, self._last_n + 1)
        if self._journal is not None:
            row = (
                n, write.identifier, dump(write.document), write.rev, write.created_by, write.created_at,
                write.updated_by, write.updated_at,
            )  # fmt: skip
            self._journal.write((_SAVE_BLUEPRINT, [row]))
        self._number("/" + write.identifier, n)
        self._blueprints[write.identifier] = write
        return True

    async def delete_blueprint(self, identifier: str, rev: int) -> bool:
        """See the port. Here UnavailableError means that nothing was written."""
        if rev < 0 or rev_of(self._blueprints.get(identifier)) != rev:
            return False
        if self._journal is not None:
            self._journal.write((_DELETE_BLUEPRINT, [(self._numbers["/" + identifier],)]))
        del self._blueprints[identifier], self._numbers["/" + identifier]
        return True

    async def load(self, keys: Sequence[str]) -> dict[str, StoredEntity]:
        """See the port."""
        return {key: self._entities[key] for key in keys if key in self._entities}

    async def save(self, writes: Sequence[StoredEntity]) -> list[bool]:
        """See the port. Here UnavailableError means that nothing was written."""
        answers, accepted = accept(writes, lambda write: write.entity.key, self._entities)
        if accepted:
            numbers = {key: self._numbers.get(key, self._last_n + 1 + i) for i, key in enumerate(accepted)}
            if self._journal is not None:
                self._write(self._journal, accepted, numbers)
            for key, write in accepted.items():
                self._number(key, numbers[key])
                self._keep(key, write)
            self._evict()
        return answers

    async def mark_sent(self, revs: Sequence[tuple[str, int]]) -> None:
        """See the port. The file learns of it with the next save, or when the store is closed."""
        for key, rev in revs:
            stored = self._entities.get(key)
            if stored is not None and stored.rev == rev and key in self._unsent:
                self._keep(key, replace(stored, outbox=()))
                self._sent[key] = None
        self._evict()
        if len(self._sent) + len(self._evicted) > _MAX_UNTIDY:
            self._tidy()

    async def unsent(self, saved_before: int, limit: int) -> list[StoredEntity]:
        """See the port."""
        waiting = ((self._entities[key].saved_at, key) for key in self._unsent)
        oldest = nsmallest(limit, (it for it in waiting if it[0] < saved_before))
        return [self._entities[key] for _, key in oldest]

    async def due(self, now: int, limit: int) -> list[StoredEntity]:
        """See the port."""
        return [self._entities[key] for key in self._timers.due(now, limit)]

    async def page(self, blueprint: str | None, after: str | None, limit: int) -> list[StoredEntity]:
        """See the port."""
        keys = self._keys
        first, end = 0, len(keys)
        if blueprint is not None:
            # "0" is the character after the slash
            first, end = bisect_left(keys, f"{blueprint}/"), bisect_left(keys, f"{blueprint}0")
        if after is not None:
            first = max(first, bisect_right(keys, after))
        return [self._entities[key] for key in keys[first : min(end, first + limit)]]

    async def close(self) -> None:
        """Tidy up the file. The journal stays open."""
        self._tidy()

    def _number(self, name: str, n: int) -> None:
        self._numbers[name] = n
        self._last_n = max(self._last_n, n)

    def _keep(self, key: str, stored: StoredEntity) -> None:
        """Make an accepted write the truth."""
        before = self._entities.get(key)
        was_there = before is not None and not before.deleted
        self._entities[key] = stored
        if was_there and stored.deleted:
            del self._keys[bisect_left(self._keys, key)]
        elif not was_there and not stored.deleted:
            insort(self._keys, key)
        self._timers.put(key, stored.timers.next_due_at)
        self._sent.pop(key, None)
        self._unsent.pop(key, None)
        self._deleted.pop(key, None)
        if stored.outbox:
            self._unsent[key] = None
        elif stored.deleted:
            self._deleted[key] = None

    def _evict(self) -> None:
        """Forget the deleted entities that are too many."""
        while len(self._deleted) > self._max_deleted:
            key = next(iter(self._deleted))
            del self._deleted[key], self._entities[key]
            self._sent.pop(key, None)
            n = self._numbers.pop(key)
            if self._journal is not None:
                self._evicted.append(n)

    def _write(self, journal: Journal, writes: dict[str, StoredEntity], numbers: dict[str, int]) -> None:
        rows: list[Row] = [
            (
                numbers[key], write.rev, write.saved_at, int(write.deleted),
                catalog_documents.encode_entity(write.entity, write.timers), pack(write.outbox) or None,
            )
            for key, write in writes.items()
        ]  # fmt: skip
        journal.write(
            (_EMPTY_OUTBOX, [(self._numbers[key],) for key in self._sent]),
            (_DELETE_ENTITY, [(n,) for n in self._evicted]),
            (_SAVE_ENTITY, rows),
        )
        self._sent.clear()
        self._evicted.clear()

    def _tidy(self) -> None:
        if self._journal is not None and (self._sent or self._evicted):
            self._write(self._journal, {}, {})

    def _load(self, journal: Journal) -> None:
        for n, identifier, document, *rest in journal.read(_LOAD_BLUEPRINTS):
            self._number("/" + identifier, n)
            self._blueprints[identifier] = StoredBlueprint(identifier, orjson.loads(document), *rest)
        for n, rev, saved_at, deleted, document, outbox in journal.read(_LOAD_ENTITIES):
            entity, timers = catalog_documents.decode_entity(document)
            messages = unpack(outbox) if outbox else ()
            self._number(entity.key, n)
            self._keep(entity.key, StoredEntity(entity, rev, messages, saved_at, timers, bool(deleted)))
        self._evict()


class _Heap:
    """Which entities are due. Instants that fell away stay in the heap until they come up, or are most of it."""

    def __init__(self) -> None:
        self._due_at: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def put(self, key: str, due_at: int | None) -> None:
        """This is now the next instant of the entity."""
        if self._due_at.get(key) == due_at:
            return
        if due_at is None:
            del self._due_at[key]
        else:
            self._due_at[key] = due_at
            heappush(self._heap, (due_at, key))
        if len(self._heap) > 2 * len(self._due_at) + 1_024:
            self._heap = sorted((at, name) for name, at in self._due_at.items())

    def due(self, now: int, limit: int) -> list[str]:
        """The entities due at `now`, the earliest first."""
        found: list[tuple[int, str]] = []
        while self._heap and self._heap[0][0] <= now and len(found) < limit:
            item = heappop(self._heap)
            # an item twice in the heap is an instant that fell away and came back
            if self._due_at.get(item[1]) == item[0] and (not found or found[-1] != item):
                found.append(item)
        for item in found:
            heappush(self._heap, item)
        return [key for _, key in found]
