"""What more processes bring: W1 at saturation with 1, 2 and 4 orchestrators and invokers (docs/scaling.md).

    python -m bench.scaling                          prints a Markdown table, writes bench/results/scaling.json
    python -m bench.scaling --processes 1 2 3 --runs 10000 --rounds 3
    python -m bench.scaling --plan 10000             what 10,000 runs/s need, by the figures of `make bench`

On a machine with few cores the processes share what there is: throughput then says nothing about a cluster, but the CPU
time of a run says what the sharing costs (smaller batches, more requests to broker and database).
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bson import encode

from bench import _capacity, _house, _report, _w1, _w1_steps, throwaway
from headrace.adapters.mongo import run_documents

RESULTS = throwaway.ROOT / "bench" / "results" / "scaling.json"
GROUPS = ("trigger", "orchestrator", "invoker", "api", "broker", "database")


def measure(chosen: argparse.Namespace) -> dict[str, list[_w1.Figures]]:
    """The windows for each number of processes, round by round."""
    found: dict[str, list[_w1.Figures]] = {str(count): [] for count in chosen.processes}
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        folder = Path(name)
        with _house.servers(folder) as its, _house.receiver(folder) as (url, pid):
            house = _house.House(its, folder)
            house.prepare(url)
            first, warm_up = 0, chosen.warm_up
            for _ in range(chosen.rounds):
                for count in chosen.processes:
                    with house.services(orchestrator=count, invoker=count) as pids:
                        watch = {**its.pids, **pids, "echo": [pid]}
                        more = {"warm_up": warm_up, "runs": chosen.runs, "in_flight": chosen.in_flight}
                        figures = _w1.generate(its, "saturation", "headrace.", first, watch, **more)
                    first, warm_up = first + figures["published"], chosen.warm_up // 4
                    found[str(count)].append(figures)
                    print(f"{count} of each: {figures['runs_per_s']:.0f} runs/s", flush=True)
    return found


def summary(windows: Sequence[_w1.Figures]) -> dict[str, Any]:
    """The medians of some windows."""
    cpu = {name: statistics.median(it["cpu_ms_per_run"][name] for it in windows) for name in GROUPS}
    return {
        "runs_per_s": statistics.median(it["runs_per_s"] for it in windows),
        "cpu_ms_per_run": {"total": sum(cpu.values()), **cpu},
    }


def show(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the table for docs/scaling.md."""
    print(f"\n| orchestrators, invokers | runs/s | CPU a run, all | {' | '.join(GROUPS)} |")
    print(f"|{'---|' * (3 + len(GROUPS))}")
    for count, figures in found.items():
        cpu = figures["cpu_ms_per_run"]
        cells = [f"{count} and {count}", f"{figures['runs_per_s']:.0f}", f"{cpu['total']:.2f} ms"]
        print(f"| {' | '.join([*cells, *(f'{cpu[name]:.2f}' for name in GROUPS)])} |")


def plan(rate: float, results: Path) -> None:
    """Print the arithmetic of docs/scaling.md from the figures of `make bench`."""
    w1 = json.loads(results.read_text(encoding="utf-8"))["w1"]
    runs = sum(len(encode(run_documents.encode(step.saved, 1, 0))) for step in _w1_steps.steps())
    others = w1["bytes_per_run"]["mongodb.data.claims"] + w1["bytes_per_run"]["mongodb.data.ledger"]
    _capacity.show(w1, runs + others, rate)


def main() -> None:
    """Parse the command line, measure, print, save."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4], help="of each of the two services")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5_000, help="in each window")
    parser.add_argument("--warm-up", type=int, default=4_000, help="runs before the first window")
    parser.add_argument("--in-flight", type=int, default=400)
    parser.add_argument("--plan", type=float, metavar="RATE", help="measure nothing: say what so many runs/s need")
    parser.add_argument("--results", type=Path, default=throwaway.ROOT / "bench" / "results" / "latest.json")
    chosen = parser.parse_args()
    if chosen.plan:
        plan(chosen.plan, chosen.results)
        return
    windows = measure(chosen)
    found = {count: summary(them) for count, them in windows.items()}
    show(found)
    facts = {"commit": _report.commit(), "machine": _report.machine()}
    RESULTS.write_text(json.dumps({**facts, "processes": found, "windows": windows}, indent=2) + "\n", encoding="utf-8")
    print(f"\nSaved to {RESULTS.relative_to(throwaway.ROOT)}.")


if __name__ == "__main__":
    main()
