"""From the config model of a node to the config of the graph (spec 2, 3)."""

from headrace.core.authoring import _document_nodes as documents
from headrace.core.authoring._document_children import DelayConfig, WorkflowConfig
from headrace.core.authoring.findings import Findings
from headrace.core.definition import (
    Action,
    Condition,
    Debounce,
    EventTrigger,
    EventType,
    Input,
    NodeConfig,
    Permissions,
    RetryPolicy,
    ScheduleTrigger,
    SelfServeTrigger,
    Trigger,
)
from headrace.core.json import Json, JsonObject

_BY_REPORT = (documents.GithubConfig, documents.GitlabConfig, documents.AzureConfig, documents.IntegrationConfig)
"""Actions that are started by one call and finished by a report from outside (spec 3.1)."""


def placeholder_of(config: Json) -> NodeConfig:
    """What stands in for a node whose document cannot be read: the right kind of node, with nothing in it."""
    kind = config.get("type") if isinstance(config, dict) else None
    match kind:
        case "SELF_SERVE_TRIGGER" | "EVENT_TRIGGER" | "SCHEDULE_TRIGGER":
            return SelfServeTrigger()
        case "CONDITION":
            return Condition((), "outlets")
        case "INPUT":
            return Input((), {})
        case _:
            return Action(kind if isinstance(kind, str) else "", config if isinstance(config, dict) else {})


def trigger_of(
    config: documents.SelfServeConfig | documents.EventTriggerConfig | documents.ScheduleConfig,
    raw: JsonObject,
    pointer: str,
    findings: Findings,
) -> Trigger:
    """The trigger of the graph."""
    match config:
        case documents.SelfServeConfig():
            user_inputs = raw.get("userInputs")
            return SelfServeTrigger(
                user_inputs=user_inputs if isinstance(user_inputs, dict) else {},
                published=config.published,
                permissions=_permissions(config.permissions),
                contexts=tuple(context.model_dump(by_alias=True, exclude_none=True) for context in config.contexts),
            )
        case documents.EventTriggerConfig():
            return _event_trigger(config, pointer, findings)
        case documents.ScheduleConfig():
            return ScheduleTrigger(config.cron.strip(), config.published, config.timezone, config.missed_runs)


def _permissions(document: documents.PermissionsDocument | None) -> Permissions | None:
    if document is None:
        return None
    return Permissions(tuple(document.roles), tuple(document.users), tuple(document.teams), document.policy)


def _debounce(document: documents.DebounceDocument | None) -> Debounce | None:
    if document is None:
        return None
    longest = 10 * document.seconds if document.max_seconds is None else document.max_seconds
    return Debounce(document.seconds, max(document.seconds, longest))


def _event_trigger(config: documents.EventTriggerConfig, pointer: str, findings: Findings) -> EventTrigger:
    condition = config.condition or documents.ConditionDocument()
    return EventTrigger(
        event_type=_event_type(config.event.type, pointer, findings),
        blueprint=config.event.blueprint_identifier,
        property=config.event.property_identifier,
        expressions=tuple(condition.expressions),
        combinator=condition.combinator,
        published=config.published,
        per_entity=config.per_entity,
        debounce=_debounce(config.debounce),
    )


def _event_type(name: documents.EventTypeDocument, pointer: str, findings: Findings) -> EventType:
    if name != "TIMER_PROPERTY_EXPIRED":
        return name
    message = "TIMER_PROPERTY_EXPIRED is the name that automations use; it is read as TIMER_EXPIRED."
    findings.warning(pointer + "/event/type", "old-event-name", message, "Write TIMER_EXPIRED.")
    return "TIMER_EXPIRED"


def action_of(config: documents.ActionConfig, raw: JsonObject) -> Action:
    """The action of the graph. `synchronized` says whether the node ends with the answer to its call."""
    synchronized, on_timeout = True, "fail"
    match config:
        case documents.WebhookConfig():
            synchronized, on_timeout = config.synchronized and not config.agent, config.on_timeout
        case documents.KafkaConfig():
            synchronized = config.synchronized
        case _:
            synchronized = not isinstance(config, _BY_REPORT)
    return Action(
        type=str(raw["type"]),
        config=raw,
        on_failure=config.on_failure,
        on_timeout="continue" if on_timeout == "continue" else "fail",
        synchronized=synchronized,
        retry=_retry(config.retry),
        timeout_seconds=config.timeout_seconds,
        delivery=config.delivery,
    )


def child_action_of(config: WorkflowConfig, raw: JsonObject) -> Action:
    """The node whose work is child runs: as an action that is reported back."""
    return Action(
        type=config.type, config=raw, on_failure=config.on_failure, synchronized=False,
        timeout_seconds=config.timeout_seconds,
    )  # fmt: skip


def delay_of(config: DelayConfig, raw: JsonObject) -> Action:
    """The node whose work is to wait."""
    return Action(type=config.type, config=raw, on_failure=config.on_failure, synchronized=False)


def _retry(document: documents.RetryDocument | None) -> RetryPolicy:
    if document is None:
        return RetryPolicy()
    return RetryPolicy(
        document.max_attempts, document.backoff_seconds, document.multiplier, document.max_backoff_seconds
    )
