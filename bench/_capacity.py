"""From what one run costs to what a cluster needs: the arithmetic of docs/scaling.md.

Measured are CPU time and bytes per run, on one machine. What is assumed is named here, and nothing else is.
"""

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Any

BUSY = 0.6
"""Assumed: how busy a process or a core may be on average, so that peaks and a lost neighbour fit in."""
REPLICAS = 3
"""Of Kafka's partitions and of MongoDB's documents."""
FOLLOWER_SHARE = 0.5
"""Assumed: what a follower or secondary spends on a run, as a share of what its leader or primary does."""
PARTITIONS_PER_PROCESS = 4
"""Assumed: so many partitions per process that one partition more or less is a quarter of its work."""
SHARD_BYTES_A_SECOND = 60e6
"""Assumed: document bytes that one primary journals and replicates a second, for hours."""
DAY = 86_400
TOPIC_DAYS = {
    "entity.changes.v1": 7,
    "run.events.v1": 7,
    "run.commands.v1": 3,
    "node.requests.v1": 3,
    "node.results.v1": 3,
}
RUN_DAYS, CLAIM_DAYS, LEDGER_DAYS = 30, 14, 14

Line = tuple[str, str, str, str]


def lines(w1: Mapping[str, Any], saved_bytes: float, rate: float) -> Iterator[Line]:
    """What, per run, at that rate, and what it comes to."""
    cpu, left = w1["cpu_ms_per_run"], w1["bytes_per_run"]
    most = 0
    for name in ("trigger", "orchestrator", "invoker"):
        cores = cpu[name] * rate / 1e3
        count = ceil(cores / BUSY)
        most = max(most, count)
        yield f"{name}, CPU", f"{cpu[name]:.2f} ms", f"{cores:.1f} cores", f"{count} processes"
    partitions = most * PARTITIONS_PER_PROCESS
    yield "partitions", "", f"{rate / partitions:,.0f} runs/s each", f"{partitions} in each topic"
    cores = cpu["broker"] * rate / 1e3 * (1 + (REPLICAS - 1) * FOLLOWER_SHARE)
    yield (
        "brokers, CPU",
        f"{cpu['broker']:.2f} ms",
        f"{cores:.1f} cores",
        f"{ceil(cores / BUSY)} cores over all brokers",
    )
    log = left["kafka.log"]
    yield "brokers, written", _size(log), f"{_size(log * rate)}/s", f"{_size(log * rate * REPLICAS)}/s over all brokers"
    kept = sum(left[f"kafka.log.{topic}"] * days for topic, days in TOPIC_DAYS.items()) * rate * DAY
    yield "brokers, kept 3 and 7 days", "", _size(kept), f"{_size(kept * REPLICAS)} over all brokers"
    primaries = cpu["database"] * rate / 1e3
    cores = primaries * (1 + (REPLICAS - 1) * FOLLOWER_SHARE)
    yield (
        "MongoDB, CPU",
        f"{cpu['database']:.2f} ms",
        f"{primaries:.1f} cores of primaries",
        f"{ceil(cores / BUSY)} cores in all",
    )
    shards = ceil(saved_bytes * rate / SHARD_BYTES_A_SECOND)
    yield "MongoDB, journaled", _size(saved_bytes), f"{_size(saved_bytes * rate)}/s", f"{shards} shards"
    days = {"runs": RUN_DAYS, "claims": CLAIM_DAYS, "ledger": LEDGER_DAYS}
    kept = sum(left[f"mongodb.stored.{name}"] * count for name, count in days.items()) * rate * DAY
    yield "MongoDB, kept 30 and 14 days", "", _size(kept), f"{_size(kept * REPLICAS)} over all nodes"


def show(w1: Mapping[str, Any], saved_bytes: float, rate: float) -> None:
    """Print the table of docs/scaling.md."""
    print(f"\n| what | a run | at {rate:,.0f} runs/s | comes to |\n|---|---|---|---|")
    for line in lines(w1, saved_bytes, rate):
        print(f"| {' | '.join(line)} |")


def _size(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 1_000 or unit == "TB":
            return f"{size:.3g} {unit}"
        size /= 1_000
    raise AssertionError
