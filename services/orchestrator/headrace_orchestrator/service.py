"""The orchestrator as a process of its own, on Kafka and MongoDB."""

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
from headrace.adapters.mongo.runs import MongoRunStore
from headrace.adapters.mongo.settings import MongoSettings
from headrace.contracts.topics import TopicNames
from headrace.runtime.health import HealthServer
from headrace.runtime.metrics import Metrics
from headrace.runtime.readiness import Readiness, WatchedLog
from headrace.runtime.service import Dependency
from headrace.runtime.settings import Count, ServiceSettings
from headrace.runtime.tasks import Tasks
from headrace_orchestrator.app import OrchestratorService, OrchestratorSettings
from headrace_orchestrator.handler import GROUP


class OrchestratorEnvironment(ServiceSettings):
    """What the process reads from its environment (docs/configuration.md)."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 8082
    kafka: KafkaSettings
    mongodb: MongoSettings
    jq_processes: Count = 2


class OrchestratorProcess:
    """The orchestrator service, what it depends on, and the door for probes."""

    name = "orchestrator"

    def __init__(self, settings: OrchestratorEnvironment) -> None:
        self.settings = settings
        clock, metrics = SystemClock(), Metrics()
        self._topics = TopicNames(settings.topic_prefix)
        self._log = KafkaLog(_in_time_for_the_sweep(settings.kafka), clock)
        self._database = MongoDatabase(settings.mongodb)
        self._evaluator = JqCage(Limits(children=settings.jq_processes))
        watched = WatchedLog(self._log, GROUP, self._topics)
        self._orchestrator = OrchestratorService(
            watched, MongoRunStore(self._database), MongoDefinitionStore(self._database), self._evaluator, clock,
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
        self._orchestrator.start(tasks)

    async def stop(self) -> None:
        """See the protocol."""
        await self._orchestrator.stop()

    async def close(self) -> None:
        """See the protocol."""
        await self._evaluator.close()


def _in_time_for_the_sweep(kafka: KafkaSettings) -> KafkaSettings:
    """Publishing gives up before another orchestrator may find the same outbox (headrace_orchestrator.outbox)."""
    most = int(OrchestratorSettings().resend_after_seconds * 1000 * 0.6)
    return kafka.model_copy(update={"publish_timeout_ms": min(kafka.publish_timeout_ms, most)})
