"""The parts that messages share, as the codec writes and reads them."""

from collections.abc import Mapping, Sequence

from headrace.contracts._wire import CausationPart, LogPart, OriginPart, PublicLogPart, PublicTimerPart
from headrace.core.commands import Accepted, Origin
from headrace.core.json import Json, JsonObject
from headrace.core.run import Causation, LogLine, Timer
from headrace.core.times import iso


def causation_object(causation: Causation) -> JsonObject:
    data: JsonObject = {
        "eventId": causation.event_id,
        "rootEventId": causation.root_event_id,
        "depth": causation.depth,
        "chain": list(causation.chain),
    }
    if causation.traceparent is not None:
        data["traceparent"] = causation.traceparent
    return data


def read_causation(part: CausationPart) -> Causation:
    return Causation(part.event_id, part.root_event_id, part.depth, tuple(part.chain), part.traceparent)


def origin_object(origin: Origin) -> JsonObject:
    return {
        "createdBy": origin.created_by,
        "triggerType": origin.trigger_type,
        "runAt": origin.run_at,
        "nodeAt": origin.node_at,
    }


def read_origin(part: OriginPart | None) -> Origin | None:
    return None if part is None else Origin(part.created_by, part.trigger_type, part.run_at, part.node_at)


def followed_object(accepted: Accepted) -> JsonObject:
    """What an acceptance says beyond its output; nothing where it only waits for a report."""
    data: JsonObject = {
        "externalRunId": accepted.external_run_id,
        "links": None if accepted.links is None else list(accepted.links),
        "pollAfterSeconds": accepted.poll_after_seconds,
        "pollState": accepted.poll_state,
    }
    return {name: value for name, value in data.items() if value is not None}


def log_objects(lines: Sequence[LogLine]) -> list[Json]:
    return [{"at": line.at, "level": line.level, "message": line.message, "tags": dict(line.tags)} for line in lines]


def public_log_objects(lines: Sequence[LogLine]) -> list[Json]:
    return [
        {"at": iso(line.at), "level": line.level, "message": line.message, "tags": dict(line.tags)} for line in lines
    ]


def read_logs(parts: Sequence[LogPart | PublicLogPart]) -> tuple[LogLine, ...]:
    if not parts:
        return ()
    return tuple(LogLine(part.at, part.level, part.message, tuple(part.tags.items())) for part in parts)


def timer_object(timer: Timer) -> JsonObject:
    return {
        "id": timer.id,
        "node": timer.node,
        "attempt": timer.attempt,
        "kind": timer.kind,
        "dueAt": iso(timer.due_at),
    }


def read_timer(part: PublicTimerPart) -> Timer:
    return Timer(part.id, part.node, part.attempt, part.kind, part.due_at)


def edge_object(edges: Mapping[int, bool]) -> JsonObject:
    return {str(index): taken for index, taken in edges.items()} if edges else {}


def read_edges(part: Mapping[str, bool]) -> dict[int, bool]:
    return {int(index): taken for index, taken in part.items()}
