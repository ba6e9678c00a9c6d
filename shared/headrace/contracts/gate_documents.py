"""How a gate lies in a store: bytes that only we read, with a version (contracts/documents.py says more)."""

from typing import Any

from headrace.contracts import _fast, _reading
from headrace.contracts.codec import command_object
from headrace.contracts.documents import VERSION, UndecodableDocumentError, parse_document
from headrace.contracts.envelope import dump
from headrace.core.commands import StartRun
from headrace.core.gate import Gate, Gathering, Heard, Merged, Position, Waiting

__all__ = ["decode_gate", "encode_gate"]


def encode_gate(gate: Gate) -> bytes:
    """The gate as bytes; what it does not have is left out. Raises UnencodableMessageError."""
    data: dict[str, Any] = {
        "v": VERSION, "id": gate.id, "workflow": gate.workflow, "trigger": gate.trigger, "entity": gate.entity,
    }  # fmt: skip
    if gate.holder is not None:
        data |= {"holder": gate.holder, "sinceAt": gate.since_at, "checkAt": gate.check_at}
    if gate.waiting:
        data["waiting"] = [(it.run_id, *([_merged_row(it.merged)] if it.merged else [])) for it in gate.waiting]
    if gate.gathering is not None:
        it = gate.gathering
        data["gathering"] = {
            "start": command_object(it.start), "policy": it.policy, "merged": _merged_row(it.merged),
            "firstAt": it.first_at, "dueAt": it.due_at,
        }  # fmt: skip
    if gate.position is not None:
        data["position"] = (gate.position.source, gate.position.offset, gate.position.timestamp)
    data["recent"] = [(it.event_id, it.verdict, it.reason, it.run_id) for it in gate.recent]
    return dump(data)


def decode_gate(document: bytes) -> Gate:
    """The gate that `encode_gate` was given. Raises UndecodableDocumentError."""
    data = parse_document(document)
    try:
        return Gate(
            data["id"], data["workflow"], data["trigger"], data["entity"], data.get("holder"), data.get("sinceAt", 0),
            data.get("checkAt"), tuple(_read_waiting(*row) for row in data.get("waiting", ())),
            _read_gathering(data.get("gathering")),
            Position(*data["position"]) if "position" in data else None, tuple(Heard(*row) for row in data["recent"]),
        )  # fmt: skip
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UndecodableDocumentError(f"the document of a gate is damaged: {error!r}") from error


def _merged_row(merged: Merged) -> tuple[Any, ...]:
    return (merged.before, merged.count, merged.event_ids)


def _read_merged(row: list[Any]) -> Merged:
    before, count, event_ids = row
    return Merged(before, count, tuple(event_ids))


def _read_waiting(run_id: str, merged: list[Any] | None = None) -> Waiting:
    return Waiting(run_id, None if merged is None else _read_merged(merged))


def _read_gathering(data: dict[str, Any] | None) -> Gathering | None:
    if data is None:
        return None
    return Gathering(
        _read_start(data["start"]), data["policy"], _read_merged(data["merged"]), data["firstAt"], data["dueAt"]
    )


def _read_start(data: dict[str, Any]) -> StartRun:
    return _fast.read_start(data) or _reading.read_start(data)
