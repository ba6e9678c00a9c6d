"""The documents say what the code says: tables and names that would drift are compared with their sources."""

from __future__ import annotations

import dataclasses
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from typing import Any, get_args

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.registry import Collector
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from headrace.contracts import topics
from headrace.core.decision import RejectionReason
from headrace.ports.stores import Verdict
from headrace.runtime.loop import LoopSettings
from headrace.runtime.metrics import Metrics
from headrace_api.metrics import Metrics as ApiMetrics
from headrace_api.settings import ApiSettings, Client
from headrace_dev.app import DATABASE, Engine
from headrace_dev.settings import PREFIX, DevSettings
from headrace_invoker.handler import InvokerSettings
from headrace_orchestrator.app import OrchestratorSettings
from headrace_trigger.handler import TriggerSettings
from tests.simulation.mutants import MUTANTS
from tools import sources

PROJECT = tomllib.loads((sources.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SERVICES = ("trigger", "orchestrator", "invoker", "api", "dev", "cli")
HEADINGS = ["What it does", "Reads", "Writes", "Guarantees", "Settings", "When something is down"]
OURS = [
    *(f"docs/{name}.md" for name in ("architecture", "delivery", "metrics", "configuration", "critiques", "README")),
    *(f"services/{service}/README.md" for service in SERVICES),
    "schemas/README.md",
]


def text_of(page: str) -> str:
    """A page of this tree."""
    return (sources.ROOT / page).read_text(encoding="utf-8")


def tables(text: str) -> Iterator[tuple[str, list[list[str]]]]:
    """Every Markdown table: its first column's heading, and its rows without backquotes."""
    for block in re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE):
        rows = [[cell.replace("`", "").strip() for cell in line[1:-1].split("|")] for line in block.splitlines()]
        yield rows[0][0], rows[2:]


def rows_of(page: str, heading: str) -> list[list[str]]:
    """The rows of all tables of a page whose first column has this heading."""
    found = [row for first, rows in tables(text_of(page)) if first == heading for row in rows]
    assert found, f"{page} has no table of {heading!r}"
    return found


def shown(default: Any) -> str:
    """A default as the pages write it."""
    if default is PydanticUndefined:
        return "required"
    if default is None or default in ((), {}):
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    return str(default) if default != "" else '""'


def fields_of(model: type[BaseModel], prefix: str = "", joint: str = ".") -> dict[str, str]:
    """The names and defaults of a model's fields, those of nested models in place."""
    found: dict[str, str] = {}
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel):
            found |= fields_of(type(field.default), f"{prefix}{name}{joint}", joint)
        else:
            found[prefix + name] = shown(field.get_default(call_default_factory=True))
    return found


def test_the_topics_table_is_the_one_in_the_code() -> None:
    expected = [
        [it.name, it.key, ", ".join(it.writers), ", ".join(it.readers), str(it.retention_days), it.audience]
        for it in topics.TOPICS
    ]
    days = str(topics.DEAD_LETTER_RETENTION_DAYS)
    dead = [f"<topic>{topics.DEAD_LETTER_SUFFIX}", "as it was", "all", "operators", days, "internal"]

    assert rows_of("docs/architecture.md", "topic") == [*expected, dead]


def test_the_import_contracts_are_named_in_the_words_of_the_project_file() -> None:
    named = re.findall(r"^- \*\*(.+)\*\*$", text_of("docs/architecture.md"), flags=re.MULTILINE)

    assert named == [contract["name"] for contract in PROJECT["tool"]["importlinter"]["contracts"]]


def test_every_dependency_has_its_reason_and_nothing_else_has_one() -> None:
    required = [re.split(r"[<>=;! \[]", line, maxsplit=1)[0] for line in PROJECT["project"]["dependencies"]]
    rows = rows_of("docs/architecture.md", "package")

    assert [row[0] for row in rows] == required
    assert all(len(row) == 3 and all(row) for row in rows)


def test_every_word_is_explained_once() -> None:
    words = [row[0] for row in rows_of("docs/architecture.md", "word")]

    assert len(words) == len(set(words))


def test_the_list_of_mutants_is_the_one_that_is_tested() -> None:
    assert [row[0] for row in rows_of("docs/delivery.md", "mutant")] == list(MUTANTS)


def test_the_invariants_are_those_that_the_checker_looks_for() -> None:
    reported = set(re.findall(r'f"(V\d+) ', text_of("tests/simulation/checker.py")))

    assert [row[0] for row in rows_of("docs/delivery.md", "invariant")] == sorted(reported, key=lambda it: int(it[1:]))


