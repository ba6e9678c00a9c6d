"""Those downstream of us count right: the two programs in examples/, as their readers run them, on a real broker."""

import asyncio
import hashlib
import itertools
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from headrace.contracts import codec
from headrace.contracts.record import Message
from headrace.contracts.topics import TopicNames
from headrace.core import ids
from headrace.core.commands import CancelRun, Failed, ReportAttempt, StartRun, Succeeded
from headrace.core.plan import Plan
from headrace.core.run import Causation
from tests.scenario import Scenario, edge, plan_of, start_node, webhook, workflow
from tools.servers import cache
from tools.servers.process import HOST, free_port

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "downstream_faust"
LOCK = EXAMPLE / "requirements.lock"
PARTITIONS = 3
MINUTE = 60_000
LAST = "last"
"""The workflow of the runs that are published at the very end, one to a partition: whoever counted them counted all."""

Result = Literal["SUCCESS", "FAILED", "CANCELLED"]
Counts = Counter[tuple[str, str, str]]
"""How often per workflow, minute and result."""


def faust_python() -> Path:
    """The interpreter of Faust's own environment, made from the example's lock the first time."""
    name = f"downstream-faust-{sys.implementation.cache_tag}-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:8]}"

    def make(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(LOCK)], check=True)

    return cache.kept(name, make) / "bin" / "python"


def plan(identifier: str) -> Plan:
    return plan_of({**workflow([start_node(), webhook("ask")], [edge("start", "ask")]), "identifier": identifier})


PLANS = {identifier: plan(identifier) for identifier in ("tier_change", "sandbox_expiry", LAST)}


def run_that_ended(identifier: str, result: Result, at: int, names: TopicNames) -> list[Message]:
    """All records of one run, as the orchestrator writes them."""
    run_id = "wfr_" + secrets.token_hex(8)
    scenario = Scenario(PLANS[identifier])
    scenario.give(StartRun(run_id, at - 1_500, identifier, 1, "start", {}, "tester", Causation("evt_1", "evt_1")))
    if result == "CANCELLED":
        scenario.give(CancelRun(run_id, at, "boss", True))
    else:
        answer = Succeeded({"response": {"status": 200}}) if result == "SUCCESS" else Failed("status", "answered 400")
        scenario.give(ReportAttempt(run_id, at, "ask", ids.node_run_id(run_id, "ask"), 1, answer))
    assert scenario.state.result == result
    return [codec.encode_event(scenario.state, event, names) for event in scenario.events]


