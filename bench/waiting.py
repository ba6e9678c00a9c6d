"""What runs cost that wait: memory of each service per run, and CPU while nothing happens.

    python -m bench.waiting [--runs 100000]

Entity events start runs whose only action is an asynchronous webhook that nobody reports on. When all of them wait,
resident memory is compared with what it was after a tenth of them, and the CPU time of ten quiet seconds is taken. The
servers are those of tools.servers; their databases and brokers are not compared, since that is where the runs lie.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from pymongo import MongoClient

from bench import _house, _workload
from bench._process import cpu_seconds_of, resident_megabytes
from bench._raw_kafka import Outgoing, Writer
from headrace.adapters.mongo.database import MongoDatabase
from headrace.adapters.mongo.definitions import MongoDefinitionStore
from headrace.adapters.mongo.settings import MongoSettings
from headrace.core.json import Json, JsonObject
from headrace.runtime import process

TOPIC = "headrace.entity.changes.v1"
QUIET_SECONDS = 10.0
_AT_ONCE = 2_000
_LONGEST_SECONDS = 600.0


def workflow(receiver: str) -> JsonObject:
    """Waits for a report that never comes."""
    event: Json = {"type": "ENTITY_UPDATED", "blueprintIdentifier": _workload.BLUEPRINT}
    call: Json = {"type": "WEBHOOK", "url": f"{receiver}/wait", "synchronized": False, "body": {"n": 1}}
    nodes: list[Json] = [
        {"identifier": "changed", "config": {"type": "EVENT_TRIGGER", "event": event}},
        {"identifier": "wait", "config": call},
    ]
    edges: list[Json] = [{"sourceIdentifier": "changed", "targetIdentifier": "wait"}]
    return {"identifier": "waits", "nodes": nodes, "connections": edges}


async def _save(settings: MongoSettings, receiver: str) -> None:
    database = MongoDatabase(settings)
    await database.connect()
    # saved in the past, since events that are older than their workflow start nothing
    await MongoDefinitionStore(database).create("waits", workflow(receiver), "bench", 0)
    await database.close()


async def _publish(servers: str, first: int, count: int) -> None:
    writer = Writer(servers)
    await writer.start()
    for start in range(first, first + count, _AT_ONCE):
        some = [_workload.event(number) for number in range(start, min(start + _AT_ONCE, first + count))]
        await asyncio.gather(*await writer.send(Outgoing(TOPIC, it.key, it.value or b"", None) for it in some))
    await writer.stop()


def wait_until_all_wait(mongodb: str, database: str, runs: int) -> None:
    """Until every call was made and recorded, and no outbox is left."""
    deadline = time.monotonic() + _LONGEST_SECONDS
    client: MongoClient[dict[str, object]] = MongoClient(mongodb)
    with client:
        while time.monotonic() < deadline:
            done = client[database]["claims"].count_documents({"state": "DONE"})
            stored = client[database]["runs"].estimated_document_count()
            unsent = client[database]["runs"].count_documents({"unsent_since": {"$exists": True}})
            if done >= runs and stored >= runs and not unsent:
                time.sleep(3.0)
                return
            time.sleep(1.0)
    raise SystemExit(f"after {_LONGEST_SECONDS:g} s: {stored} runs, {done} calls, {unsent} outboxes of {runs}")


def measure(runs: int) -> None:
    """Fill, wait, compare, print."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        folder = Path(name)
        with _house.servers(folder) as its, _house.receiver(folder) as (url, _):
            house = _house.House(its, folder)
            house.init()
            settings = MongoSettings.model_validate({"uri": its.mongo.uri, "database": house.name})
            process.run(_save(settings, url))
            with house.services() as pids:
                ours = {service: group[0] for service, group in pids.items()}
                tenth = runs // 10
                process.run(_publish(its.kafka.bootstrap_servers, 0, tenth))
                wait_until_all_wait(its.mongo.uri, house.name, tenth)
                before = {service: resident_megabytes(pid) for service, pid in ours.items()}
                process.run(_publish(its.kafka.bootstrap_servers, tenth, runs - tenth))
                wait_until_all_wait(its.mongo.uri, house.name, runs)
                after = {service: resident_megabytes(pid) for service, pid in ours.items()}
                began = {service: cpu_seconds_of(pid) for service, pid in ours.items()}
                time.sleep(QUIET_SECONDS)
                spent = {service: cpu_seconds_of(pid) - began[service] for service, pid in ours.items()}
    print(f"\n{runs:,} runs wait; since {tenth:,} of them did:")
    for service in ours:
        grown = (after[service] - before[service]) * 1024 * 1024 / (runs - tenth)
        busy = spent[service] / QUIET_SECONDS * 100
        print(f"  {service:13}{before[service]:7.1f} -> {after[service]:7.1f} MB, {grown:6.0f} bytes a run, "
              f"{busy:.1f} % of a core when nothing happens")  # fmt: skip


def main() -> None:
    """Start the servers, measure, stop them."""
    parser = argparse.ArgumentParser(prog="python -m bench.waiting", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=100_000)
    measure(parser.parse_args().runs)


if __name__ == "__main__":
    main()
