"""Entity changes: the engine's public way in, and how it writes them itself (spec 11.1, docs/events.md).

Producers may send the bare object, or a CloudEvent in binary or structured mode. Whatever comes, workflows see one
shape: what is missing and can be known is filled in, what contradicts itself is refused with the place and the reason.
"""

from dataclasses import dataclass
from typing import Any, Literal

import orjson

from headrace.contracts import cloudevents, strict_json
from headrace.contracts._times import LATEST, parse_iso
from headrace.contracts.envelope import TRACEPARENT, dump, read_traceparent, trace_headers, traceparent_of
from headrace.contracts.record import Headers, Message, Record
from headrace.contracts.topics import TopicNames
from headrace.core import ids
from headrace.core.errors import HeadraceError
from headrace.core.json import Json, JsonObject
from headrace.core.run import Causation
from headrace.core.times import iso

Action = Literal["CREATE", "UPDATE", "DELETE", "TIMER_EXPIRED"]

MAX_IDENTIFIER = 1_000
"""Longest identifier of a blueprint, an entity or a property, in characters."""
MAX_DEPTH = 1_000
"""A causation deeper than this is made up: the loop guard cuts long before."""

EVENT_ID_HEADER = "event-id"
_TRACE_HEADER = cloudevents.PREFIX + TRACEPARENT
_ROOT, _DEPTH, _CHAIN = "causationroot", "causationdepth", "causationchain"
"""CloudEvents extensions that carry the causation, so that the loop guard sees through the events of a run."""

_ACTIONS: dict[str, Action] = {
    "CREATE": "CREATE",
    "UPDATE": "UPDATE",
    "DELETE": "DELETE",
    "TIMER_EXPIRED": "TIMER_EXPIRED",
    "TIMER_PROPERTY_EXPIRED": "TIMER_EXPIRED",
    "TIMER": "TIMER_EXPIRED",
}
_TYPES: dict[Action, str] = {
    "CREATE": "io.headrace.entity.created",
    "UPDATE": "io.headrace.entity.updated",
    "DELETE": "io.headrace.entity.deleted",
    "TIMER_EXPIRED": "io.headrace.timer.expired",
}


class BadEventError(HeadraceError):
    """The record is no entity change. Dead-letter it: reading it again cannot help, its producer must mend it.

    `pointer` is a JSON Pointer into the record's value, or `header <name>`; empty for the whole. `reason` says what is
    wrong there.
    """

    def __init__(self, pointer: str, reason: str) -> None:
        super().__init__(f"{pointer}: {reason}" if pointer else reason)
        self.pointer = pointer
        self.reason = reason


@dataclass(frozen=True, slots=True)
class EntityChange:
    """One change of one entity, or one expired timer.

    `event_id` is derived from what makes the event unique, so that a second delivery has the same. `source` says where
    it comes from: the CloudEvents source, or the topic. `event` is what triggers put out: the whole object of spec
    11.1, complete. `causation` is that of a run that this event starts.
    """

    event_id: str
    source: str
    at: int
    action: Action
    blueprint: str
    entity: str
    property: str | None
    event: JsonObject
    causation: Causation


def event_id(source: str, id: str) -> str:
    """Our id of the event that `source` calls `id`: CloudEvents says that the pair is unique."""
    return "evt_" + ids.derive("event", source, id)


def decode_entity_change(record: Record) -> EntityChange:
    """The change in a record of `entity.changes.v1`. Raises BadEventError and nothing else, whatever the bytes."""
    value = _parse(record.value)
    headers = _texts(record.headers) if record.headers else {}
    content_type = headers.get(cloudevents.CONTENT_TYPE, "")
    try:
        if cloudevents.is_structured(content_type):
            return _decode_structured(record, *cloudevents.parse_structured(value, content_type))
        if "ce_specversion" in headers or "ce_id" in headers:
            attributes = cloudevents.parse_binary(headers)
        else:
            return _decode_plain(record, headers, _event(value))
    except cloudevents.BadCloudEventError as error:
        raise BadEventError(error.where, error.reason) from None
    at = record.timestamp if attributes.time is None else _instant(attributes.time, "header ce_time")
    id_ = event_id(attributes.source, attributes.id)
    causation = _causation(record, id_, attributes.extensions, "header ce_")
    return read_entity_change(_event(value), id_, attributes.source, at, causation)


def read_entity_change(
    event: JsonObject, id: str, source: str, at: int, causation: Causation | None = None
) -> EntityChange:
    """The change that an event object describes; the object itself is not touched.

    `id` is our event id, `at` stands in for a missing `trigger.at`. Raises BadEventError.
    """
    event = dict(event)
    action = _action(event)
    before, after = _diff(event, action)
    subject, place = (before, "/diff/before") if action == "DELETE" else (after, "/diff/after")
    context = dict(_object(event, "context", ""))
    blueprint = _identifier(context, "blueprintIdentifier", "blueprint", subject, "blueprint", place)
    entity = _identifier(context, "entityIdentifier", "entity", subject, "identifier", place)
    property_ = _property(context, action)
    event["context"] = context
    event["diff"] = {
        **_object(event, "diff", ""),
        "before": _named(before, blueprint, entity),
        "after": _named(after, blueprint, entity),
    }
    at = _add_defaults(event, at)
    if causation is None:
        causation = Causation(id, id)
    return EntityChange(id, source, at, action, blueprint, entity, property_, event, causation)