@dataclass
class Published:
    """What is in the topic, and what must be counted."""

    servers: str
    names: TopicNames
    producer: AIOKafkaProducer
    begun: int = field(default_factory=lambda: time.time_ns() // 1_000_000 // MINUTE * MINUTE - 10 * MINUTE)
    expected: Counts = field(default_factory=Counter)
    ends: list[Message] = field(default_factory=list)
    lasts: int = 0

    async def add_runs(self, number: int) -> None:
        """Publish runs of two workflows with all results, over three minutes; most of them have their end twice."""
        kinds = itertools.product(("tier_change", "sandbox_expiry"), ("SUCCESS", "SUCCESS", "FAILED", "CANCELLED"))
        for index, (identifier, result) in zip(range(number), itertools.cycle(kinds), strict=False):
            at = self.begun + index % 3 * MINUTE + index * 7
            await self._publish_run(identifier, result, at)  # type: ignore[arg-type]
            if index % 3:
                await self.send(self.ends[-1])
            if index % 5 == 0:
                await self.send(self.ends[index // 2])

    async def finish(self) -> None:
        """Publish the last run of each partition, after all that was published before."""
        for partition in range(PARTITIONS):
            await self._publish_run(LAST, "SUCCESS", self.begun + 5 * MINUTE, partition)
        await self.producer.flush()
        self.lasts += PARTITIONS

    async def send(self, message: Message, partition: int | None = None) -> None:
        await self.producer.send(
            message.topic, message.value, key=message.key.encode(), headers=list(message.headers), partition=partition
        )

    async def _publish_run(self, identifier: str, result: Result, at: int, partition: int | None = None) -> None:
        for message in run_that_ended(identifier, result, at, self.names):
            await self.send(message, partition)
        self.ends.append(message)
        self.expected[identifier, minute(at), result] += 1


def minute(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000, UTC).isoformat(timespec="minutes").replace("+00:00", "Z")


@pytest.fixture
async def published(kafka_bootstrap_servers: str) -> AsyncIterator[Published]:
    """A topic of run events of the test's own, empty."""
    names = TopicNames(f"downstream-{secrets.token_hex(4)}.")
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(names.run_events, PARTITIONS, 1)])
        async with AIOKafkaProducer(
            bootstrap_servers=kafka_bootstrap_servers, acks="all", enable_idempotence=True
        ) as producer:
            yield Published(kafka_bootstrap_servers, names, producer)
        made = [topic for topic in await admin.list_topics() if topic.startswith(names.prefix)]
        await admin.delete_topics(made)
    finally:
        await admin.close()


@contextmanager
def child(command: Iterable[str | Path], folder: Path, told: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose output is added to `output.txt`; stopped at the end."""
    with (folder / "output.txt").open("ab") as output:
        environment = {"PATH": os.environ["PATH"], **told}
        process = subprocess.Popen(
            [*command], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True, slots=True)
class FaustWorker:
    """The Faust application at work."""

    process: subprocess.Popen[bytes]
    address: str
    output: Path

    async def shown(self, enough: Callable[[Any], bool]) -> Any:
        """What it shows at last."""
        shown: Any = None
        limit = time.monotonic() + 60
        async with httpx.AsyncClient() as client:
            while shown is None or not enough(shown):
                said = self.output.read_text()
                assert self.process.poll() is None, f"the application ended:\n{said[-6_000:]}"
                assert "Crashed reason" not in said, said[-6_000:]
                assert time.monotonic() < limit, f"the application has only {shown} after 60 s:\n{said[-6_000:]}"
                await asyncio.sleep(0.1)
                # Its web server is up before it can answer.
                with suppress(httpx.TransportError, json.JSONDecodeError):
                    shown = (await client.get(self.address)).json()
        return shown

    async def counts(self, published: Published) -> Counts:
        """What it counts when it has read everything."""
        return counts_of(await self.shown(lambda shown: lasts(counts_of(shown)) == published.lasts))


def counts_of(shown: Any) -> Counts:
    counts: Counts = Counter()
    for row in shown["results"]:
        for result in ("SUCCESS", "FAILED", "CANCELLED"):
            counts[row["workflow"], row["window"][:16] + "Z", result] = row[result]
    return +counts


def lasts(counts: Counts) -> int:
    return sum(count for (identifier, _, _), count in counts.items() if identifier == LAST)


@contextmanager
def faust_worker(published: Published, folder: Path, **more: str) -> Iterator[FaustWorker]:
    """The Faust application as its README starts it, save for short sessions: Kafka waits for a killed worker's end."""
    port = str(free_port())
    told = {
        "KAFKA_BOOTSTRAP_SERVERS": published.servers, "TOPIC_PREFIX": published.names.prefix,
        "APP_ID": f"{published.names.prefix}results", "TOPIC_PARTITIONS": str(PARTITIONS),
        "TOPIC_REPLICATION_FACTOR": "1", "WEB_PORT": port, "BROKER_SESSION_TIMEOUT": "3",
        "BROKER_HEARTBEAT_INTERVAL": "1", **more,
    }  # fmt: skip
    command: list[str | Path] = [faust_python(), EXAMPLE / "run_results.py", "worker", "--loglevel", "info"]
    with child(command, folder, told) as process:
        yield FaustWorker(process, f"http://{HOST}:{port}/results", folder / "output.txt")


async def test_the_faust_table_counts_every_run_once_though_ends_come_twice_and_its_worker_is_killed(
    published: Published, tmp_path: Path
) -> None:
    await published.add_runs(30)
    await published.finish()
    with faust_worker(published, tmp_path) as worker:
        assert await worker.counts(published) == published.expected
        worker.process.send_signal(signal.SIGKILL)
        worker.process.wait()
    await published.add_runs(30)
    for end in published.ends[:20]:
        await published.send(end)
    await published.finish()

    with faust_worker(published, tmp_path) as worker:
        assert await worker.counts(published) == published.expected


async def test_rows_that_a_faust_worker_reads_back_after_a_restart_still_expire(
    published: Published, tmp_path: Path
) -> None:
    await published.add_runs(10)  # ten to eight minutes ago
    await published.finish()  # five minutes ago
    with faust_worker(published, tmp_path) as worker:
        await worker.counts(published)

    with faust_worker(published, tmp_path, KEEP_SECONDS="420", TABLE_CLEANUP_INTERVAL="1") as worker:
        shown = await worker.shown(lambda shown: lasts(counts_of(shown)) == shown["rows"] == PARTITIONS)

    assert {row["workflow"] for row in shown["results"]} == {LAST}


async def test_ten_lines_of_aiokafka_count_the_same(published: Published, tmp_path: Path) -> None:
    await published.add_runs(60)
    await published.finish()
    told = {"KAFKA_BOOTSTRAP_SERVERS": published.servers, "TOPIC_PREFIX": published.names.prefix}
    counts: Counts = Counter()

    with child([sys.executable, ROOT / "examples" / "downstream_aiokafka.py"], tmp_path, told) as process:
        limit = time.monotonic() + 30
        while lasts(counts) < published.lasts:
            said = (tmp_path / "output.txt").read_text()
            assert process.poll() is None, said
            assert time.monotonic() < limit, said
            await asyncio.sleep(0.05)
            for line in said.splitlines(keepends=True):
                if line.endswith("\n"):
                    identifier, window, result, count = line.split()
                    counts[identifier, window, result] = int(count)

    assert counts == published.expected
