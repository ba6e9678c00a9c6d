"""What a run costs on Kafka and MongoDB, held against budgets and against the floor (docs/benchmarks.md).

    make bench                                      all parts, under eight minutes
    make bench ARGS="--quick"                       all parts in short, to see that they work
    make bench ARGS="--only w1 --rounds 5"          one part

Every service, the broker, the database, the receiver of the webhooks and the load generator is a process of its own;
the floor (bench._skeleton) takes turns with the services on the same broker and database. A busy machine makes every
figure larger: read the ratio to the floor rather than the figure.

All figures go to bench/results/latest.json after a whole run, else to .cache/bench/production.json.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from bench import _house, _report, _w1, micro, throwaway

RESULTS = throwaway.ROOT / "bench" / "results" / "latest.json"
PARTIAL_RESULTS = throwaway.CACHE / "production.json"
PARTS = ("w1", "micro", "list")


def parsed() -> argparse.Namespace:
    """The command line; `--quick` changes what is not given."""
    parser = argparse.ArgumentParser(prog="python -m bench.production", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="everything in short: shows that it works, measures badly")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; may be given again")
    parser.add_argument("--rounds", type=int, help="of saturation, each with new services and a new floor (3)")
    parser.add_argument("--runs", type=int, help="in the window of each round (5,000)")
    parser.add_argument("--warm-up", type=int, help="runs before the first window (5,000)")
    parser.add_argument("--in-flight", type=int, default=400, help="runs in flight at saturation (400)")
    parser.add_argument("--latency-seconds", type=float, help="at each rate (20)")
    parser.add_argument("--no-latency", action="store_true", help="leave the fixed rates out")
    parser.add_argument(
        "--floor-indexes", action="store_true", help="give the floor's collections the engine's indexes"
    )
    parser.add_argument(
        "--list-runs", type=int, nargs="+", help="stored runs of the part `list` (100,000 and 1,000,000)"
    )
    parser.add_argument("--markdown", action="store_true", help="print the table for docs/benchmarks.md too")
    parser.add_argument("--output", type=Path, help="write the figures there")
    chosen = parser.parse_args()
    full = {"rounds": 3, "runs": 5_000, "warm_up": 5_000, "latency_seconds": 20.0, "list_runs": [100_000, 1_000_000]}
    quick = {"rounds": 1, "runs": 1_500, "warm_up": 1_000, "latency_seconds": 5.0, "list_runs": [20_000]}
    for name, value in (quick if chosen.quick else full).items():
        if getattr(chosen, name) is None:
            setattr(chosen, name, value)
    return chosen


def main() -> None:
    """Parse the command line, measure, print, save."""
    chosen = parsed()
    began = time.perf_counter()
    found: dict[str, object] = {
        "commit": _report.commit(), "machine": _report.machine(), "form": "quick" if chosen.quick else "full",
    }  # fmt: skip
    rows: list[_report.Row] = []
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        folder = Path(name)
        with _house.servers(folder) as its, _house.receiver(folder) as (url, pid):
            for part in chosen.only or PARTS:
                print(f"[{time.perf_counter() - began:4.0f} s] {part}", flush=True)
                if part == "w1":
                    figures = _w1.W1(its, url, pid, folder, chosen).measure()
                    rows += _w1.rows(figures)
                    found |= figures
                else:
                    measure = micro.measure if part == "micro" else micro.measure_lists
                    measured = measure(its, folder, chosen)
                    rows += micro.rows(measured)
                    found["micro"] = {**found.get("micro", {}), **measured}  # type: ignore[dict-item]
    seconds = time.perf_counter() - began
    _report.show(rows)
    if chosen.markdown:
        _report.show_markdown(rows)
    save(chosen, {**found, "seconds": round(seconds, 1)}, seconds)


def save(chosen: argparse.Namespace, found: dict[str, object], seconds: float) -> None:
    """Write all figures as JSON; a run that was short or in part does not replace a whole one's."""
    is_whole = not (chosen.quick or chosen.only or chosen.no_latency or chosen.floor_indexes)
    path: Path = chosen.output or (RESULTS if is_whole else PARTIAL_RESULTS)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    shown = path.relative_to(throwaway.ROOT) if path.is_relative_to(throwaway.ROOT) else path
    print(f"\nSaved to {shown} after {seconds:.0f} s.")


if __name__ == "__main__":
    main()
