"""The orchestrator as a process of its own, on Kafka and MongoDB."""

from typing import Annotated

from pydantic import Field

from headrace.adapters.jq.cage import JqCage
from headrace.adapters.jq.limits import Limits
from headrace.adapters.kafka.settings import KafkaSettings
from headrace.adapters.mongo.definitions import MongoDefinitionStore
from headrace.adapters.mongo.runs import MongoRunStore
from headrace.production import ProductionSettings, WorkerProcess
from headrace.runtime.settings import Count
from headrace_orchestrator.app import OrchestratorService, OrchestratorSettings
from headrace_orchestrator.handler import GROUP


class OrchestratorEnvironment(ProductionSettings):
    """What the process reads from its environment (docs/configuration.md)."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 8082
    jq_processes: Count = 2


class OrchestratorProcess(WorkerProcess):
    """The orchestrator service with what it depends on."""

    name = "orchestrator"

    def __init__(self, settings: OrchestratorEnvironment) -> None:
        super().__init__(settings, GROUP, _in_time_for_the_sweep(settings.kafka))
        self._evaluator = JqCage(Limits(children=settings.jq_processes))
        self.worker = OrchestratorService(
            self.log, MongoRunStore(self.database), MongoDefinitionStore(self.database), self._evaluator, self.clock,
            self.topics, self.metrics,
        )  # fmt: skip

    async def close(self) -> None:
        """See the protocol (headrace.runtime.service)."""
        await self._evaluator.close()


def _in_time_for_the_sweep(kafka: KafkaSettings) -> KafkaSettings:
    """Publishing gives up well before another orchestrator may find the same outbox (headrace_orchestrator.outbox)."""
    most = int(OrchestratorSettings().resend_after_seconds * 1000 / 3)
    return kafka.model_copy(update={"publish_timeout_ms": min(kafka.publish_timeout_ms, most)})
