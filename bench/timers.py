"""How late timers of entities fire when very many are due in the same second.

    python -m bench.timers [--timers 10000] [--sweepers 2]

Entities with a timer each are written to MongoDB, all due within one second a while from now; then sweepers, as the
trigger service runs them, fire what is due and publish to Kafka. Printed is how long after its instant the record of a
timer stood in the log, and how many records came for how many timers. The servers are those of tools.servers.
"""

import argparse
import asyncio
import statistics
import tempfile
from pathlib import Path

from headrace.adapters.clock import SystemClock
from headrace.adapters.kafka.log import KafkaLog
from headrace.adapters.kafka.settings import KafkaSettings
from headrace.adapters.kafka.topics import create_topics, topic_specs
from headrace.adapters.mongo import MongoCatalog, MongoDatabase, MongoSettings, create_indexes
from headrace.contracts.entity_change import decode_entity_change
from headrace.contracts.topics import TopicNames
from headrace.core.catalog.entity import Entity
from headrace.core.catalog.timers import Timers
from headrace.core.times import iso
from headrace.ports.catalog import StoredEntity
from headrace.runtime.catalog_sweep import CatalogSweeper
from headrace.runtime.tasks import Tasks
from tools.servers import Kafka, Mongo

TOPICS = TopicNames()
AHEAD_MS = 8_000
"""Time to write the entities and to start reading."""


async def measure(count: int, sweepers: int, kafka: KafkaSettings, mongo: MongoSettings) -> None:
    """Fill, sweep, read, print."""
    clock, tasks = SystemClock(), Tasks()
    log, database = KafkaLog(kafka, clock), MongoDatabase(mongo)
    await database.connect()
    await create_indexes(database)
    await create_topics(kafka, topic_specs(TOPICS), 4)
    await log.start()
    catalog = MongoCatalog(database)
    due = {f"e{i:06}": clock.now() + AHEAD_MS + i % 1_000 for i in range(count)}
    entities = [
        StoredEntity(
            Entity("sandbox", name, 0, "bench", 0, "bench", properties={"ttl": iso(at), "text": "x" * 500}), 0,
            timers=Timers({"ttl": at}),
        )
        for name, at in due.items()
    ]  # fmt: skip
    for first in range(0, count, 1_000):
        await catalog.save(entities[first : first + 1_000])
    tail = await log.tail([TOPICS.entity_changes])
    for _ in range(sweepers):
        CatalogSweeper(MongoCatalog(database), log, clock, TOPICS).start(tasks)
    lateness: dict[str, int] = {}
    records = 0
    async with asyncio.timeout(60 + AHEAD_MS / 1_000):
        while len(lateness) < count:
            for record in await tail.fetch(0.2, 10_000):
                records += 1
                change = decode_entity_change(record)
                lateness.setdefault(change.entity, record.timestamp - due[change.entity])
    await tasks.stop()
    await tail.close()
    await log.close()
    await database.close()
    found = sorted(lateness.values())
    print(f"{count} timers due within one second, {sweepers} sweepers: {records} records")
    print(f"late by, ms: p50 {statistics.median(found):.0f}, p99 {found[int(0.99 * count)]}, most {found[-1]}")


def main() -> None:
    """Start the servers, measure, stop them."""
    parser = argparse.ArgumentParser(prog="python -m bench.timers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--timers", type=int, default=10_000)
    parser.add_argument("--sweepers", type=int, default=2)
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        Kafka(Path(folder) / "kafka") as kafka,
        Mongo(Path(folder) / "mongo") as mongo,
    ):
        mongodb = MongoSettings.model_validate({"uri": mongo.uri, "database": "bench"})
        settings = KafkaSettings.model_validate({"bootstrap_servers": kafka.bootstrap_servers})
        asyncio.run(measure(chosen.timers, chosen.sweepers, settings, mongodb))


if __name__ == "__main__":
    main()
