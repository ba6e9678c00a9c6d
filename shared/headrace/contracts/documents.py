"""How a run and its outbox lie in a store: bytes that only we read, with a version, upgraded when they are read.

A document lives longer than a message: a run may wait for months. So every version ever written stays readable, and a
field may be added at any time, since older readers ignore it. Round trips are exact.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import orjson

from headrace.contracts._lineage import lineage_object, node_marks, read_marks
from headrace.contracts.envelope import UnencodableMessageError, dump
from headrace.contracts.record import Message
from headrace.core.errors import HeadraceError
from headrace.core.json import Json
from headrace.core.run import Causation, FailedAttempt, LogLevel, LogLine, NodeRun, Parent, Run, Timer

__all__ = ["UndecodableDocumentError", "UnencodableMessageError", "decode_run", "encode_run", "pack", "unpack"]

VERSION = 1

_NODE = 1
_COLUMNS = 21
_MOST_COLUMNS = 23
"""Of the row of a node run: where its node stands, how many columns every row has, and how many this release knows."""

_UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From version n to n+1."""


class UndecodableDocumentError(HeadraceError):
    """Stored bytes are not what this release can read: they are damaged, or a newer release wrote them.

    Nothing may be written over them. Upgrade, or restore them from a backup.
    """


def encode_run(run: Run) -> bytes:
    """The run as bytes; the same history always gives the same bytes. Raises UnencodableMessageError."""
    cause = run.causation
    trace = {} if cause.traceparent is None else {"traceparent": cause.traceparent}
    return dump(
        {
            "v": VERSION, "id": run.id, "workflow": run.workflow, "version": run.version, "trigger": run.trigger,
            "triggerType": run.trigger_type, "createdBy": run.created_by, "createdAt": run.created_at,
            "updatedAt": run.updated_at, "causation": [cause.event_id, cause.root_event_id, cause.depth, cause.chain],
            "status": run.status, "result": run.result, "completedAt": run.completed_at, "seq": run.seq,
            "nodes": [_node_row(node) for node in run.nodes.values()],
            "outputs": _output_list(run), "edges": list(run.edges.items()),
            "timers": [(timer.id, timer.node, timer.attempt, timer.kind, timer.due_at) for timer in run.timers],
            "label": run.label, "cancelledBy": run.cancelled_by, **trace,
            **lineage_object(run.parent, run.rerun_of, run.gate), **node_marks(run.nodes),
        }
    )  # fmt: skip


def decode_run(document: bytes) -> Run:
    """The run that `encode_run` was given. Raises UndecodableDocumentError."""
    data = parse_document(document)
    try:
        nodes = {row[_NODE]: _read_node(row) for row in data["nodes"]}
        read_marks(data, nodes)
        return Run(
            data["id"], data["workflow"], data["version"], data["trigger"], data["triggerType"], data["createdBy"],
            data["createdAt"], data["updatedAt"], _read_causation(data["causation"], data.get("traceparent")),
            data["status"], data["result"], data["completedAt"], data["seq"], nodes,
            _read_outputs(data["outputs"], nodes), dict(data["edges"]),
            tuple(Timer(*timer) for timer in data["timers"]), data["label"], data["cancelledBy"],
            _read_parent(data.get("parent")), data.get("rerunOf"), data.get("gate"),
        )  # fmt: skip
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UndecodableDocumentError(f"the document of a run is damaged: {error!r}") from error


def pack(messages: Sequence[Message]) -> bytes:
    """Messages, as of an outbox, as bytes: an index as one line of JSON, then all values and headers as they are.

    Raises UnencodableMessageError.
    """
    if not messages:
        return b""
    parts = [b""]
    index = []
    for message in messages:
        length = None
        if message.value is not None:
            length = len(message.value)
            parts.append(message.value)
        headers = []
        for name, header in message.headers:
            headers.append((name, len(header)))
            parts.append(header)
        index.append((message.topic, message.key, length, headers))
    parts[0] = dump({"v": VERSION, "messages": index}) + b"\n"
    return b"".join(parts)


