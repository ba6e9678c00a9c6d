"""Where a service's CPU goes under load: py-spy on one service of W1 at saturation.

    python -m bench.profiling orchestrator                  top functions, by own and by whole time
    python -m bench.profiling invoker --seconds 20 --raw invoker.folded
    python -m bench.profiling all                           the three services one after the other

py-spy (in a throw-away environment, bench/throwaway.py) samples the process from outside: it needs the right to trace
it, which the same user has where /proc/sys/kernel/yama/ptrace_scope is 0, and root always. Only samples in which the
process runs count, so idle waits are not in the figures. Time in C code (aiokafka's and pymongo's extensions, orjson,
system calls) belongs to the Python function that called it; `--native` names the C functions too. The `--raw` file
holds folded stacks, as flame graph programs read them. For the broker and mongod: `perf top -p PID` while this runs.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from bench import _house, _w1, throwaway

NAME = "profiling"
REQUIREMENTS = ("py-spy==0.4.1",)
SERVICES = ("trigger", "orchestrator", "invoker")
RATE = 250
"""Samples a second."""
_NEARLY_ALL = 0.9
"""A function with so much of the time is the frame of everything, and tells nothing."""


def sample(spy: Path, pid: int, seconds: float, native: bool, into: Path) -> None:
    """Write folded stacks of the process to a file."""
    command = [str(spy), "record", "--pid", str(pid), "--duration", f"{seconds:g}", "--rate", str(RATE)]
    command += ["--format", "raw", "--output", str(into), "--nonblocking" if not native else "--native"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not into.exists():
        raise SystemExit(f"py-spy cannot sample process {pid}: {done.stderr.strip()[-1000:]}")


def folded(lines: Iterable[str]) -> list[tuple[list[str], int]]:
    """Stacks, outermost first and without line numbers, with their samples."""
    found = []
    for line in lines:
        stack, _, count = line.rpartition(" ")
        if not count.isdigit():
            continue  # without stopping the process, a sample now and then is read while it changes, and is no name
        frames = [_place(frame) for frame in stack.split(";")]
        found.append((frames, int(count)))
    return found


def _place(frame: str) -> str:
    """`function (package/module.py)` without the line, and without where packages lie."""
    name, _, where = frame.partition(" (")
    path = where.rstrip(")").rpartition(":")[0] or where.rstrip(")")
    return f"{name} ({'/'.join(path.split('/')[-3:])})" if path else name


def show(service: str, stacks: list[tuple[list[str], int]], cpu_ms_per_run: float, most: int) -> None:
    """Print the functions with the most time: their own, and with all that they call."""
    total = sum(count for _, count in stacks)
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for frames, count in stacks:
        own[frames[-1]] += count
        for frame in set(frames):
            whole[frame] += count
    print(f"\n{service}: {cpu_ms_per_run:.3f} ms of CPU a run, {total:,} samples")
    for title, counter in (("with what it calls", whole), ("by itself", own)):
        print(f"  {title}")
        shown = [(name, count / total) for name, count in counter.most_common() if count / total < _NEARLY_ALL]
        for name, share in shown[:most]:
            print(f"    {share:>6.1%} {share * cpu_ms_per_run * 1e3:>7.0f} µs  {name}")


def profile(services: Iterable[str], chosen: argparse.Namespace) -> None:
    """Start everything, keep it saturated, sample one service after the other."""
    python = throwaway.set_up(NAME, REQUIREMENTS)
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        folder = Path(name)
        with _house.servers(folder) as its, _house.receiver(folder) as (url, _):
            house = _house.House(its, folder)
            house.prepare(url)
            with house.services() as pids:
                watch = {**its.pids, **pids}
                first = chosen.warm_up * 2
                _w1.generate(its, "saturation", "headrace.", 0, watch, warm_up=chosen.warm_up, runs=100)
                for service in services:
                    raw = chosen.raw or folder / f"{service}.folded"
                    given = (python.with_name("py-spy"), pids[service][0], chosen.seconds, chosen.native, raw)
                    sampling = threading.Thread(target=sample, args=given)
                    sampling.start()
                    figures: list[_w1.Figures] = []
                    while sampling.is_alive():
                        more = {"warm_up": 400, "runs": chosen.runs, "in_flight": chosen.in_flight}
                        figures.append(_w1.generate(its, "saturation", "headrace.", first, watch, **more))
                        first += figures[-1]["published"]
                    sampling.join()
                    stacks = folded(raw.read_text(errors="replace").splitlines())
                    show(service, stacks, figures[0]["cpu_ms_per_run"][service], chosen.most)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.profiling", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("service", choices=(*SERVICES, "all"), nargs="?", default="all")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to sample each")
    parser.add_argument("--runs", type=int, default=5_000, help="in each window of the load meanwhile")
    parser.add_argument("--warm-up", type=int, default=2_000)
    parser.add_argument("--in-flight", type=int, default=400)
    parser.add_argument("--most", type=int, default=25, help="functions to print")
    parser.add_argument("--native", action="store_true", help="name C functions too; stops the process for each sample")
    parser.add_argument("--raw", type=Path, help="keep the folded stacks there")
    parser.add_argument("--clean", action="store_true", help="remove py-spy and end")
    chosen = parser.parse_args()
    if chosen.clean:
        throwaway.clean(NAME)
        sys.exit()
    profile(SERVICES if chosen.service == "all" else (chosen.service,), chosen)


if __name__ == "__main__":
    main()