def encode_entity_change(
    event: JsonObject,
    id: str,
    source: str,
    at: int,
    names: TopicNames,
    cause: Causation | None = None,
    workflow: str | None = None,
    traceparent: str | None = None,
) -> Message:
    """The record of a change that we publish: a CloudEvent in binary mode, keyed by blueprint and entity.

    `source` and `id` name the event: equal ones are one event for every consumer. `at` stands in for a missing
    `trigger.at`. `cause` and `workflow` are those of the run that made the change, if one did: runs that it starts know
    how deep they are, and without a `traceparent` it belongs to the trace of that run. Raises BadEventError for an
    object that is no entity change, UnencodableMessageError for one that cannot be written.
    """
    change = read_entity_change(event, event_id(source, id), source, at)
    extensions = {}
    if cause is not None:
        chain = cause.chain if workflow is None else (*cause.chain, workflow)
        traceparent = traceparent or cause.traceparent
        extensions = {_ROOT: cause.root_event_id, _DEPTH: str(cause.depth + 1), _CHAIN: dump(chain).decode()}
    key = f"{change.blueprint}/{change.entity}"
    attributes = cloudevents.Attributes(id, source, _TYPES[change.action], key, iso(change.at), extensions)
    headers = cloudevents.binary_headers(attributes) + trace_headers(traceparent)
    return Message(names.entity_changes, key, dump(change.event), headers)


def _decode_plain(record: Record, headers: dict[str, str], event: JsonObject) -> EntityChange:
    source = record.topic
    given = event.get("eventId")
    if given is None:
        given = headers.get(EVENT_ID_HEADER)
    elif type(given) is not str or not given:
        raise BadEventError("/eventId", "must be a string that is not empty")
    if given is None:
        # The time stamp tells a record from another one at the same place after the topic was made anew.
        given = f"{record.source.partition}/{record.offset}/{record.timestamp}"
    id_ = event_id(source, given)
    extensions = {name.removeprefix(cloudevents.PREFIX): value for name, value in headers.items()} if headers else {}
    causation = _causation(record, id_, extensions, "header ce_")
    return read_entity_change(event, id_, source, record.timestamp, causation)


def _decode_structured(record: Record, attributes: cloudevents.Attributes, event: JsonObject) -> EntityChange:
    at = record.timestamp if attributes.time is None else _instant(attributes.time, "/time")
    id_ = event_id(attributes.source, attributes.id)
    causation = _causation(record, id_, attributes.extensions, "/")
    try:
        return read_entity_change(event, id_, attributes.source, at, causation)
    except BadEventError as error:
        raise BadEventError("/data" + error.pointer, error.reason) from None


def _parse(value: bytes | None) -> Any:
    if value is None:
        raise BadEventError("", "the record has no value")
    try:
        return strict_json.parse(value)
    except strict_json.BadJson as error:
        raise BadEventError("", str(error)) from None


def _texts(headers: Headers) -> dict[str, str]:
    """The headers that concern us, by lower-case name, as text."""
    texts = {}
    for name, value in headers:
        name = name.lower()
        if name == _TRACE_HEADER:  # whatever it holds, no event is refused for it
            texts[name] = value.decode("ascii", "replace")
        elif name.startswith(cloudevents.PREFIX) or name == cloudevents.CONTENT_TYPE or name == EVENT_ID_HEADER:
            try:
                texts[name] = value.decode()
            except UnicodeDecodeError:
                raise BadEventError(f"header {name}", "is not UTF-8") from None
            if "\0" in texts[name]:
                raise BadEventError(f"header {name}", "must not contain NUL")
    return texts


def _event(value: Any) -> JsonObject:
    if type(value) is not dict:
        raise BadEventError("", "must be a JSON object")
    return value


def _causation(record: Record, id_: str, extensions: dict[str, str], place: str) -> Causation:
    """What the extensions say, and the trace: that of the record's own header, else the one of the extensions."""
    trace = None
    if record.headers:
        trace = traceparent_of(record) or read_traceparent(extensions.get(TRACEPARENT))
    if _DEPTH not in extensions and _ROOT not in extensions:
        return Causation(id_, id_, traceparent=trace)
    depth = extensions.get(_DEPTH, "")
    if not (depth.isascii() and depth.isdecimal() and len(depth) <= 4 and int(depth) <= MAX_DEPTH):
        raise BadEventError(place + _DEPTH, f"must be a number from 0 to {MAX_DEPTH}")
    try:
        chain = orjson.loads(extensions.get(_CHAIN, "[]"))
    except ValueError:
        chain = None
    if type(chain) is not list or len(chain) > MAX_DEPTH or not all(type(name) is str for name in chain):
        raise BadEventError(place + _CHAIN, "must be a JSON array of workflow identifiers")
    return Causation(id_, extensions.get(_ROOT) or id_, int(depth), tuple(chain), trace)


