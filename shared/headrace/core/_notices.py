"""Notifications of INPUT nodes: requests to the invoker whose answers end nothing.

They bear the attempt 0, before the first, and their number as the poll: so each has an id of its own.
"""

from typing import Any

from headrace.core import ids, responses
from headrace.core.commands import InvokeNode
from headrace.core.json import Json, JsonObject
from headrace.core.run import NodeRun, Run

ATTEMPT = 0
_FIELDS = ("url", "method", "headers", "body")


def requests(run: Run, node_run: NodeRun) -> list[InvokeNode]:
    """What to ask of the invoker when a node begins to wait for people."""
    return [_request(run, node_run, number, notice) for number, notice in responses.notices_of(node_run)]


def _request(run: Run, node_run: NodeRun, number: int, notice: JsonObject) -> InvokeNode:
    config: JsonObject = {name: notice[name] for name in _FIELDS if notice.get(name) is not None}
    config.setdefault("body", _about(run, node_run))
    fields: dict[str, Any] = {"synchronized": True, "on_timeout": "fail", "timeout_seconds": None}
    return InvokeNode(
        id=ids.poll_id(node_run.id, ATTEMPT, number), run_id=run.id, workflow=run.workflow, version=run.version,
        node=node_run.node, node_run_id=node_run.id, attempt=ATTEMPT, type="WEBHOOK", config=config,
        delivery="at_least_once", causation=run.causation, poll=number, **fields,
    )  # fmt: skip


def _about(run: Run, node_run: NodeRun) -> Json:
    """What a notification says whose author did not write a body."""
    description = node_run.config.get("description") if isinstance(node_run.config, dict) else None
    buttons: list[Json] = list(responses.buttons_of(node_run))
    return {
        "workflow": run.workflow, "runIdentifier": run.id, "nodeRunIdentifier": node_run.id, "node": node_run.node,
        "description": description, "buttons": buttons, "createdBy": run.created_by,
    }  # fmt: skip
