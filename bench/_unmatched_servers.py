"""What an entity event costs that wakes nobody, on Kafka and MongoDB: the trigger service alone in this process.

As in bench._unmatched, the events lie in the log before the service starts: fetching, reading, the index, the ledger,
the commits are in the figure, and the CPU time of broker and database is not.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence

from bench import _workload
from bench._process import cpu_seconds
from bench._unmatched import NoEvaluator
from headrace.adapters.clock import SystemClock
from headrace.adapters.kafka.log import KafkaLog
from headrace.adapters.kafka.settings import KafkaSettings
from headrace.adapters.kafka.topics import create_topics, topic_specs
from headrace.adapters.mongo.database import MongoDatabase
from headrace.adapters.mongo.definitions import MongoDefinitionStore
from headrace.adapters.mongo.indexes import create_indexes
from headrace.adapters.mongo.ledger import MongoLedger
from headrace.adapters.mongo.settings import MongoSettings
from headrace.contracts.topics import TopicNames
from headrace.ports.log import Message
from headrace.ports.stores import LedgerEntry
from headrace.runtime import process
from headrace.runtime.metrics import Metrics
from headrace.runtime.tasks import Tasks
from headrace_trigger.app import TriggerService

_CHUNK = 1_000
_SAVED_AT_ONCE = 64
_PARTITIONS = 12


class WatchedLedger(MongoLedger):
    """The ledger, and a window on the events that it took, from the first warm one to the last."""

    def watch(self, warm_up: int, events: int) -> None:
        """Begin to count."""
        self._left, self._left_to_warm = warm_up + events, warm_up
        self._began: tuple[float, int] | None = None
        self.microseconds_per_event = 0.0
        self.done = asyncio.Event()

    async def record(self, entries: Sequence[LedgerEntry]) -> None:
        await super().record(entries)
        assert not any(entry.verdicts for entry in entries), "an event woke a trigger"
        self._left -= len(entries)
        self._left_to_warm -= len(entries)
        if self._began is None and self._left_to_warm <= 0:
            self._began = cpu_seconds(), self._left
        elif self._left == 0 and self._began is not None:
            cpu, events = self._began
            self.microseconds_per_event = (cpu_seconds() - cpu) / events * 1e6
            self.done.set()


async def measure(servers: str, mongodb: str, triggers: int, events: int, warm_up: int) -> float:
    """Microseconds of CPU per event, in topics and a database of their own."""
    clock, name = SystemClock(), f"unmatched{triggers}"
    topics = TopicNames(f"{name}.")
    settings = KafkaSettings(bootstrap_servers=(servers,))
    await create_topics(settings, topic_specs(topics), _PARTITIONS)
    database = MongoDatabase(MongoSettings.model_validate({"uri": mongodb, "database": name}))
    await database.connect()
    await create_indexes(database)
    log = KafkaLog(settings, clock)
    await log.start()
    definitions = MongoDefinitionStore(database)
    await _workload.save_other_tiers(definitions, triggers, _SAVED_AT_ONCE)
    for first in range(0, warm_up + events, _CHUNK):
        numbers = range(first, min(first + _CHUNK, warm_up + events))
        some = map(_workload.event, numbers)
        await log.publish([Message(topics.entity_changes, it.key, it.value) for it in some])
    ledger = WatchedLedger(database, clock)
    ledger.watch(warm_up, events)
    service = TriggerService(log, definitions, NoEvaluator(), ledger, clock, topics, Metrics())
    await service.listeners.index()
    process.settle()
    tasks = Tasks()
    service.start(tasks)
    await asyncio.wait_for(ledger.done.wait(), 120)
    await service.stop()
    await tasks.stop()
    await log.close()
    await database.client.drop_database(name)
    await database.close()
    return ledger.microseconds_per_event


def main() -> None:
    """Parse the command line of the child process; print the figure as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m bench._unmatched_servers", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--servers", required=True)
    parser.add_argument("--mongodb", required=True)
    parser.add_argument("--triggers", type=int, required=True)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--warm-up", type=int, default=2_000)
    chosen = parser.parse_args()
    given = (chosen.servers, chosen.mongodb, chosen.triggers, chosen.events, chosen.warm_up)
    print(json.dumps({"us_per_event": process.run(measure(*given))}))


if __name__ == "__main__":
    main()
