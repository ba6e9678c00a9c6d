"""The trigger as a process of its own, on Kafka and MongoDB."""

from typing import Annotated

from pydantic import Field

from headrace.adapters.clock import SystemClock
from headrace.adapters.jq.cage import JqCage
from headrace.adapters.jq.limits import Limits
from headrace.adapters.kafka.log import KafkaLog
from headrace.adapters.kafka.settings import KafkaSettings
from headrace.adapters.kafka.topics import check_topics, topic_specs
from headrace.adapters.mongo.database import MongoDatabase
from headrace.adapters.mongo.definitions import MongoDefinitionStore
from headrace.adapters.mongo.indexes import require_indexes
from headrace.adapters.mongo.ledger import MongoLedger
from headrace.adapters.mongo.settings import MongoSettings
from headrace.contracts.topics import TopicNames
from headrace.runtime.health import HealthServer
from headrace.runtime.metrics import Metrics
from headrace.runtime.readiness import Readiness, WatchedLog
from headrace.runtime.service import Dependency
from headrace.runtime.settings import Count, ServiceSettings
from headrace.runtime.tasks import Tasks
from headrace_trigger.app import TriggerService
from headrace_trigger.handler import GROUP


class TriggerEnvironment(ServiceSettings):
    """What the process reads from its environment (docs/configuration.md)."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 8081
    kafka: KafkaSettings
    mongodb: MongoSettings
    jq_processes: Count = 2


class TriggerProcess:
    """The trigger service, what it depends on, and the door for probes."""

    name = "trigger"

    def __init__(self, settings: TriggerEnvironment) -> None:
        self.settings = settings
        clock, metrics = SystemClock(), Metrics()
        self._topics = TopicNames(settings.topic_prefix)
        self._log = KafkaLog(settings.kafka, clock)
        self._database = MongoDatabase(settings.mongodb)
        self._evaluator = JqCage(Limits(children=settings.jq_processes))
        watched = WatchedLog(self._log, GROUP, self._topics)
        self._trigger = TriggerService(
            watched, MongoDefinitionStore(self._database), self._evaluator, MongoLedger(self._database, clock), clock,
            self._topics, metrics,
        )  # fmt: skip
        self.readiness = Readiness()
        self.door = HealthServer(settings.host, settings.port, self.readiness, metrics.registry)
        self.dependencies = (
            Dependency("MongoDB", self._database.connect, self._database.ping, self._database.close),
            Dependency("Kafka", self._log.start, watched.check, self._log.close),
        )

    async def check(self) -> None:
        """See the protocol (headrace.runtime.service)."""
        await require_indexes(self._database)
        await check_topics(self.settings.kafka, topic_specs(self._topics))

    def start(self, tasks: Tasks) -> None:
        """See the protocol."""
        tasks.start(self._log.watch(), "kafka:watch")
        self._trigger.start(tasks)

    async def stop(self) -> None:
        """See the protocol."""
        await self._trigger.stop()

    async def close(self) -> None:
        """See the protocol."""
        await self._evaluator.close()
