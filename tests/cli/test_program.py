"""The program as a whole: its global options, its speed, and what it writes into pipes."""

from __future__ import annotations

import io
import json
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from headrace_cli import main as program
from headrace_cli.session import Session
from tests.cli.conftest import Shell
from tests.cli.fake_api import FakeApi
from tests.cli.samples import node_run, run

RUN = "wfr_k3J9sQ0aZx81LmNp"
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def api(shell: Shell) -> FakeApi:
    fake = FakeApi()
    shell.answered_by(fake)
    failed = run([node_run("call", "WEBHOOK", 0, 5, "FAILED", error="answered 500")], end=5, result="FAILED")
    fake.on("GET", f"/v1/workflows/runs/{RUN}", (200, {"ok": True, "workflowRun": failed}))
    return fake


def headrace(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "import sys; from headrace_cli.main import main; sys.exit(main())", *arguments],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "sorted_"),
    [
        (["runs", "-o", "json"], ["-o", "json", "runs"]),
        (["runs", "--url", "u", "--limit", "5"], ["--url", "u", "runs", "--limit", "5"]),
        (["runs", "--output=json", "--no-color"], ["--output=json", "--no-color", "runs"]),
        (["run", "w", "-i", "url=x"], ["run", "w", "-i", "url=x"]),
        (["run", "--", "w", "-o"], ["run", "--", "w", "-o"]),
        (["runs", "-o"], ["runs", "-o"]),
    ],
)
def test_global_options_may_stand_anywhere(given: list[str], sorted_: list[str]) -> None:
    assert program.globals_first(given) == sorted_


def test_the_version_is_the_distribution_s(shell: Shell) -> None:
    assert shell("--version").out.startswith("headrace 0.")


def test_help_answers_without_loading_what_only_commands_need(home: Path) -> None:
    listed = "import sys; from headrace_cli.main import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)

    done = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, check=True)

    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    loaded = set(done.stderr.split())
    assert "typer" in loaded
    assert loaded & {"httpx", "fastapi", "pydantic", "rich.console", "headrace_dev", "asyncio", "orjson"} == set()
    # CPU time, because the machine may be busy; the budget is 0.4 s.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.8


def test_pipes_get_no_control_codes(shell: Shell, api: FakeApi) -> None:
    assert "\x1b" not in shell("show", RUN).out
    assert "\x1b" not in shell("--help").out


def test_terminals_get_colours_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")

    def written(color: bool) -> str:
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        Session(color=color).out.print("x", style="bold red")
        assert isinstance(sys.stdout, io.StringIO)
        return sys.stdout.getvalue()

    assert "\x1b[" in written(color=True)
    assert written(color=False) == "x\n"


@pytest.mark.parametrize("how", ["--no-color", "NO_COLOR"])
def test_no_color_is_heard(shell: Shell, api: FakeApi, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in shell("show", RUN).out

    if how == "NO_COLOR":
        monkeypatch.setenv("NO_COLOR", "1")
        assert "\x1b" not in shell("show", RUN).out
    else:
        assert "\x1b" not in shell("show", RUN, "--no-color").out


def test_wide_lines_are_not_cut_in_pipes(shell: Shell) -> None:
    assert Console(file=io.StringIO()).width <= Session().out.width


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = (
        f"{shlex.quote(sys.executable)} -c 'import sys; from headrace_cli.main import main; sys.exit(main())' validate "
    )
    files = " ".join([shlex.quote(str(EXAMPLES / "workflows" / "tier-change.json"))] * 3)

    done = subprocess.run(f"{command} {files} -o json | head -c 1", shell=True, capture_output=True, text=True)

    assert done.stderr == ""


def test_the_program_ends_with_the_command_s_code() -> None:
    done = headrace("show", "wfr_x", "--url", "http://127.0.0.1:1")

    assert done.returncode == 3
    assert done.stderr.startswith("error: Cannot reach Headrace at http://127.0.0.1:1")


def test_every_exit_code_is_documented() -> None:
    from headrace_cli.errors import ExitCode

    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")

    assert all(f"| {code.value} |" in page for code in ExitCode)


def test_every_command_and_option_is_documented() -> None:
    from typer.main import get_command

    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    names = set()

    def visit(command: object, path: str) -> None:
        children = getattr(command, "commands", {})
        for name, child in children.items():
            visit(child, f"{path} {name}")
        if not children:
            names.add(f"headrace{path}")
            for parameter in getattr(command, "params", []):
                hidden = getattr(parameter, "hidden", False) or parameter.name == "help"
                names.update(option for option in parameter.opts if option.startswith("--") and not hidden)

    visit(get_command(program.app), "")

    assert {name for name in names if name not in page} == set()


def test_json_output_of_an_offline_command_parses() -> None:
    done = headrace("validate", str(EXAMPLES / "workflows"), "-o", "json")

    assert json.loads(done.stdout)["files"] >= 2
