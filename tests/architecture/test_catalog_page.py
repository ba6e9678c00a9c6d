"""docs/catalog.md names every code and every operator of the catalog as they are."""

import re

from headrace.core.catalog.rules import META, OPERATORS
from headrace.core.catalog.values import PROPERTY_FORMATS
from tests.unit.core.test_check_codes import codes_in
from tests.unit.core.test_check_codes import documented as documented_for_workflows
from tools import sources

PAGE = (sources.ROOT / "docs/catalog.md").read_text(encoding="utf-8")
MODULES = [
    *(sources.ROOT / "shared/headrace/core/catalog").glob("*.py"),
    sources.ROOT / "shared/headrace/runtime/catalog.py",
    sources.ROOT / "services/api/headrace_api/catalog.py",
]


def test_every_code_is_explained_and_every_explained_code_is_used() -> None:
    explained = set(re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE))
    used = set().union(*(codes_in(path) for path in MODULES))

    assert explained - used == set()
    assert used - explained - documented_for_workflows().keys() == set()


def test_every_operator_and_every_property_of_all_entities_is_listed() -> None:
    assert [name for name in (*OPERATORS, *META) if f"`{name}`" not in PAGE] == []


def test_every_format_is_listed() -> None:
    formats = {name for names in PROPERTY_FORMATS.values() for name in names} - {"none"}

    assert [name for name in formats if f"`{name}`" not in PAGE] == []
