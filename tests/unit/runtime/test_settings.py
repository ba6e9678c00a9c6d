"""Settings from the environment: what they are read from, and errors that name the variable."""

from __future__ import annotations

import os
from typing import Annotated

import pytest
from pydantic import Field, SecretStr

from headrace.adapters.kafka.settings import KafkaSettings
from headrace.runtime.settings import (
    OF_SERVICES,
    PREFIX,
    BadSettingError,
    Settings,
    UnknownVariableError,
    load,
)
from headrace_api.service import ApiEnvironment
from headrace_cli.preparing import InitEnvironment
from headrace_invoker.service import InvokerEnvironment
from headrace_orchestrator.service import OrchestratorEnvironment
from headrace_trigger.service import TriggerEnvironment

ENVIRONMENTS = (TriggerEnvironment, OrchestratorEnvironment, InvokerEnvironment, ApiEnvironment, InitEnvironment)
COMPLETE = {
    "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": "k1:9092, k2:9092",
    "HEADRACE_MONGODB__URI": "mongodb://m1",
    "HEADRACE_TOKEN_SECRET": "0123456789abcdef0123456789abcdef",
    "HEADRACE_SIGNING_SECRET": "0123456789abcdef",
    "HEADRACE_ADMIN__CLIENT_SECRET": "0123456789abcdef",
}


class Mill(Settings):
    """The settings of a mill, some of which are also those of a service."""

    kafka: KafkaSettings
    stones: Annotated[int, Field(ge=1)] = 2
    token_secret: Annotated[SecretStr, Field(description="It opens the door. Make one: openssl rand -base64 48")]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is set but what a test sets."""
    for name in list(os.environ):
        if name.startswith((PREFIX, "KAFKA_", "MONGODB_")):
            monkeypatch.delenv(name)


def given(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("model", ENVIRONMENTS, ids=lambda model: model.__name__)
def test_one_environment_serves_every_service(model: type[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    given(
        monkeypatch, **COMPLETE, HEADRACE_PARTITIONS="3", HEADRACE_EGRESS__ALLOWED_HOSTS="a.example.com,b.example.com"
    )

    settings = load(model)

    assert getattr(settings, "kafka").bootstrap_servers == ("k1:9092", "k2:9092")  # noqa: B009


def test_what_any_service_reads_is_known_to_all() -> None:
    assert {PREFIX + name.upper() for model in ENVIRONMENTS for name in model.model_fields} == OF_SERVICES


def test_all_that_is_missing_is_named_at_once_with_how_to_get_it() -> None:
    with pytest.raises(BadSettingError) as caught:
        load(Mill)

    assert str(caught.value).splitlines() == [
        "HEADRACE_KAFKA__BOOTSTRAP_SERVERS is not set. It lists brokers, such as kafka-1:9092,kafka-2:9092; "
        "KAFKA_BOOTSTRAP_SERVERS does too.",
        "HEADRACE_TOKEN_SECRET is not set. It opens the door. Make one: openssl rand -base64 48",
    ]


def test_the_well_known_variable_counts_where_ours_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, HEADRACE_TOKEN_SECRET="x", KAFKA_BOOTSTRAP_SERVERS="theirs:9092")
    assert load(Mill).kafka.bootstrap_servers == ("theirs:9092",)

    given(monkeypatch, HEADRACE_KAFKA__BOOTSTRAP_SERVERS="ours:9092")
    assert load(Mill).kafka.bootstrap_servers == ("ours:9092",)


def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, HEADRACE_TOKN_SECRET="x")

    with pytest.raises(UnknownVariableError, match="HEADRACE_TOKN_SECRET is no setting of Headrace"):
        load(Mill)


def test_a_misspelt_part_of_a_nested_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, HEADRACE_TOKEN_SECRET="x", KAFKA_BOOTSTRAP_SERVERS="k:1", HEADRACE_KAFKA__SASL_PASWORD="x")

    with pytest.raises(BadSettingError, match="HEADRACE_KAFKA__SASL_PASWORD: Extra inputs are not permitted"):
        load(Mill)


def test_a_bad_value_is_named_and_a_secret_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, **{**COMPLETE, "HEADRACE_TOKEN_SECRET": "hunter2"}, HEADRACE_STOP_SECONDS="-1")

    with pytest.raises(BadSettingError) as caught:
        load(ApiEnvironment)

    assert str(caught.value) == "HEADRACE_STOP_SECONDS: Input should be greater than 0."
    monkeypatch.delenv("HEADRACE_STOP_SECONDS")
    with pytest.raises(BadSettingError, match="token_secret must have at least 32 bytes") as caught:
        load(ApiEnvironment)
    assert "hunter2" not in str(caught.value)


def test_an_object_that_is_no_json_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, **COMPLETE, HEADRACE_CLIENTS='[{"client_id": "ci"')

    with pytest.raises(BadSettingError, match=r"clients.*written as JSON"):
        load(ApiEnvironment)


def test_the_admin_is_a_client_who_may_do_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, **COMPLETE, HEADRACE_ADMIN__CLIENT_ID="root", HEADRACE_API__LOGIN__BURST="3")
    given(monkeypatch, HEADRACE_CLIENTS='[{"client_id": "ci", "client_secret": "s"}]')

    settings = load(ApiEnvironment).service_settings()

    assert [(client.client_id, client.roles) for client in settings.clients] == [("root", ("Admin",)), ("ci", ())]
    assert settings.clients[0].accepts(COMPLETE["HEADRACE_ADMIN__CLIENT_SECRET"])
    assert settings.login.burst == 3
