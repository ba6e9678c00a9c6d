"""All models of node configs, by `config.type`."""

from typing import TypeAlias

from headrace.core.authoring._document_children import DelayConfig, ForEachConfig, WorkflowConfig
from headrace.core.authoring._document_nodes import (
    AzureConfig,
    ConditionConfig,
    EventTriggerConfig,
    GithubConfig,
    GitlabConfig,
    InputConfig,
    IntegrationConfig,
    KafkaConfig,
    ScheduleConfig,
    SelfServeConfig,
    UpsertConfig,
    WebhookConfig,
)
from headrace.core.authoring._document_part import Part

AnyConfig: TypeAlias = (
    SelfServeConfig
    | EventTriggerConfig
    | ScheduleConfig
    | WebhookConfig
    | KafkaConfig
    | GithubConfig
    | GitlabConfig
    | AzureConfig
    | UpsertConfig
    | IntegrationConfig
    | WorkflowConfig
    | ForEachConfig
    | DelayConfig
    | ConditionConfig
    | InputConfig
)

CONFIGS: dict[str, type[Part]] = {
    "SELF_SERVE_TRIGGER": SelfServeConfig,
    "EVENT_TRIGGER": EventTriggerConfig,
    "SCHEDULE_TRIGGER": ScheduleConfig,
    "WEBHOOK": WebhookConfig,
    "KAFKA": KafkaConfig,
    "GITHUB": GithubConfig,
    "GITLAB": GitlabConfig,
    "AZURE_DEVOPS": AzureConfig,
    "UPSERT_ENTITY": UpsertConfig,
    "INTEGRATION_ACTION": IntegrationConfig,
    "WORKFLOW": WorkflowConfig,
    "FOR_EACH": ForEachConfig,
    "DELAY": DelayConfig,
    "CONDITION": ConditionConfig,
    "INPUT": InputConfig,
}
