"""What lingering and compressing cost and save, by the size of what is published at one time (docs/kafka.md).

    python -m bench.kafka_settings              start a broker, measure, print a table
    KAFKA_BOOTSTRAP_SERVERS=... python -m bench.kafka_settings --broker-pid 4711

Records of about a kilobyte, as run events are: JSON with ids that differ. Publishers as our services are: a batch loop
that publishes one batch after the other, and many calls of one record at one time, as in the api. Each shape is
measured in a process of its own, in turns; per 1,000 records it reports the CPU time of that process, that of the
broker, and how long one publish takes. Compression by lz4 and zstd needs the package cramjam and is left out without.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench._process import cpu_seconds
from headrace.adapters.clock import SystemClock
from headrace.adapters.kafka import KafkaLog, KafkaSettings
from headrace.adapters.kafka.topics import TopicSpec, create_topics
from headrace.ports.log import Message
from headrace.runtime import process
from tools.servers.kafka import Kafka

PARTITIONS = 8
SHAPES = ((1, 1), (20, 1), (1, 20), (1, 200))
"""Publishers at one time, and records in a publish of each."""
LINGERS = (0.0, 1.0, 5.0)
COMPRESSIONS = ("none", "lz4", "zstd")


def a_record(topic: str) -> Message:
    """About a kilobyte that a compressor can make something of, and not everything."""
    run = secrets.token_hex(13)
    body = {
        "v": 1, "type": "node_run.completed", "run": run, "seq": 7, "at": 1_750_000_000_000, "workflow": "restart",
        "version": 3, "node": "restart-service", "attempt": 1, "by": "user:ann@example.com",
        "outputs": {"status": 200, "id": secrets.token_hex(16), "token": secrets.token_urlsafe(240), "items": [
            {"name": f"service-{number}", "url": f"https://example.com/services/{number}", "up": True}
            for number in range(5)
        ]},
    }  # fmt: skip
    return Message(topic, run, json.dumps(body).encode(), (("ce_type", b"headrace.node_run.completed"), ("v", b"1")))


def broker_cpu_seconds(pid: int) -> float:
    """User and system time of the broker so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def publish(
    servers: str, pid: int, topic: str, shape: tuple[int, int], linger: float, compression: str, records: int
) -> None:
    """Measure one shape in this process and print its figures."""
    settings = KafkaSettings.model_validate(
        {"bootstrap_servers": servers, "linger_ms": linger, "compression": compression}
    )
    messages = [a_record(topic) for _ in range(2_000)]
    log = KafkaLog(settings, SystemClock())
    await log.start()
    publishers, batch = shape
    waits: list[float] = []

    async def work(count: int) -> None:
        for start in range(0, count // publishers, batch):
            at = start % (len(messages) - batch + 1)
            asked = time.perf_counter()
            await log.publish(messages[at : at + batch])
            waits.append(time.perf_counter() - asked)

    await asyncio.gather(*(work(records // 10) for _ in range(publishers)))
    waits.clear()
    client, broker, began = cpu_seconds(), broker_cpu_seconds(pid), time.perf_counter()
    await asyncio.gather(*(work(records) for _ in range(publishers)))
    thousands = records / 1_000
    figures = {
        "client_ms": (cpu_seconds() - client) * 1_000 / thousands,
        "broker_ms": (broker_cpu_seconds(pid) - broker) * 1_000 / thousands,
        "publish_ms": statistics.median(waits) * 1_000,
        "seconds": time.perf_counter() - began,
    }
    await log.close()
    print(json.dumps(figures), flush=True)


async def consume(servers: str, topic: str, batch: int, records: int) -> None:
    """What a record costs that is fetched and published again, as a service does it: figures of this process."""
    settings = KafkaSettings(bootstrap_servers=servers)
    log = KafkaLog(settings, SystemClock())
    await log.start()
    group = f"bench.{secrets.token_hex(4)}"
    messages = [a_record(topic) for _ in range(1_000)]
    for _ in range(0, records + 1_000, len(messages)):
        await log.publish(messages)
    consumer = await log.subscribe(group, [topic])
    out = f"{topic}.out"
    seen, client = 0, 0.0
    while seen < records + 1_000:
        fetched = await consumer.fetch(batch, 5)
        if seen < 1_000 <= seen + len(fetched):
            client, counted_from = cpu_seconds(), seen + len(fetched)
        await log.publish([Message(out, it.key, it.value, it.headers) for it in fetched])
        seen += len(fetched)
    microseconds = (cpu_seconds() - client) / (seen - counted_from) * 1e6
    await log.close()
    print(json.dumps({"us_per_record": microseconds}), flush=True)


def run_part(*arguments: str) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", "bench.kafka_settings", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr[-4000:]}")
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def compare(servers: str, pid: int, rounds: int, records: int) -> None:
    """Every shape in turn, so many rounds; prints medians as a Markdown table."""
    settings = KafkaSettings(bootstrap_servers=servers)
    topic = f"bench.{secrets.token_hex(4)}"
    specs = [TopicSpec(topic, 1), TopicSpec(f"{topic}.out", 1)]
    asyncio.run(create_topics(settings, specs, PARTITIONS))
    compressions = COMPRESSIONS if importlib.util.find_spec("cramjam") else COMPRESSIONS[:1]
    found: dict[tuple[tuple[int, int], float, str], list[dict[str, float]]] = {}
    common = ["--servers", servers, "--broker-pid", str(pid), "--topic", topic]
    for _ in range(rounds):
        for publishers, batch in SHAPES:
            for linger in LINGERS:
                for compression in compressions:
                    count = records if publishers * batch > 1 else records // 20
                    shape = [
                        "--publishers",
                        str(publishers),
                        "--batch",
                        str(batch),
                        "--linger",
                        str(linger),
                        "--compression",
                        compression,
                    ]
                    figures = run_part("--publish", *common, *shape, "--records", str(count))
                    found.setdefault(((publishers, batch), linger, compression), []).append(figures)
    print("| publishers × records | linger, ms | compression | client, ms | broker, ms | one publish, ms |")
    print("|---|---|---|---|---|---|")
    for ((publishers, batch), linger, compression), several in found.items():
        names = ("client_ms", "broker_ms", "publish_ms")
        medians = [statistics.median(it[name] for it in several) for name in names]
        cells = [f"{publishers} × {batch}", f"{linger:g}", compression, *(f"{value:.1f}" for value in medians)]
        print(f"| {' | '.join(cells)} |")
    for batch in (20, 200, 1_000):
        values = [
            run_part("--consume", *common, "--batch", str(batch), "--records", str(records)) for _ in range(rounds)
        ]
        median = statistics.median(it["us_per_record"] for it in values)
        print(f"fetched and published in batches of up to {batch}: {median:.1f} µs of client CPU a record")


def main() -> None:
    """Parse the command line; the options below the first three serve the child processes."""
    parser = argparse.ArgumentParser(prog="python -m bench.kafka_settings", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--broker-pid", type=int)
    parser.add_argument("--servers", default=os.environ.get("KAFKA_BOOTSTRAP_SERVERS"), help=argparse.SUPPRESS)
    parser.add_argument("--topic", help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--publishers", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--linger", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--compression", help=argparse.SUPPRESS)
    for name in ("--publish", "--consume"):
        parser.add_argument(name, action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.publish:
        shape = ((chosen.publishers, chosen.batch), chosen.linger, chosen.compression, chosen.records)
        process.run(publish(chosen.servers, chosen.broker_pid, chosen.topic, *shape))
    elif chosen.consume:
        process.run(consume(chosen.servers, chosen.topic, chosen.batch, chosen.records))
    elif chosen.servers and chosen.broker_pid:
        compare(chosen.servers, chosen.broker_pid, chosen.rounds, chosen.records)
    else:
        with tempfile.TemporaryDirectory() as folder, Kafka(Path(folder) / "kafka") as server:
            compare(server.bootstrap_servers, server.pid, chosen.rounds, chosen.records)


if __name__ == "__main__":
    main()
