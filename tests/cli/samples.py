"""Answers of the API as the tests need them."""

from __future__ import annotations

from typing import Any

BEGIN = "2026-11-23T09:00:00.000Z"


def at(milliseconds: int) -> str:
    """An instant so many milliseconds after BEGIN; less than a minute."""
    return f"2026-11-23T09:00:{milliseconds // 1000:02}.{milliseconds % 1000:03}Z"


def node_run(
    name: str, kind: str, begin: int, end: int | None, result: str | None = "SUCCESS", **more: Any
) -> dict[str, Any]:
    return {
        "identifier": f"wfnr_{name:0<16}"[:21],
        "node": {"identifier": name},
        "nodeTitle": name.title(),
        "nodeConfigType": kind,
        "status": "IN_PROGRESS" if end is None else "COMPLETED",
        "result": None if end is None else result,
        "output": {},
        "error": None,
        "outlet": None,
        "attempt": 1,
        "failedAttempts": [],
        "blockedOn": {"kind": "answer", "until": None} if end is None else None,
        "links": [],
        "nodeRunLogs": [],
        "logsDropped": 0,
        "createdAt": at(begin),
        "updatedAt": at(begin if end is None else end),
        "completedAt": None if end is None else at(end),
    } | more


def run(nodes: list[dict[str, Any]], end: int | None = None, result: str = "SUCCESS", **more: Any) -> dict[str, Any]:
    return {
        "identifier": "wfr_k3J9sQ0aZx81LmNp",
        "title": "A service became gold",
        "status": "IN_PROGRESS" if end is None else "COMPLETED",
        "result": None if end is None else result,
        "statusLabel": None,
        "workflow": {"identifier": "tier-change", "version": 3},
        "workflowVersionId": 3,
        "createdBy": "machine",
        "createdAt": BEGIN,
        "updatedAt": BEGIN if end is None else at(end),
        "completedAt": None if end is None else at(end),
        "seq": 1 + len(nodes),
        "variables": {"outputs": {}},
        "nodeRuns": nodes,
    } | more


EVENT: dict[str, Any] = {
    "action": "UPDATE",
    "resourceType": "entity",
    "status": "SUCCESS",
    "trigger": {"by": {"orgId": "org_acme", "userId": "u_amira"}, "origin": "UI", "at": BEGIN},
    "context": {"blueprintIdentifier": "service", "entityIdentifier": "billing", "propertyIdentifier": None},
    "diff": {
        "before": {"identifier": "billing", "blueprint": "service", "team": ["pay"], "properties": {"tier": "silver"}},
        "after": {"identifier": "billing", "blueprint": "service", "team": ["pay"], "properties": {"tier": "gold"}},
    },
}
