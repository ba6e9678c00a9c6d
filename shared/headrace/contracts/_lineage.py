"""Child runs and re-runs on the wire and in documents: the parts that most runs do not have, and then leave out."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from headrace.contracts import messages
from headrace.contracts._run_event_messages import ChildrenPart
from headrace.contracts._wire import ParentPart
from headrace.core.commands import Carried, StartRun
from headrace.core.json import JsonObject
from headrace.core.run import Children, NodeRun, Parent


def lineage_object(parent: Parent | None, rerun_of: str | None, gate: str | None) -> JsonObject:
    """Where a run comes from, and the gate it passed; nothing for one that stands for itself."""
    data: JsonObject = {}
    if parent is not None:
        data["parent"] = {"runId": parent.run_id, "nodeRunId": parent.node_run_id, "index": parent.index}
    if rerun_of is not None:
        data["rerunOf"] = rerun_of
    if gate is not None:
        data["gate"] = gate
    return data


def read_parent(part: ParentPart | None) -> Parent | None:
    return None if part is None else Parent(part.run_id, part.node_run_id, part.index)


def start_object(start: StartRun) -> JsonObject:
    """What the command to start a child run, a re-run, or a run behind a gate says beyond the others."""
    data = lineage_object(start.parent, start.rerun_of, start.gate)
    if start.held:
        data["held"] = True
    if start.carried:
        data["carried"] = [
            {
                "node": it.node, "nodeType": it.type, "result": it.result, "output": it.output, "stored": it.stored,
                "error": it.error, "outlet": it.outlet, "label": it.label, "links": list(it.links),
            }
            for it in start.carried
        ]  # fmt: skip
    return data


def read_carried(part: "messages.CarriedPart") -> Carried:
    return Carried(
        part.node, part.node_type, part.result, part.output, part.stored, part.error, part.outlet, part.label,
        tuple(part.links),
    )  # fmt: skip


def children_object(children: Children) -> JsonObject:
    """The child runs of a node run that starts; a single one has no items."""
    return {"total": children.total, "items": list(children.items)} if children.items else {"total": children.total}


def read_children(part: ChildrenPart | None) -> Children | None:
    return None if part is None else Children(part.total, tuple(part.items))


def node_marks(nodes: Mapping[str, NodeRun]) -> JsonObject:
    """What a run's document says of node runs with child runs, and of those that were carried over."""
    data: dict[str, Any] = {}
    for name, node in nodes.items():
        it = node.children
        if it is not None:
            data.setdefault("children", {})[name] = (
                it.total, it.items, it.started, it.running, it.succeeded, it.failed, it.failures, it.results,
                it.result_bytes,
            )  # fmt: skip
        if node.carried:
            data.setdefault("carried", []).append(name)
    return data


def read_marks(data: Mapping[str, Any], nodes: dict[str, NodeRun]) -> None:
    """Put back what `node_marks` took from the node runs."""
    for name, row in data.get("children", {}).items():
        total, items, started, running, succeeded, failed, failures, results, result_bytes = row[:9]
        children = Children(
            total, tuple(items), started, tuple(running), succeeded, failed, _pairs(failures),
            None if results is None else _pairs(results), result_bytes,
        )  # fmt: skip
        nodes[name] = replace(nodes[name], children=children)
    for name in data.get("carried", ()):
        nodes[name] = replace(nodes[name], carried=True)


def _pairs(entries: list[list[Any]]) -> tuple[tuple[Any, Any], ...]:
    return tuple((first, second) for first, second in entries)
