"""What one record costs a Kafka client: aiokafka by itself against a faust-streaming agent (ADR 0002).

    python -m bench.kafka_clients            set up if need be, measure, print a table
    python -m bench.kafka_clients --setup    only make the throw-away environment
    python -m bench.kafka_clients --clean    remove it

The broker is librdkafka's mock cluster, which speaks the wire protocol on loopback inside the package
confluent-kafka; it runs in a process of its own, so only the client's CPU is counted. A round fills a topic and lets
each client read it and write every record to another topic. Clients take turns within a round: what the machine does
meanwhile hits all of them, so read the ratio rather than the figure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from bench import throwaway

NAME = "kafka_clients"
REQUIREMENTS = ("aiokafka==0.14.0", "faust-streaming==0.15.3", "confluent-kafka==2.16.1")
VALUE = json.dumps({"workflow": "restart", "run": "r" * 26, "payload": "x" * 400}).encode()
BATCH = 500
WARM_UP = 1_000
PARTITIONS = 4  # what the mock cluster gives a topic; it forgets a partition's oldest records beyond 5 MB


class CpuClock:
    """CPU time of this process per record, from the end of the warm-up to the last record."""

    def __init__(self, records: int) -> None:
        self.records = records
        self.seen = 0
        self.started_at = 0.0
        self.microseconds_per_record = 0.0
        self.done = asyncio.Event()

    def count(self, records: int) -> None:
        """Say that so many more records are finished."""
        before, self.seen = self.seen, self.seen + records
        if before < WARM_UP <= self.seen:
            self.started_at, self.started_with = time.process_time(), self.seen
        if self.seen >= self.records and not self.done.is_set():
            spent = time.process_time() - self.started_at
            self.microseconds_per_record = spent / (self.seen - self.started_with) * 1e6
            self.done.set()


def serve_mock_cluster() -> None:
    """Hold a mock cluster until standard input closes; print its addresses first."""
    from confluent_kafka import Producer

    holder = Producer({"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 1, "log_level": 0})
    brokers = holder.list_topics(timeout=10).brokers.values()
    print(",".join(f"{broker.host}:{broker.port}" for broker in brokers), flush=True)
    sys.stdin.read()


def fill(servers: str, topic: str, records: int) -> None:
    """Write the records of a round, in a process that is not measured."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": servers, "linger.ms": 5, "queue.buffering.max.messages": 1_000_000})
    for number in range(records):
        producer.produce(topic, VALUE, key=str(number).encode(), partition=number % PARTITIONS)
    if producer.flush(60):
        raise SystemExit("the mock cluster did not take all records")
    print("{}")


async def aiokafka_batches(servers: str, topic: str, clock: CpuClock, *, produce: bool) -> None:
    """The way our services use it: a batch is fetched, its outputs are sent, all are awaited, the offset is kept."""
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False, auto_offset_reset="earliest")
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=0)
    await consumer.start()
    await producer.start()
    consumer.assign([TopicPartition(topic, partition) for partition in range(PARTITIONS)])
    try:
        while not clock.done.is_set():
            fetched = await consumer.getmany(timeout_ms=1000, max_records=BATCH)
            records = [record for several in fetched.values() for record in several]
            if produce:
                sent = [await producer.send(f"{topic}-out", r.value, key=r.key) for r in records]
                await asyncio.gather(*sent)
            clock.count(len(records))
    finally:
        await producer.stop()
        await consumer.stop()


async def faust_agent(servers: str, topic: str, clock: CpuClock, *, produce: bool, take: bool) -> None:
    """A Faust agent at its defaults, save what the mock cluster does not offer (topic creation, leader election)."""
    import faust

    app = faust.App(
        f"bench-{topic}",
        broker=f"kafka://{servers}",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        topic_partitions=PARTITIONS,
        consumer_auto_offset_reset="earliest",
        value_serializer="raw",
        key_serializer="raw",
        reply_create_topic=False,
        datadir=str(throwaway.CACHE / NAME / "faust"),
    )
    source = app.topic(topic, value_type=bytes, key_type=bytes)
    sink = app.topic(f"{topic}-out", value_type=bytes, key_type=bytes)

    async def one_by_one(stream: Any) -> None:
        async for event in stream.events():
            if produce:
                await sink.send(key=event.key, value=event.value)
            clock.count(1)

    async def by_batch(stream: Any) -> None:
        async for values in stream.take(BATCH, within=0.05):
            clock.count(len(values))

    app.agent(source)(by_batch if take else one_by_one)
    worker = faust.Worker(app, loop=asyncio.get_running_loop(), loglevel="ERROR", override_logging=False)
    starting = asyncio.ensure_future(worker.start())
    try:
        await clock.done.wait()
    finally:
        starting.cancel()
        await worker.stop()


WAYS: dict[str, Callable[[str, str, CpuClock], Awaitable[None]]] = {
    "aiokafka, consume and produce": lambda s, t, c: aiokafka_batches(s, t, c, produce=True),
    "Faust agent, consume and produce": lambda s, t, c: faust_agent(s, t, c, produce=True, take=False),
    "aiokafka, consume only": lambda s, t, c: aiokafka_batches(s, t, c, produce=False),
    "Faust agent, consume only": lambda s, t, c: faust_agent(s, t, c, produce=False, take=False),
    "Faust agent, consume only, take()": lambda s, t, c: faust_agent(s, t, c, produce=False, take=True),
}


async def run_way(way: str, servers: str, topic: str, records: int) -> None:
    """Measure one way in this process and print its figure."""
    clock = CpuClock(records)
    await asyncio.wait_for(WAYS[way](servers, topic, clock), 120)
    print(json.dumps({"us": clock.microseconds_per_record}), flush=True)


def compare(rounds: int, records: int) -> None:
    """Start the mock cluster, let every way take its turn in every round, print the table."""
    python = throwaway.set_up(NAME, REQUIREMENTS)
    module = f"bench.{NAME}"
    command = [str(python), "-m", module, "--broker"]
    broker = subprocess.Popen(
        command, cwd=throwaway.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    figures: dict[str, list[float]] = {way: [] for way in WAYS}
    with throwaway.stopped_afterwards(broker):
        assert broker.stdout is not None
        servers = broker.stdout.readline().strip()
        for number in range(rounds):
            for index, way in enumerate(WAYS):
                common = ["--servers", servers, "--topic", f"round{number}-way{index}", "--records", str(records)]
                throwaway.measure(python, module, "--fill", *common)
                figures[way].append(throwaway.measure(python, module, "--way", way, *common)["us"])
    for what in ("consume and produce", "consume only"):
        rows = {way: values for way, values in figures.items() if what in way}
        throwaway.print_table(f"Kafka clients on librdkafka's mock cluster: {what}", "µs of client CPU a record", rows)


def main() -> None:
    """Parse the command line; the options below the first three serve the child processes."""
    parser = argparse.ArgumentParser(prog=f"python -m bench.{NAME}", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--setup", action="store_true")
    parser.add_argument("--clean", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--records", type=int, default=20_000)
    for name in ("--servers", "--topic", "--way"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    for name in ("--broker", "--fill"):
        parser.add_argument(name, action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.clean:
        throwaway.clean(NAME)
    elif chosen.setup:
        throwaway.set_up(NAME, REQUIREMENTS)
    elif chosen.broker:
        serve_mock_cluster()
    elif chosen.fill:
        fill(chosen.servers, chosen.topic, chosen.records)
    elif chosen.way:
        asyncio.run(run_way(chosen.way, chosen.servers, chosen.topic, chosen.records))
    else:
        compare(chosen.rounds, chosen.records)


if __name__ == "__main__":
    main()
