"""The README keeps its word: its commands run, and print what it shows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace_cli import documents, examples
from headrace_cli.demo_receiver import Desk, Receiver
from headrace_cli.documents import WorkflowFile
from headrace_cli.engine_thread import LoopThread
from headrace_dev.app import Engine
from headrace_dev.settings import DevSettings, Egress

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = Path(sys.executable).parent

pytestmark = pytest.mark.xdist_group("engine")


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def masked(line: str) -> str:
    """A line of output without what differs from run to run: ids, ports, times and the bars that show them."""
    line = re.sub(r"wfr_\w{16}", "wfr_*", line)
    line = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:*", line)
    line = re.sub(r"\d+(\.\d)? (ms|s)\b", "*", line)
    line = re.sub(r"▕.*▏", "▕▏", line)
    return " ".join(line.split())


def test_the_demo_succeeds_and_prints_what_the_readme_shows(tmp_path: Path) -> None:
    (shown,) = (block for block in blocks("text") if "tier-change v1  wfr_" in block)

    done = subprocess.run(
        [PROGRAMS / "headrace", "demo"], capture_output=True, text=True, cwd=tmp_path, timeout=120,
        env={**os.environ, "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "COLUMNS": "160"},
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    printed = [masked(line) for line in done.stdout.splitlines()]
    missing = [line for line in shown.splitlines() if line != "…" and masked(line) not in printed]
    assert missing == []
    assert list(tmp_path.iterdir()) == [], "the demo leaves nothing behind"


def test_the_demo_fails_with_a_reason_when_the_receiver_misbehaves(tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAMS / "headrace", "demo", "--break-receiver"], capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 1
    assert "✗ 2 of 7 events started a run, one each, and both succeeded" in done.stdout
    assert "service/billing: FAILED" in done.stdout
    assert re.search(r"✗ \d of 9 checks failed", done.stdout)
    assert "Try next" not in done.stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
@pytest.mark.parametrize(
    ("command", "runs"),
    [
        ("demo", "headrace demo"),
        ("test", "pytest"),
        ("up", "tools.up"),
        ("dev", "headrace dev --data .headrace --allow-network 127.0.0.0/8"),
    ],
)
def test_the_make_targets_exist_and_do_what_the_readme_says(command: str, runs: str) -> None:
    (line,) = (line for block in blocks("sh") for line in block.splitlines() if line.startswith(f"make {command}"))

    done = subprocess.run(["sh", "-ec", line.replace("make ", "make -n ", 1)], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert runs in done.stdout


@dataclass
class Terminals:
    """A folder with the examples, and what the README's other two terminals run."""

    folder: Path
    engine: Engine

    def type(self, block: str) -> subprocess.CompletedProcess[str]:
        """Run a block of the README here, against this engine in place of the one on port 8080."""
        environment = {
            **os.environ,
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "HEADRACE_URL": self.engine.api_url,
            "HEADRACE_CLIENT_ID": self.engine.credentials.client_id,
            "HEADRACE_CLIENT_SECRET": self.engine.credentials.client_secret,
        }
        text = block.replace("http://127.0.0.1:8080", self.engine.api_url)
        return subprocess.run(
            ["sh", "-ec", text], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120
        )


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Terminals]:
    async def start() -> tuple[Engine, Receiver]:
        engine = Engine(DevSettings(port=0, data=tmp_path / "data", egress=Egress(allowed_networks=("127.0.0.0/8",))))
        await engine.start()
        receiver = Receiver(Desk(engine.signing_secret, lambda: engine.clock.now() / 1000))
        await receiver.start()
        return engine, receiver

    with LoopThread() as loop:
        engine, receiver = loop.run(start())
        shutil.copytree(ROOT / "examples", tmp_path / "examples")
        for file in tmp_path.glob("examples/workflows/*.json"):
            text = file.read_text(encoding="utf-8")
            file.write_text(examples.with_receiver(text, receiver.port), encoding="utf-8")
        yield Terminals(tmp_path, engine)
        loop.run(engine.stop())
        loop.run(receiver.stop())


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_commands_of_the_third_terminal_work_one_after_the_other(terminals: Terminals) -> None:
    (block,) = (block for block in blocks("sh") if "headrace apply" in block)

    done = terminals.type(block)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓ SUCCESS  tier-change v1") == 2
    assert "✓ SUCCESS  restart-service v1" in done.stdout
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["workflowRuns"][0]["workflow"]["identifier"] == "restart-service"


def test_the_workflow_in_the_readme_is_valid() -> None:
    (text,) = blocks("json")

    assert documents.judge([WorkflowFile("README.md", text.encode())]) == [[]]


def test_the_command_line_page_and_the_readme_show_the_same_explanation() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    (shown,) = (block for block in blocks("text") if "ANSWER" in block)

    assert f"```text\n{shown}```" in page
