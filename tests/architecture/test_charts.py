"""The Helm chart and the image agree with each other and with the distribution; test_compose.py has the compose file.

Neither Helm nor Docker is needed here: templates are read as text. Rendering them belongs to the production chart.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

import headrace
from tools import sources

CHART = sources.ROOT / "helm" / "headrace"
PROJECT = tomllib.loads((sources.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
COMMAND = ["headrace", "dev", "--data", "/data", "--host", "0.0.0.0"]
# Schemas of values that Kubernetes defines, or that the user names freely.
OPEN = {"/properties/global", "/properties/affinity", "/properties/tolerations/items"} | {
    "/properties/extraEnv/items/properties/valueFrom"
}


def text_of(*parts: str) -> str:
    """A file of this tree."""
    return sources.ROOT.joinpath(*parts).read_text(encoding="utf-8")


def values() -> dict[str, Any]:
    """The chart's default values."""
    loaded: dict[str, Any] = yaml.safe_load(text_of("helm", "headrace", "values.yaml"))
    return loaded


def schema() -> dict[str, Any]:
    """The schema of the chart's values."""
    loaded: dict[str, Any] = json.loads(text_of("helm", "headrace", "values.schema.json"))
    return loaded


def test_every_place_that_says_our_version_says_the_same() -> None:
    chart = yaml.safe_load(text_of("helm", "headrace", "Chart.yaml"))

    assert chart["appVersion"] == PROJECT["project"]["version"]
    assert headrace.__version__ == PROJECT["project"]["version"]


@pytest.mark.parametrize(
    "path",
    sources.tracked(sources.ROOT, "*.yaml", "*.yml", ":!helm/*/templates/*"),
    ids=str,
)
def test_every_yaml_file_parses(path: Path) -> None:
    assert list(yaml.safe_load_all((sources.ROOT / path).read_text(encoding="utf-8")))


def test_the_default_values_are_valid() -> None:
    jsonschema_rs.Draft7Validator(schema()).validate(values())


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": 3},
        {"image": {"repository": "x", "tags": "1"}},
        {"persistence": {"size": "plenty"}},
        {"extraEnv": {}},
    ],
    ids=str,
)
def test_a_misspelt_or_wrong_value_is_refused(change: dict[str, Any]) -> None:
    assert not jsonschema_rs.Draft7Validator(schema()).is_valid(values() | change)


def objects(part: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of an object within a schema, with its place."""
    if isinstance(part, dict):
        if part.get("type") == "object":
            yield place, part
        for name, inner in part.items():
            yield from objects(inner, f"{place}/{name}")


def test_every_object_in_the_schema_is_closed_but_the_listed_ones() -> None:
    assert {place for place, found in objects(schema()) if "additionalProperties" not in found} == OPEN


def test_every_value_that_a_template_uses_exists() -> None:
    used = {
        match
        for template in CHART.glob("templates/*")
        for match in re.findall(r"\.Values((?:\.\w+)+)", template.read_text(encoding="utf-8"))
    }

    assert used
    for path in used:
        at: Any = values()
        for name in path.strip(".").split("."):
            assert name in at, f".Values{path}"
            at = at[name]


def test_image_and_chart_start_the_same_command() -> None:
    (line,) = re.findall(r"^CMD (.+)$", text_of("Dockerfile"), flags=re.MULTILINE)
    (arguments,) = re.findall(
        r"^ +args: (.+)$", text_of("helm", "headrace", "templates", "deployment.yaml"), re.MULTILINE
    )

    assert json.loads(line) == COMMAND
    assert json.loads(arguments) == COMMAND


def test_every_probe_asks_for_a_path_that_the_api_serves() -> None:
    probed = re.findall(r"path: (\S+)$", text_of("helm", "headrace", "templates", "deployment.yaml"), re.MULTILINE)
    routes = text_of("services", "api", "headrace_api", "routes", "health.py")

    assert set(probed) == {"/healthz/live", "/healthz/ready"}
    assert [path for path in probed if f'"{path}"' not in routes] == []


def test_the_image_runs_as_a_numbered_user_that_the_chart_knows() -> None:
    (user,) = re.findall(r"^USER (\d+):\d+$", text_of("Dockerfile"), flags=re.MULTILINE)

    assert user != "0"
    assert f"runAsUser: {user}\n" in text_of("helm", "headrace", "templates", "deployment.yaml")


def test_image_and_makefile_use_the_same_uv() -> None:
    (in_image,) = re.findall(r"uv==(\S+)", text_of("Dockerfile"))
    (in_makefile,) = re.findall(r"^UV_VERSION := (\S+)$", text_of("Makefile"), flags=re.MULTILINE)

    assert in_image == in_makefile


def test_the_vendored_swagger_ui_is_the_version_that_the_makefile_names() -> None:
    (in_makefile,) = re.findall(r"^SWAGGER_UI_VERSION := (\S+)$", text_of("Makefile"), flags=re.MULTILINE)

    assert text_of("services", "api", "headrace_api", "static", "swagger-ui", "VERSION").strip() == in_makefile
