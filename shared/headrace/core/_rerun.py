"""What a re-run takes over from the run that it repeats."""

from collections.abc import Iterable

from headrace.core import ids
from headrace.core._draft import Draft
from headrace.core._flow import settle
from headrace.core._nodes import ways_out
from headrace.core.commands import Carried
from headrace.core.events import NodeCompleted


def take_over(draft: Draft, carried: Iterable[Carried], ready: Iterable[str]) -> tuple[str, ...]:
    """Complete the node runs that are carried over, as they were; the nodes that are ready after them.

    Their ways out are decided by this plan from the outlet that was chosen then; nothing is evaluated again.
    """
    waiting = list(ready)
    taken_over: set[str] = set()
    for it in carried:
        node = draft.plan.nodes.get(it.node)
        if node is None or node.node.is_trigger or it.node in draft.run.nodes:
            continue
        settled = settle(draft.plan, draft.run.edges, ways_out(node, it.outlet))
        draft.emit(
            NodeCompleted, node=it.node, node_run_id=ids.node_run_id(draft.run.id, it.node), type=it.type,
            result=it.result, output=it.output, stored=it.stored, error=it.error, outlet=it.outlet, label=it.label,
            links=it.links or None, edges=settled.edges, carried=True,
        )  # fmt: skip
        taken_over.add(it.node)
        waiting.extend(settled.ready)
    return tuple(name for name in waiting if name not in taken_over)
