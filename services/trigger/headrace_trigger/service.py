"""The trigger as a process of its own, on Kafka and MongoDB."""

from typing import Annotated

from pydantic import Field

from headrace.adapters.jq.cage import JqCage
from headrace.adapters.jq.limits import Limits
from headrace.adapters.mongo.catalog import MongoCatalog
from headrace.adapters.mongo.definitions import MongoDefinitionStore
from headrace.adapters.mongo.gates import MongoGateStore
from headrace.adapters.mongo.ledger import MongoLedger
from headrace.adapters.mongo.runs import MongoRunStore
from headrace.adapters.mongo.schedules import MongoScheduleStore
from headrace.adapters.zones import find_zone
from headrace.production import ProductionSettings, WorkerProcess
from headrace.runtime.catalog_sweep import CatalogSweeper
from headrace.runtime.settings import Count
from headrace.runtime.tasks import Tasks
from headrace_trigger.app import TriggerService
from headrace_trigger.handler import GROUP, TriggerSettings
from headrace_trigger.schedules import Scheduler


class TriggerEnvironment(ProductionSettings):
    """What the process reads from its environment (docs/configuration.md)."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 8081
    jq_processes: Count = 2
    ledger_kept_per_second: Count = 10


class TriggerProcess(WorkerProcess):
    """The trigger service with what it depends on."""

    name = "trigger"

    def __init__(self, settings: TriggerEnvironment) -> None:
        super().__init__(settings, GROUP)
        self._evaluator = JqCage(Limits(children=settings.jq_processes))
        self.worker = TriggerService(
            self.log, MongoDefinitionStore(self.database), self._evaluator, MongoLedger(self.database, self.clock),
            MongoGateStore(self.database), MongoRunStore(self.database), self.clock, self.topics, self.metrics,
            TriggerSettings(kept_per_second=settings.ledger_kept_per_second),
        )  # fmt: skip

    def start(self, tasks: Tasks) -> None:
        """See the protocol (headrace.runtime.service)."""
        super().start(tasks)
        CatalogSweeper(MongoCatalog(self.database), self.log, self.clock, self.topics).start(tasks)
        Scheduler(
            MongoDefinitionStore(self.database), MongoScheduleStore(self.database),
            MongoLedger(self.database, self.clock), self.log, self.clock, find_zone, self.topics, self.metrics,
        ).start(tasks)  # fmt: skip

    async def close(self) -> None:
        """See the protocol (headrace.runtime.service)."""
        await self._evaluator.close()