class Listing(CollectorRegistry):
    """A registry that remembers what was registered."""

    def __init__(self) -> None:
        super().__init__()
        self.collectors: list[Collector] = []

    def register(self, collector: Collector) -> None:
        super().register(collector)
        self.collectors.append(collector)


def test_every_metric_is_listed_with_its_type_and_labels() -> None:
    registry = Listing()
    Metrics(registry)
    ApiMetrics(registry)
    expected = set()
    for collector in registry.collectors:
        assert isinstance(collector, Counter | Gauge | Histogram)
        name = collector._name + ("_total" if collector._type == "counter" else "")
        expected.add((name, collector._type, ", ".join(collector._labelnames)))

    rows = rows_of("docs/metrics.md", "metric")

    assert {(name, kind, labels) for name, kind, labels, *_ in rows} == expected
    assert len(rows) == len(expected)


async def test_the_engine_shows_every_metric_that_is_listed() -> None:
    engine = Engine(DevSettings(port=0))
    await engine.start()
    async with httpx.AsyncClient(base_url=engine.api_url) as client:
        served = (await client.get("/metrics")).text
    await engine.stop()

    assert [row[0] for row in rows_of("docs/metrics.md", "metric") if f"# TYPE {row[0]} " not in served] == []


@pytest.mark.parametrize(
    ("heading", "words"), [("reason of a rejection", RejectionReason), ("verdict", Verdict)], ids=["reason", "verdict"]
)
def test_every_value_of_a_closed_label_is_explained(heading: str, words: Any) -> None:
    assert sorted(row[0] for row in rows_of("docs/metrics.md", heading)) == sorted(get_args(words))


def test_every_setting_is_listed_with_its_default() -> None:
    expected = {PREFIX + name.upper(): value for name, value in fields_of(DevSettings, joint="__").items()}

    listed = {row[0]: row[1] for row in rows_of("docs/configuration.md", "variable") if len(row) == 3}

    assert listed == expected


def test_the_fields_of_a_client_are_listed_with_their_defaults() -> None:
    listed = {row[0]: row[1] for row in rows_of("docs/configuration.md", "field")}

    assert listed == fields_of(Client)


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_a_readme_with_the_same_headings(service: str) -> None:
    assert re.findall(r"^## (.+)$", text_of(f"services/{service}/README.md"), flags=re.MULTILINE) == HEADINGS


@pytest.mark.parametrize(
    ("service", "heading", "settings"),
    [
        ("trigger", "setting", TriggerSettings),
        ("orchestrator", "setting", OrchestratorSettings),
        ("orchestrator", "setting of every loop", LoopSettings),
        ("invoker", "setting", InvokerSettings),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_service_lists_its_settings_with_their_defaults(service: str, heading: str, settings: Any) -> None:
    listed = {row[0]: row[1] for row in rows_of(f"services/{service}/README.md", heading)}

    assert listed == {field.name: shown(field.default) for field in dataclasses.fields(settings)}


def test_the_api_lists_its_settings_with_their_defaults() -> None:
    listed = {row[0]: row[1] for row in rows_of("services/api/README.md", "setting")}

    assert listed == fields_of(ApiSettings)


@pytest.mark.parametrize("service", ["trigger", "orchestrator", "invoker"])
def test_a_service_names_the_group_and_the_topics_of_its_loop(service: str) -> None:
    read = text_of(f"services/{service}/README.md").partition("## Reads")[2].partition("## Writes")[0]

    assert set(re.findall(r"`([a-z.]+\.v1)`", read)) == {it.name for it in topics.TOPICS if it.readers[0] == service}
    assert f"`{pkgutil.resolve_name(f'headrace_{service}.handler:GROUP')}`" in read


def test_the_index_lists_every_page() -> None:
    index = set(re.findall(r"\]\(([^)#]+)\)", text_of("docs/README.md")))
    pages = {page.relative_to("docs").as_posix() for page in sources.tracked(sources.ROOT, "docs/*.md")}
    records = {page for page in pages if page.startswith("adr/") and page != "adr/README.md"}

    assert pages - records - {"README.md"} == {page for page in index if not page.startswith("..")}


@pytest.mark.parametrize("page", OURS)
def test_the_files_and_modules_that_a_page_names_exist(page: str) -> None:
    quoted = re.findall(r"`([\w./-]+)`", text_of(page))
    folders = ("docs/", "schemas/", "services/", "shared/", "tests/", "tools/")
    files = [name for name in quoted if name.startswith(folders)]
    roots = PROJECT["tool"]["importlinter"]["root_packages"]
    modules = [name for name in quoted if name.split(".")[0] in roots and name not in (DATABASE, "headrace.")]

    assert [name for name in files if not (sources.ROOT / name).exists()] == []
    for name in modules:
        pkgutil.resolve_name(name)
