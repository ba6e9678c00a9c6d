"""What single parts cost: an event that matches nothing, pure functions, a page of the runs list.

python -m bench.micro                                        part of `make bench`; alone it prints its own table
python -m bench.micro --only list --list-runs 100000         one part
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import _house, _listing, _report, throwaway
from bench._house import Servers
from bench._report import Row

TRIGGERS = (10, 100, 1_000, 10_000)
_UNMATCHED_BUDGETS = {10: 40.0, 10_000: 80.0}
_LIST_BUDGET_MS = 50.0

Figures = dict[str, Any]


def measure(its: Servers, folder: Path, chosen: argparse.Namespace) -> Figures:
    """Events that match nothing, on Kafka and MongoDB, and the pure functions; both in processes of their own."""
    python = Path(sys.executable)
    events = ("--events", "4000", "--warm-up", "1000") if chosen.quick else ()
    common = ("--servers", its.kafka.bootstrap_servers, "--mongodb", its.mongo.uri, *events)
    unmatched = {}
    for triggers in TRIGGERS:
        figures = throwaway.measure(python, "bench._unmatched_servers", *common, "--triggers", str(triggers))
        unmatched[str(triggers)] = figures["us_per_event"]
    return {"unmatched_us": unmatched, "core_us": throwaway.measure(python, "bench._core_costs")}


def measure_lists(its: Servers, folder: Path, chosen: argparse.Namespace) -> Figures:
    """Pages of the runs list."""
    return {"list": _listing.measure(its, folder, sorted(chosen.list_runs))}


def rows(found: Figures) -> list[Row]:
    """The lines of the report."""
    lines: list[Row] = []
    for count, figure in found.get("unmatched_us", {}).items():
        what = f"event that matches none of {int(count):,} triggers"
        lines.append(Row("micro", what, "µs", figure, _UNMATCHED_BUDGETS.get(int(count))))
    lines.extend(Row("micro", what, "µs", figure) for what, figure in found.get("core_us", {}).items())
    for count, figures in found.get("list", {}).items():
        part = f"runs list, {int(count):,} stored, pages of {_listing.PAGE}"
        for name, cuts in figures["api_ms"].items():
            lines.append(Row(part, f"{name}, API, p50", "ms", cuts["p50"]))
            lines.append(Row(part, f"{name}, API, p95", "ms", cuts["p95"], _LIST_BUDGET_MS))
            lines.append(Row(part, f"{name}, store alone, p95", "ms", figures["store_ms"][name]["p95"]))
    return lines


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.micro", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=("micro", "list"), action="append")
    parser.add_argument("--quick", action="store_true", help="fewer events")
    parser.add_argument("--list-runs", type=int, nargs="+", default=[100_000])
    chosen = parser.parse_args()
    found: Figures = {}
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name, _house.servers(Path(name)) as its:
        for part in chosen.only or ("micro", "list"):
            found |= (measure if part == "micro" else measure_lists)(its, Path(name), chosen)
    _report.show(rows(found))


if __name__ == "__main__":
    main()
