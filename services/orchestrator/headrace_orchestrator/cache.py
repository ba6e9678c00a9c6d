"""Runs this process saved last: a guess that saves reads. Compare-and-set makes a wrong guess harmless."""

from collections import OrderedDict
from collections.abc import Iterable

from headrace.ports.stores import StoredRun


class RunCache:
    """At most `capacity` runs in progress, least recently used first out. Runs that are over are not kept."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._runs: OrderedDict[str, StoredRun] = OrderedDict()

    def get(self, run_ids: Iterable[str]) -> dict[str, StoredRun]:
        """The cached ones of these runs."""
        found = {}
        for run_id in run_ids:
            stored = self._runs.get(run_id)
            if stored is not None:
                self._runs.move_to_end(run_id)
                found[run_id] = stored
        return found

    def put(self, saved: Iterable[StoredRun]) -> None:
        """Remember runs as they were just saved and are about to be published."""
        for stored in saved:
            if stored.run.is_over:
                self._runs.pop(stored.run.id, None)
                continue
            self._runs[stored.run.id] = stored
            self._runs.move_to_end(stored.run.id)
        while len(self._runs) > self._capacity:
            self._runs.popitem(last=False)

    def drop(self, run_ids: Iterable[str]) -> None:
        """Forget what we thought we knew of these runs."""
        for run_id in run_ids:
            self._runs.pop(run_id, None)
