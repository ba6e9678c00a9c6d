"""What is shipped: the packages of the wheel, its typing marker, vendored files and dependencies; no test library."""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email import message_from_string
from pathlib import Path

import pytest

from tools import sources

PACKAGES = {
    "headrace",
    "headrace_trigger",
    "headrace_orchestrator",
    "headrace_invoker",
    "headrace_api",
    "headrace_dev",
    "headrace_cli",
}
SWAGGER_UI = Path("services/api/headrace_api/static/swagger-ui")
SERVED = {"swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"}
PROJECT = tomllib.loads((sources.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# Distribution names whose import name differs, among those that only tests and checks may use.
IMPORT_NAMES = {"import-linter": "importlinter", "pyyaml": "yaml", "pytest-asyncio": "pytest_asyncio"}


def distribution(requirement: str) -> str:
    """The normalised name of the distribution in a requirement."""
    name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def development_only() -> set[str]:
    """The distributions that belong to tests and checks."""
    return {distribution(requirement) for requirement in PROJECT["dependency-groups"]["dev"]}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel of this tree, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=sources.ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        yield archive


@pytest.mark.xdist_group("wheel")
def test_its_top_level_names_are_the_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}

    assert top == PACKAGES | {f"headrace-{PROJECT['project']['version']}.dist-info"}


@pytest.mark.xdist_group("wheel")
def test_it_says_that_it_is_typed(wheel: zipfile.ZipFile) -> None:
    assert "headrace/py.typed" in wheel.namelist()


@pytest.mark.xdist_group("wheel")
def test_it_holds_swagger_ui_byte_for_byte_with_its_licence(wheel: zipfile.ZipFile) -> None:
    lines = (sources.ROOT / SWAGGER_UI / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    expected = {name: digest for digest, name in (line.split() for line in lines)}

    assert expected.keys() >= SERVED | {"LICENSE", "NOTICE"}
    for name, digest in expected.items():
        assert hashlib.sha256(wheel.read(f"headrace_api/static/swagger-ui/{name}")).hexdigest() == digest, name


@pytest.mark.xdist_group("wheel")
def test_no_test_library_is_a_runtime_dependency(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = message_from_string(wheel.read(name).decode())
    required = {distribution(line) for line in metadata.get_all("Requires-Dist", [])}

    assert required
    assert required & development_only() == set()


@pytest.mark.xdist_group("wheel")
def test_no_shipped_module_imports_a_test_library(wheel: zipfile.ZipFile) -> None:
    forbidden = {IMPORT_NAMES.get(name, name) for name in development_only()} | {"tests", "tools", "bench", "unittest"}
    found = {
        (name, imported)
        for name in wheel.namelist()
        if name.endswith(".py")
        for imported in imports_of(wheel.read(name).decode())
        if imported in forbidden
    }

    assert found == set()


def imports_of(source: str) -> Iterator[str]:
    """The top-level names that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def test_the_check_above_sees_imports_inside_functions() -> None:
    assert set(imports_of("def f():\n    import pytest.mark\n    from hypothesis import given\n")) == {
        "pytest",
        "hypothesis",
    }
