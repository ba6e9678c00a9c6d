"""Every message on every topic, version 1: the source of the JSON Schemas in `schemas/messages/`.

camelCase on the wire. Public messages (entity changes, run events) say times as ISO 8601 in UTC with milliseconds,
internal ones as whole milliseconds since the epoch. `headrace.contracts.codec` is the bridge to the core's own classes.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from headrace.contracts import topics
from headrace.contracts._entity_message import EntityChangeMessage
from headrace.contracts._run_event_messages import RUN_EVENT_MODELS
from headrace.contracts._wire import (
    AnyJson,
    CausationPart,
    LogPart,
    Millis,
    Object,
    OriginPart,
    ParentPart,
    Version,
    Wire,
)
from headrace.contracts.action_message import ActionMessage
from headrace.core.commands import AttemptFailureKind
from headrace.core.definition import Delivery, OnTimeout
from headrace.core.run import NodeStatus, Result


class CarriedPart(Wire):
    """A node run of the run that is repeated, taken over as it was."""

    node: str
    node_type: str
    result: Result
    output: Object | None = None
    stored: AnyJson = None
    """What later nodes read of it."""
    error: str | None = None
    outlet: str | None = None
    label: str | None = None
    links: list[str] = Field(default_factory=list)


class StartRunMessage(Wire):
    """Start a run at a trigger."""

    v: Version
    type: Literal["startRun"]
    run_id: str
    at: Millis
    workflow: str
    """Identifier of the workflow."""
    version: int
    trigger: str
    """Identifier of the trigger node."""
    output: Object
    """The trigger's output: the entity change, or the inputs."""
    created_by: str
    causation: CausationPart
    parent: ParentPart | None = None
    """For a child run; then version 0 is the latest, and an empty trigger the only one that it can start at."""
    rerun_of: str | None = None
    """The run that this one repeats."""
    carried: list[CarriedPart] = Field(default_factory=list)
    """What it takes over from there, and does not execute again."""
    gate: str | None = None
    """The gate that it passes, or waits at."""
    held: bool = False
    """Whether it waits there to be admitted."""


class AdmitRunMessage(Wire):
    """It is the turn of a run that was held at its gate."""

    v: Version
    type: Literal["admitRun"]
    run_id: str
    at: Millis


class LeaveGateMessage(Wire):
    """A run that passed a gate is over, or cannot begin."""

    v: Version
    type: Literal["leaveGate"]
    gate: str
    run_id: str
    at: Millis


class CancelRunMessage(Wire):
    """Stop a run: gracefully after the nodes at work, or at once with `force`."""

    v: Version
    type: Literal["cancelRun"]
    run_id: str
    at: Millis
    by: str
    force: bool = False


class FireTimerMessage(Wire):
    """A timer of the run is due."""

    v: Version
    type: Literal["fireTimer"]
    run_id: str
    at: Millis
    timer_id: str


class ReportNodeMessage(Wire):
    """A report from outside about a node run. A missing or null field leaves that part of the node run as it is."""

    v: Version
    type: Literal["reportNode"]
    run_id: str
    at: Millis
    node_run_id: str
    by: str
    status: NodeStatus | None = None
    result: Result | None = None
    output: Object | None = None
    logs: list[LogPart] = Field(default_factory=list)
    external_run_id: str | None = None
    links: list[str] | None = None
    report_id: str = ""
    """Tells two equal reports from one report delivered twice."""


class RespondNodeMessage(Wire):
    """A person presses a button of an INPUT node's form."""

    v: Version
    type: Literal["respondNode"]
    run_id: str
    at: Millis
    node_run_id: str
    by: str
    button: str
    inputs: Object


class ReportChildMessage(Wire):
    """A child run is over, or could not be started."""

    v: Version
    type: Literal["reportChild"]
    run_id: str
    """The parent's."""
    at: Millis
    node_run_id: str
    index: int
    """The number of the item."""
    result: Result
    outputs: Object | None = None
    """What its nodes left; missing when that is too large to pass on."""
    error: str | None = None


