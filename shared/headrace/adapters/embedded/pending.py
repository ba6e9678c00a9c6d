"""The embedded store of pending work: in memory, written through to the journal if there is one."""

from collections.abc import Sequence
from heapq import nsmallest
from typing import Final

from headrace.adapters.embedded.fence import accept
from headrace.adapters.embedded.journal import Journal
from headrace.ports.pending import PendingWork

_SAVE: Final = (
    "INSERT OR REPLACE INTO pending_work (node_run, run, attempt, installation, offered_at, rev, visible_at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_DELETE: Final = "DELETE FROM pending_work WHERE node_run = ?"
_LOAD: Final = (
    "SELECT node_run, run, attempt, installation, offered_at, rev, visible_at FROM pending_work ORDER BY offered_at"
)


class EmbeddedPendingStore:
    """Pending work in memory. Of what was acknowledged the last `max_acknowledged` are kept."""

    def __init__(self, journal: Journal | None = None, *, max_acknowledged: int = 10_000) -> None:
        self._journal = journal
        self._max_acknowledged = max_acknowledged
        self._works: dict[str, PendingWork] = {}
        self._open: dict[str, dict[str, PendingWork]] = {}
        self._acknowledged: dict[str, None] = {}
        for row in journal.read(_LOAD) if journal is not None else ():
            self._keep(PendingWork(*row))

    async def load(self, node_run_ids: Sequence[str]) -> dict[str, PendingWork]:
        """See the port."""
        return {name: self._works[name] for name in node_run_ids if name in self._works}

    async def save(self, writes: Sequence[PendingWork]) -> list[bool]:
        """See the port. Here UnavailableError means that nothing was written."""
        answers, accepted = accept(writes, lambda write: write.node_run_id, self._works)
        if not accepted:
            return answers
        surplus = len(self._acknowledged) - self._max_acknowledged
        old = [name for name in list(self._acknowledged)[: max(0, surplus)] if name not in accepted]
        if self._journal is not None:
            self._journal.write((_SAVE, [_row(it) for it in accepted.values()]), (_DELETE, [(name,) for name in old]))
        for name in old:
            self._forget(name)
        for write in accepted.values():
            self._keep(write)
        return answers

    async def claimable(self, installation: str, now: int, limit: int) -> list[PendingWork]:
        """See the port."""
        waiting = self._open.get(installation, {}).values()
        found = ((it.visible_at, it.node_run_id, it) for it in waiting if it.visible_at is not None)
        return [work for _, _, work in nsmallest(limit, (it for it in found if it[0] <= now), key=lambda it: it[:2])]

    def _keep(self, work: PendingWork) -> None:
        self._forget(work.node_run_id)
        self._works[work.node_run_id] = work
        if work.visible_at is None:
            self._acknowledged[work.node_run_id] = None
        else:
            self._open.setdefault(work.installation, {})[work.node_run_id] = work

    def _forget(self, node_run_id: str) -> None:
        work = self._works.pop(node_run_id, None)
        self._acknowledged.pop(node_run_id, None)
        if work is not None and work.visible_at is not None:
            waiting = self._open[work.installation]
            del waiting[node_run_id]
            if not waiting:
                del self._open[work.installation]


def _row(work: PendingWork) -> tuple[str, str, int, str, int, int, int | None]:
    return (
        work.node_run_id, work.run_id, work.attempt, work.installation, work.offered_at, work.rev, work.visible_at,
    )  # fmt: skip
