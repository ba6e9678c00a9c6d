"""A workflow definition as the engine understands it: one graph, whatever dialect its author wrote (spec 0.2, 1).

`headrace.core.authoring.dialects` parses documents into these classes, `headrace.core.authoring.check` judges them,
`headrace.core.plan` compiles them. The raw document is kept beside the graph for round trips.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from headrace.core.json import Json, JsonObject

Dialect = Literal["connections", "options", "outlets"]
"""How branches are written: S `connections` (January 2026), O `options`, L `outlets` (mid 2026 on); spec 0.2."""

EventType = Literal["ENTITY_CREATED", "ENTITY_UPDATED", "ENTITY_DELETED", "ANY_ENTITY_CHANGE", "TIMER_EXPIRED"]
OnFailure = Literal["terminate", "continue"]
OnTimeout = Literal["fail", "continue"]
MissedRuns = Literal["skip", "latest", "all"]
"""Which of the instants that passed while nobody could start runs are made up for."""
Delivery = Literal["at_least_once", "at_most_once"]
PerEntity = Literal["parallel", "serial", "latest-wins", "drop-while-running"]
"""What becomes of an event while a run of the same trigger and entity is at work (docs/triggers.md)."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """Who may start a self-serve trigger (spec 8.2, form 3). All empty: admins and machines only."""

    roles: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    policy: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class SelfServeTrigger:
    """Spec 2.1. `user_inputs` stays the author's document; `headrace.core.authoring.inputs` reads it."""

    type = "SELF_SERVE_TRIGGER"
    user_inputs: JsonObject = field(default_factory=dict)
    published: bool = True
    permissions: Permissions | None = None
    contexts: tuple[JsonObject, ...] = ()
    """Where else the trigger is offered (spec 2.1.6), as the author wrote it."""


@dataclass(frozen=True, slots=True)
class Debounce:
    """Start one run for all events of an entity, `seconds` after the last, `max_seconds` after the first at most."""

    seconds: float
    max_seconds: float


@dataclass(frozen=True, slots=True)
class EventTrigger:
    """Spec 2.2. `expressions` are JQ on the event object; empty means always. `per_entity` and `debounce` are ours."""

    type = "EVENT_TRIGGER"
    event_type: EventType
    blueprint: str
    property: str | None = None
    expressions: tuple[str, ...] = ()
    combinator: Literal["and", "or"] = "and"
    published: bool = True
    per_entity: PerEntity = "parallel"
    debounce: Debounce | None = None

    def has_gate(self) -> bool:
        """Whether its events pass a gate before they start runs."""
        return self.per_entity != "parallel" or self.debounce is not None


@dataclass(frozen=True, slots=True)
class ScheduleTrigger:
    """Spec 2.3. `timezone` is an IANA name, `missed_runs` says what becomes of instants that passed meanwhile."""

    type = "SCHEDULE_TRIGGER"
    cron: str
    published: bool = True
    timezone: str = "UTC"
    missed_runs: MissedRuns = "latest"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a failed attempt is repeated (an extension; the spec's engine never retries).

    Delay before attempt n+1: `backoff_seconds * multiplier**(n-1)`, at most `max_backoff_seconds`, spread by ±20 %.
    """

    max_attempts: int = 1
    backoff_seconds: float = 1.0
    multiplier: float = 2.0
    max_backoff_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class Action:
    """What all actions share (spec 3.1). `config` is the author's document, template strings and all."""

    type: str
    config: JsonObject
    on_failure: OnFailure = "terminate"
    on_timeout: OnTimeout = "fail"
    synchronized: bool = True
    retry: RetryPolicy = RetryPolicy()
    timeout_seconds: float | None = None
    """Time limit of one attempt, answer or report included. None: the call has 30 s, a report has no limit."""
    delivery: Delivery = "at_least_once"


@dataclass(frozen=True, slots=True)
class Branch:
    """One outlet of a CONDITION or INPUT node. `expression` is empty on INPUT outlets."""

    identifier: str
    title: str
    expression: str = ""
    status_label: JsonObject | None = None
    workflow_status_label: JsonObject | None = None
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """Spec 4: branches are tried in order, the first that gives `true` wins."""

    type = "CONDITION"
    branches: tuple[Branch, ...]
    dialect: Dialect


@dataclass(frozen=True, slots=True)
class Input:
    """Spec 5.1: a human step. `config` is the author's document."""

    type = "INPUT"
    branches: tuple[Branch, ...]
    config: JsonObject
    timeout_seconds: float | None = None
    """How long people may respond (an extension). None: as long as it takes."""
    timeout_outlet: str | None = None
    """The outlet that is taken when they did not; None: the node fails."""


Trigger = SelfServeTrigger | EventTrigger | ScheduleTrigger
NodeConfig = Trigger | Action | Condition | Input

ACTION_TYPES = ("WEBHOOK", "KAFKA", "GITHUB", "GITLAB", "AZURE_DEVOPS", "UPSERT_ENTITY", "INTEGRATION_ACTION")
CHILD_TYPES = ("WORKFLOW", "FOR_EACH")
"""Nodes whose work is to run other workflows (an extension)."""
DELAY = "DELAY"
LATER_TYPES = ("AI", "AI_AGENT", "CURSOR_AGENT")


@dataclass(frozen=True, slots=True)
class Node:
    identifier: str
    config: NodeConfig
    title: str | None = None
    icon: str | None = None
    description: str | None = None
    variables: Mapping[str, Json] = field(default_factory=dict)
    links: tuple[str, ...] = ()
    verbose: bool = False
    pointer: str = ""
    """JSON Pointer of the node in the document."""

    @property
    def is_trigger(self) -> bool:
        return isinstance(self.config, SelfServeTrigger | EventTrigger | ScheduleTrigger)


@dataclass(frozen=True, slots=True)
class Edge:
    """A connection. `branch` names the outlet of a branching source; `fallback` marks its default way out."""

    source: str
    target: str
    branch: str | None = None
    fallback: bool = False
    identifier: str | None = None
    description: str | None = None
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class Definition:
    """A parsed workflow. `nodes` keeps the author's order."""

    identifier: str
    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    title: str | None = None
    icon: str | None = None
    description: str | None = None
    category: str | None = None
    allow_anyone_to_view_runs: bool = False

    @property
    def triggers(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes.values() if node.is_trigger)
