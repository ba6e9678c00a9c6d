"""A run: the state of one execution of one workflow version (spec 7).

Everything here is immutable: a change makes a new object, so a half-done change cannot exist.
Instants (`..._at`) are whole milliseconds since the Unix epoch, UTC.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from headrace.core.json import Json, JsonObject
from headrace.core.value_class import value_class

RunStatus = Literal["IN_PROGRESS", "CANCELLING", "COMPLETED"]
NodeStatus = Literal["IN_PROGRESS", "COMPLETED"]
Result = Literal["SUCCESS", "FAILED", "CANCELLED"]
LogLevel = Literal["DEBUG", "INFO", "WARN", "ERROR"]

Phase = Literal["running", "waiting", "polling", "retrying", "done"]
"""What an IN_PROGRESS node run waits for: an attempt's answer, an outside report (or the time of the next poll), a
poll's answer, or the time of its next attempt."""

TimerKind = Literal["retry", "deadline", "poll", "delay"]


@value_class
class Timer:
    """A point in time at which a node run must be looked at again."""

    id: str
    node: str
    attempt: int
    kind: TimerKind
    due_at: int


@value_class
class LogLine:
    """One line of a node run's log (spec 7.3)."""

    at: int
    level: LogLevel
    message: str
    tags: tuple[tuple[str, str], ...] = ()


@value_class
class FailedAttempt:
    """An attempt that failed and was, or could have been, followed by another."""

    attempt: int
    at: int
    error: str


@value_class
class Parent:
    """The node run that a run was started for, and the number of the item it is for: 0, unless a FOR_EACH has more."""

    run_id: str
    node_run_id: str
    index: int


@value_class
class Children:
    """The child runs of a WORKFLOW or FOR_EACH node run.

    The items 0 to `started - 1` have been started, and `items` holds those from there on: what is done is not kept,
    so that the run stays small. `results` holds what the first ones left, by index; None when that became too much.
    """

    total: int
    items: tuple[Json, ...] = ()
    started: int = 0
    running: tuple[int, ...] = ()
    succeeded: int = 0
    failed: int = 0
    failures: tuple[tuple[int, str], ...] = ()
    """The first that failed: index and message."""
    results: tuple[tuple[int, Json], ...] | None = ()
    result_bytes: int = 0


@value_class
class NodeRun:
    """One execution of one node.

    `config` is the rendered config (actions only). `output` is the raw output; what later nodes read is in
    `Run.outputs` (spec 6.2).
    `outlet` is the branch that a CONDITION or INPUT node chose.
    """

    id: str
    node: str
    type: str
    status: NodeStatus
    phase: Phase
    attempt: int
    created_at: int
    updated_at: int
    completed_at: int | None = None
    result: Result | None = None
    config: Json = None
    output: JsonObject | None = None
    error: str | None = None
    outlet: str | None = None
    label: str | None = None
    external_run_id: str | None = None
    links: tuple[str, ...] = ()
    failed_attempts: tuple[FailedAttempt, ...] = ()
    logs: tuple[LogLine, ...] = ()
    logs_dropped: int = 0
    reports: tuple[str, ...] = ()
    """Ids of the last outside reports, so that one delivered twice counts once."""
    poll: int = 0
    """The number of the last poll that began in this attempt; 0 before the first."""
    poll_state: JsonObject | None = None
    """What whoever performs the attempt wants to be given back with the next poll."""
    children: Children | None = None
    carried: bool = False
    """Whether it was not executed: the run that this one repeats left it (Run.rerun_of)."""


@value_class
class Causation:
    """What led to this run: the first event of the chain, and how many runs deep we are (loop guard)."""

    event_id: str
    root_event_id: str
    depth: int = 0
    chain: tuple[str, ...] = ()
    """Identifiers of the workflows that ran before on this chain, oldest first."""
    traceparent: str | None = None
    """The trace that this belongs to, as W3C trace context says it; what the run does is a part of it."""


@value_class
class Run:
    """One execution of one workflow version.

    `seq` is the number of its last event; events are numbered from 1 without gaps. `edges` holds the decided edges of
    the plan by index: taken or dead. `outputs` is `variables.outputs` of the spec.
    """

    id: str
    workflow: str
    version: int
    trigger: str
    trigger_type: str
    created_by: str
    created_at: int
    updated_at: int
    causation: Causation
    status: RunStatus = "IN_PROGRESS"
    result: Result | None = None
    completed_at: int | None = None
    seq: int = 0
    nodes: Mapping[str, NodeRun] = field(default_factory=dict)
    outputs: Mapping[str, Json] = field(default_factory=dict)
    edges: Mapping[int, bool] = field(default_factory=dict)
    timers: tuple[Timer, ...] = ()
    label: str | None = None
    cancelled_by: str | None = None
    parent: Parent | None = None
    rerun_of: str | None = None
    """The run that this one repeats."""
    gate: str | None = None
    """The gate that it holds, or waits at (core/gate.py); told when the run is over."""

    @property
    def is_over(self) -> bool:
        return self.status == "COMPLETED"

    @property
    def next_due_at(self) -> int | None:
        """When the earliest timer is due; None without timers."""
        return min((timer.due_at for timer in self.timers), default=None)

    def node_run(self, node_run_id: str) -> NodeRun | None:
        """The node run with this id; None when the run has none."""
        return next((node for node in self.nodes.values() if node.id == node_run_id), None)

    @property
    def is_held(self) -> bool:
        """Whether it waits at its gate: its trigger has not put out anything yet."""
        node_run = self.nodes.get(self.trigger)
        return node_run is not None and node_run.status == "IN_PROGRESS"

    def in_progress(self) -> list[NodeRun]:
        """The node runs that are not completed, in the order in which they started."""
        return [node for node in self.nodes.values() if node.status == "IN_PROGRESS"]


MAX_LOG_LINES = 1_000
"""Log lines kept per node run; older ones are dropped and counted in `logs_dropped`."""
MAX_REPORTS = 64
"""Report ids remembered per node run."""
MAX_FAILURES = 20
"""Failed child runs that are remembered with their messages; further ones are only counted."""
MAX_LOG_MESSAGE = 4_000
"""Characters kept of one log message."""
