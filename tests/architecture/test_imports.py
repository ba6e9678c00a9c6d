"""The floors of the house: import-linter's contracts hold on this tree, and each contract fails when it is broken.

The contracts are in pyproject.toml and say the same as docs/architecture.md. A contract that names a package wrongly
holds for ever, so every one of them gets an offence planted in a copy of the tree.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools import sources

LINTER = Path(sys.executable).with_name("lint-imports")
PROJECT = tomllib.loads((sources.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = [contract["name"] for contract in PROJECT["tool"]["importlinter"]["contracts"]]
SOURCE_ROOTS = [Path(package).parent for package in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]

PURE, FLOORS, SERVICES, ONE_DOOR = "The core is pure", "Floors", "The services know nothing of each other", "One door"


def lint(tree: Path) -> tuple[int, list[str]]:
    """Run import-linter in a tree; return its exit status and the names of the broken contracts."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(str(tree / root) for root in SOURCE_ROOTS),
        "COLUMNS": "250",
        "NO_COLOR": "1",
    }
    command = [str(LINTER), "--no-logo", "--no-cache"]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    assert "Contracts: " in done.stdout, done.stdout + done.stderr
    return done.returncode, re.findall(r"^(.+) BROKEN", done.stdout, flags=re.MULTILINE)


@pytest.fixture
def copied_tree(tmp_path: Path) -> Path:
    """A copy of the sources that imports resolve to, in place of the installed ones."""
    shutil.copy(sources.ROOT / "pyproject.toml", tmp_path)
    for folder in sources.SHIPPED:
        leave_out = shutil.ignore_patterns("__pycache__", "static")
        shutil.copytree(sources.ROOT / folder, tmp_path / folder, ignore=leave_out)
    return tmp_path


def test_every_contract_holds_on_this_tree() -> None:
    assert lint(sources.ROOT) == (0, [])


def test_every_contract_has_an_offence_planted_below() -> None:
    planted = (PURE, FLOORS, SERVICES, ONE_DOOR)

    assert [name for name in CONTRACTS if not name.startswith(planted)] == []
    assert len(CONTRACTS) == len(planted)


@pytest.mark.parametrize(
    ("module", "offence", "contract"),
    [
        ("shared/headrace/core", "import asyncio", PURE),
        ("shared/headrace/core", "import time", PURE),
        ("shared/headrace/core", "from logging import getLogger", PURE),
        ("shared/headrace/core", "import sqlite3", PURE),
        ("shared/headrace/core", "from headrace import ports", PURE),
        ("shared/headrace/core", "from headrace import contracts", FLOORS),
        ("shared/headrace/contracts", "from headrace import ports", FLOORS),
        ("shared/headrace/ports", "from headrace import adapters", FLOORS),
        ("shared/headrace/runtime", "from headrace import adapters", FLOORS),
        ("shared/headrace/runtime", "from headrace import production", FLOORS),
        ("shared/headrace/adapters", "from headrace import runtime", FLOORS),
        ("shared/headrace/runtime", "import headrace_api", SERVICES),
        ("services/trigger/headrace_trigger", "import headrace_orchestrator", SERVICES),
        ("services/orchestrator/headrace_orchestrator", "import headrace_invoker", SERVICES),
        ("services/api/headrace_api", "import headrace_dev", SERVICES),
        ("services/dev/headrace_dev", "import headrace_cli", SERVICES),
        ("services/invoker/headrace_invoker", "import aiohttp", ONE_DOOR),
        ("services/trigger/headrace_trigger", "import jq", ONE_DOOR),
    ],
)
def test_an_offence_breaks_its_contract(copied_tree: Path, module: str, offence: str, contract: str) -> None:
    package = copied_tree / module
    if not package.is_dir():  # a floor of one module, such as ports.py
        package = package.parent
        with (copied_tree / f"{module}.py").open("a", encoding="utf-8") as floor:
            floor.write(f"\n{offence}\n")
    else:
        (package / "planted.py").write_text(f'"""Planted."""\n\n{offence}\n', encoding="utf-8")

    status, broken = lint(copied_tree)

    assert status == 1
    assert [name for name in broken if name.startswith(contract)]
