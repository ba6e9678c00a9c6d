"""Claiming and acknowledging pending work (spec 7.6): at most one installation holds a node run at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from headrace.core.run import NodeRun, Run
from headrace.ports.clock import Clock
from headrace.ports.pending import PendingStore, PendingWork
from headrace.ports.stores import RunStore

_MOST = 1_000
"""Looked at for one claim: what a worker excludes, or what is over, must not hide all the rest."""


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
        waiting = await self._pending.claimable(installation, now, _MOST if exclude else limit)
        runs = await self._runs.load([work.run_id for work in waiting])
        wanted: list[Claimed] = []
        over: list[tuple[str, int]] = []
        for work in waiting:
            stored = runs.get(work.run_id)
            node = None if stored is None else _open_node(stored.run, work)
            if stored is None or node is None:
                over.append((work.node_run_id, work.rev))
            elif len(wanted) < limit and uid_of(stored.run, node) not in exclude:
                wanted.append(Claimed(replace(work, rev=work.rev + 1, visible_at=now + milliseconds), stored.run, node))
        answers = await self._pending.save([claimed.work for claimed in wanted])
        await self._pending.delete(over)
        return [claimed for claimed, won in zip(wanted, answers, strict=True) if won]

    async def acknowledge(self, node_run_id: str) -> bool | None:
        """Take the work for good. False when somebody has done so before, None when there is no such work."""
        while True:
            held = (await self._pending.load([node_run_id])).get(node_run_id)
            if held is None:
                return None
            if held.visible_at is None:
                return False
            if (await self._pending.save([replace(held, rev=held.rev + 1, visible_at=None)]))[0]:
                return True


def uid_of(run: Run, node: NodeRun) -> str:
    """The `nodeUid`: one node of one version of a workflow."""
    return f"{run.workflow}:{run.version}:{node.node}"


def _open_node(run: Run, work: PendingWork) -> NodeRun | None:
    """The node run, if this attempt of it still waits."""
    nodes: Sequence[NodeRun] = tuple(run.nodes.values())
    node = next((node for node in nodes if node.id == work.node_run_id), None)
    return node if node is not None and node.status == "IN_PROGRESS" and node.attempt == work.attempt else None
