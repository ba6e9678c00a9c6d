"""A process that is killed at any moment loses nothing that it acknowledged."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from headrace.adapters.clock import SystemClock
from headrace.adapters.embedded import EmbeddedClaimStore, EmbeddedLedger, EmbeddedLog, EmbeddedRunStore, Journal
from tests.unit.adapters.embedded_writer import BATCH

ROOT = Path(__file__).parents[3]
ROUNDS = 6


def run_and_kill(path: Path, first: int, lines: int) -> dict[str, int]:
    """Let a writer go on from a number, kill it after some lines, return the last number acknowledged of each kind."""
    acknowledged: dict[str, int] = {}
    command = [sys.executable, "-m", "tests.unit.adapters.embedded_writer", str(path), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        for _ in range(lines):
            kind, number = process.stdout.readline().split()
            acknowledged[kind.decode()] = int(number)
        os.kill(process.pid, signal.SIGKILL)
        for line in process.stdout:  # what it said before it died was acknowledged, too
            if line.endswith(b"\n"):
                kind, number = line.split()
                acknowledged[kind.decode()] = int(number)
    assert process.returncode == -signal.SIGKILL
    return acknowledged


async def check(path: Path, acknowledged: dict[str, int], first: int) -> int:
    """Open the file as the next process would, look for everything acknowledged; the next number to write."""
    journal = Journal(path)
    clock = SystemClock()
    log = EmbeddedLog(clock, journal)
    values = [
        int(record.value or b"") for partition in range(4) for record in await log.read("orders", partition, 0, 100_000)
    ]
    published = acknowledged["published"]
    newest = set(range(max(first, published - 10), published + 1))
    assert newest <= set(values)
    assert all(values.count(number) == BATCH for number in newest), "a batch is whole"
    lag = sum((await log.lag("readers")).values())
    assert lag <= acknowledged["committed"] + BATCH * (max(values) - acknowledged["recorded"] + 1)

    runs = EmbeddedRunStore(journal, max_finished_runs=1_000)
    done = acknowledged["completed"]
    finished = [f"live-{number % 50}-{number}" for number in range(max(first, done - 10), done + 1)]
    stored = await runs.load(finished)
    assert [stored[run_id].run.is_over for run_id in finished] == [True] * len(finished)
    opened = [f"open-{number}" for number in range(first, acknowledged["opened"] + 1)]
    assert len(await runs.load(opened)) == len(opened)

    claims = EmbeddedClaimStore(clock, journal)
    claimed = [f"claim-{number}" for number in range(first, acknowledged["claimed"] + 1)]
    assert len(await claims.load(claimed)) == len(claimed)

    ledger = EmbeddedLedger(journal)
    for number in range(max(first, acknowledged["recorded"] - 1_000), acknowledged["recorded"] + 1):
        assert await ledger.find(f"ev-{number}") is not None
    await log.close()
    journal.close()
    return max(values) + 1


async def test_a_killed_process_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "headrace.db"
    chance = random.Random(7)
    first = 0

    for _ in range(ROUNDS):
        acknowledged = run_and_kill(path, first, lines=chance.randrange(100, 3_000))
        first = await check(path, acknowledged, first)

    assert first > 100
