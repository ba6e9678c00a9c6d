"""What answers look like: models for the OpenAPI document, imported only when that is asked for.

Answers are written by `headrace_api.presenters`; a test holds what they write to these models.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from headrace.core.run import LogLevel, NodeStatus, Result, RunStatus
from headrace.ports.stores import Verdict

AnyJson = Any
Instant = Annotated[str, Field(examples=["2026-11-22T09:00:00.000Z"], json_schema_extra={"format": "date-time"})]
RunId = Annotated[str, Field(pattern="^wfr_[a-zA-Z0-9]{16}$", examples=["wfr_k3J9sQ0aZx81LmNp"])]
NodeRunId = Annotated[str, Field(pattern="^wfnr_[a-zA-Z0-9]{16}$", examples=["wfnr_aB3dE5fG7hI9jK1l"])]


class _Shown(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", use_attribute_docstrings=True)


class Done(_Shown):
    """It was done, or taken to be done."""

    ok: Literal[True] = True


class Finding(_Shown):
    """One thing that is wrong or doubtful, where, and what to do about it."""

    pointer: Annotated[str | None, Field(examples=["/nodes/1/config/url"])] = None
    """JSON Pointer into the body."""
    parameter: str | None = None
    """The query parameter or header, when it is not about the body."""
    line: int | None = None
    """Of the body as it was sent; from 1."""
    column: int | None = None
    code: Annotated[str, Field(examples=["unknown-node"])]
    message: str
    hint: str
    severity: Literal["error", "warning"]


class Problem(_Shown):
    """Problem details (RFC 9457) in the shape of Port's errors."""

    ok: Literal[False] = False
    error: Annotated[str, Field(examples=["not_found"])]
    message: str
    type: Annotated[str, Field(examples=["urn:headrace:problem:not_found"])]
    title: str
    status: Annotated[int, Field(examples=[404])]
    detail: str
    instance: str
    hint: str
    request_id: str
    """Find the request in the log by it; also in the header X-Request-Id."""
    errors: list[Finding]


class AccessToken(Done):
    access_token: str
    expires_in: Annotated[int, Field(examples=[10800])]
    """Seconds."""
    token_type: Literal["Bearer"]


class VersionHead(_Shown):
    version: Annotated[int, Field(ge=1)]
    version_identifier: Annotated[str, Field(examples=["wfv_0aZx81LmNpk3J9sQ"])]
    created_by: str
    created_at: Instant
    updated_by: str
    updated_at: Instant


class SavedWorkflow(VersionHead):
    """The author's document with the server's fields."""

    model_config = ConfigDict(extra="allow")

    identifier: str
    title: str | None
    icon: str | None
    description: str | None
    allow_anyone_to_view_runs: bool
    nodes: list[dict[str, AnyJson]]
    connections: list[dict[str, AnyJson]]
    org_id: str
    is_deleted: bool


class WorkflowAnswer(Done):
    workflow: SavedWorkflow
    warnings: list[Finding] = []
    """After a change: what looks doubtful in the definition but does not keep it from being saved."""


class WorkflowsAnswer(Done):
    workflows: list[SavedWorkflow]


class ValidationAnswer(Done):
    valid: bool
    """Whether the definition would be saved: there is no problem of severity error."""
    problems: list[Finding]


class VersionsAnswer(Done):
    versions: list[VersionHead]


class NodeAnswer(Done):
    workflow: dict[str, AnyJson]
    """The node (Port calls it so)."""
    node: dict[str, AnyJson]
    """The same."""


class TriggerWorkflow(_Shown):
    identifier: str
    title: str | None
    icon: str | None
    description: str | None
    category: str | None
    version: int


class StartableTrigger(_Shown):
    workflow: TriggerWorkflow
    node_identifier: str
    title: str | None
    icon: str | None
    description: str | None
    user_inputs: dict[str, AnyJson]


class TriggersAnswer(Done):
    triggers: list[StartableTrigger]


class LogLine(_Shown):
    log_level: LogLevel
    log: str
    level: LogLevel
    message: str
    tags: dict[str, str]
    created_at: Instant
    updated_at: Instant


