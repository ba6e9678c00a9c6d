"""Runs that wait at a gate: they are held before their first node until they are admitted (core/gate.py)."""

from headrace.core import ids
from headrace.core._draft import Draft
from headrace.core._nodes import advance, complete
from headrace.core.decision import Rejection
from headrace.core.events import NodeReported, NodeStarted
from headrace.core.json import JsonObject


def hold(draft: Draft, trigger: str, output: JsonObject) -> None:
    """Let the trigger wait, with what it will put out."""
    node_run_id = ids.node_run_id(draft.run.id, trigger)
    draft.emit(
        NodeStarted, node=trigger, node_run_id=node_run_id, type=draft.run.trigger_type, config=None, phase="waiting"
    )
    draft.emit(NodeReported, node=trigger, output=output)


def admit(draft: Draft) -> Rejection | None:
    """Go on: the trigger completes, as it does at once in other runs."""
    if not draft.run.is_held:
        return Rejection("duplicate", f"run {draft.run.id} is not held")
    trigger = draft.run.nodes[draft.run.trigger]
    advance(draft, complete(draft, trigger.node, "SUCCESS", trigger.output))
    return None