def _action(event: JsonObject) -> Action:
    named = event.get("action")
    action = _ACTIONS.get(named) if type(named) is str else None
    if action is None:
        raise BadEventError("/action", f"must be one of {', '.join(_TYPES)}")
    event["action"] = action
    return action


def _diff(event: JsonObject, action: Action) -> tuple[JsonObject | None, JsonObject | None]:
    """The entity before and after, as the action wants it."""
    diff = _object(event, "diff", "")
    before, after = diff.get("before"), diff.get("after")
    if action in ("CREATE", "TIMER_EXPIRED"):
        if before is not None:
            raise BadEventError("/diff/before", f"must be null or missing, since the action is {action}")
    elif type(before) is not dict:
        raise BadEventError("/diff/before", f"must be the entity, since the action is {action}")
    if action == "DELETE":
        if after is not None:
            raise BadEventError("/diff/after", "must be null or missing, since the action is DELETE")
    elif type(after) is not dict and (action != "TIMER_EXPIRED" or after is not None):
        raise BadEventError("/diff/after", f"must be the entity, since the action is {action}")
    for name, entity in (("before", before), ("after", after)):
        if type(entity) is dict:
            _object(entity, "properties", f"/diff/{name}")
            _object(entity, "relations", f"/diff/{name}")
    return before, after


def _object(parent: JsonObject, key: str, place: str) -> JsonObject:
    """The object under a key; nothing and null count as an empty one."""
    value = parent.get(key)
    if value is None:
        return {}
    if type(value) is not dict:
        raise BadEventError(f"{place}/{key}", "must be an object")
    return value


def _identifier(
    context: JsonObject, key: str, alias: str, entity: JsonObject | None, entity_key: str, place: str
) -> str:
    """What context and entity agree on; what one of them leaves out, the other one fills in."""
    if key not in context and alias in context:
        context[key] = context[alias]
    named = _name(context.get(key), f"/context/{key}")
    own = None if entity is None else _name(entity.get(entity_key), f"{place}/{entity_key}")
    if named is None:
        if own is None:
            raise BadEventError(f"/context/{key}", f"is missing, and so is {place}/{entity_key}")
        context[key] = own
        return own
    if own is not None and own != named:
        raise BadEventError(f"/context/{key}", f"is {named[:80]!r}, but {place}/{entity_key} is {own[:80]!r}")
    return named


def _property(context: JsonObject, action: Action) -> str | None:
    key = "propertyIdentifier"
    if key not in context:
        context[key] = context.get("property")
    property_ = _name(context[key], f"/context/{key}")
    if property_ is None and action == "TIMER_EXPIRED":
        raise BadEventError(f"/context/{key}", "must name the property, since the action is TIMER_EXPIRED")
    return property_


def _name(value: Json, place: str) -> str | None:
    if value is None:
        return None
    if type(value) is not str or not 0 < len(value) <= MAX_IDENTIFIER:
        raise BadEventError(place, f"must be a string of 1 to {MAX_IDENTIFIER} characters")
    return value


def _named(entity: JsonObject | None, blueprint: str, identifier: str) -> JsonObject | None:
    """The entity with its blueprint and identifier. Workflows read either there or in the context (spec 11.1)."""
    if entity is None or (entity.get("blueprint") is not None and entity.get("identifier") is not None):
        return entity
    names: JsonObject = {"identifier": identifier, "blueprint": blueprint}
    return {**entity, **{key: name for key, name in names.items() if entity.get(key) is None}}


def _add_defaults(event: JsonObject, at: int) -> int:
    """Fill in what a producer may leave out; the time of the change."""
    if event.get("resourceType", "entity") not in ("entity", None):
        raise BadEventError("/resourceType", "must be entity")
    event["resourceType"] = "entity"
    status = event.get("status")
    if status is None:
        event["status"] = "SUCCESS"
    elif type(status) is not str:
        raise BadEventError("/status", "must be a string")
    trigger = _object(event, "trigger", "")
    given_at = trigger.get("at")
    if given_at is not None:
        at = _instant(given_at, "/trigger/at")
    elif not 0 <= at <= LATEST:
        raise BadEventError("/trigger/at", f"is missing, and the record's time stamp {at} is no time in milliseconds")
    _object(trigger, "by", "/trigger")
    origin = trigger.get("origin")
    if origin is not None and type(origin) is not str:
        raise BadEventError("/trigger/origin", "must be a string")
    if given_at is None or origin is None or trigger.get("by") is None:
        defaults: JsonObject = {"by": {}, "origin": "API", "at": iso(at)}
        event["trigger"] = defaults | {key: value for key, value in trigger.items() if value is not None}
    return at


def _instant(value: Json, place: str) -> int:
    try:
        if type(value) is str:
            return parse_iso(value)
    except ValueError:
        pass
    raise BadEventError(place, "must be an ISO 8601 date-time with a time zone, such as 2026-11-22T09:00:00.000Z")
