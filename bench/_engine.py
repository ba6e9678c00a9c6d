"""The measured parts that need the whole engine: it runs in this process, nothing else does (see bench.embedded).

Events come from a task in this process, through the engine's own log port: their appending is part of the figures,
HTTP is not. The same task reads the run events, as any consumer would, to learn which runs are over.
"""

import argparse
import asyncio
import json
import pickle
import statistics
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

from bench import _workload
from bench._process import cpu_seconds, resident_megabytes
from bench._recording import Recording
from headrace.adapters.embedded.journal import Change, Journal
from headrace.adapters.embedded.log import EmbeddedLog
from headrace.ports.log import Message
from headrace.runtime import process
from headrace.runtime.logs import configure_logs
from headrace_dev.app import Engine
from headrace_dev.settings import DevSettings, Egress, Retention

_COMPLETED = b"io.headrace.run.completed"
_LONGEST_SILENCE = 30.0


def settings(data: Path | None, keep: int | None = None) -> DevSettings:
    """The engine's own defaults, but for the port, and leave to call this machine. `keep` scales the retention."""
    retention = Retention()
    if keep is not None:
        retention = Retention(finished_runs=keep, ledger_entries=keep, claims=keep, records_per_partition=keep)
    return DevSettings(port=0, data=data, egress=Egress(allowed_networks=("127.0.0.0/8",)), retention=retention)


