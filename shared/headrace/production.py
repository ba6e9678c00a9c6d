"""A service as a process of its own on Kafka and MongoDB: what the four of them have in common.

The floor above adapters and runtime, which know nothing of each other. A service adds its handlers, its stores and what
else it needs; `headrace.runtime.service` runs the result.
"""

from collections.abc import Sequence
from typing import Protocol

from headrace.adapters.clock import SystemClock
from headrace.adapters.kafka.log import KafkaLog
from headrace.adapters.kafka.settings import KafkaSettings
from headrace.adapters.kafka.topics import check_topics, topic_specs
from headrace.adapters.mongo.database import MongoDatabase
from headrace.adapters.mongo.indexes import require_indexes
from headrace.adapters.mongo.settings import MongoSettings
from headrace.contracts.topics import TopicNames
from headrace.runtime.health import HealthServer
from headrace.runtime.metrics import Metrics
from headrace.runtime.readiness import Check, Readiness, WatchedLog
from headrace.runtime.service import Dependency
from headrace.runtime.settings import ServiceSettings
from headrace.runtime.tasks import Tasks


class ProductionSettings(ServiceSettings):
    """What every service reads from its environment (docs/configuration.md)."""

    kafka: KafkaSettings
    mongodb: MongoSettings


class Production:
    """The log and the database of one process, and what everything in it shares."""

    def __init__(self, settings: ProductionSettings, kafka: KafkaSettings | None = None) -> None:
        """`kafka`: settings of the log where they are not to be those of the environment."""
        self.settings = settings
        self.clock = SystemClock()
        self.metrics = Metrics()
        self.topics = TopicNames(settings.topic_prefix)
        self.readiness = Readiness()
        self.database = MongoDatabase(settings.mongodb)
        self.kafka = KafkaLog(kafka or settings.kafka, self.clock)

    async def check(self) -> None:
        """See the protocol (headrace.runtime.service.Service)."""
        await require_indexes(self.database)
        await check_topics(self.settings.kafka, topic_specs(self.topics))

    def depending(self, check_kafka: Check) -> Sequence[Dependency]:
        """MongoDB, then Kafka; `check_kafka` says when the log cannot be worked with."""
        return (
            Dependency("MongoDB", self.database.connect, self.database.ping, self.database.close),
            Dependency("Kafka", self.kafka.start, check_kafka, self.kafka.close),
        )


class Worker(Protocol):
    """A loop around a handler, as `app.py` of a service wires it."""

    def start(self, tasks: Tasks) -> None: ...

    async def stop(self) -> None: ...


class WorkerProcess(Production):
    """A service that reads the log as a member of a group. What remains to be given: `name`, `worker`, `close`."""

    worker: Worker

    def __init__(self, settings: ProductionSettings, group: str, kafka: KafkaSettings | None = None) -> None:
        super().__init__(settings, kafka)
        self.log = WatchedLog(self.kafka, group, self.topics)
        self.door = HealthServer(settings.host, settings.port, self.readiness, self.metrics.registry)
        self.dependencies = self.depending(self.log.check)

    def start(self, tasks: Tasks) -> None:
        """See the protocol."""
        tasks.start(self.kafka.watch(), "kafka:watch")
        self.worker.start(tasks)

    async def stop(self) -> None:
        """See the protocol."""
        await self.worker.stop()
