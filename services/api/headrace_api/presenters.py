"""From the engine's objects to the JSON of the spec (sections 1.1, 7.2, 7.3). Pure.

Our own additions beside the spec's fields: `statusLabel`, `error`, `attempt`, `failedAttempts`, `blockedOn`, `outlet`,
`logsDropped`, `isDeleted`, `seq`.
"""

from collections.abc import Iterable

from headrace.core import blocking, ids
from headrace.core.definition import Definition, Node, SelfServeTrigger
from headrace.core.gate import Gate
from headrace.core.json import Json, JsonObject
from headrace.core.responses import responders_of, tally
from headrace.core.run import Children, LogLine, NodeRun, Run
from headrace.core.times import iso
from headrace.ports.stores import LedgerEntry, TriggerVerdict, WorkflowVersion

SERVER_FIELDS = frozenset(
    ("orgId", "version", "versionIdentifier", "createdBy", "updatedBy", "createdAt", "updatedAt", "isDeleted")
)
"""What the server adds to a workflow; taken off again when it comes back."""


def workflow(version: WorkflowVersion, org_id: str, open_runs: bool) -> JsonObject:
    """The author's document with the server's fields (spec 1.1)."""
    document = version.document
    return {
        "identifier": version.identifier,
        "title": document.get("title"),
        "icon": document.get("icon"),
        "description": document.get("description"),
        **document,
        "allowAnyoneToViewRuns": open_runs,
        "connections": document.get("connections") or [],
        **version_head(version),
        "orgId": org_id,
        "isDeleted": version.deleted,
    }


def version_head(version: WorkflowVersion) -> JsonObject:
    """One version without its document (spec 1.5)."""
    return {
        "version": version.version,
        "versionIdentifier": ids.version_id(version.identifier, version.version),
        "createdBy": version.created_by,
        "createdAt": iso(version.created_at),
        "updatedBy": version.updated_by,
        "updatedAt": iso(version.updated_at),
    }


def etag(version: WorkflowVersion) -> str:
    return f'"v{version.version}"'


def trigger(version: WorkflowVersion, node: Node, config: SelfServeTrigger) -> JsonObject:
    """A self-serve trigger that the caller may start (spec 10, row 16)."""
    document = version.document
    return {
        "workflow": {
            "identifier": version.identifier,
            "title": document.get("title"),
            "icon": document.get("icon"),
            "description": document.get("description"),
            "category": document.get("category"),
            "version": version.version,
        },
        "nodeIdentifier": node.identifier,
        "title": node.title,
        "icon": node.icon,
        "description": node.description,
        "userInputs": config.user_inputs,
    }


def run(it: Run, graph: Definition | None, with_logs: bool = True, gate: Gate | None = None) -> JsonObject:
    """A run (spec 7.2). Rows of lists come without log lines, and without the gate that a run waits at."""
    return {
        "identifier": it.id,
        "title": graph.title if graph else None,
        "icon": graph.icon if graph else None,
        "status": it.status,
        "result": it.result,
        "statusLabel": it.label,
        "workflow": {"identifier": it.workflow, "version": it.version},
        "workflowVersionId": it.version,
        "nodeConfigType": it.trigger_type,
        "trigger": {"identifier": it.trigger, "type": it.trigger_type, "eventId": it.causation.event_id},
        "createdBy": it.created_by,
        "createdAt": iso(it.created_at),
        "updatedAt": iso(it.updated_at),
        "completedAt": _iso(it.completed_at),
        "cancelledBy": it.cancelled_by,
        "seq": it.seq,
        "variables": {"outputs": dict(it.outputs)},
        **lineage(it),
        "nodeRuns": [node_run(node, it, graph, with_logs, gate) for node in it.nodes.values()],
    }