class InvokeNodeMessage(Wire):
    """Perform one attempt of an action, or poll one that was accepted. The same id always means the same work."""

    v: Version
    type: Literal["invokeNode"]
    id: str
    """The attempt: `<node run id>:<attempt>`; a poll of it: `<node run id>:<attempt>:<poll>`."""
    run_id: str
    workflow: str
    version: int
    node: str
    node_run_id: str
    attempt: int
    node_type: str
    """The action's type, such as `WEBHOOK`."""
    config: AnyJson
    """The rendered config: no templates are left in it."""
    synchronized: bool
    """Whether the answer completes the node run; if not, a report from outside does."""
    on_timeout: OnTimeout
    timeout_seconds: float | None
    delivery: Delivery
    causation: CausationPart
    poll: Annotated[int, Field(ge=0)] = 0
    """The number of the poll, from 1; missing for the attempt itself."""
    poll_state: Object | None = None
    """What the last answer asked to be given back."""
    origin: OriginPart | None = None
    """Missing for webhooks, which need nothing of it."""


class SucceededPart(Wire):
    """The attempt gave its output; the node run is complete."""

    type: Literal["succeeded"]
    output: Object


class AcceptedPart(Wire):
    """The receiver took the work and reports later."""

    type: Literal["accepted"]
    output: Object
    external_run_id: str | None = None
    """The id of the receiver's own job."""
    links: list[str] | None = None
    poll_after_seconds: float | None = None
    """When to ask how the work stands; missing: a report says it."""
    poll_state: Object | None = None
    """What is to be given back when asking."""


class FailedPart(Wire):
    """The attempt failed."""

    type: Literal["failed"]
    kind: AttemptFailureKind
    message: str
    retryable: bool = False
    """Whether another attempt could help."""
    output: Object | None = None
    """What the receiver answered, if it did."""
    retry_after_seconds: float | None = None


class AttemptResultMessage(Wire):
    """What became of one attempt, or what a poll of it found."""

    v: Version
    type: Literal["reportAttempt"]
    run_id: str
    at: Millis
    node: str
    node_run_id: str
    attempt: int
    outcome: Annotated[SucceededPart | AcceptedPart | FailedPart, Field(discriminator="type")]
    logs: list[LogPart] = Field(default_factory=list)
    poll: Annotated[int, Field(ge=0)] = 0
    """The number of the poll that is answered; missing for the attempt itself."""


class DeadLetterHeaders(Wire):
    """The headers added to a record that could not be handled. Its key, value and own headers are kept untouched."""

    topic: Annotated[str, Field(alias="dl-topic")]
    """Where the record came from."""
    partition: Annotated[str, Field(alias="dl-partition", pattern=r"^[0-9]+$")]
    offset: Annotated[str, Field(alias="dl-offset", pattern=r"^[0-9]+$")]
    at: Annotated[str, Field(alias="dl-at", pattern=r"^[0-9]+$")]
    """When it was given up: whole milliseconds since the Unix epoch."""
    group: Annotated[str, Field(alias="dl-group")]
    """The consumer group that gave it up."""
    error: Annotated[str, Field(alias="dl-error")]
    """The class of the error."""
    message: Annotated[str, Field(alias="dl-message")]
    """What was wrong."""


@dataclass(frozen=True, slots=True)
class MessageType:
    """One message: its name in `schemas/messages/<name>.v1.json`, its topic (None: any dead-letter topic), its model.

    `in_headers` says that the model describes headers, not the value.
    """

    name: str
    topic: topics.Topic | None
    model: type[Wire]
    in_headers: bool = False

    @property
    def schema_id(self) -> str:
        return f"urn:headrace:schema:{self.name}.v1"


MESSAGES = (
    MessageType("entity-change", topics.ENTITY_CHANGES, EntityChangeMessage),
    MessageType("start-run", topics.RUN_COMMANDS, StartRunMessage),
    MessageType("admit-run", topics.RUN_COMMANDS, AdmitRunMessage),
    MessageType("leave-gate", topics.RUN_GATES, LeaveGateMessage),
    MessageType("cancel-run", topics.RUN_COMMANDS, CancelRunMessage),
    MessageType("fire-timer", topics.RUN_COMMANDS, FireTimerMessage),
    MessageType("report-node", topics.RUN_COMMANDS, ReportNodeMessage),
    MessageType("respond-node", topics.RUN_COMMANDS, RespondNodeMessage),
    MessageType("report-child", topics.RUN_COMMANDS, ReportChildMessage),
    MessageType("invoke-node", topics.NODE_REQUESTS, InvokeNodeMessage),
    MessageType("attempt-result", topics.NODE_RESULTS, AttemptResultMessage),
    *(MessageType(name, topics.RUN_EVENTS, model) for name, model in RUN_EVENT_MODELS.items()),
    MessageType("kafka-action", topics.RUNS, ActionMessage),
    MessageType("dead-letter-headers", None, DeadLetterHeaders, in_headers=True),
)
"""Every message, in the order of the documentation."""
