"""What one run of W1 costs without an engine: the same posts, the same rows, the same JSON, each done barely.

The engine's own writes and messages are the measure: `python -m bench._engine record` wrote them down. They are done
again here with nothing but aiohttp, sqlite3 and orjson. No engine that makes these calls and keeps these promises can
cost less; how much more ours costs is the ratio that survives a busy machine.
"""

import argparse
import asyncio
import itertools
import json
import pickle
import sqlite3
import tempfile
from pathlib import Path

import aiohttp
import orjson
import uvloop

from bench import _workload
from bench._process import cpu_seconds
from bench._recording import Recording
from headrace.adapters.embedded.journal import Journal

_SAVE_RUN = "INSERT OR REPLACE INTO runs "
_READ = frozenset({"entity_changes", "run_commands", "node_requests", "node_results"})
_WRITTEN = frozenset({"run_commands", "node_requests", "node_results", "run_events"})


async def posts(receiver: str, runs: int, in_flight: int) -> float:
    """CPU seconds per run of two posts with aiohttp, their answers read."""
    headers = {"Content-Type": "application/json"}
    bodies = itertools.cycle(_workload.BODIES)
    async with aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def work(left: "itertools.islice[bytes]") -> None:
            for body in left:
                async with session.post(f"{receiver}/changes", data=body, headers=headers) as response:
                    assert response.status == 200
                    await response.read()

        async def together(count: int) -> None:
            left = itertools.islice(bodies, count)
            await asyncio.gather(*(work(left) for _ in range(in_flight)))

        await together(4 * in_flight)  # opens the connections
        cpu = cpu_seconds()
        await together(2 * runs)
        return (cpu_seconds() - cpu) / runs


def writes(recording: Recording) -> float:
    """CPU seconds per run of the same rows in the same transactions, with sqlite3 alone."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        path = Path(folder) / "floor.sqlite"
        Journal(path).close()  # for the schema and the page size
        connection = sqlite3.connect(path, isolation_level=None)
        for setting in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=NORMAL", "cache_size=-16384"):
            connection.execute(f"PRAGMA {setting}")
        cpu = cpu_seconds()
        for transaction in recording.transactions:
            connection.execute("BEGIN IMMEDIATE")
            for statement, rows in transaction:
                if rows:
                    connection.executemany(statement, rows)
            connection.execute("COMMIT")
        spent = cpu_seconds() - cpu
        connection.close()
    return spent / recording.runs


def messages(recording: Recording) -> float:
    """CPU seconds per run of orjson for every message: written once if it is ours, read once if a service reads it."""
    topics = {name: getattr(_workload.TOPICS, name) for name in _READ | _WRITTEN}
    read, written = {topics[name] for name in _READ}, {topics[name] for name in _WRITTEN}
    to_read = [value for topic, value in recording.messages if topic in read]
    to_write = [orjson.loads(value) for topic, value in recording.messages if topic in written]
    cpu = cpu_seconds()
    for value in to_read:
        orjson.loads(value)
    for data in to_write:
        orjson.dumps(data)
    return (cpu_seconds() - cpu) / recording.runs


def documents(recording: Recording) -> float:
    """CPU seconds per run of orjson for the documents of runs that go into the file."""
    saved = [
        orjson.loads(row[3])
        for transaction in recording.transactions
        for statement, rows in transaction
        if statement.startswith(_SAVE_RUN)
        for row in rows
    ]
    cpu = cpu_seconds()
    for document in saved:
        orjson.dumps(document)
    return (cpu_seconds() - cpu) / recording.runs


def main() -> None:
    """Parse the command line of the child process; print the figures as JSON, in milliseconds per run."""
    parser = argparse.ArgumentParser(prog="python -m bench._floor", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--receiver", required=True)
    parser.add_argument("--recording", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--in-flight", type=int, default=32)
    chosen = parser.parse_args()
    recording: Recording = pickle.loads(chosen.recording.read_bytes())
    figures = {
        "posts_ms": uvloop.run(posts(chosen.receiver, chosen.runs, chosen.in_flight)) * 1e3,
        "messages_ms": messages(recording) * 1e3,
        "documents_ms": documents(recording) * 1e3,
        "writes_ms": writes(recording) * 1e3,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
