"""`headrace logs RUN -f`: log lines as they are written, from before the run starts until it is over."""

import json
import sys

from headrace_cli import following, snapshot, tables
from headrace_cli.client import Client, JsonDict
from headrace_cli.session import Session


def follow(session: Session, client: Client, run_id: str) -> None:
    """Print each log line once, in the order of node runs; as JSON lines when JSON is asked for."""
    printed: dict[str, int] = {}
    for document in following.snapshots(client, run_id):
        for node in document.get("nodeRuns") or ():
            for entry in _new_entries(node, printed):
                _print(session, entry, snapshot.node_name(node))


def _new_entries(node: JsonDict, printed: dict[str, int]) -> list[JsonDict]:
    """The entries not printed yet. Old entries may be dropped by the server; the count then tells where we are."""
    entries = [entry for entry in node.get("nodeRunLogs") or () if isinstance(entry, dict)]
    dropped = node.get("logsDropped")
    first = dropped if isinstance(dropped, int) else 0
    identifier = str(node.get("identifier", ""))
    known = printed.get(identifier, 0)
    printed[identifier] = first + len(entries)
    return entries[max(known - first, 0) :]


def _print(session: Session, entry: JsonDict, node: str) -> None:
    if session.json:
        sys.stdout.write(json.dumps({**entry, "node": node}, ensure_ascii=False) + "\n")
        sys.stdout.flush()
        return
    session.print_lines(tables.log_lines([snapshot.log_line(entry)], node))
