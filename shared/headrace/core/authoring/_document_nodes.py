"""Models of node configs, one per `config.type` (spec 2, 3, 4, 5.1), and of our extensions to actions."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from headrace.core import limits
from headrace.core.authoring._document_inputs import UserInputs, UserInputsWithButtons
from headrace.core.authoring._document_part import (
    AnyObject,
    BoolOrTemplate,
    ObjectOrTemplate,
    Part,
    Payload,
    Text,
    TextOrTexts,
    complain,
)


def _button_text(value: str) -> str:
    if not value or value != value.strip():
        raise complain("bad-button-text", "A button text must not be empty or begin or end with a space.")
    return value


ButtonText = Annotated[str, Field(max_length=limits.BUTTON_TEXT_LENGTH), AfterValidator(_button_text)]


class PermissionsDocument(Part):
    """Who may start a self-serve trigger; nobody named: admins and machines only (spec 8.2)."""

    roles: list[str] = Field(default_factory=list)
    users: list[str] = Field(default_factory=list)
    teams: list[str] = Field(default_factory=list)
    policy: AnyObject | None = None


class ContextDocument(Part):
    """Where else the trigger is offered (spec 2.1.6)."""

    on: Literal["CREATE_ENTITY", "ENTITY", "SELF_SERVICE_HUB"]
    blueprint_identifier: str | None = None
    user_input: str | None = None
    visible: bool | None = None


class SelfServeConfig(Part):
    """Started by a person or an API call, with validated inputs."""

    type: Literal["SELF_SERVE_TRIGGER"]
    user_inputs: UserInputs | None = None
    action_card_button_text: ButtonText | None = None
    execute_action_button_text: ButtonText | None = None
    published: bool = True
    """False: hidden, and cannot be started."""
    variant: Literal["DEFAULT", "ALERT"] = "DEFAULT"
    contexts: list[ContextDocument] = Field(default_factory=list)
    permissions: PermissionsDocument | None = None


EventTypeDocument = Literal[
    "ENTITY_CREATED", "ENTITY_UPDATED", "ENTITY_DELETED", "ANY_ENTITY_CHANGE", "TIMER_EXPIRED", "TIMER_PROPERTY_EXPIRED"
]


class EventDocument(Part):
    type: EventTypeDocument
    blueprint_identifier: Text
    property_identifier: Text | None = None
    """The timer property; required for TIMER_EXPIRED."""


class ConditionDocument(Part):
    """A filter on the event: plain JQ, no braces, and the event itself is the root."""

    type: Literal["JQ"] = "JQ"
    expressions: list[str] = Field(default_factory=list)
    combinator: Literal["and", "or"] = "and"


class DebounceDocument(Part):
    """One run for all events of an entity until it is quiet (a Headrace extension)."""

    seconds: Annotated[float, Field(ge=limits.DEBOUNCE_MIN_SECONDS, le=limits.DEBOUNCE_SECONDS)]
    """The run starts so long after the last event."""
    max_seconds: Annotated[float, Field(ge=limits.DEBOUNCE_MIN_SECONDS, le=limits.DEBOUNCE_MAX_SECONDS)] | None = None
    """So long after the first event at most; ten times `seconds` when absent."""


class EventTriggerConfig(Part):
    """Started by a change of an entity, or by a timer property."""

    type: Literal["EVENT_TRIGGER"]
    event: EventDocument
    condition: ConditionDocument | None = None
    published: bool = True
    """False: does not listen."""
    per_entity: Literal["parallel", "serial", "latest-wins", "drop-while-running"] = "parallel"
    """What becomes of an event while a run of the same trigger and entity is at work (a Headrace extension)."""
    debounce: DebounceDocument | None = None


class ScheduleConfig(Part):
    """Started by the clock."""

    type: Literal["SCHEDULE_TRIGGER"]
    cron: str
    """Five fields: minute, hour, day of month, month, day of week; before them perhaps a second. Or a macro: @daily."""
    published: bool = True
    """False: never fires."""
    timezone: Text = "UTC"
    """An IANA name, such as Europe/Berlin (a Headrace extension)."""
    missed_runs: Literal["skip", "latest", "all"] = "latest"
    """Which instants are made up for that passed while no run could be started (a Headrace extension)."""


class RetryDocument(Part):
    """How often a failed attempt is repeated (a Headrace extension)."""

    max_attempts: Annotated[int, Field(ge=1, le=limits.RETRY_ATTEMPTS)]
    backoff_seconds: Annotated[float, Field(ge=0, le=limits.RETRY_BACKOFF_SECONDS)] = 1.0
    multiplier: Annotated[float, Field(ge=1, le=limits.RETRY_MULTIPLIER)] = 2.0
    max_backoff_seconds: Annotated[float, Field(ge=0, le=limits.RETRY_BACKOFF_SECONDS)] = 300.0


class ActionConfig(Part):
    """What all actions share."""

    on_failure: Literal["terminate", "continue"] = "terminate"
    retry: RetryDocument | None = None
    timeout_seconds: Annotated[float, Field(ge=1, le=limits.ASYNC_TIMEOUT_SECONDS)] | None = None
    """Time limit of one attempt (a Headrace extension)."""
    delivery: Literal["at_least_once", "at_most_once"] = "at_least_once"
    """at_most_once: never called again when the outcome of a call is unknown (a Headrace extension)."""


class WebhookConfig(ActionConfig):
    type: Literal["WEBHOOK"]
    url: Text
    method: str = "POST"
    headers: dict[str, str] = Field(default_factory=dict)
    body: Payload = None
    synchronized: bool = True
    """False: the node waits until the receiver reports the result."""
    agent: bool = False
    on_timeout: Literal["fail", "continue"] = "fail"


class KafkaConfig(ActionConfig):
    type: Literal["KAFKA"]
    payload: Payload = None
    synchronized: bool = True
    """False: the node waits until a consumer reports the result (a Headrace extension)."""


class GithubConfig(ActionConfig):
    type: Literal["GITHUB"]
    org: Text
    repo: Text
    workflow: Text
    workflow_inputs: ObjectOrTemplate = None
    report_workflow_status: BoolOrTemplate = None


class GitlabConfig(ActionConfig):
    type: Literal["GITLAB"]
    project_name: Text
    group_name: Text
    default_ref: str | None = None
    pipeline_variables: ObjectOrTemplate = None


class AzureConfig(ActionConfig):
    type: Literal["AZURE_DEVOPS"]
    webhook: Text | None = None
    """An incoming webhook; required, unless project and pipelineId are given."""
    org: Text
    payload: Payload = None
    project: Text | None = None
    """With pipelineId: run this pipeline and follow it (a Headrace extension, as are the fields below)."""
    pipeline_id: Text | int | None = None
    branch: str | None = None
    template_parameters: ObjectOrTemplate = None
    variables: ObjectOrTemplate = None
    report_pipeline_status: BoolOrTemplate = None


class MappingDocument(Part):
    """The entity to write; only the fields given here change."""

    identifier: str | None = None
    title: str | None = None
    icon: str | None = None
    team: TextOrTexts = None
    properties: ObjectOrTemplate = None
    relations: ObjectOrTemplate = None


class UpsertConfig(ActionConfig):
    type: Literal["UPSERT_ENTITY"]
    blueprint_identifier: Text
    mapping: MappingDocument


class IntegrationConfig(ActionConfig):
    type: Literal["INTEGRATION_ACTION"]
    installation_id: str | None = None
    """Required, unless deferIntegrationInstallation is true."""
    integration_provider: Text
    integration_invocation_type: Text
    integration_action_execution_properties: AnyObject
    defer_integration_installation: bool = False


class StatusLabelDocument(Part):
    text: Text
    """A JQ expression that gives the text."""
    variant: Literal["success", "alert"] | None = None


class OutletDocument(Part):
    """A branch of a CONDITION (dialects O and L)."""

    identifier: Text
    title: str | None = None
    expression: str
    status_label: StatusLabelDocument | None = None
    workflow_status_label: StatusLabelDocument | None = None


class NamedConnectionDocument(Part):
    """A branch of a CONDITION (dialect S): it names the connection it takes."""

    title: str = ""
    expression: str
    connection_identifier: Text


class ConditionConfig(Part):
    """Branches are tried in order; the first whose expression gives true is taken. Exactly one way of writing them."""

    type: Literal["CONDITION"]
    outlets: list[OutletDocument] | None = None
    options: list[OutletDocument] | None = None
    conditions: list[NamedConnectionDocument] | None = None
    default_connection_identifier: Text | None = None


class InputOutletDocument(Part):
    """A way out of an INPUT node: taken when enough people pressed the button of this name."""

    identifier: Text
    title: str | None = None
    evaluation_method: Literal["button"] = "button"
    num_of_responders: Annotated[int, Field(ge=1)] = 1
    status_label: StatusLabelDocument | None = None
    workflow_status_label: StatusLabelDocument | None = None


class RespondersDocument(Part):
    users: list[str] = Field(default_factory=list)
    roles: list[str] = Field(default_factory=list)
    teams: list[str] = Field(default_factory=list)
    users_query: AnyObject | None = None


class NotificationDocument(Part):
    target: Literal["email", "webhook"]
    fields: list[AnyObject] | None = None
    url: str | None = None
    method: str | None = None
    headers: dict[str, str] | None = None
    body: Payload = None
    agent: bool | None = None


class InputConfig(Part):
    """A step that waits for people."""

    type: Literal["INPUT"]
    description: str | None = None
    user_inputs: UserInputsWithButtons
    outlets: list[InputOutletDocument]
    responders: RespondersDocument | None = None
    notifications: list[NotificationDocument] | None = None
    timeout_seconds: Annotated[float, Field(ge=1, le=limits.RESPONSE_SECONDS)] | None = None
    """How long people may respond (a Headrace extension)."""
    timeout_outlet: Text | None = None
    """The outlet that is taken then (a Headrace extension); without it the node fails."""
