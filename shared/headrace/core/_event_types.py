"""The kinds of events; `headrace.core.events` says what they do to a run, and is where to import them from."""

from collections.abc import Mapping
from dataclasses import field

from headrace.core.json import Json, JsonObject
from headrace.core.run import Causation, Children, LogLine, Parent, Phase, Result, Timer
from headrace.core.value_class import value_class


@value_class
class RunStarted:
    """A run began at a trigger. `edges` are those decided from the start: the ways out of the other triggers."""

    seq: int
    at: int
    run_id: str
    workflow: str
    version: int
    trigger: str
    trigger_type: str
    created_by: str
    causation: Causation
    edges: Mapping[int, bool] = field(default_factory=dict)
    parent: Parent | None = None
    rerun_of: str | None = None
    gate: str | None = None


@value_class
class NodeStarted:
    """An action or human step began its first attempt, or waits for a person; or a trigger waits for its turn."""

    seq: int
    at: int
    node: str
    node_run_id: str
    type: str
    config: Json
    phase: Phase = "running"
    timers: tuple[Timer, ...] = ()
    children: Children | None = None
    """For a node run that starts child runs: how many, and the items they are for."""


@value_class
class NodeAccepted:
    """The receiver took the work; the node run waits for its report."""

    seq: int
    at: int
    node: str
    output: JsonObject
    logs: tuple[LogLine, ...] = ()
    external_run_id: str | None = None
    links: tuple[str, ...] | None = None
    poll: Timer | None = None
    """When the invoker is asked how the work stands; None: only a report from outside ends the wait."""
    poll_state: JsonObject | None = None


@value_class
class PollStarted:
    """The invoker is asked how accepted work stands. Polls are counted from 1 in each attempt."""

    seq: int
    at: int
    node: str
    attempt: int
    poll: int


@value_class
class NodeReported:
    """Somebody outside told something about a node run without completing it."""

    seq: int
    at: int
    node: str
    report_id: str = ""
    output: JsonObject | None = None
    logs: tuple[LogLine, ...] = ()
    external_run_id: str | None = None
    links: tuple[str, ...] | None = None


@value_class
class AttemptFailed:
    """An attempt failed and another one is planned: `retry` says when."""

    seq: int
    at: int
    node: str
    attempt: int
    error: str
    retry: Timer
    logs: tuple[LogLine, ...] = ()


@value_class
class AttemptStarted:
    """The next attempt of a node run began."""

    seq: int
    at: int
    node: str
    attempt: int
    timers: tuple[Timer, ...] = ()


@value_class
class NodeCompleted:
    """A node run is over. `stored` is what later nodes read (spec 6.2); `edges` are the edges decided by it.

    For nodes that complete at once (triggers, conditions, configs that cannot be rendered) it is their only event.
    """

    seq: int
    at: int
    node: str
    node_run_id: str
    type: str
    result: Result
    output: JsonObject | None = None
    stored: Json = None
    error: str | None = None
    outlet: str | None = None
    label: str | None = None
    run_label: str | None = None
    links: tuple[str, ...] | None = None
    logs: tuple[LogLine, ...] = ()
    external_run_id: str | None = None
    edges: Mapping[int, bool] = field(default_factory=dict)
    carried: bool = False
    """Whether it was taken over from the run that this one repeats, and not executed."""


@value_class
class ChildrenStarted:
    """A node run asked for its next `count` child runs."""

    seq: int
    at: int
    node: str
    count: int


@value_class
class ChildCompleted:
    """The child run for an item is over, or could not be started; then the item may be the next one.

    `outputs` is what is kept of what it left. `omitted`: from here on the outputs of all child runs are too much.
    """

    seq: int
    at: int
    node: str
    index: int
    result: Result
    outputs: Json = None
    size: int = 0
    """Bytes of `outputs`, as JSON."""
    omitted: bool = False
    error: str | None = None


@value_class
class RunCancelling:
    """Somebody asked to cancel; node runs at work finish first."""

    seq: int
    at: int
    by: str


@value_class
class RunCompleted:
    """The run is over; nothing can happen to it any more."""

    seq: int
    at: int
    result: Result


Event = (
    RunStarted
    | NodeStarted
    | NodeAccepted
    | PollStarted
    | NodeReported
    | AttemptFailed
    | AttemptStarted
    | NodeCompleted
    | ChildrenStarted
    | ChildCompleted
    | RunCancelling
    | RunCompleted
)