class Named(_Shown):
    identifier: str


class NodeName(Named):
    config: AnyJson = None
    """The node's config as its author wrote it; only with `include=nodeConfig`."""


class RunLogLine(LogLine):
    node_run_identifier: NodeRunId
    node: Named


class FailedAttempt(_Shown):
    attempt: int
    at: Instant
    error: str


class OutletTally(_Shown):
    outlet: str
    given: int
    needed: int


class BlockedOn(_Shown):
    """What an unfinished node run waits for."""

    kind: Literal["answer", "report", "person", "retry", "children", "delay", "turn"]
    """The answer of a call under way, a worker's report, somebody's decision, the time of the next attempt, the end of
    child runs, the end of a delay, or the end of another run of the same entity."""
    until: Instant | None
    """When the engine looks at it again by itself."""
    reason: str
    """The same in words."""
    responses: list[OutletTally] | None = None
    """How far each way out of an INPUT node is."""
    responders: dict[str, AnyJson] | None = None
    """Who may respond; empty: whoever may view the run."""


class ChildRun(_Shown):
    index: int
    """The number of the item, from 0."""
    run_identifier: RunId


class FailedChild(ChildRun):
    message: str


class Children(_Shown):
    total: int
    started: int
    succeeded: int
    failed: int
    running: list[ChildRun]
    failures: list[FailedChild]
    """The first ones."""


class NodeRun(_Shown):
    identifier: NodeRunId
    node: NodeName
    node_title: str | None
    node_icon: str | None
    node_config_type: Annotated[str, Field(examples=["WEBHOOK"])]
    status: NodeStatus
    result: Result | None
    status_label: str | None
    output: dict[str, AnyJson]
    error: str | None
    outlet: str | None
    """The branch that a condition or input node chose."""
    attempt: int
    failed_attempts: list[FailedAttempt]
    blocked_on: BlockedOn | None
    external_run_id: str | None
    links: list[str]
    created_at: Instant
    updated_at: Instant
    completed_at: Instant | None
    node_run_logs: list[LogLine] = []
    """Not in lists of runs."""
    logs_dropped: int = 0
    """Older log lines that are no longer kept."""
    children: Children | None = None
    """Of WORKFLOW and FOR_EACH nodes: the runs that they start."""
    carried: bool = False
    """Taken over from the run that this one repeats, and not executed."""


class ClaimedNodeRun(NodeRun):
    """A node run that you may do (spec 7.6)."""

    workflow_run: Named
    pending_execution: bool
    claimed_until: Instant
    installation_id: str
    node_uid: str
    """One node of one version of a workflow; name it in `exclude` to get no more of it."""
    config: AnyJson


class ClaimAnswer(Done):
    node_runs: list[ClaimedNodeRun]


class AckAnswer(Done):
    acked: bool


class Form(_Shown):
    """The form of an INPUT node run."""

    node_run_identifier: NodeRunId
    workflow_run_identifier: RunId
    status: NodeStatus
    description: str | None
    user_inputs: dict[str, AnyJson]
    responders: dict[str, AnyJson]
    responses: list[dict[str, AnyJson]]
    outlet: str | None
    blocked_on: BlockedOn | None
    may_respond: bool
    """Whether you may respond."""


class FormAnswer(Done):
    form: Form


class FoundNodeRun(NodeRun):
    workflow_run: Named


class WorkflowOfRun(_Shown):
    identifier: str
    version: int


class TriggerOfRun(_Shown):
    identifier: str
    type: str
    event_id: str


class Variables(_Shown):
    outputs: dict[str, AnyJson]


class ParentOfRun(_Shown):
    run_identifier: RunId
    node_run_identifier: NodeRunId
    index: int


