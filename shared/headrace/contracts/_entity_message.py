"""The entity change on the wire (spec 11.1): the engine's public way in."""

from typing import Annotated, Any, Literal

from pydantic import Field

from headrace.contracts._wire import Object, Wire


class EntityPart(Wire):
    """An entity as the catalog holds it. Further fields are passed on to workflows."""

    identifier: Annotated[str, Field(min_length=1)] | None = None
    """Missing: taken from `context.entityIdentifier`."""
    blueprint: Annotated[str, Field(min_length=1)] | None = None
    """Missing: taken from `context.blueprintIdentifier`."""
    title: str | None = None
    icon: str | None = None
    team: list[str] | str | None = None
    properties: Object = Field(default_factory=dict)
    relations: Object = Field(default_factory=dict)
    """A single relation is an identifier or null, a many relation an array of identifiers."""
    created_at: str | None = None
    created_by: str | None = None
    updated_at: str | None = None
    updated_by: str | None = None


class ContextPart(Wire):
    """What changed. Missing parts are taken from `diff`."""

    blueprint_identifier: Annotated[str, Field(min_length=1)] | None = None
    entity_identifier: Annotated[str, Field(min_length=1)] | None = None
    property_identifier: Annotated[str, Field(min_length=1)] | None = None
    """The timer property; required for TIMER_EXPIRED."""


class DiffPart(Wire):
    """The entity before and after. CREATE has no `before`, DELETE no `after`, UPDATE has both."""

    before: EntityPart | None = None
    after: EntityPart | None = None


class TriggerPart(Wire):
    """Who changed it, how and when."""

    by: Annotated[dict[str, Any] | None, Field(examples=[{"orgId": "org_1", "userId": "u_7"}])] = None
    origin: Annotated[str | None, Field(examples=["UI", "API", "AUTOMATION"])] = None
    at: Annotated[str | None, Field(json_schema_extra={"format": "date-time"})] = None
    """ISO 8601 with a time zone; missing: the time of the CloudEvent, else of the record."""


class EntityChangeMessage(Wire):
    """An entity was created, updated or deleted, or one of its timers expired.

    Only `action` and `diff` are required.
    """

    action: Literal["CREATE", "UPDATE", "DELETE", "TIMER_EXPIRED", "TIMER_PROPERTY_EXPIRED", "TIMER"]
    """`TIMER` and `TIMER_PROPERTY_EXPIRED` are other names of `TIMER_EXPIRED`."""
    diff: DiffPart | None = None
    """May be missing for TIMER_EXPIRED only."""
    context: ContextPart | None = None
    resource_type: Literal["entity"] | None = None
    status: str | None = None
    trigger: TriggerPart | None = None
    event_id: Annotated[str, Field(min_length=1)] | None = None
    """Names the event, for producers that do not speak CloudEvents: a second one of that id starts nothing."""
