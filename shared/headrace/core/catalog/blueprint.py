"""A blueprint as the catalog uses it: the properties and relations that its entities may have."""

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.core.json import Json, JsonObject

TIMER = "timer"


@dataclass(frozen=True, slots=True)
class Relation:
    """Entities point to entities of the blueprint `target`: to one, or to `many`."""

    target: str
    many: bool = False
    required: bool = False


@dataclass(frozen=True, slots=True)
class Blueprint:
    """`properties` holds the author's definition of each property."""

    identifier: str
    properties: Mapping[str, JsonObject]
    required: frozenset[str]
    relations: Mapping[str, Relation]

    @property
    def timers(self) -> tuple[str, ...]:
        """The properties at whose instant an event is sent (spec 11.2)."""
        return tuple(name for name, definition in self.properties.items() if is_timer(definition))


def is_timer(definition: JsonObject) -> bool:
    return definition.get("type") == "string" and definition.get("format") == TIMER


def read_blueprint(identifier: str, document: JsonObject) -> Blueprint:
    """The blueprint in a document that was saved. What cannot be read of it counts as absent."""
    schema = objects(document.get("schema"))
    definitions = objects(schema.get("properties"))
    required = schema.get("required")
    relations = {}
    for name, relation in objects(document.get("relations")).items():
        target = relation.get("target") if isinstance(relation, dict) else None
        if isinstance(relation, dict) and isinstance(target, str):
            relations[name] = Relation(target, relation.get("many") is True, relation.get("required") is True)
    return Blueprint(
        identifier,
        {name: definition for name, definition in definitions.items() if isinstance(definition, dict)},
        frozenset(name for name in required if isinstance(name, str)) if isinstance(required, list) else frozenset(),
        relations,
    )


def objects(value: Json) -> JsonObject:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}