class Run(_Shown):
    identifier: RunId
    title: str | None
    icon: str | None
    status: RunStatus
    result: Result | None
    status_label: str | None
    workflow: WorkflowOfRun
    workflow_version_id: int
    node_config_type: Annotated[str, Field(examples=["SELF_SERVE_TRIGGER"])]
    trigger: TriggerOfRun
    created_by: str
    created_at: Instant
    updated_at: Instant
    completed_at: Instant | None
    cancelled_by: str | None
    seq: int
    """Grows with every change of the run."""
    variables: Variables
    parent: ParentOfRun | None = None
    """The node run that started this run."""
    rerun_of: RunId | None = None
    """The run that this one repeats."""
    node_runs: list[NodeRun]


class RunAnswer(Done):
    workflow_run: Run


class RunsAnswer(Done):
    workflow_runs: list[Run]


class RunLogsAnswer(Done):
    logs: list[RunLogLine]


class LogsAnswer(Done):
    logs: list[LogLine]
    dropped: int


class NodeRunsAnswer(Done):
    node_runs: list[FoundNodeRun]


class PipelinesReported(Done):
    reported: Annotated[int, Field(examples=[1])]
    """Node runs that waited for this pipeline and are told its end."""


class EventAnswer(Done):
    event_id: Annotated[str, Field(examples=["evt_0aZx81LmNpk3J9sQ"])]


class TriggerVerdict(_Shown):
    """Why one trigger did or did not fire."""

    workflow: str
    version: int
    trigger: str
    verdict: Verdict
    reason: str
    run_id: str | None
    detail: AnyJson


class LedgerEntry(_Shown):
    """What became of one entity event."""

    event_id: str
    at: Instant
    action: str
    blueprint: str
    entity: str
    considered: int
    """How many triggers listen to such events."""
    verdicts: list[TriggerVerdict]
    source: str
    """Where the event lies in the log: topic/partition/offset."""


class ClausePart(_Shown):
    """A sub-expression and what it gave; null when nobody asked, since what was before it decided."""

    expression: str
    answer: str | None
    parts: list["ClausePart"] = []


class Clause(_Shown):
    """One expression of a trigger's condition, and what it saw."""

    model_config = ConfigDict(extra="allow")

    expression: str
    answer: AnyJson
    holds: bool | None
    values: list[dict[str, AnyJson]]
    parts: list[ClausePart] = []
    """Its sub-expressions, where they are more than paths; none for programs that only jq itself can run."""


class TriggerExplanation(_Shown):
    """What one trigger says to an event."""

    model_config = ConfigDict(extra="allow")

    workflow: str
    version: int
    trigger: str
    verdict: str
    reason: str
    run_id: str | None
    clauses: list[Clause] = []


class EventExplanation(_Shown):
    """A past event and what every trigger said to it."""

    model_config = ConfigDict(extra="allow")

    event_id: str
    at: Instant
    action: str
    blueprint: str
    entity: str
    considered: int
    verdicts: list[TriggerExplanation]
    event: dict[str, AnyJson] = {}


class BranchSeen(_Shown):
    identifier: str
    title: str
    expression: str
    taken: bool
    clause: Clause | None
    """Null: a branch before it was taken, so nobody asked."""


class ConditionSeen(_Shown):
    """A condition node of a run, and how it was decided."""

    node: str
    node_run_identifier: NodeRunId
    reason: str
    branches: list[BranchSeen]


class DecisionsAnswer(Done):
    decisions: list[ConditionSeen]


class MatchesAnswer(Done):
    triggers: list[TriggerExplanation]


class ExplainAnswer(Done):
    explanation: EventExplanation


class LedgerAnswer(Done):
    entries: list[LedgerEntry]


ANSWERS: tuple[type[BaseModel], ...] = (
    Problem, Done, AccessToken, WorkflowAnswer, WorkflowsAnswer, ValidationAnswer, VersionsAnswer, NodeAnswer,
    TriggersAnswer, RunAnswer, RunsAnswer, RunLogsAnswer, LogsAnswer, FormAnswer, ClaimAnswer, AckAnswer,
    NodeRunsAnswer, EventAnswer, MatchesAnswer, ExplainAnswer, DecisionsAnswer, LedgerAnswer, PipelinesReported,
)  # fmt: skip
