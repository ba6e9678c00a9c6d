"""The compose file is one that Docker Compose would take, and says the same as the program, the image and the pages.

There is no engine here to start it with. Its schema is the one that Compose itself uses (vendor/README.md).
"""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from pydantic_settings import BaseSettings
from typer.main import get_command

from headrace.runtime.settings import OF_SERVICES
from headrace.runtime.settings import ServiceSettings as Defaults
from headrace_api.service import ApiEnvironment
from headrace_cli.main import app
from headrace_cli.preparing import InitEnvironment
from headrace_invoker.service import InvokerEnvironment
from headrace_orchestrator.service import OrchestratorEnvironment
from headrace_trigger.service import TriggerEnvironment
from tools import sources

FILE = sources.ROOT / "docker-compose.yml"
SCHEMA = json.loads((Path(__file__).parent / "vendor" / "compose-spec.json").read_text(encoding="utf-8"))
ENVIRONMENTS: dict[str, type[BaseSettings]] = {
    "trigger": TriggerEnvironment,
    "orchestrator": OrchestratorEnvironment,
    "invoker": InvokerEnvironment,
    "api": ApiEnvironment,
    "init": InitEnvironment,
}
OURS = (*ENVIRONMENTS, "seed", "receiver")


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return loaded


def is_valid(document: dict[str, Any]) -> bool:
    return jsonschema_rs.Draft202012Validator(SCHEMA).is_valid(document)


def test_it_is_valid_by_the_schema_of_the_compose_specification() -> None:
    jsonschema_rs.Draft202012Validator(SCHEMA).validate(compose())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("services", "api", "command"), 5),
        (("services", "api", "comand"), ["headrace", "api"]),
        (("services", "api", "depends_on", "init", "condition"), ["service_done"]),
        (("services", "kafka", "healthcheck", "retrys"), 3),
        (("volume",), {}),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_the_schema_would_see_a_mistake(path: tuple[str, ...], value: Any) -> None:
    broken = copy.deepcopy(compose())
    at = broken
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value

    assert not is_valid(broken)


def test_every_container_of_ours_runs_a_command_that_exists() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for name in OURS:
        program, command, *_ = compose()["services"][name]["command"]
        assert (program, command in commands) == ("headrace", True), name
    assert [compose()["services"][name]["command"][1] for name in ENVIRONMENTS] == list(ENVIRONMENTS)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_variable_is_a_setting_of_the_one_who_gets_it(name: str) -> None:
    fields = ENVIRONMENTS[name].model_fields
    known = {f"HEADRACE_{field.upper()}" for field in fields}
    required = {f"HEADRACE_{field.upper()}" for field in fields if fields[field].is_required()}
    given = {variable.split("__")[0] for variable in compose()["services"][name]["environment"]}

    assert required <= given <= known <= OF_SERVICES


def test_a_secret_goes_only_to_those_who_need_it_and_has_no_default() -> None:
    holders: dict[str, set[str]] = {}
    for name, service in compose()["services"].items():
        for variable, value in service.get("environment", {}).items():
            if "SECRET" in variable:
                asked = re.fullmatch(r"\$\{(\w+):\?[^}]+\}", value)
                assert asked, (name, variable)
                holders.setdefault(asked.group(1), set()).add(name)

    assert holders == {
        "HEADRACE_TOKEN_SECRET": {"api"},
        "HEADRACE_SIGNING_SECRET": {"invoker", "receiver"},
        "HEADRACE_ADMIN__CLIENT_SECRET": {"api", "seed"},
    }
    for secret in holders:
        assert f'echo "{secret}=$(openssl rand' in FILE.read_text(encoding="utf-8")


def test_the_services_start_after_init_and_init_after_the_servers() -> None:
    services = compose()["services"]

    assert {name: it["condition"] for name, it in services["init"]["depends_on"].items()} == {
        "kafka": "service_healthy",
        "mongodb": "service_healthy",
    }
    for name in ("trigger", "orchestrator", "invoker", "api"):
        assert services[name]["depends_on"] == {"init": {"condition": "service_completed_successfully"}}
    assert (services["init"]["restart"], services["seed"]["restart"]) == ("no", "no")


def test_ports_open_on_this_machine_only() -> None:
    published = [port for service in compose()["services"].values() for port in service.get("ports", [])]

    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_our_containers_may_do_little() -> None:
    for name in OURS:
        service = compose()["services"][name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_probes_ask_where_the_services_listen_and_containers_are_given_time_to_end() -> None:
    for name in ("trigger", "orchestrator", "invoker", "api"):
        service = compose()["services"][name]
        port = service["environment"]["HEADRACE_PORT"]
        assert f"http://127.0.0.1:{port}/healthz/ready" in service["healthcheck"]["test"][-1]
        seconds = int(service["stop_grace_period"].removesuffix("s"))
        assert seconds >= Defaults.model_fields["stop_seconds"].default + 5


def test_the_broker_is_the_release_that_the_tests_run_against() -> None:
    tested = re.search(r"<kafka.version>([^<]+)<", (sources.ROOT / "tools/servers/pom.xml").read_text(encoding="utf-8"))

    assert tested
    assert compose()["services"]["kafka"]["image"] == f"apache/kafka:{tested.group(1)}"


def test_the_examples_that_are_seeded_are_those_of_the_package() -> None:
    (mounted,) = compose()["services"]["seed"]["volumes"]
    source, target, mode = mounted.split(":")

    assert list((sources.ROOT / source).glob("*.json"))
    assert (target, mode) == (compose()["services"]["seed"]["command"][-1], "ro")
