"""Wiring of the trigger service: the loop around the handler."""

import structlog

from headrace.contracts.topics import TopicNames
from headrace.ports.clock import Clock
from headrace.ports.errors import UnavailableError
from headrace.ports.evaluator import Evaluator
from headrace.ports.gates import GateStore
from headrace.ports.log import Log
from headrace.ports.stores import DefinitionStore, LedgerStore, RunStore
from headrace.runtime.loop import BatchLoop, LoopSettings
from headrace.runtime.metrics import Metrics
from headrace.runtime.tasks import Tasks
from headrace_trigger.gatekeeper import Gatekeeper
from headrace_trigger.handler import GROUP, TriggerHandler, TriggerSettings
from headrace_trigger.listeners import Listeners

_COUNTS_SECONDS = 1.0

_log = structlog.get_logger("headrace.trigger")


class TriggerService:
    """The trigger service with a beginning and an end."""

    def __init__(
        self,
        log: Log,
        definitions: DefinitionStore,
        evaluator: Evaluator,
        ledger: LedgerStore,
        gates: GateStore,
        runs: RunStore,
        clock: Clock,
        topics: TopicNames,
        metrics: Metrics,
        settings: TriggerSettings | None = None,
        loop_settings: LoopSettings | None = None,
    ) -> None:
        self.listeners = Listeners(definitions)
        self.gatekeeper = Gatekeeper(gates, runs, log, clock, topics)
        self.handler = TriggerHandler(
            self.listeners, evaluator, ledger, self.gatekeeper, log, clock, topics, metrics, settings
        )
        sources = (topics.entity_changes, topics.run_gates)
        self.loop = BatchLoop(log, GROUP, sources, self.handler.handle, loop_settings)

    def start(self, tasks: Tasks) -> None:
        """Begin to work on the given set of tasks."""
        tasks.start(self.loop.run(), "trigger")
        self.gatekeeper.start(tasks)
        tasks.every(_COUNTS_SECONDS, self.handler.counting.write, "trigger:counts")

    async def stop(self) -> None:
        """Take no more, commit what is done."""
        await self.loop.stop()
        try:
            await self.handler.counting.write()
        except UnavailableError as error:
            _log.warning("counts of events are lost", error=str(error))
        await self.loop.close()
