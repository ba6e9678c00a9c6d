"""The log of a process: JSON lines, those of libraries among them."""

from __future__ import annotations

import json
import subprocess
import sys

from tools import sources

PROGRAM = """
import logging, sys
import structlog
from headrace.runtime.logs import configure_logs
configure_logs("INFO", file=sys.stdout)
structlog.get_logger("headrace.mill").info("mill started", stones=2)
client = logging.getLogger("some.client")
client.info("sent %s", "the password")
for number in range(100):
    client.error("cannot connect: attempt %d", number)
try:
    1 / 0
except ZeroDivisionError:
    client.exception("broken")
"""


def test_libraries_are_heard_as_json_from_warning_on_and_not_again_and_again() -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=sources.ROOT, capture_output=True, text=True, check=True)

    ours, client, broken = [json.loads(line) for line in done.stdout.splitlines()]
    assert (ours["event"], ours["stones"], ours["level"]) == ("mill started", 2, "info")
    assert (client["event"], client["library"], client["level"]) == (
        "cannot connect: attempt 0", "some.client", "warning",
    )  # fmt: skip
    assert "ZeroDivisionError" in broken["exception"]
    assert done.stderr == ""
