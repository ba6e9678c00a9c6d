"""The load generator: a process that publishes events of W1 and reads the run events to learn which runs are over.

It is a program of its own, so that its CPU time is reported apart, and it knows nothing of the engine but two topics:
it serves the floor (bench._skeleton) as well. It reads the CPU time of the processes it is told to watch at the very
moments when its window begins and ends.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Callable

import uvloop

from bench import _workload
from bench._process import cpu_seconds, cpu_seconds_by_group
from bench._raw_kafka import Outgoing, Reader, Writer
from headrace.contracts.topics import TopicNames

COMPLETED = b"io.headrace.run.completed"
_LONGEST_SILENCE = 30.0


def floor_run(number: int) -> str:
    """The key that the floor gives the run of that event: as long as a run id."""
    return f"wfr_{number:016d}"


class Feed:
    """Publishes the events from number `first` on, and learns which of their runs are over."""

    def __init__(self, servers: str, prefix: str, first: int, run_of: Callable[[int], str]) -> None:
        self._topics = TopicNames(prefix)
        self._writer = Writer(servers)
        self._reader = Reader(servers, [self._topics.run_events])
        self._run_of = run_of
        self._first = first
        self.published = 0
        self.finished = 0
        self.events = 0

    async def start(self) -> None:
        await self._writer.start()
        await self._reader.start()

    async def stop(self) -> None:
        await self._writer.stop()
        await self._reader.stop()

    @property
    def next_run(self) -> str:
        """The run of the event that comes next."""
        return self._run_of(self._first + self.published)

    async def publish(self, count: int) -> None:
        """Hand over the next events; does not wait for the broker."""
        numbers = range(self._first + self.published, self._first + self.published + count)
        self.published += count
        messages = map(_workload.event, numbers)
        await self._writer.send(Outgoing(self._topics.entity_changes, it.key, it.value or b"") for it in messages)

    async def over(self) -> list[str]:
        """The next runs that are over. Raises SystemExit after a long silence."""
        deadline = time.monotonic() + _LONGEST_SILENCE
        while True:
            records = await self._reader.fetch()
            self.events += len(records)
            found = [
                record.key.decode()
                for record in records
                if any(value == COMPLETED and name == "ce_type" for name, value in record.headers)
            ]
            if found:
                self.finished += len(found)
                return found
            if time.monotonic() > deadline:
                raise SystemExit(
                    f"no run ended in {_LONGEST_SILENCE:g} s; {self.finished} of {self.published} are over"
                )

    async def saturate(self, until: int, in_flight: int) -> None:
        """Keep so many runs in flight until so many are over."""
        await self.publish(max(0, in_flight - (self.published - self.finished)))
        while self.finished < until:
            await self.publish(len(await self.over()))

    async def drain(self) -> None:
        """Wait until all runs are over."""
        while self.finished < self.published:
            await self.over()


async def saturation(feed: Feed, chosen: argparse.Namespace) -> dict[str, object]:
    """CPU by group of processes, and throughput, over a window in the middle of a closed loop."""
    groups: dict[str, list[int]] = json.loads(chosen.watch)
    await feed.saturate(chosen.warm_up, chosen.in_flight)
    cpu, own, wall = cpu_seconds_by_group(groups), cpu_seconds(), time.perf_counter()
    first, events = feed.finished, feed.events
    await feed.saturate(first + chosen.runs, chosen.in_flight)
    runs, seconds = feed.finished - first, time.perf_counter() - wall
    events = feed.events - events
    own = cpu_seconds() - own
    spent = {name: (after - cpu[name]) / runs * 1e3 for name, after in cpu_seconds_by_group(groups).items()}
    await feed.drain()
    return {
        "runs": runs,
        "seconds": seconds,
        "runs_per_s": runs / seconds,
        "transitions_per_s": events / seconds,
        "transitions_per_run": events / runs,
        "cpu_ms_per_run": {**spent, "generator": own / runs * 1e3},
        "published": feed.published,
    }


async def latency(feed: Feed, chosen: argparse.Namespace) -> dict[str, object]:
    """Milliseconds from an event's publish until its run's end can be read, at a fixed rate."""
    await feed.saturate(chosen.warm_up, 1)
    await feed.drain()
    groups: dict[str, list[int]] = json.loads(chosen.watch)
    began: dict[str, float] = {}
    spans: list[float] = []

    async def watch() -> None:
        while len(spans) < chosen.runs:
            over = await feed.over()
            now = time.perf_counter()
            spans.extend(now - began[run_id] for run_id in over)

    watching = asyncio.create_task(watch())
    cpu = cpu_seconds_by_group(groups)
    due = time.perf_counter()
    for _ in range(chosen.runs):
        due += 1 / chosen.rate
        await asyncio.sleep(due - time.perf_counter())
        began[feed.next_run] = time.perf_counter()
        await feed.publish(1)
    await watching
    spent = {name: (after - cpu[name]) / chosen.runs * 1e3 for name, after in cpu_seconds_by_group(groups).items()}
    cuts = statistics.quantiles(spans, n=100, method="inclusive")
    return {
        "runs": len(spans),
        "p50": cuts[49] * 1e3,
        "p90": cuts[89] * 1e3,
        "p99": cuts[98] * 1e3,
        "max": max(spans) * 1e3,
        "cpu_ms_per_run": spent,
        "published": feed.published,
    }


PARTS = {"saturation": saturation, "latency": latency}


async def run(chosen: argparse.Namespace) -> dict[str, object]:
    """Measure one part."""
    feed = Feed(chosen.servers, chosen.prefix, chosen.first, floor_run if chosen.floor else _workload.run_of)
    await feed.start()
    try:
        return await PARTS[chosen.part](feed, chosen)
    finally:
        await feed.stop()


def main() -> None:
    """Parse the command line of the child process; print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench._load", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--servers", required=True)
    parser.add_argument("--prefix", default="headrace.", help="of the topics")
    parser.add_argument("--first", type=int, default=0, help="number of the first event")
    parser.add_argument("--runs", type=int, default=3_000)
    parser.add_argument("--warm-up", type=int, default=500)
    parser.add_argument("--in-flight", type=int, default=200)
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--watch", default="{}", help="groups of process ids, as JSON")
    parser.add_argument("--floor", action="store_true", help="the runs' keys are those of bench._skeleton")
    print(json.dumps(uvloop.run(run(parser.parse_args()))))


if __name__ == "__main__":
    main()
