"""Models of workflow documents in all three dialects (spec 1-5), and the JSON Schema that editors complete from.

`headrace.core.authoring.dialects` reads documents through these models; nothing else should need them.
"""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from headrace.core import limits
from headrace.core.authoring._document_configs import CONFIGS, AnyConfig
from headrace.core.authoring._document_part import Description, Identifier, Part, Text, Title
from headrace.core.json import JsonObject

SCHEMA_ID = "urn:headrace:schema:definition.v1"


class NodeDocument(Part):
    """A step: trigger, action, condition or human input (spec 1.2)."""

    identifier: Identifier
    title: Title | None = None
    icon: str | None = None
    description: Description | None = None
    config: Annotated[AnyConfig, Field(discriminator="type")]
    variables: dict[str, Any] = Field(default_factory=dict)
    """What later nodes read instead of the raw output: templates, evaluated after the node ran."""
    links: Annotated[list[str], Field(max_length=limits.LINKS)] = Field(default_factory=list)
    """Templates of URLs shown on the node run."""
    verbose: bool = False


class ConnectionDocument(Part):
    """A directed edge (spec 1.3)."""

    identifier: Identifier | None = None
    """Dialect S only: the name by which a condition refers to this connection."""
    description: str | None = None
    source_identifier: Text
    target_identifier: Text
    source_option_identifier: Text | None = None
    source_outlet_identifier: Text | None = None
    fallback: bool = False
    """The way out of a CONDITION when no branch matches."""


class WorkflowHead(Part):
    """The fields of a workflow beside its graph (spec 1.1)."""

    quiet_fields: ClassVar[frozenset[str]] = frozenset(
        ("orgId", "version", "versionIdentifier", "createdBy", "updatedBy", "createdAt", "updatedAt", "$schema")
    )

    identifier: Identifier
    title: Title | None = None
    icon: str | None = None
    description: Description | None = None
    category: Annotated[str, Field(max_length=limits.CATEGORY_LENGTH)] | None = None
    allow_anyone_to_view_runs: bool = False


class WorkflowDocument(WorkflowHead):
    """A workflow (spec 1.1)."""

    nodes: Annotated[list[NodeDocument], Field(max_length=limits.NODES)]
    connections: list[ConnectionDocument] = Field(default_factory=list)


def json_schema() -> JsonObject:
    """The JSON Schema (2020-12) of workflow documents; the same at every call."""
    schema = WorkflowDocument.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **schema,
        "title": "Headrace workflow",
    }


__all__ = [
    "CONFIGS",
    "SCHEMA_ID",
    "ConnectionDocument",
    "NodeDocument",
    "WorkflowDocument",
    "WorkflowHead",
    "json_schema",
]