def unpack(packed: bytes) -> tuple[Message, ...]:
    """The messages that `pack` was given. Raises UndecodableDocumentError."""
    if not packed:
        return ()
    line, _, rest = packed.partition(b"\n")
    try:
        messages, end = _read_messages(parse_document(line)["messages"], rest)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UndecodableDocumentError(f"packed messages are damaged: {error!r}") from error
    if end != len(rest):
        raise UndecodableDocumentError(f"packed messages are damaged: {len(rest)} bytes, and not {end}")
    return tuple(messages)


def _read_messages(index: list[Any], rest: bytes) -> tuple[list[Message], int]:
    messages = []
    end = 0
    for topic, key, length, lengths in index:
        value = None
        if length is not None:
            start, end = end, end + length
            value = rest[start:end]
        headers = []
        for name, size in lengths:
            start, end = end, end + size
            headers.append((name, rest[start:end]))
        messages.append(Message(topic, key, value, tuple(headers)))
    return messages, end


def _node_row(node: NodeRun) -> tuple[Any, ...]:
    """A node run as a row: names would be a third of the document. A new column goes to the end, and stays there."""
    failed, logs = node.failed_attempts, node.logs
    polled = (node.poll, node.poll_state) if node.poll or node.poll_state is not None else ()
    return (
        node.id, node.node, node.type, node.status, node.phase, node.attempt, node.created_at, node.updated_at,
        node.completed_at, node.result, node.config, node.output, node.error, node.outlet, node.label,
        node.external_run_id, node.links, [(one.attempt, one.at, one.error) for one in failed] if failed else (),
        [(line.at, line.level, line.message, line.tags) for line in logs] if logs else (), node.logs_dropped,
        node.reports, *polled,
    )  # fmt: skip


def _read_node(row: list[Any]) -> NodeRun:
    # Columns beyond those known are of a newer release.
    (
        id_, node, type_, status, phase, attempt, created_at, updated_at, completed_at, result, config, output, error,
        outlet, label, external_run_id, links, failed, logs, logs_dropped, reports,
    ) = row[:_COLUMNS]  # fmt: skip
    return NodeRun(
        id_, node, type_, status, phase, attempt, created_at, updated_at, completed_at, result, config, output, error,
        outlet, label, external_run_id, tuple(links) if links else (),
        tuple([FailedAttempt(*entry) for entry in failed]) if failed else (),
        tuple([_read_log(*entry) for entry in logs]) if logs else (), logs_dropped, tuple(reports) if reports else (),
        *row[_COLUMNS:_MOST_COLUMNS],
    )  # fmt: skip


def _output_list(run: Run) -> list[tuple[Any, ...]]:
    """What later nodes read. Mostly it is the raw output, the same object: then the name alone stands for it.

    Identity and not equality decides, because 1 == True would not come back exactly.
    """
    nodes = run.nodes
    return [
        (node,) if node in nodes and stored is nodes[node].output else (node, stored)
        for node, stored in run.outputs.items()
    ]


def _read_outputs(entries: list[list[Any]], nodes: dict[str, NodeRun]) -> dict[str, Json]:
    return {entry[0]: nodes[entry[0]].output if len(entry) == 1 else entry[1] for entry in entries}


def parse_document(document: bytes) -> dict[str, Any]:
    """The object in the bytes of a document of any version, upgraded to this one. Raises UndecodableDocumentError."""
    try:
        data = orjson.loads(document)
    except ValueError as error:
        raise UndecodableDocumentError(f"the document is not JSON: {error}") from error
    version = data.get("v") if isinstance(data, dict) else None
    if version == VERSION:
        return cast(dict[str, Any], data)
    if type(version) is not int or version < 1:
        raise UndecodableDocumentError("the document has no version")
    if version > VERSION:
        raise UndecodableDocumentError(
            f"the document is of version {version}, newer than this release reads ({VERSION}): upgrade first"
        )
    for step in range(version, VERSION):
        data = _UPGRADES[step](data)
    return cast(dict[str, Any], data)


def _read_log(at: int, level: LogLevel, message: str, tags: list[list[str]]) -> LogLine:
    return LogLine(at, level, message, tuple((name, value) for name, value in tags))


def _read_parent(entry: dict[str, Any] | None) -> Parent | None:
    return None if entry is None else Parent(entry["runId"], entry["nodeRunId"], entry["index"])


def _read_causation(entry: list[Any], traceparent: str | None) -> Causation:
    event_id, root_event_id, depth, chain = entry
    return Causation(event_id, root_event_id, depth, tuple(chain), traceparent)
