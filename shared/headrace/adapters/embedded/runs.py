"""The embedded run store: the RunStore port in memory, written through to the journal when there is one."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from heapq import nsmallest
from typing import Final

from headrace.adapters.embedded.journal import Change, Journal
from headrace.adapters.embedded.run_index import Entry, RunIndex, matches
from headrace.adapters.embedded.timers import DueTimers
from headrace.contracts import documents
from headrace.core.run import NodeRun, Run
from headrace.ports.stores import DueTimer, RunQuery, StoredRun

_SAVE_RUN: Final = "INSERT OR REPLACE INTO runs (n, rev, saved_at, run) VALUES (?, ?, ?, ?)"
_SAVE_OUTBOX: Final = "INSERT OR REPLACE INTO outboxes (n, messages) VALUES (?, ?)"
_EMPTY_OUTBOX: Final = "DELETE FROM outboxes WHERE n = ?"
_DELETE_RUN: Final = "DELETE FROM runs WHERE n = ?"

_WINDOW: Final = 512
"""Finished runs that are kept as objects, because people and late results ask for the newest ones."""
_MAX_UNTIDY: Final = 1_000
"""Rows that may wait for the next save to be deleted with it."""


class EmbeddedRunStore:
    """Runs in memory: live ones as objects, finished ones as encoded bytes, or in the file when there is one.

    The newest `max_finished_runs` finished runs are kept, by the time they were completed; a run with unsent messages
    does not count as finished. The number must exceed the runs that may finish while an event can still be redelivered
    (offsets are committed every fraction of a second): a run that is forgotten could be started again by its event.
    """

    def __init__(self, journal: Journal | None = None, *, max_finished_runs: int = 10_000) -> None:
        self._journal = journal
        self._max_finished = max(1, max_finished_runs)
        self._entries: dict[str, Entry] = {}
        self._index = RunIndex()
        self._timers = DueTimers()
        self._owners: dict[str, Entry] = {}
        self._by_external: dict[str, dict[str, Entry]] = {}
        self._unsent: dict[str, Entry] = {}
        # ordered dicts, because they are queues: a dict walks over everything ever taken from its front
        self._finished: OrderedDict[str, Entry] = OrderedDict()  # in the order of completion
        self._window: OrderedDict[str, Entry] = OrderedDict()  # those of them that are still objects
        self._last_n = 0
        # rows to delete; they wait for the next save, because a transaction of their own would cost more than they do
        self._sent: set[int] = set()
        self._evicted: list[int] = []
        if journal is not None:
            self._load(journal)

    async def load(self, run_ids: Sequence[str]) -> dict[str, StoredRun]:
        """See the port."""
        entries = self._entries
        return {run_id: self._stored(entries[run_id]) for run_id in run_ids if run_id in entries}

    async def save(self, writes: Sequence[StoredRun]) -> list[bool]:
        """See the port. Here UnavailableError means that nothing was written."""
        answers, accepted = self._judge(writes)
        if not accepted:
            return answers
        numbers: dict[str, int] = {}
        for write in accepted:
            run_id = write.run.id
            if run_id not in self._entries and run_id not in numbers:
                numbers[run_id] = self._last_n + len(numbers) + 1
        if self._journal is not None:
            self._write(self._journal, accepted, numbers)
        self._last_n += len(numbers)
        for write in accepted:
            self._keep(write, numbers)
        while len(self._finished) > self._max_finished:
            self._evict(next(iter(self._finished.values())))
        return answers

    async def mark_sent(self, revs: Sequence[tuple[str, int]]) -> None:
        """See the port. The file learns of it with the next save, or when the store is closed."""
        for run_id, rev in revs:
            entry = self._unsent.get(run_id)
            if entry is None or entry.rev != rev:
                continue
            stored = self._stored(entry)
            entry.stored = StoredRun(stored.run, rev, (), stored.saved_at)
            del self._unsent[run_id]
            if self._journal is not None:
                self._sent.add(entry.n)
            if stored.run.is_over:
                self._settle(entry)
        if len(self._sent) > _MAX_UNTIDY:
            self._tidy()

    async def unsent(self, saved_before: int, limit: int) -> list[StoredRun]:
        """See the port."""
        waiting = ((e.saved_at, e.run_id, e) for e in self._unsent.values() if e.saved_at < saved_before)
        return [self._stored(entry) for _, _, entry in nsmallest(limit, waiting)]

    async def due(self, now: int, limit: int) -> list[DueTimer]:
        """See the port."""
        return self._timers.due(now, limit)

    async def query(self, query: RunQuery) -> list[Run]:
        """See the port. Runs of one instant are in the order of their ids, the highest first."""
        if query.run_ids:
            known = (self._entries.get(run_id) for run_id in set(query.run_ids))
            found = [entry for entry in known if entry is not None and matches(entry, query)]
            found.sort(key=lambda entry: entry.order, reverse=True)
            page = found[query.offset : query.offset + query.limit]
        else:
            page = self._index.page(query)
        return [self._stored(entry).run for entry in page]

    async def find_node_run(self, node_run_id: str) -> Run | None:
        """See the port."""
        entry = self._owners.get(node_run_id)
        return None if entry is None else self._stored(entry).run

    async def find_external(self, external_run_id: str) -> list[Run]:
        """See the port. Newest first."""
        entries = self._by_external.get(external_run_id, {}).values()
        newest_first = sorted(entries, key=lambda entry: entry.order, reverse=True)
        return [self._stored(entry).run for entry in newest_first]

    async def close(self) -> None:
        """Tidy up the file. The journal stays open."""
        self._tidy()

    def _judge(self, writes: Sequence[StoredRun]) -> tuple[list[bool], list[StoredRun]]:
        """The compare of compare-and-set: the answers, and the writes that win."""
        answers: list[bool] = []
        accepted: list[StoredRun] = []
        revs: dict[str, int] = {}
        for write in writes:
            run_id = write.run.id
            rev = revs.get(run_id)
            if rev is None:
                entry = self._entries.get(run_id)
                rev = -1 if entry is None else entry.rev
            wins = rev == write.rev - 1
            answers.append(wins)
            if wins:
                revs[run_id] = write.rev
                accepted.append(write)
        return answers, accepted

    def _write(self, journal: Journal, writes: Iterable[StoredRun], numbers: dict[str, int]) -> None:
        runs = []
        outboxes = {}
        emptied = set(self._sent)
        for write in writes:
            run_id = write.run.id
            entry = self._entries.get(run_id)
            n = numbers[run_id] if entry is None else entry.n
            runs.append((n, write.rev, write.saved_at, documents.encode_run(write.run)))
            if write.outbox:
                outboxes[n] = documents.pack(write.outbox)
            elif run_id in self._unsent or n in outboxes:
                outboxes.pop(n, None)
                emptied.add(n)
        changes: list[Change] = [(_SAVE_RUN, runs)]
        # first what was emptied: a run may be in both
        changes.append((_EMPTY_OUTBOX, [(n,) for n in emptied]))
        changes.append((_SAVE_OUTBOX, outboxes.items()))
        changes.append((_DELETE_RUN, [(n,) for n in self._evicted]))
        journal.write(*changes)
        self._sent.clear()
        self._evicted.clear()

    def _tidy(self) -> None:
        if self._journal is not None and (self._sent or self._evicted):
            self._write(self._journal, (), {})

    def _keep(self, write: StoredRun, numbers: dict[str, int]) -> None:
        """Make an accepted write the truth."""
        run = write.run
        run_id = run.id
        entry = self._entries.get(run_id)
        if entry is None:
            entry = self._entries[run_id] = Entry(numbers[run_id], run)
        before = entry.stored
        entry.rev = write.rev
        entry.saved_at = write.saved_at
        entry.stored = write
        entry.data = None
        self._index.put(entry, run)
        self._timers.replace(run_id, run.timers)
        old_nodes = {} if before is None else before.run.nodes
        for key, node in run.nodes.items():
            if old_nodes.get(key) is not node:
                self._own(entry, node)
        if write.outbox:
            self._unsent[run_id] = entry
            self._finished.pop(run_id, None)
            self._window.pop(run_id, None)
        else:
            self._unsent.pop(run_id, None)
            if run.status == "COMPLETED":
                self._settle(entry)

    def _own(self, entry: Entry, node: NodeRun) -> None:
        """Remember which run a node run belongs to, and under which name others know it."""
        if self._owners.get(node.id) is not entry:
            self._owners[node.id] = entry
            entry.node_run_ids += (node.id,)
        external = node.external_run_id
        if external is not None and external not in entry.external_ids:
            self._by_external.setdefault(external, {})[entry.run_id] = entry
            entry.external_ids += (external,)

    def _settle(self, entry: Entry) -> None:
        """The run is over and its messages are out. It stays an object for a while, then only its bytes stay."""
        self._finished[entry.run_id] = entry
        self._window[entry.run_id] = entry
        if len(self._window) > _WINDOW:
            self._compact(next(iter(self._window.values())))

    def _compact(self, entry: Entry) -> None:
        del self._window[entry.run_id]
        if self._journal is None and entry.stored is not None:
            try:
                entry.data = documents.encode_run(entry.stored.run)
            except documents.UnencodableMessageError:
                return  # it stays an object; a file would have refused it when it was saved
        entry.stored = None

    def _evict(self, entry: Entry) -> None:
        """Forget a finished run."""
        self._finished.pop(entry.run_id)
        self._window.pop(entry.run_id, None)
        del self._entries[entry.run_id]
        self._index.remove(entry)
        self._timers.replace(entry.run_id, ())
        for node_run_id in entry.node_run_ids:
            if self._owners.get(node_run_id) is entry:
                del self._owners[node_run_id]
        for external in entry.external_ids:
            same = self._by_external[external]
            del same[entry.run_id]
            if not same:
                del self._by_external[external]
        if self._journal is not None:
            self._evicted.append(entry.n)

    def _stored(self, entry: Entry) -> StoredRun:
        if entry.stored is not None:
            return entry.stored
        data = entry.data
        if data is None:
            assert self._journal is not None, "without a file, what is no object is bytes"
            data = self._journal.blob("SELECT run FROM runs WHERE n = ?", entry.n)[0]
        return StoredRun(documents.decode_run(data), entry.rev, (), entry.saved_at)

    def _load(self, journal: Journal) -> None:
        outboxes: dict[int, bytes] = dict(journal.read("SELECT n, messages FROM outboxes"))
        finished = []
        for n, rev, saved_at, data in journal.read("SELECT n, rev, saved_at, run FROM runs ORDER BY n"):
            run = documents.decode_run(data)
            outbox = outboxes.get(n)
            messages = () if outbox is None else documents.unpack(outbox)
            self._keep(StoredRun(run, rev, messages, saved_at), {run.id: n})
            self._last_n = n
            if run.is_over and not messages:
                entry = self._entries[run.id]
                finished.append((run.completed_at or 0, n, entry))
        finished.sort(key=lambda item: item[:2])
        self._finished = OrderedDict((entry.run_id, entry) for _, _, entry in finished)
        while len(self._finished) > self._max_finished:
            self._evict(next(iter(self._finished.values())))
