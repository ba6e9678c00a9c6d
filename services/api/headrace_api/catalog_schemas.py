"""The catalog's bodies and answers for the OpenAPI document, imported only when that is asked for."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from headrace_api.schemas import Done, Finding, Instant

AnyJson = Any

EXAMPLE_BLUEPRINT: dict[str, Any] = {
    "identifier": "sandbox",
    "title": "Sandbox",
    "schema": {
        "properties": {
            "tier": {"type": "string", "enum": ["small", "large"], "default": "small"},
            "ttl": {"type": "string", "format": "timer", "title": "Lives until"},
        },
        "required": ["ttl"],
    },
    "relations": {"parent": {"target": "sandbox", "many": False, "required": False}},
}
EXAMPLE_ENTITY: dict[str, Any] = {
    "identifier": "demo-1",
    "title": "Demo",
    "team": ["payments"],
    "properties": {"tier": "small", "ttl": "2026-12-24T18:00:00Z"},
    "relations": {"parent": None},
}
EXAMPLE_SEARCH: dict[str, Any] = {
    "combinator": "and",
    "rules": [
        {"property": "$blueprint", "operator": "=", "value": "sandbox"},
        {"property": "tier", "operator": "in", "value": ["small", "large"]},
    ],
}


class _Shape(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="allow", use_attribute_docstrings=True)


class BlueprintSchema(_Shape):
    """The properties of entities."""

    properties: dict[str, dict[str, AnyJson]] = {}
    """A definition each: `type`, `format`, `enum`, `default`, bounds. `format: timer` makes a timer of a string."""
    required: list[str] = []


class BlueprintRelation(_Shape):
    target: str
    """The blueprint of the entities that it leads to."""
    title: str | None = None
    many: bool = False
    required: bool = False


class Blueprint(_Shape):
    """What the entities of the catalog look like."""

    identifier: Annotated[str, Field(pattern="^[A-Za-z0-9@_=-]{1,100}$", examples=["sandbox"])]
    title: str | None = None
    icon: str | None = None
    description: str | None = None
    # not `schema`: that is a method of every model
    schema_: Annotated[BlueprintSchema, Field(alias="schema")] = BlueprintSchema()
    relations: dict[str, BlueprintRelation] = {}


class SavedBlueprint(Blueprint):
    """The author's document with the server's fields."""

    created_at: Instant
    created_by: str
    updated_at: Instant
    updated_by: str


class Entity(_Shape):
    """What a write says of an entity."""

    model_config = ConfigDict(extra="forbid")

    identifier: Annotated[str, Field(pattern=r"^[A-Za-z0-9@_.+:\\/=-]{1,500}$", examples=["demo-1"])] | None = None
    title: str | None = None
    icon: str | None = None
    team: list[str] | str | None = None
    properties: dict[str, AnyJson] = {}
    """By name, as the blueprint defines them; null takes a value away."""
    relations: dict[str, str | list[str] | None] = {}
    """By name: the identifier of an entity, or a list of them where the relation leads to many."""


class SavedEntity(_Shape):
    """An entity, as its events show it."""

    model_config = ConfigDict(extra="forbid")

    identifier: str
    blueprint: str
    title: str | None
    icon: str | None
    team: list[str]
    properties: dict[str, AnyJson]
    relations: dict[str, str | list[str]]
    created_at: Instant
    created_by: str
    updated_at: Instant
    updated_by: str


class SearchRules(_Shape):
    """All rules must hold, or one; none holds for everything."""

    model_config = ConfigDict(extra="forbid")

    combinator: Literal["and", "or"]
    rules: list[dict[str, AnyJson]]
    """`{property, operator, value}`, `{relation, targetProperty, operator, value}`, `{operator: "relatedTo", blueprint,
    value}`, or rules again."""


class BlueprintAnswer(Done):
    blueprint: SavedBlueprint
    warnings: list[Finding] = Field(default_factory=list)
    """After a change: what looks doubtful in the blueprint but does not keep it from being saved."""


class BlueprintsAnswer(Done):
    blueprints: list[SavedBlueprint]


class EntityAnswer(Done):
    entity: SavedEntity


class EntitiesAnswer(Done):
    entities: list[SavedEntity]
    next: str | None
    """Send it as `from` to go on; null at the end."""


ANSWERS: tuple[type[BaseModel], ...] = (BlueprintAnswer, BlueprintsAnswer, EntityAnswer, EntitiesAnswer)
BODIES: tuple[type[BaseModel], ...] = (Blueprint, Entity, SearchRules)
EXAMPLES = {
    "Blueprint": EXAMPLE_BLUEPRINT,
    "BlueprintPatch": {"title": "Throw-away environment"},
    "Entity": EXAMPLE_ENTITY,
    "SearchRules": EXAMPLE_SEARCH,
}