def node_run(
    it: NodeRun, of: Run, graph: Definition | None, with_logs: bool = True, gate: Gate | None = None
) -> JsonObject:
    """A node run (spec 7.3)."""
    node = graph.nodes.get(it.node) if graph else None
    shown: JsonObject = {
        "identifier": it.id,
        "node": {"identifier": it.node},
        "nodeTitle": node.title if node else None,
        "nodeIcon": node.icon if node else None,
        "nodeConfigType": it.type,
        "status": it.status,
        "result": it.result,
        "statusLabel": it.label,
        "output": it.output if it.output is not None else {},
        "error": it.error,
        "outlet": it.outlet,
        "attempt": it.attempt,
        "failedAttempts": [
            {"attempt": failed.attempt, "at": iso(failed.at), "error": failed.error} for failed in it.failed_attempts
        ],
        "blockedOn": blocked_on(it, of, node, gate),
        "externalRunId": it.external_run_id,
        "links": list(it.links),
        "createdAt": iso(it.created_at),
        "updatedAt": iso(it.updated_at),
        "completedAt": _iso(it.completed_at),
    }
    if it.children is not None:
        shown["children"] = children(it.id, it.children)
    if it.carried:
        shown["carried"] = True
    if with_logs:
        shown["nodeRunLogs"] = log_lines(it.logs)
        shown["logsDropped"] = it.logs_dropped
    return shown


def blocked_on(it: NodeRun, of: Run, node: Node | None, gate: Gate | None = None) -> JsonObject | None:
    """What an unfinished node run waits for, and until when; None when it is over."""
    found = blocking.blocked_on(it, of, node, gate)
    if found is None:
        return None
    shown: JsonObject = {"kind": found.kind, "until": _iso(found.until), "reason": found.reason}
    if found.kind == "person":
        shown["responses"] = [{"outlet": one.outlet, "given": one.given, "needed": one.needed} for one in tally(it)]
        shown["responders"] = responders_of(it)
    return shown


def lineage(it: Run) -> JsonObject:
    """Where a run comes from, when it was started for another run or repeats one."""
    shown: JsonObject = {}
    if it.parent is not None:
        shown["parent"] = {
            "runIdentifier": it.parent.run_id,
            "nodeRunIdentifier": it.parent.node_run_id,
            "index": it.parent.index,
        }
    if it.rerun_of is not None:
        shown["rerunOf"] = it.rerun_of
    return shown


def children(node_run_id: str, it: Children) -> JsonObject:
    """The child runs of a node run: how many, those at work, and the first that failed."""
    return {
        "total": it.total,
        "started": it.started,
        "succeeded": it.succeeded,
        "failed": it.failed,
        "running": [{"index": at, "runIdentifier": ids.child_run_id(node_run_id, at)} for at in it.running],
        "failures": [
            {"index": at, "runIdentifier": ids.child_run_id(node_run_id, at), "message": message}
            for at, message in it.failures
        ],
    }


def log_lines(lines: Iterable[LogLine]) -> list[Json]:
    """Log lines under both pairs of names (spec 7.3)."""
    return [
        {
            "logLevel": line.level,
            "log": line.message,
            "level": line.level,
            "message": line.message,
            "tags": dict(line.tags),
            "createdAt": iso(line.at),
            "updatedAt": iso(line.at),
        }
        for line in lines
    ]


def run_logs(it: Run) -> list[Json]:
    """The log lines of all node runs of a run in the order of time, each with its node."""
    lines = [
        (line.at, node.id, node.node, shown)
        for node in it.nodes.values()
        for line, shown in zip(node.logs, log_lines(node.logs), strict=True)
    ]
    lines.sort(key=lambda line: line[0])
    return [
        {"nodeRunIdentifier": node_run_id, "node": {"identifier": name}, **shown}  # type: ignore[dict-item]
        for _, node_run_id, name, shown in lines
    ]


def ledger_entry(entry: LedgerEntry) -> JsonObject:
    """What became of one entity event."""
    return {
        "eventId": entry.event_id,
        "at": iso(entry.at),
        "action": entry.action,
        "blueprint": entry.blueprint,
        "entity": entry.entity,
        "considered": entry.considered,
        "verdicts": [verdict(it) for it in entry.verdicts],
        "source": entry.source,
    }


def verdict(it: TriggerVerdict) -> JsonObject:
    """Why one trigger did or did not fire, under the names that explanations use."""
    return {
        "workflow": it.workflow,
        "version": it.version,
        "trigger": it.trigger,
        "verdict": it.verdict,
        "reason": it.reason,
        "runId": it.run_id,
        "detail": it.detail,
    }


def _iso(at: int | None) -> str | None:
    return None if at is None else iso(at)
