"""The embedded schedule store: the ScheduleStore port in memory, written through to the journal if there is one."""

from collections.abc import Sequence
from heapq import nsmallest
from typing import Final

from headrace.adapters.embedded.fence import accept, rev_of
from headrace.adapters.embedded.journal import Journal
from headrace.ports.schedules import StoredSchedule

_SAVE: Final = (
    "INSERT OR REPLACE INTO schedules (workflow, trigger_node, rev, version, spec, due_at) VALUES (?, ?, ?, ?, ?, ?)"
)
_DELETE: Final = "DELETE FROM schedules WHERE workflow = ? AND trigger_node = ?"
_LOAD: Final = "SELECT workflow, trigger_node, rev, version, spec, due_at FROM schedules"


class EmbeddedScheduleStore:
    """Schedules in memory. There are few, so what is due is found by looking at all of them."""

    def __init__(self, journal: Journal | None = None) -> None:
        self._journal = journal
        self._schedules: dict[tuple[str, str], StoredSchedule] = {}
        if journal is not None:
            found = (StoredSchedule(*row) for row in journal.read(_LOAD))
            self._schedules = {schedule.key: schedule for schedule in found}

    async def load(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredSchedule]:
        """See the port."""
        return {key: self._schedules[key] for key in keys if key in self._schedules}

    async def save(self, writes: Sequence[StoredSchedule]) -> list[bool]:
        """See the port. Here UnavailableError means that nothing was written."""
        answers, accepted = accept(writes, lambda write: write.key, self._schedules)
        if accepted and self._journal is not None:
            rows = [(it.workflow, it.trigger, it.rev, it.version, it.spec, it.due_at) for it in accepted.values()]
            self._journal.write((_SAVE, rows))
        self._schedules.update(accepted)
        return answers

    async def delete(self, key: tuple[str, str], rev: int) -> bool:
        """See the port. Here UnavailableError means that nothing was written."""
        if rev < 0 or rev_of(self._schedules.get(key)) != rev:
            return False
        if self._journal is not None:
            self._journal.write((_DELETE, [key]))
        del self._schedules[key]
        return True

    async def due(self, now: int, limit: int) -> list[StoredSchedule]:
        """See the port."""
        found = ((it.due_at, it) for it in self._schedules.values() if it.due_at is not None and it.due_at <= now)
        return [it for _, it in nsmallest(limit, found, key=lambda pair: (pair[0], pair[1].key))]
