"""Models of the configs of nodes that are Headrace's own: child runs (docs/children.md) and delays (docs/people.md)."""

from typing import Annotated, Literal

from pydantic import Field

from headrace.core import limits
from headrace.core.authoring._document_part import (
    Identifier,
    ListOrTemplate,
    NumberOrTemplate,
    ObjectOrTemplate,
    Part,
    Text,
)


class WorkflowConfig(Part):
    """Runs another workflow and waits for its end (a Headrace extension)."""

    type: Literal["WORKFLOW"]
    workflow_identifier: Identifier
    """The latest version of it is run."""
    node_identifier: Identifier | None = None
    """The self-serve trigger to start at; may be left out when there is only one."""
    inputs: ObjectOrTemplate = None
    on_failure: Literal["terminate", "continue"] = "terminate"
    timeout_seconds: Annotated[float, Field(ge=1, le=limits.ASYNC_TIMEOUT_SECONDS)] | None = None
    """Time limit of all child runs together; those at work are cancelled then."""


class ForEachConfig(WorkflowConfig):
    """Runs another workflow for each item of an array (a Headrace extension)."""

    type: Literal["FOR_EACH"]  # type: ignore[assignment]
    items: ListOrTemplate
    concurrency: Annotated[int, Field(ge=1, le=limits.CONCURRENCY)] = 10
    """So many child runs are at work at once."""
    on_item_failure: Literal["stop", "continue"] = "stop"
    """stop: after the first failure no more are started, and the node fails; continue: failures are only counted."""


class DelayConfig(Part):
    """Waits for a span of time, or until an instant (a Headrace extension)."""

    type: Literal["DELAY"]
    seconds: NumberOrTemplate = None
    until: Text | None = None
    """An ISO 8601 instant with a time zone, or a template that gives one."""
    on_failure: Literal["terminate", "continue"] = "terminate"
