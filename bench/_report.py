"""The report of the benchmarks: one line per figure, held against its budget and against the floor."""

import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.throwaway import ROOT


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `floor` is in the same unit; `at_least`: the budget is one from below; `rounds`: what `measured` is the
    median of."""

    part: str
    what: str
    unit: str
    measured: float
    budget: float | None = None
    floor: float | None = None
    at_least: bool = False
    rounds: tuple[float, ...] = ()

    @property
    def verdict(self) -> str:
        """Whether the budget holds; empty without one."""
        if self.budget is None:
            return ""
        return "holds" if (self.measured >= self.budget) == self.at_least or self.measured == self.budget else "MISSED"


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    print(f"\n{'':<58} {'measured':>10} {'budget':>9} {'':>7} {'floor':>9} {'/floor':>7}")
    part = ""
    for row in rows:
        if row.part != part:
            part = row.part
            print(part)
        sign = "≥" if row.at_least else "≤"
        budget = f"{sign + f' {row.budget:g}':>9} {row.verdict:>7}" if row.budget is not None else f"{'':>17}"
        floor = f"{_number(row.floor):>9} {row.measured / row.floor:>6.2f}x" if row.floor else ""
        print(f"  {row.what + ', ' + row.unit:<56} {_number(row.measured):>10} {budget} {floor}".rstrip())


def show_markdown(rows: Sequence[Row]) -> None:
    """Print the table for docs/benchmarks.md."""
    print("\n| what | measured | budget | | floor | of the floor |\n|---|---|---|---|---|---|")
    for row in rows:
        sign = "≥" if row.at_least else "≤"
        budget = f"{sign} {row.budget:g} {row.unit}".strip() if row.budget is not None else ""
        floor = f"{_number(row.floor)} {row.unit} | {row.measured / row.floor:.2f}" if row.floor else " | "
        what = row.what if row.part.startswith("W1") else f"{row.part}: {row.what}"
        print(f"| {what} | {_number(row.measured)} {row.unit} | {budget} | {row.verdict} | {floor} |")


def _number(value: float) -> str:
    if value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.{3 if value < 10 else 1}f}"


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    facts = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    names = {name.strip(): value.strip() for name, value in facts.items()}
    memory = Path("/proc/meminfo").read_text().split()[1]
    return {
        "processor": names.get("model name", platform.machine()),
        "cores": int(names.get("processor", "0")) + 1,
        "memory_gb": round(int(memory) / 1024 / 1024, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_average": [float(it) for it in Path("/proc/loadavg").read_text().split()[:3]],
    }


def commit() -> str:
    """The commit that was measured, with a mark when files differ from it; empty outside a repository."""
    asked = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
