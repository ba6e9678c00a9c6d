"""Commands: everything that may be asked of a run. A closed union; imperative names.

Each carries its time (`at`, milliseconds since the epoch) and enough identity to recognise a duplicate by meaning:
a transition is legal once only (docs/delivery.md).
"""

from typing import Literal

from headrace.core.json import Json, JsonObject
from headrace.core.run import Causation, LogLine, Parent, Result
from headrace.core.value_class import value_class


@value_class
class Carried:
    """A node run of an earlier run that a re-run takes over as it is, with what later nodes read of it."""

    node: str
    type: str
    result: Result
    output: JsonObject | None
    stored: Json
    error: str | None = None
    outlet: str | None = None
    label: str | None = None
    links: tuple[str, ...] = ()


LATEST = 0
"""As the version of a child run: the latest one, which whoever creates the run looks up."""


@value_class
class StartRun:
    """Start a run at a trigger. `output` is the trigger's output: the event, or the inputs (spec 2).

    A child run names its `parent`, may leave its version open (`LATEST`), and names no trigger when there is only one
    that it can start at; its `output` has not been checked. A re-run says which run it repeats, and what it takes over.
    A run that has passed a gate names it, and tells it when it is over; one that is `held` waits to be admitted.
    """

    run_id: str
    at: int
    workflow: str
    version: int
    trigger: str
    output: JsonObject
    created_by: str
    causation: Causation
    parent: Parent | None = None
    rerun_of: str | None = None
    carried: tuple[Carried, ...] = ()
    gate: str | None = None
    held: bool = False


@value_class
class AdmitRun:
    """It is the turn of a run that was held at its gate."""

    run_id: str
    at: int


AttemptFailureKind = Literal["refused", "invalid", "connection", "timeout", "status", "unsupported", "unknown-outcome"]


@value_class
class Succeeded:
    """The attempt gave its output; the node run is complete."""

    output: JsonObject


@value_class
class Accepted:
    """The receiver took the work and reports later (asynchronous nodes, spec 3.1).

    With `poll_after_seconds` the invoker is asked again at that time how the work stands, and gets `poll_state` back:
    waiting is state, nobody sleeps. `external_run_id` and `links` are kept as of a report; None leaves them.
    """

    output: JsonObject
    external_run_id: str | None = None
    links: tuple[str, ...] | None = None
    poll_after_seconds: float | None = None
    poll_state: JsonObject | None = None


@value_class
class Failed:
    """The attempt failed. `retryable` says whether another attempt could help, `output` what the receiver answered."""

    kind: AttemptFailureKind
    message: str
    retryable: bool = False
    output: JsonObject | None = None
    retry_after_seconds: float | None = None


Outcome = Succeeded | Accepted | Failed


@value_class
class ReportAttempt:
    """The invoker's answer to one request: what became of an attempt, or what one of its polls found."""

    run_id: str
    at: int
    node: str
    node_run_id: str
    attempt: int
    outcome: Outcome
    logs: tuple[LogLine, ...] = ()
    poll: int = 0


@value_class
class ReportNode:
    """A report from outside: PATCH of a node run, or log lines (spec 7.5). `None` leaves a field as it is."""

    run_id: str
    at: int
    node_run_id: str
    by: str
    status: Literal["IN_PROGRESS", "COMPLETED"] | None = None
    result: Result | None = None
    output: JsonObject | None = None
    logs: tuple[LogLine, ...] = ()
    external_run_id: str | None = None
    links: tuple[str, ...] | None = None
    report_id: str = ""
    """Tells two equal reports from one report delivered twice."""


@value_class
class RespondNode:
    """A person presses a button of an INPUT node's form (spec 5.1). `inputs` fit the form."""

    run_id: str
    at: int
    node_run_id: str
    by: str
    button: str
    inputs: JsonObject


@value_class
class FireTimer:
    """A timer of the run is due."""

    run_id: str
    at: int
    timer_id: str


@value_class
class CancelRun:
    """Stop the run: gracefully after the nodes at work, or at once with `force` (spec 7.4.6)."""

    run_id: str
    at: int
    by: str
    force: bool = False


@value_class
class ReportChild:
    """A child run is over, or could not be started: told to the run that it was started for.

    `outputs` is what its nodes left; None when that is too large to pass on.
    """

    run_id: str
    at: int
    node_run_id: str
    index: int
    result: Result
    outputs: JsonObject | None = None
    error: str | None = None


@value_class
class LeaveGate:
    """Told to a gate, not to a run: a run is over, or will never be, and whoever waits behind it may go on."""

    gate: str
    run_id: str
    at: int


Command = StartRun | AdmitRun | ReportAttempt | ReportNode | RespondNode | FireTimer | CancelRun | ReportChild
ToAnother = StartRun | CancelRun | ReportChild | LeaveGate
"""What a decision may ask of other runs, and tell a gate."""


@value_class
class Origin:
    """Who started a run, at what kind of trigger, and since when (ms) the run and the node run are under way."""

    created_by: str
    trigger_type: str
    run_at: int
    node_at: int


@value_class
class InvokeNode:
    """What the core asks of the invoker: perform one attempt of an action, or poll one that was accepted.

    The same id always means the same work. `poll` is 0 for the attempt itself and counts its polls from 1;
    `poll_state` is what the last answer asked to be given back. `origin` is there for the actions that need it.
    """

    id: str
    run_id: str
    workflow: str
    version: int
    node: str
    node_run_id: str
    attempt: int
    type: str
    config: Json
    synchronized: bool
    on_timeout: Literal["fail", "continue"]
    timeout_seconds: float | None
    delivery: Literal["at_least_once", "at_most_once"]
    causation: Causation
    poll: int = 0
    poll_state: JsonObject | None = None
    origin: Origin | None = None
