"""Which runs are stored, newest first, by what people ask for: the index behind the embedded run store's query.

Runs are kept in *orders*: lists sorted by (created_at, run id), one per bucket (status while in progress, result once
completed) and family (all runs, the runs of one workflow, the runs of one user). A query merges the few orders that can
hold its answers from their new ends, tests what is left to test, and stops when the page is full. Removal is lazy: an
entry that left a bucket stays in its order until stale entries are half of it.
"""

from bisect import insort
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import Final

from headrace.core.run import Run
from headrace.ports.stores import RunQuery, StoredRun

_BUCKETS: Final = ("IN_PROGRESS", "CANCELLING", "SUCCESS", "FAILED", "CANCELLED", "COMPLETED")
_COMPLETED: Final = frozenset(("SUCCESS", "FAILED", "CANCELLED", "COMPLETED"))
_MANY_FAMILIES: Final = 200
"""Beyond this, merging costs more than walking through all runs."""

_order_of = attrgetter("order")


class Entry:
    """What memory knows of a stored run. `stored` is absent for old finished runs: `data` or the file has them."""

    __slots__ = (
        "bucket", "created_by", "data", "external_ids", "families", "n", "node_run_ids", "order", "rev", "run_id",
        "saved_at", "stored", "version", "workflow",
    )  # fmt: skip

    def __init__(self, n: int, run: Run) -> None:
        self.n = n
        self.run_id = run.id
        self.order = (run.created_at, run.id)
        self.workflow = run.workflow
        self.version = run.version
        self.created_by = run.created_by
        self.bucket: str | None = None  # None: in no order (yet, or any more)
        self.families: tuple[_Family, ...] = ()
        self.rev = -1
        self.saved_at = 0
        self.stored: StoredRun | None = None
        self.data: bytes | None = None
        self.node_run_ids: tuple[str, ...] = ()
        self.external_ids: tuple[str, ...] = ()


class _Order:
    __slots__ = ("entries", "stale")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.stale = 0


class _Family:
    """The orders of the runs that have something in common."""

    __slots__ = ("count", "orders")

    def __init__(self) -> None:
        self.count = 0
        self.orders = {bucket: _Order() for bucket in _BUCKETS}

    def add(self, entry: Entry, bucket: str) -> None:
        entries = self.orders[bucket].entries
        if not entries or entries[-1].order <= entry.order:
            entries.append(entry)
        else:
            insort(entries, entry, key=_order_of)
        self.count += 1

    def leave(self, bucket: str) -> None:
        """An entry has left the bucket (its `bucket` says so already)."""
        self.count -= 1
        order = self.orders[bucket]
        order.stale += 1
        if order.stale > 32 and order.stale * 2 > len(order.entries):
            order.entries = [entry for entry in order.entries if entry.bucket == bucket]
            order.stale = 0


class RunIndex:
    """All entries in order. Whoever changes an entry's run tells the index by `put`."""

    def __init__(self) -> None:
        self._all = _Family()
        self._by_workflow: dict[str, _Family] = {}
        self._by_creator: dict[str, _Family] = {}

    def put(self, entry: Entry, run: Run) -> None:
        """The entry holds this run now."""
        bucket = (run.result or "COMPLETED") if run.status == "COMPLETED" else run.status
        before = entry.bucket
        if bucket == before:
            return
        entry.bucket = bucket
        if before is None:
            entry.families = (
                self._all,
                self._by_workflow.get(entry.workflow) or self._by_workflow.setdefault(entry.workflow, _Family()),
                self._by_creator.get(entry.created_by) or self._by_creator.setdefault(entry.created_by, _Family()),
            )
        for family in entry.families:
            if before is not None:
                family.leave(before)
            family.add(entry, bucket)

    def remove(self, entry: Entry) -> None:
        before, entry.bucket = entry.bucket, None
        if before is None:
            return
        for family in entry.families:
            family.leave(before)
        if not self._by_workflow[entry.workflow].count:
            del self._by_workflow[entry.workflow]
        if not self._by_creator[entry.created_by].count:
            del self._by_creator[entry.created_by]

    def page(self, query: RunQuery) -> list[Entry]:
        """The entries of the page that the query asks for."""
        buckets = _buckets_of(query)
        found = (entry for entry in self._candidates(query, buckets) if _matches(entry, query, buckets))
        return list(islice(found, query.offset, query.offset + query.limit))

    def _candidates(self, query: RunQuery, buckets: frozenset[str]) -> Iterator[Entry]:
        """Entries from the newest, each once; some may not match."""
        orders = [
            order.entries
            for family in self._families(query)
            for bucket, order in family.orders.items()
            if bucket in buckets and order.entries
        ]
        if len(orders) == 1:
            walk: Iterable[Entry] = reversed(orders[0])
        else:
            walk = merge(*map(reversed, orders), key=_order_of, reverse=True)
        last = None
        for entry in walk:
            if entry is not last:  # in two orders: stale in one, or of two families
                yield entry
            last = entry

    def _families(self, query: RunQuery) -> Iterable[_Family]:
        """The fewest families that hold every match."""
        if query.created_by is not None:
            names, by_name = {query.created_by}, self._by_creator
        elif query.workflows:
            names, by_name = set(query.workflows), self._by_workflow
        elif query.viewer is not None:
            own = self._by_creator.get(query.viewer)
            names, by_name = set(query.open_workflows), self._by_workflow
            if len(names) <= _MANY_FAMILIES:
                return [*([own] if own else ()), *(by_name[name] for name in sorted(names) if name in by_name)]
        else:
            return (self._all,)
        if len(names) > _MANY_FAMILIES:
            return (self._all,)
        return [by_name[name] for name in sorted(names) if name in by_name]


def matches(entry: Entry, query: RunQuery) -> bool:
    """Whether the query, its page aside, asks for this entry."""
    return _matches(entry, query, _buckets_of(query)) and (not query.run_ids or entry.run_id in query.run_ids)


def _matches(entry: Entry, query: RunQuery, buckets: frozenset[str]) -> bool:
    return (
        entry.bucket in buckets
        and (not query.workflows or entry.workflow in query.workflows)
        and (not query.versions or entry.version in query.versions)
        and (query.created_by is None or entry.created_by == query.created_by)
        and (query.viewer is None or entry.created_by == query.viewer or entry.workflow in query.open_workflows)
    )


def _buckets_of(query: RunQuery) -> frozenset[str]:
    """The buckets that hold the statuses and results asked for."""
    buckets = frozenset(_BUCKETS)
    if query.statuses:
        wanted = frozenset(query.statuses)
        buckets = (buckets & wanted) | (_COMPLETED if "COMPLETED" in wanted else frozenset())
    if query.results:
        buckets &= frozenset(query.results)
    return buckets
