"""Tests of one group run on one worker: so it was promised to the machine that starts their servers."""

import subprocess
import sys
from pathlib import Path

_GROUPED = """
import pytest

@pytest.mark.xdist_group("servers")
@pytest.mark.parametrize("number", range(6))
def test_which_worker(number, worker_id):
    print(f"on {worker_id}")
"""


def test_tests_of_one_group_run_on_one_worker(tmp_path: Path) -> None:
    (tmp_path / "test_grouped.py").write_text(_GROUPED, encoding="utf-8")

    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "2",
        "--dist",
        "loadgroup",
        "-rP",
        "-c",
        "/dev/null",
        "--rootdir",
        ".",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    workers = [line for line in done.stdout.splitlines() if line.startswith("on gw")]
    assert len(workers) == 6, done.stdout + done.stderr
    assert len(set(workers)) == 1
