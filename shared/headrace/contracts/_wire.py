"""The parts that messages share: the base of every model, instants, causation, log lines, timers."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from headrace.contracts._times import parse_iso
from headrace.core.run import LogLevel, TimerKind

Object = dict[str, Any]
"""A JSON object that the engine passes on without looking into it."""

AnyJson = Annotated[Any, WithJsonSchema({})]
"""Any JSON value that the engine passes on without looking into it."""


class Wire(BaseModel):
    """Base of everything on the wire: camelCase, exact types, unknown fields ignored (N-1 reads N)."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        strict=True,
        extra="ignore",
        use_attribute_docstrings=True,
        json_schema_extra={"additionalProperties": True},
    )


def _read_instant(value: Any) -> int:
    if not isinstance(value, str):
        raise ValueError("must be an ISO 8601 date-time")
    return parse_iso(value)


Instant = Annotated[
    int,
    BeforeValidator(_read_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-22T09:00:00.000Z"]}),
]
"""A public instant: ISO 8601 in UTC with milliseconds on the wire, whole milliseconds since the epoch in here."""

Millis = Annotated[int, Field(json_schema_extra={"examples": [1795338000000]})]
"""An internal instant: whole milliseconds since the Unix epoch, UTC."""

Version = Literal[1]
Edges = dict[Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,8})$")], bool]


class CausationPart(Wire):
    """What led to a run: the loop guard counts on it."""

    event_id: str
    """The event that started the run."""
    root_event_id: str
    """The first event of the chain."""
    depth: int = 0
    """How many runs came before on this chain."""
    chain: list[str] = Field(default_factory=list)
    """Identifiers of the workflows that ran before on this chain, oldest first."""
    traceparent: str | None = None
    """W3C trace context of what led to the run; missing when there was none."""


class OriginPart(Wire):
    """Who started the run, and since when the run and the node run are under way."""

    created_by: str
    trigger_type: str
    run_at: Millis
    node_at: Millis


class ParentPart(Wire):
    """Which node run a child run was started for."""

    run_id: str
    node_run_id: str
    index: int
    """The number of the item, from 0."""


class LogPart(Wire):
    """One line of a node run's log."""

    at: Millis
    level: LogLevel
    message: str
    tags: dict[str, str] = Field(default_factory=dict)


class PublicLogPart(Wire):
    """One line of a node run's log."""

    at: Instant
    level: LogLevel
    message: str
    tags: dict[str, str] = Field(default_factory=dict)


class PublicTimerPart(Wire):
    """A point in time at which the node run is looked at again."""

    id: str
    node: str
    attempt: int
    kind: TimerKind
    due_at: Instant
