"""What can be known about the outputs of nodes before anything ran (spec 2.1.5, 3.2, 3.7, 4, 5.1, 6.2, 11.1)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from headrace.core.definition import (
    Action,
    Condition,
    Definition,
    EventTrigger,
    EventType,
    Input,
    Node,
    ScheduleTrigger,
    SelfServeTrigger,
)
from headrace.core.json import JsonObject


@dataclass(frozen=True, slots=True)
class Shape:
    """What a value looks like. `fields` are all that an object can have; None: nothing is known about it.

    `scalar` says, in words, that the value is no object. `null` says when the value is null: never as far as is known,
    when the entity was created, or always.
    """

    fields: "Mapping[str, Shape] | None" = None
    scalar: str = ""
    null: Literal["", "on create", "always"] = ""


ANY = Shape()
NULL = Shape(null="always")
TEXT = Shape(scalar="a string")

_ENTITY_FIELDS = (
    "identifier title icon blueprint team properties relations scorecards createdAt createdBy updatedAt updatedBy"
)


def _object(names: str) -> Shape:
    return Shape(dict.fromkeys(names.split(), ANY))


def _either(*shapes: Shape) -> Shape:
    """The shape of a value that has one of several shapes of objects."""
    fields: dict[str, Shape] = {}
    for shape in shapes:
        fields.update(shape.fields or {})
    return Shape(fields)


ENTITY = _object(_ENTITY_FIELDS)
ERROR = Shape({"error": _object("message")})
RESPONSE = Shape({"response": Shape({"status": ANY, "data": ANY, "headers": ANY})})
TIMEOUT = Shape({"timeout": ANY})
SELECTED = Shape({"selectedOutlet": _object("identifier title"), "connectionIdentifier": ANY, "selected": ANY})
DELAYED = _object("until")
CHILD_RUN = _object("runIdentifier outputs")
CHILD_RUNS = _object("total succeeded failed results failures")
WORKFLOW = _object("identifier version versionIdentifier title")
WORKFLOW_RUN = _object("identifier createdAt createdBy trigger")
NODE_RUN = _object("identifier createdAt")


def event_shape(event_type: EventType) -> Shape:
    """The event object (spec 11.1), for one type of event."""
    before, after = ENTITY, ENTITY
    match event_type:
        case "ENTITY_CREATED" | "TIMER_EXPIRED":
            before = NULL
        case "ENTITY_DELETED":
            after = NULL
        case "ANY_ENTITY_CHANGE":
            before = Shape(ENTITY.fields, null="on create")
        case "ENTITY_UPDATED":
            pass
    return Shape(
        {
            "action": TEXT,
            "resourceType": TEXT,
            "status": TEXT,
            "trigger": _object("by origin at"),
            "context": _object("blueprintIdentifier entityIdentifier propertyIdentifier blueprint entity"),
            "diff": Shape({"before": before, "after": after}),
        }
    )


def raw_shape(node: Node) -> Shape:
    """What the node itself gives, before `variables`."""
    match node.config:
        case SelfServeTrigger(user_inputs=form):
            return _form_shape(form)
        case EventTrigger(event_type=event_type):
            return event_shape(event_type)
        case ScheduleTrigger():
            return ANY
        case Condition():
            return _either(SELECTED, ERROR)
        case Input():
            return _either(SELECTED, Shape({"responses": ANY}), ERROR)
        case Action(type="WEBHOOK", synchronized=True):
            return _either(RESPONSE, TIMEOUT, ERROR)
        case Action(type="UPSERT_ENTITY"):
            return _either(RESPONSE, ERROR)
        case Action(type="DELAY"):
            return _either(DELAYED, ERROR)
        case Action(type="WORKFLOW"):
            return _either(CHILD_RUN, ERROR)
        case Action(type="FOR_EACH"):
            return _either(CHILD_RUNS, ERROR)
        case _:
            return ANY  # reported from outside, or by something that we do not know


def stored_shape(node: Node) -> Shape:
    """What later nodes read: the keys of `variables` when there are any, else what the node gives (spec 6.2)."""
    if not node.variables:
        return raw_shape(node)
    if any("{{" in name for name in node.variables):
        return ANY
    mapped = Shape(dict.fromkeys(node.variables, ANY))
    if isinstance(node.config, Action) and node.config.on_failure == "continue":
        raw = raw_shape(node)  # a failed node leaves what it got, and its error
        return ANY if raw.fields is None else _either(raw, mapped, ERROR)
    return _either(mapped, ERROR)


def alias_shape(triggers: Iterable[Node]) -> Shape:
    """What `.outputs.trigger` holds, when any of these triggers can have fired; known when there is only one."""
    shapes = [stored_shape(trigger) for trigger in triggers]
    return shapes[0] if len(shapes) == 1 else ANY


def outputs_shape(definition: Definition, starts: frozenset[str]) -> Mapping[str, Shape]:
    """`.outputs`, all nodes and the alias of the trigger."""
    shapes = {name: stored_shape(node) for name, node in definition.nodes.items()}
    shapes.setdefault("trigger", alias_shape(definition.nodes[name] for name in sorted(starts)))
    return shapes


def _form_shape(form: JsonObject) -> Shape:
    properties = form.get("properties")
    if not isinstance(properties, dict):
        return Shape({})
    return Shape({name: _input_shape(definition) for name, definition in properties.items()})


def _input_shape(definition: object) -> Shape:
    match definition:
        case {"type": "string"}:
            return TEXT
        case {"type": "number"}:
            return Shape(scalar="a number")
        case {"type": "boolean"}:
            return Shape(scalar="true or false")
        case _:
            return ANY
