"""The embedded ledger: the LedgerStore port in memory, written through to the journal when there is one."""

from bisect import insort
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import orjson

from headrace.adapters.embedded.journal import Change, Journal, Row
from headrace.adapters.verdicts import decode_verdicts, encode_verdicts, workflows_of
from headrace.contracts.envelope import dump
from headrace.ports.stores import LedgerEntry

_SAVE: Final = (
    "INSERT OR REPLACE INTO ledger "
    "(seq, event_id, at, action, blueprint, entity, considered, source, workflows, verdicts, event) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_DELETE: Final = "DELETE FROM ledger WHERE seq <= ?"
_LOAD: Final = (
    "SELECT seq, event_id, at, action, blueprint, entity, considered, source, workflows FROM ledger ORDER BY seq"
)
_LOAD_BULK: Final = "SELECT verdicts, event FROM ledger WHERE seq = ?"

_LIGHT: Final = 9
_TRIM_CHUNK: Final = 1_000


class EmbeddedLedger:
    """The newest `max_entries` entries, in the order in which they were first recorded.

    Verdicts and events are the bulk of it: they are kept as bytes, or only in the file when there is one.
    """

    def __init__(self, journal: Journal | None = None, *, max_entries: int = 20_000) -> None:
        self._journal = journal
        self._max_entries = max(1, max_entries)
        # as _SAVE says; the first _LIGHT columns, when the others are in the file
        self._rows: dict[int, Row] = {}
        self._by_event: dict[str, int] = {}
        # the newest entry of each entity, and of each entry the one before it of the same entity
        self._by_entity: dict[tuple[str, str], int] = {}
        self._previous: dict[int, int] = {}
        self._by_workflow: dict[str, deque[int]] = {}
        self._last = 0
        self._evicted = 0
        self._trimmed = 0  # what is deleted in the file, too
        if journal is not None:
            self._load(journal)

    async def record(self, entries: Sequence[LedgerEntry]) -> None:
        """See the port. An entry that replaces another keeps its place. After UnavailableError none is kept."""
        rows: list[Row] = []
        by_event = self._by_event
        new: dict[str, int] = {}
        last = self._last
        for entry in entries:
            event_id = entry.event_id
            seq = by_event.get(event_id) or new.get(event_id)
            if seq is None:
                seq = new[event_id] = last = last + 1
            workflows = verdicts = None
            if entry.verdicts:
                workflows, verdicts = dump(workflows_of(entry.verdicts)), encode_verdicts(entry.verdicts)
            rows.append(
                (
                    seq, event_id, entry.at, entry.action, entry.blueprint, entry.entity, entry.considered,
                    entry.source, workflows, verdicts, entry.event,
                )
            )  # fmt: skip
        if self._journal is not None:
            self._write(self._journal, rows)
            rows = [row[:_LIGHT] for row in rows]
        for row in rows:
            self._keep(row)
        self._last = last
        while len(self._rows) > self._max_entries:
            self._evict()

    async def find(self, event_id: str) -> LedgerEntry | None:
        """See the port."""
        seq = self._by_event.get(event_id)
        return None if seq is None else self._entry(self._rows[seq])

    async def query(
        self, blueprint: str | None = None, entity: str | None = None, workflow: str | None = None, limit: int = 50
    ) -> list[LedgerEntry]:
        """See the port."""
        if workflow is not None:
            candidates: Iterable[int] = reversed(self._by_workflow.get(workflow, ()))
        elif blueprint is not None and entity is not None:
            candidates = self._of_entity(blueprint, entity)
        else:
            candidates = reversed(self._rows)
        rows = (self._rows[seq] for seq in candidates)
        found = (row for row in rows if blueprint in (None, row[4]) and entity in (None, row[5]))
        return [self._entry(row) for row in islice(found, limit)]

    def _of_entity(self, blueprint: str, entity: str) -> Iterator[int]:
        """The entries of one entity, newest first."""
        seq = self._by_entity.get((blueprint, entity))
        while seq is not None and seq in self._rows:
            yield seq
            seq = self._previous.get(seq)

    def _write(self, journal: Journal, rows: Sequence[Row]) -> None:
        changes: list[Change] = [(_SAVE, rows)]
        evicted = self._evicted
        if evicted - self._trimmed >= _TRIM_CHUNK:
            changes.append((_DELETE, [(evicted,)]))
        journal.write(*changes)
        if len(changes) > 1:
            self._trimmed = evicted

    def _keep(self, row: Row) -> None:
        seq = row[0]
        old = self._rows.get(seq)
        self._rows[seq] = row
        if old is None:
            self._by_event[row[1]] = seq
            key = (row[4], row[5])
            previous = self._by_entity.get(key)
            if previous is not None:
                self._previous[seq] = previous
            self._by_entity[key] = seq
        if row[8] is not None or (old is not None and old[8] is not None):
            self._index_workflows(seq, None if old is None else old[8], row[8])

    def _index_workflows(self, seq: int, old: bytes | None, new: bytes | None) -> None:
        before, after = _names(old), _names(new)
        for workflow in before - after:
            self._by_workflow[workflow].remove(seq)
            if not self._by_workflow[workflow]:
                del self._by_workflow[workflow]
        for workflow in after - before:
            # nearly always at the end: only a replaced entry belongs elsewhere
            insort(self._by_workflow.setdefault(workflow, deque()), seq)

    def _evict(self) -> None:
        """Forget the oldest entry."""
        seq = self._evicted + 1
        row = self._rows.pop(seq)
        del self._by_event[row[1]]
        self._previous.pop(seq, None)
        key = (row[4], row[5])
        if self._by_entity.get(key) == seq:
            del self._by_entity[key]
        if row[8] is not None:
            self._index_workflows(seq, row[8], None)
        self._evicted = seq

    def _entry(self, row: Row) -> LedgerEntry:
        verdicts, event = row[_LIGHT:] or self._bulk(row[0])
        _, event_id, at, action, blueprint, entity, considered, source, _ = row[:_LIGHT]
        return LedgerEntry(
            event_id, at, action, blueprint, entity, considered, decode_verdicts(verdicts), event, source
        )

    def _bulk(self, seq: int) -> Row:
        assert self._journal is not None, "without a file the rows are whole"
        return self._journal.blob(_LOAD_BULK, seq)

    def _load(self, journal: Journal) -> None:
        for row in journal.read(_LOAD):
            self._keep(tuple(row))
            self._last = row[0]
        self._evicted = self._trimmed = next(iter(self._rows), 1) - 1
        while len(self._rows) > self._max_entries:
            self._evict()


def _names(workflows: bytes | None) -> set[str]:
    return set() if workflows is None else set(orjson.loads(workflows))
