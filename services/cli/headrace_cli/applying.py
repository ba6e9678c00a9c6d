"""Bringing a workflow file to the server: created, updated or unchanged, whatever was there before."""

import json
from dataclasses import dataclass
from typing import Literal

from headrace_cli.client import Client
from headrace_cli.documents import WorkflowFile
from headrace_cli.errors import ConflictError, Finding, NotFoundError

Change = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one file. `warnings` did not keep it from being saved."""

    file: str
    identifier: str
    change: Change
    version: int
    warnings: tuple[Finding, ...] = ()


def apply(client: Client, file: WorkflowFile) -> Applied:
    """Make the server's workflow say what the file says. Raises RejectedError with places in the file."""
    identifier = _identifier(file)
    before = _version(client, identifier)
    if before is not None:
        answer, warnings = client.update_workflow(identifier, file.raw)
    else:
        try:
            answer, warnings = client.create_workflow(file.raw)
        except ConflictError:  # somebody else created it just now
            before = _version(client, identifier)
            answer, warnings = client.update_workflow(identifier, file.raw)
    version = int(answer.get("version", 0))
    change: Change = "created" if before is None else "unchanged" if version == before else "updated"
    return Applied(file.name, identifier, change, version, tuple(warnings))


def _version(client: Client, identifier: str) -> int | None:
    """The newest version on the server; None when there is no such workflow, or the file names none."""
    if not identifier:
        return None
    try:
        return int(client.workflow(identifier).get("version", 0))
    except NotFoundError:
        return None


def _identifier(file: WorkflowFile) -> str:
    """The workflow's name; empty when the file is so broken that the server shall say why."""
    try:
        document = json.loads(file.raw)
    except ValueError:
        return ""
    identifier = document.get("identifier") if isinstance(document, dict) else None
    return identifier if isinstance(identifier, str) else ""
