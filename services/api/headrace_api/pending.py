"""Claiming and acknowledging pending work (spec 7.6): at most one installation holds a node run at a time."""

from dataclasses import dataclass, replace

from headrace.core.run import NodeRun, Run
from headrace.ports.clock import Clock
from headrace.ports.pending import PendingStore, PendingWork
from headrace.ports.stores import RunStore, StoredRun

_MOST = 1_000
"""Looked at for one claim: what a worker excludes, or what is over, must not hide all the rest."""

_PAGE = 100
"""Looked at in one go, once a first look found what is over."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A node run that was claimed, and until when (ms)."""

    work: PendingWork
    run: Run
    node: NodeRun


class Desk:
    """Gives pending work out."""

    def __init__(self, pending: PendingStore, runs: RunStore, clock: Clock) -> None:
        self._pending = pending
        self._runs = runs
        self._clock = clock

    async def claim(
        self, installation: str, limit: int, milliseconds: int, exclude: frozenset[str] = frozenset()
    ) -> list[Claimed]:
        """Take up to `limit` pieces of work for a while; nobody else is given them meanwhile.

        `exclude` are node uids. Raises UnavailableError: what was claimed is offered again when its time is over.
        """
        now = self._clock.now()
        claimed: list[Claimed] = []
        seen, page = 0, _MOST if exclude else limit
        while seen < _MOST and len(claimed) < limit:
            waiting = await self._pending.claimable(installation, now, page)
            runs = await self._runs.load([work.run_id for work in waiting])
            wanted: list[Claimed] = []
            over: list[PendingWork] = []
            for work in waiting:
                open_ = _open_node(runs.get(work.run_id), work)
                if open_ is None:
                    over.append(_given_out(work))
                elif len(claimed) + len(wanted) < limit and uid_of(*open_) not in exclude:
                    wanted.append(Claimed(replace(work, rev=work.rev + 1, visible_at=now + milliseconds), *open_))
            answers = await self._pending.save([*(claim.work for claim in wanted), *over])
            claimed += [claim for claim, won in zip(wanted, answers, strict=False) if won]
            if not over:
                break
            seen, page = seen + len(waiting), max(page, _PAGE)
        return claimed

    async def acknowledge(self, node_run_id: str) -> bool | None:
        """Take the work for good. False when somebody has done so before, None when there is no such work any more."""
        while True:
            held = (await self._pending.load([node_run_id])).get(node_run_id)
            if held is None or _open_node((await self._runs.load([held.run_id])).get(held.run_id), held) is None:
                return None
            if held.visible_at is None:
                return False
            if (await self._pending.save([_given_out(held)]))[0]:
                return True


def uid_of(run: Run, node: NodeRun) -> str:
    """The `nodeUid`: one node of one version of a workflow."""
    return f"{run.workflow}:{run.version}:{node.node}"


def _given_out(work: PendingWork) -> PendingWork:
    """The same, offered to nobody any more. It is kept: its `rev` must not begin anew under those who have read it."""
    return replace(work, rev=work.rev + 1, visible_at=None)


def _open_node(stored: StoredRun | None, work: PendingWork) -> tuple[Run, NodeRun] | None:
    """The node run, if this attempt of it still waits."""
    if stored is None:
        return None
    node = stored.run.node_run(work.node_run_id)
    if node is None or node.status == "COMPLETED" or node.phase == "retrying" or node.attempt != work.attempt:
        return None
    return stored.run, node
