"""W1 on the production path and its floor, in turns on the same servers: saturation, latency, memory, bytes."""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import _footprint, _skeleton, throwaway
from bench._house import SERVICES, House, Servers
from bench._process import peak_megabytes, resident_megabytes
from bench._report import Row
from headrace.runtime import process

RATES = (10, 100)
FLOOR = _skeleton.NAME
_MARKED_SECONDS = 2.5
"""After so long the last outboxes are marked as sent, and their bytes gone."""
_IDLE_SECONDS = 3.0
_LATENCY_BUDGETS = {10: {"p50": 20.0, "p99": 40.0}, 100: {"p50": 30.0, "p99": 80.0}}

_LEFT_BEHIND = {
    "mongodb.data": "MongoDB, documents",
    "mongodb.stored": "MongoDB, documents on disk",
    "mongodb.indexes": "MongoDB, indexes on disk",
    "kafka.log": "Kafka, on disk",
}

Figures = dict[str, Any]


def generate(
    its: Servers, part: str, prefix: str, first: int, watch: Mapping[str, Sequence[int]], **more: object
) -> Figures:
    """Have the load generator (bench._load) measure one part; its figures."""
    given = ["--servers", its.kafka.bootstrap_servers, "--prefix", prefix, "--first", str(first)]
    given += ["--watch", json.dumps(watch)]
    for name, value in more.items():
        given += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
    return throwaway.measure(Path(sys.executable), "bench._load", part, *given, time_limit_seconds=300)


class W1:
    """Measures both, and remembers how many events each has had."""

    def __init__(
        self, its: Servers, receiver: str, receiver_pid: int, folder: Path, chosen: argparse.Namespace
    ) -> None:
        self._servers = its
        self._receiver = receiver
        self._common = {**its.pids, "echo": [receiver_pid]}
        self._folder = folder
        self._chosen = chosen
        self._first = {"headrace": 0, FLOOR: 0}
        self.house = House(its, folder)

    def measure(self) -> Figures:
        """All of it: a first round with everything, more rounds of saturation alone."""
        self.house.prepare(self._receiver)
        process.run(
            _skeleton.prepare(
                self._servers.kafka.bootstrap_servers, self._servers.mongo.uri, self._chosen.floor_indexes
            )
        )
        rounds: dict[str, list[Figures]] = {"headrace": [], FLOOR: []}
        w1: Figures = {}
        floor: Figures = {}
        for number in range(self._chosen.rounds):
            with self.house.services() as pids:
                if number == 0:
                    w1["idle_rss_mb"] = self._idle(pids)
                rounds["headrace"].append(self._saturate("headrace", pids, number, w1))
                if number == 0 and not self._chosen.no_latency:
                    w1["latency_ms"] = self._latency("headrace", pids)
                if number == 0:
                    w1["peak_rss_mb_by_service"] = {it: peak_megabytes(pids[it][0]) for it in SERVICES}
            with _skeleton.running(self._servers, self._receiver, self._folder) as pids:
                rounds[FLOOR].append(self._saturate(FLOOR, pids, number, {}))
                if number == 0 and not self._chosen.no_latency:
                    floor["latency_ms"] = self._latency(FLOOR, pids)
        w1 |= _together(rounds["headrace"], SERVICES)
        w1["peak_rss_mb"] = sum(w1["peak_rss_mb_by_service"].values())
        floor |= _together(rounds[FLOOR], _skeleton.ROLES)
        floor["cpu_ms_per_run_by_group"] = floor["cpu_ms_per_run"]
        floor["cpu_ms_per_run"] = floor["cpu_ms_per_run"]["total"]
        return {"w1": w1, "floor": floor}

    def _idle(self, pids: Mapping[str, Sequence[int]]) -> dict[str, float]:
        time.sleep(_IDLE_SECONDS)
        return {name: resident_megabytes(pids[name][0]) for name in SERVICES}

    def _saturate(self, name: str, pids: Mapping[str, Sequence[int]], number: int, into: Figures) -> Figures:
        """One window. The first one of each also warms the broker's JVM, and tells what a run leaves behind."""
        chosen = self._chosen
        warm_up = chosen.warm_up if number == 0 else chosen.warm_up // 4
        if number == 0:  # bytes are counted from after the warm-up, which makes files as well
            self._load(name, "saturation", pids, warm_up=warm_up, runs=1, in_flight=chosen.in_flight)
            time.sleep(_MARKED_SECONDS)
            before, warm_up = self._bytes(name), 200
        figures = self._load(name, "saturation", pids, warm_up=warm_up, runs=chosen.runs, in_flight=chosen.in_flight)
        if number == 0:
            time.sleep(_MARKED_SECONDS)
            into["bytes_per_run"] = _footprint.per_run(before, self._bytes(name), figures["published"])
        return figures

    def _latency(self, name: str, pids: Mapping[str, Sequence[int]]) -> Figures:
        found = {}
        for rate in RATES:
            runs = max(50, int(rate * self._chosen.latency_seconds))
            figures = self._load(name, "latency", pids, warm_up=20, runs=runs, rate=rate)
            found[str(rate)] = {key: figures[key] for key in ("p50", "p90", "p99", "max", "runs", "cpu_ms_per_run")}
        return found

    def _load(self, name: str, part: str, pids: Mapping[str, Sequence[int]], **more: object) -> Figures:
        if name == FLOOR:
            more["floor"] = True
        figures = generate(self._servers, part, f"{name}.", self._first[name], {**self._common, **pids}, **more)
        self._first[name] += figures["published"]
        return figures

    def _bytes(self, name: str) -> dict[str, float]:
        return _footprint.measure(self._servers.mongo.uri, name, self._servers.kafka.data, f"{name}.")