class Feed:
    """Publishes events of W1 and learns from the run events which of their runs are over."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._published = 0
        self.finished = 0

    async def start(self, receiver: str) -> None:
        """Save W1 and begin to read."""
        await _workload.save_w1(self._engine.definitions, receiver)
        self._tail = await self._engine.log.tail([_workload.TOPICS.run_events])

    @property
    def next_run(self) -> str:
        """The run of the event that comes next."""
        return _workload.run_of(self._published)

    async def publish(self, count: int) -> None:
        """Publish the next events."""
        numbers = range(self._published, self._published + count)
        self._published += count
        await self._engine.log.publish([_workload.event(number) for number in numbers])

    async def over(self, wait_seconds: float = _LONGEST_SILENCE) -> list[str]:
        """The next runs that are over. Raises RuntimeError after a long silence."""
        found: list[str] = []
        deadline = time.monotonic() + wait_seconds
        while not found:
            records = await self._tail.fetch(wait_seconds)
            found = [record.key for record in records if record.header("ce_type") == _COMPLETED]
            if not found and time.monotonic() > deadline:
                raise RuntimeError(f"no run ended in {wait_seconds} s; {self.finished} of {self._published} are over")
        self.finished += len(found)
        return found

    async def saturate(self, until: int, in_flight: int) -> None:
        """Keep so many runs in flight until so many are over."""
        await self.publish(max(0, in_flight - (self._published - self.finished)))
        while self.finished < until:
            await self.publish(len(await self.over()))

    async def drain(self) -> None:
        """Wait until all runs are over."""
        while self.finished < self._published:
            await self.over()


async def saturation(feed: Feed, chosen: argparse.Namespace) -> dict[str, float]:
    """CPU and throughput over a window in the middle of a closed loop."""
    await feed.saturate(chosen.warm_up, chosen.in_flight)
    cpu, wall, first = cpu_seconds(), time.perf_counter(), feed.finished
    await feed.saturate(first + chosen.runs, chosen.in_flight)
    cpu, wall, runs = cpu_seconds() - cpu, time.perf_counter() - wall, feed.finished - first
    await feed.drain()
    return {"cpu_ms": cpu / runs * 1e3, "runs_per_second": runs / wall, "runs": runs}


async def latency(feed: Feed, chosen: argparse.Namespace) -> dict[str, float]:
    """Milliseconds from an event's publish until its run's end can be read, at a fixed rate."""
    await feed.saturate(chosen.warm_up, 1)
    await feed.drain()
    began: dict[str, float] = {}
    spans: list[float] = []

    async def watch() -> None:
        while len(spans) < chosen.runs:
            over = await feed.over()
            now = time.perf_counter()
            spans.extend(now - began[run_id] for run_id in over)

    watching = asyncio.create_task(watch())
    due = time.perf_counter()
    for _ in range(chosen.runs):
        due += 1 / chosen.rate
        await asyncio.sleep(due - time.perf_counter())
        began[feed.next_run] = time.perf_counter()
        await feed.publish(1)
    await asyncio.wait_for(watching, _LONGEST_SILENCE)
    cuts = statistics.quantiles(spans, n=100, method="inclusive")
    return {"p50_ms": cuts[49] * 1e3, "p99_ms": cuts[98] * 1e3, "runs": len(spans)}


async def memory(feed: Feed, chosen: argparse.Namespace) -> dict[str, float]:
    """VmRSS after a tenth, half and all of the runs."""
    found: dict[str, float] = {"runs": chosen.runs, "at_start": resident_megabytes()}
    for percent in (10, 50, 100):
        began, first = cpu_seconds(), feed.finished
        await feed.saturate(chosen.runs * percent // 100, chosen.in_flight)
        found[f"at_{percent}"] = resident_megabytes()
        found[f"cpu_ms_until_{percent}"] = (cpu_seconds() - began) / (feed.finished - first) * 1e3
    await feed.drain()
    return found


async def record(feed: Feed, chosen: argparse.Namespace) -> dict[str, float]:
    """Write down all transactions and messages of a window."""
    recording = Recording()
    write, publish = Journal.write, EmbeddedLog.publish

    def noted_write(self: Journal, *changes: Change) -> None:
        changes = tuple((statement, list(rows)) for statement, rows in changes)
        recording.transactions.append([(statement, list(rows)) for statement, rows in changes])
        write(self, *changes)

    async def noted_publish(self: EmbeddedLog, messages: Iterable[Message]) -> None:
        messages = list(messages)
        recording.messages.extend((message.topic, message.value or b"") for message in messages)
        await publish(self, messages)

    await feed.saturate(chosen.warm_up, chosen.in_flight)
    first = feed.finished
    with ExitStack() as patches:
        patches.enter_context(mock.patch.object(Journal, "write", noted_write))
        patches.enter_context(mock.patch.object(EmbeddedLog, "publish", noted_publish))
        await feed.saturate(first + chosen.runs, chosen.in_flight)
    recording.runs = feed.finished - first
    await feed.drain()
    chosen.recording.write_bytes(pickle.dumps(recording))
    rows = sum(len(rows) for transaction in recording.transactions for _, rows in transaction)
    return {
        "rows_per_run": rows / recording.runs,
        "transactions_per_run": len(recording.transactions) / recording.runs,
        "messages_per_run": len(recording.messages) / recording.runs,
        "message_bytes_per_run": sum(len(value) for _, value in recording.messages) / recording.runs,
    }


PARTS = {"saturation": saturation, "latency": latency, "memory": memory, "record": record}


async def run(chosen: argparse.Namespace) -> dict[str, float]:
    """Start the engine, measure one part, stop the engine."""
    configure_logs("WARNING")
    engine = Engine(settings(chosen.data, chosen.keep))
    await engine.start()
    try:
        feed = Feed(engine)
        await feed.start(chosen.receiver)
        process.settle()
        return await PARTS[chosen.part](feed, chosen)
    finally:
        await engine.stop()


def main() -> None:
    """Parse the command line of the child process; print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench._engine", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--receiver", required=True, help="URL of an echo server")
    parser.add_argument("--data", type=Path, help="a folder for the SQLite file; without it, memory only")
    parser.add_argument("--runs", type=int, default=3_000)
    parser.add_argument("--warm-up", type=int, default=500)
    parser.add_argument("--in-flight", type=int, default=200)
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--keep", type=int, help="retention of the stores, in runs, entries and records")
    parser.add_argument("--recording", type=Path, help="where the part `record` puts what it wrote down")
    print(json.dumps(process.run(run(parser.parse_args()))))


if __name__ == "__main__":
    main()
