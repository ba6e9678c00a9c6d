"""What a run costs in the embedded engine, held against the least that it could cost (docs/benchmarks.md).

    python -m bench.embedded                       all parts, under three minutes
    python -m bench.embedded --only saturation     one part
    python -m bench.embedded --only memory --runs 100000

The engine runs in a process of its own, the receiver of its webhooks in another one, and the floor (bench._floor) in a
third; they take turns, round by round. A busy machine makes every figure larger: read the ratio rather than the figure.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from bench import _report, _startup, echo_server, throwaway

RESULTS = throwaway.ROOT / "bench" / "results" / "embedded.json"
PARTS = ("saturation", "latency", "unmatched", "startup", "memory")
TRIGGERS = (10, 10_000)
MODES: tuple[Literal["memory", "file"], ...] = ("memory", "file")
_PER_HOST = "32"
"""Calls that the engine has in flight to one host, by its own default; the floor's posts have as many."""


class Bench:
    """Runs the parts and gathers their rows."""

    def __init__(self, receiver: str, chosen: argparse.Namespace) -> None:
        self._receiver = receiver
        self._chosen = chosen
        self.rows: list[_report.Row] = []
        self.details: dict[str, object] = {}

    def saturation(self) -> None:
        """CPU per run in a closed loop, by mode, and the floor of each."""
        rounds, runs = self._chosen.rounds, str(self._chosen.saturation_runs)
        cpu: dict[str, list[float]] = {mode: [] for mode in MODES}
        speed: dict[str, list[float]] = {mode: [] for mode in MODES}
        floors: list[dict[str, float]] = []
        with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
            recording = str(Path(folder) / "recording")
            written = self._engine("record", "file", "--runs", "1000", "--recording", recording)
            for _ in range(rounds):
                floors.append(self._floor(recording))
                for mode in MODES:
                    figures = self._engine("saturation", mode, "--runs", runs)
                    cpu[mode].append(figures["cpu_ms"])
                    speed[mode].append(figures["runs_per_second"])
        floor = {name: statistics.median(each[name] for each in floors) for name in floors[0]}
        self.details |= {"written": written, "floor": floor}
        floor_of = {"memory": floor["posts_ms"] + floor["messages_ms"], "file": sum(floor.values())}
        for mode, budget in zip(MODES, (0.6, 0.8), strict=True):
            what = f"CPU per run at saturation, {mode}"
            self._add("saturation", what, "ms", cpu[mode], budget, floor_of[mode])
        for mode in MODES:
            self._add("saturation", f"throughput at saturation, {mode}", "runs/s", speed[mode])

    def latency(self) -> None:
        """Whole runs at ten a second."""
        for mode in MODES:
            figures = self._engine("latency", mode, "--runs", str(self._chosen.latency_runs), "--warm-up", "100")
            self._add("latency", f"whole run at 10 runs/s, p50, {mode}", "ms", [figures["p50_ms"]], 5.0)
            self._add("latency", f"whole run at 10 runs/s, p99, {mode}", "ms", [figures["p99_ms"]])

    def unmatched(self) -> None:
        """Events that match nothing."""
        for mode in MODES:
            for triggers, budget in zip(TRIGGERS, (40.0, 80.0), strict=True):
                figures = []
                for _ in range(self._chosen.rounds):
                    with _data(mode) as data:
                        arguments = ("--triggers", str(triggers), *data)
                        measured = throwaway.measure(Path(sys.executable), "bench._unmatched", *arguments)
                    figures.append(measured["us_per_event"])
                self._add(
                    "unmatched", f"event that matches none of {triggers:,} triggers, {mode}", "µs", figures, budget
                )

    def startup(self) -> None:
        """Time to the first answer, and memory when idle."""
        found = [_startup.start_once(3.0 if number == 0 else 0.0) for number in range(5)]
        ready = [each["ready_seconds"] for each in found]
        self._add("startup", "process start to API ready", "s", ready, 1.5)
        self._add("startup", "memory when idle, after 3 s", "MB", [found[0]["idle_megabytes"]], 120.0)

    def memory(self) -> None:
        """Memory over many runs, with a retention of a tenth of them."""
        runs = self._chosen.runs
        figures = self._engine("memory", "memory", "--runs", str(runs), "--keep", str(max(500, runs // 10)))
        self.details["memory"] = figures
        for percent in (10, 50, 100):
            self._add("memory", f"memory after {runs * percent // 100:,} runs", "MB", [figures[f"at_{percent}"]])
        growth = figures["at_100"] / figures["at_50"] - 1
        self._add("memory", "growth from half of the runs to all", "%", [growth * 100], 5.0)

    def _engine(self, part: str, mode: str, *arguments: str) -> dict[str, float]:
        with _data(mode) as data:
            given = (part, "--receiver", self._receiver, *arguments, *data)
            return throwaway.measure(Path(sys.executable), "bench._engine", *given, time_limit_seconds=900)

    def _floor(self, recording: str) -> dict[str, float]:
        given = ("--receiver", self._receiver, "--recording", recording, "--in-flight", _PER_HOST)
        return throwaway.measure(Path(sys.executable), "bench._floor", *given)

    def _add(
        self, part: str, what: str, unit: str, rounds: Sequence[float], budget: float | None = None,
        floor: float | None = None,
    ) -> None:  # fmt: skip
        row = _report.Row(part, what, unit, statistics.median(rounds), budget, floor, rounds=tuple(rounds))
        self.rows.append(row)


@contextmanager
def _data(mode: str) -> Iterator[tuple[str, ...]]:
    """The arguments that give the engine a folder of its own, or none."""
    if mode == "memory":
        yield ()
        return
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        yield ("--data", folder)


def save(bench: Bench, seconds: float) -> None:
    """Write all figures as JSON."""
    facts = {"commit": _report.commit(), "machine": _report.machine()}
    found = {**facts, "seconds": round(seconds, 1), "rows": [asdict(row) for row in bench.rows]}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(found | bench.details, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Parse the command line, measure, print, save."""
    parser = argparse.ArgumentParser(prog="python -m bench.embedded", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; may be given again")
    parser.add_argument("--rounds", type=int, default=3, help="of the parts whose figures are CPU time")
    parser.add_argument("--saturation-runs", type=int, default=3_000, help="per round and mode")
    parser.add_argument("--latency-runs", type=int, default=120, help="per mode, at ten a second")
    parser.add_argument("--runs", type=int, default=20_000, help="of the memory part")
    chosen = parser.parse_args()
    began = time.perf_counter()
    with echo_server.running() as receiver:
        bench = Bench(receiver, chosen)
        for part in chosen.only or PARTS:
            print(f"[{time.perf_counter() - began:4.0f} s] {part}", flush=True)
            getattr(bench, part)()
    _report.show(bench.rows)
    save(bench, time.perf_counter() - began)
    print(f"\nSaved to {RESULTS.relative_to(throwaway.ROOT)} after {time.perf_counter() - began:.0f} s.")


if __name__ == "__main__":
    main()
