"""The bodies that requests carry, except workflows, inputs and events, which have their own readers.

Unknown fields are refused: a misspelt field would otherwise be a silent one.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from headrace.core.run import MAX_LOG_LINES, LogLevel, Result

Tags = dict[Annotated[str, Field(max_length=100)], Annotated[str, Field(max_length=1_000)]]


class _Body(BaseModel):
    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, alias_generator=to_camel, use_attribute_docstrings=True
    )


class Credentials(_Body):
    """Spec 9.3."""

    client_id: Annotated[str, Field(min_length=1, max_length=200, examples=["headrace"])]
    client_secret: Annotated[str, Field(min_length=1, max_length=1_000)]


class StartRequest(_Body):
    """Spec 2.1.5."""

    inputs: Annotated[dict[str, Any], Field(examples=[{"service": "billing", "tier": "gold"}])] = {}
    """One value per input of the trigger's form."""
    node_identifier: Annotated[str, Field(examples=["start"])] | None = None
    """The self-serve trigger to start; may be left out when there is only one."""


class FromNode(_Body):
    """Where a re-run begins: at this node."""

    node: Annotated[str, Field(examples=["deploy"])]


class RerunRequest(_Body):
    """What is run again. Without a body: everything."""

    first: Annotated[Literal["start", "failed"] | FromNode, Field(alias="from", examples=["failed"])] = "start"
    """`start`: everything; `failed`: the node runs that failed or were cancelled, and what follows them; or from one
    node on. What comes before is carried over and not executed again."""
    inputs: Annotated[dict[str, Any], Field(examples=[{"tier": "gold"}])] | None = None
    """Inputs that replace those of the old run, name by name."""
    version: Literal["same", "latest"] = "same"
    """Which version of the workflow; `latest` from the start only."""


class CancelRequest(_Body):
    """Spec 7.4.6."""

    force: bool = False
    """Cancel the node runs at work too, instead of letting them finish."""


class ClaimRequest(_Body):
    """Spec 7.6."""

    installation_id: Annotated[str, Field(min_length=1, max_length=200, examples=["my-integration"])]
    limit: Annotated[int, Field(ge=1, le=100)] = 100
    visibility_timeout_ms: Annotated[int, Field(ge=1_000, le=600_000)] = 60_000
    """For so long nobody else is given what you claimed."""
    exclude: Annotated[list[Annotated[str, Field(max_length=500)]], Field(max_length=1_000)] = []
    """`nodeUid`s of which you want no more now."""


class AckRequest(_Body):
    """Spec 7.6."""

    node_run_identifier: Annotated[str, Field(min_length=1, max_length=200)]


class ResponseRequest(_Body):
    """Spec 5.1: a button of an INPUT node's form, and the form's inputs."""

    button: Annotated[str, Field(min_length=1, max_length=200, examples=["approve"])]
    inputs: Annotated[dict[str, Any], Field(examples=[{"reason": "Reviewed"}])] = {}


class LogEntry(_Body):
    """Spec 7.3. `logLevel`/`log` and `level`/`message` are two names of the same."""

    log_level: LogLevel | None = None
    level: LogLevel | None = None
    log: str | None = None
    message: str | None = None
    tags: Tags = {}
    created_at: str | None = None
    """Read and ignored: a line gets the time at which it arrives."""
    updated_at: str | None = None
    """Read and ignored."""

    @model_validator(mode="after")
    def _check(self) -> "LogEntry":
        if self.log_level is not None and self.level is not None and self.log_level != self.level:
            raise ValueError("logLevel and level differ; send one of them")
        if self.log is not None and self.message is not None and self.log != self.message:
            raise ValueError("log and message differ; send one of them")
        return self

    @property
    def severity(self) -> LogLevel:
        return self.log_level or self.level or "INFO"

    @property
    def text(self) -> str:
        return self.log or self.message or ""


class LogsRequest(_Body):
    """Spec 7.5."""

    logs: Annotated[list[LogEntry], Field(min_length=1, max_length=MAX_LOG_LINES)]


class NodeRunReport(_Body):
    """Spec 7.5: what a worker tells about a node run. Every field may be left out."""

    status: Literal["IN_PROGRESS", "COMPLETED"] | None = None
    result: Result | None = None
    """Required with COMPLETED."""
    output: Annotated[dict[str, Any], Field(examples=[{"response": {"data": {"ticketId": "T-9"}}}])] | None = None
    """The raw output; several reports are merged, the last value per key wins."""
    logs: Annotated[list[LogEntry], Field(max_length=MAX_LOG_LINES)] = []
    external_run_id: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    links: Annotated[list[Annotated[str, Field(max_length=2_048)]], Field(max_length=20)] | None = None

    @model_validator(mode="after")
    def _check(self) -> "NodeRunReport":
        if self.status == "COMPLETED" and self.result is None:
            raise ValueError("result is required with COMPLETED: SUCCESS, FAILED or CANCELLED")
        if self.result is not None and self.status != "COMPLETED":
            raise ValueError("a result may only be given with status COMPLETED")
        return self