def _together(rounds: Sequence[Figures], services: Sequence[str]) -> Figures:
    """The medians of some rounds, with sums by group: `total` is services, broker and database."""
    cpu = {name: statistics.median(it["cpu_ms_per_run"][name] for it in rounds) for name in rounds[0]["cpu_ms_per_run"]}
    of_services = statistics.median(sum(it["cpu_ms_per_run"][name] for name in services) for it in rounds)
    total = statistics.median(
        sum(it["cpu_ms_per_run"][name] for name in (*services, "broker", "database")) for it in rounds
    )
    return {
        "runs_per_s": statistics.median(it["runs_per_s"] for it in rounds),
        "transitions_per_s": statistics.median(it["transitions_per_s"] for it in rounds),
        "cpu_ms_per_run": {"total": total, "services": of_services, **cpu},
        "rounds": list(rounds),
    }


def rows(found: Figures) -> list[Row]:
    """The lines of the report."""
    w1, floor = found["w1"], found["floor"]
    cpu, least = w1["cpu_ms_per_run"], floor["cpu_ms_per_run_by_group"]
    at = "W1 at saturation"
    lines = [
        Row(at, "throughput", "runs/s", w1["runs_per_s"], 900, floor["runs_per_s"], at_least=True),
        Row(at, "transitions", "1/s", w1["transitions_per_s"], None, floor["transitions_per_s"]),
        Row(at, "CPU of services, broker, database", "ms/run", cpu["total"], 1.6, least["total"]),
        Row(at, "… as a multiple of the floor's", "", cpu["total"] / least["total"], 1.5),
        Row(at, "CPU of our services", "ms/run", cpu["services"], 1.0, least["services"]),
    ]
    for name in (*SERVICES, "broker", "database", "echo", "generator"):
        what = f"{'apart: ' if name in ('echo', 'generator') else ''}CPU of the {name}"
        lines.append(Row(at, what, "ms/run", cpu[name], None, least.get(name)))
    for rate, figures in w1.get("latency_ms", {}).items():
        for cut in ("p50", "p90", "p99"):
            what, budget = f"whole run at {rate} runs/s, {cut}", _LATENCY_BUDGETS[int(rate)].get(cut)
            lines.append(Row("W1 at a fixed rate", what, "ms", figures[cut], budget, floor["latency_ms"][rate][cut]))
    lines += [Row("memory", f"{name}, idle", "MB", w1["idle_rss_mb"][name], 80) for name in SERVICES]
    lines += [Row("memory", f"{name}, at most", "MB", w1["peak_rss_mb_by_service"][name]) for name in SERVICES]
    left = w1["bytes_per_run"]
    lines += [Row("what a run leaves behind", label, "bytes", left[key]) for key, label in _LEFT_BEHIND.items()]
    return lines
