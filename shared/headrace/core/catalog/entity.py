"""An entity of the catalog, and its name in keys (spec 11.1, 11.3)."""

from dataclasses import field

from headrace.core.json import Json, JsonObject, ReadOnlyObject
from headrace.core.times import iso
from headrace.core.value_class import value_class


@value_class
class Entity:
    """What the catalog knows of one thing. Instants are ms since the epoch.

    `relations` holds for each relation an identifier, or a list of them where the relation is to many. Nothing in it is
    null: what has no value is absent.
    """

    blueprint: str
    identifier: str
    created_at: int
    created_by: str
    updated_at: int
    updated_by: str
    title: str | None = None
    icon: str | None = None
    team: tuple[str, ...] = ()
    properties: ReadOnlyObject = field(default_factory=dict)
    relations: ReadOnlyObject = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Names the entity among all: of its records and its document."""
        return key_of(self.blueprint, self.identifier)


def key_of(blueprint: str, identifier: str) -> str:
    """`service/billing`. A blueprint's identifier has no slash, so the first one separates."""
    return f"{blueprint}/{identifier}"


def split_key(key: str) -> tuple[str, str]:
    """Blueprint and identifier of a key."""
    blueprint, _, identifier = key.partition("/")
    return blueprint, identifier


def targets(value: Json) -> list[str]:
    """The identifiers in the value of a relation, to one or to many."""
    if isinstance(value, list):
        return [item for item in value if isinstance(item, str)]
    return [value] if isinstance(value, str) else []


def document_of(entity: Entity) -> JsonObject:
    """The entity as events and answers show it (spec 11.1)."""
    return {
        "identifier": entity.identifier,
        "title": entity.title,
        "icon": entity.icon,
        "blueprint": entity.blueprint,
        "team": list(entity.team),
        "properties": dict(entity.properties),
        "relations": dict(entity.relations),
        "createdAt": iso(entity.created_at),
        "createdBy": entity.created_by,
        "updatedAt": iso(entity.updated_at),
        "updatedBy": entity.updated_by,
    }
