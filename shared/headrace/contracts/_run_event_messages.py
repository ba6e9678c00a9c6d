"""Run events on the wire: one model per event type. Public: other teams read these (docs/events.md)."""

from typing import Annotated, Literal

from pydantic import Field

from headrace.contracts._wire import (
    AnyJson,
    CausationPart,
    Edges,
    Instant,
    Object,
    ParentPart,
    PublicLogPart,
    PublicTimerPart,
    Version,
    Wire,
)
from headrace.core.run import Phase, Result


class RunEvent(Wire):
    """What every run event says."""

    v: Version
    run_id: str
    seq: Annotated[int, Field(ge=1)]
    """Number of this event in its run: from 1, without gaps."""
    at: Instant
    workflow: str
    """Identifier of the workflow."""
    version: Annotated[int, Field(json_schema_extra={"description": "Version of the workflow."})]


class NodeEvent(RunEvent):
    """What every event of a node run says."""

    node: str
    """Identifier of the node."""
    node_run_id: str


class RunStartedMessage(RunEvent):
    """A run began at a trigger."""

    type: Literal["io.headrace.run.started"]
    trigger: str
    """Identifier of the trigger node."""
    trigger_type: str
    created_by: str
    causation: CausationPart
    edges: Edges = Field(default_factory=dict)
    """Edges decided from the start: index of the connection → taken or dead."""
    parent: ParentPart | None = None
    """For a child run: the node run that started it."""
    rerun_of: str | None = None
    """The run that this one repeats."""
    gate: str | None = None
    """The gate that it passed, or waits at: one for each entity, where the trigger has `perEntity`."""


class ChildrenPart(Wire):
    """The child runs that a node run is to start."""

    total: int
    items: list[AnyJson] = Field(default_factory=list)
    """What they are for; empty for a single one."""


class NodeStartedMessage(NodeEvent):
    """An action began its first attempt, a human step waits for a person, or the trigger of a run for its turn."""

    type: Literal["io.headrace.node.started"]
    node_type: str
    config: AnyJson = None
    """The rendered config."""
    phase: Phase = "running"
    timers: list[PublicTimerPart] = Field(default_factory=list)
    children: ChildrenPart | None = None
    """For a node run that starts child runs."""


class NodeAcceptedMessage(NodeEvent):
    """The receiver took the work; the node run waits for its report."""

    type: Literal["io.headrace.node.accepted"]
    output: Object
    logs: list[PublicLogPart] = Field(default_factory=list)
    external_run_id: str | None = None
    """The id of the receiver's own job."""
    links: list[str] | None = None
    poll: PublicTimerPart | None = None
    """When the receiver is asked how the work stands; missing: a report says it."""
    poll_state: Object | None = None
    """The engine's own notes for that."""


class PollStartedMessage(NodeEvent):
    """The receiver is asked how accepted work stands."""

    type: Literal["io.headrace.poll.started"]
    attempt: int
    poll: int
    """The number of the poll in its attempt, from 1."""


class NodeReportedMessage(NodeEvent):
    """Somebody outside told something about a node run without completing it."""

    type: Literal["io.headrace.node.reported"]
    report_id: str = ""
    """Tells two equal reports from one report delivered twice."""
    output: Object | None = None
    """Merged into the output so far, key by key."""
    logs: list[PublicLogPart] = Field(default_factory=list)
    external_run_id: str | None = None
    links: list[str] | None = None


class AttemptFailedMessage(NodeEvent):
    """An attempt failed and another one is planned."""

    type: Literal["io.headrace.attempt.failed"]
    attempt: int
    error: str
    retry: PublicTimerPart
    logs: list[PublicLogPart] = Field(default_factory=list)


class AttemptStartedMessage(NodeEvent):
    """The next attempt of a node run began."""

    type: Literal["io.headrace.attempt.started"]
    attempt: int
    timers: list[PublicTimerPart] = Field(default_factory=list)


class NodeCompletedMessage(NodeEvent):
    """A node run is over. Triggers and conditions have no other event than this one."""

    type: Literal["io.headrace.node.completed"]
    node_type: str
    result: Result
    output: Object | None = None
    """The raw output."""
    stored: AnyJson = None
    """What later nodes read under `.outputs`. When the field is missing, it is the raw output itself."""
    error: str | None = None
    outlet: str | None = None
    """The branch that a condition or a human step chose."""
    label: str | None = None
    run_label: str | None = None
    links: list[str] | None = None
    logs: list[PublicLogPart] = Field(default_factory=list)
    external_run_id: str | None = None
    edges: Edges = Field(default_factory=dict)
    """Edges decided by it: index of the connection → taken or dead."""
    carried: bool = False
    """Whether it was taken over from the run that this one repeats, and not executed."""


class ChildrenStartedMessage(NodeEvent):
    """A node run asked for its next child runs."""

    type: Literal["io.headrace.children.started"]
    count: int


class ChildCompletedMessage(NodeEvent):
    """A child run is over, or could not be started."""

    type: Literal["io.headrace.child.completed"]
    index: int
    """The number of the item, from 0."""
    result: Result
    outputs: AnyJson = None
    """What is kept of what it left."""
    size: int = 0
    """Bytes of `outputs`, as JSON; 0 for a single child run."""
    omitted: bool = False
    """From here on nothing is kept of any of them: together it would be too much."""
    error: str | None = None


class RunCancellingMessage(RunEvent):
    """Somebody asked to cancel; node runs at work finish first."""

    type: Literal["io.headrace.run.cancellation.requested"]
    by: str


class RunCompletedMessage(RunEvent):
    """The run is over; nothing can happen to it any more."""

    type: Literal["io.headrace.run.completed"]
    result: Result


RUN_EVENT_MODELS: dict[str, type[RunEvent]] = {
    "run-started": RunStartedMessage,
    "node-started": NodeStartedMessage,
    "node-accepted": NodeAcceptedMessage,
    "poll-started": PollStartedMessage,
    "node-reported": NodeReportedMessage,
    "attempt-failed": AttemptFailedMessage,
    "attempt-started": AttemptStartedMessage,
    "node-completed": NodeCompletedMessage,
    "children-started": ChildrenStartedMessage,
    "child-completed": ChildCompletedMessage,
    "run-cancellation-requested": RunCancellingMessage,
    "run-completed": RunCompletedMessage,
}
"""By schema name, in the order in which a run meets them."""
