"""The event of a change: its object, and the id that makes a second sending the same event (spec 11.1, 11.2)."""

from dataclasses import dataclass

from headrace.core import ids
from headrace.core.catalog.entity import Entity, document_of
from headrace.core.json import JsonObject
from headrace.core.times import iso


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes an entity. `origin` is how: `UI`, `API`, `AUTOMATION` for a run, or an integration's name."""

    id: str
    origin: str = "API"
    org_id: str | None = None


def change_event(before: Entity | None, after: Entity | None, author: Author, at: int) -> JsonObject:
    """The object of spec 11.1: created without a `before`, deleted without an `after`, else updated."""
    entity = after or before
    assert entity is not None, "a change is one of something"
    action = "CREATE" if before is None else "DELETE" if after is None else "UPDATE"
    by: JsonObject = {"userId": author.id}
    if author.org_id is not None:
        by["orgId"] = author.org_id
    return _event(action, entity, None, {"by": by, "origin": author.origin, "at": iso(at)}, before, after)


def timer_event(entity: Entity, property_: str, at: int) -> JsonObject:
    """The object of a timer that fired at `at`."""
    trigger: JsonObject = {"by": {"byPort": True}, "origin": "API", "at": iso(at)}
    return _event("TIMER_EXPIRED", entity, property_, trigger, None, entity)


def change_id(entity: Entity, rev: int) -> str:
    """Names the change that made this revision. One who is born anew under the name is another entity."""
    return ids.derive("entity-change", entity.key, str(entity.created_at), str(rev))


def timer_id(entity: Entity, property_: str, due_at: int) -> str:
    """Names the firing of a timer: one for an entity, a property and its value."""
    return ids.derive("entity-timer", entity.key, str(entity.created_at), property_, str(due_at))


def _event(
    action: str,
    entity: Entity,
    property_: str | None,
    trigger: JsonObject,
    before: Entity | None,
    after: Entity | None,
) -> JsonObject:
    return {
        "action": action,
        "resourceType": "entity",
        "status": "SUCCESS",
        "trigger": trigger,
        "context": {
            "blueprintIdentifier": entity.blueprint,
            "entityIdentifier": entity.identifier,
            "propertyIdentifier": property_,
        },
        "diff": {
            "before": document_of(before) if before else None,
            "after": document_of(after) if after else None,
        },
    }
