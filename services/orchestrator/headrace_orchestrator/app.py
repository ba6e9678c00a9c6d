"""Wiring of the orchestrator: the loop around the handler, and its clockwork."""

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.contracts.topics import TopicNames
from headrace.ports.clock import Clock
from headrace.ports.evaluator import Evaluator
from headrace.ports.log import Log, Record
from headrace.ports.stores import DefinitionStore, RunStore
from headrace.runtime.loop import BatchLoop, Done, LoopSettings
from headrace.runtime.metrics import Metrics
from headrace.runtime.plans import Plans
from headrace.runtime.tasks import Tasks
from headrace_orchestrator.handler import GROUP, Orchestrator
from headrace_orchestrator.outbox import Outbox
from headrace_orchestrator.timers import TimerPoller


@dataclass(frozen=True, slots=True)
class OrchestratorSettings:
    """Intervals of the clockwork, in seconds. An outbox older than `resend_after_seconds` is published again."""

    timer_interval_seconds: float = 0.2
    mark_interval_seconds: float = 1.0
    sweep_interval_seconds: float = 5.0
    resend_after_seconds: float = 15.0


class OrchestratorService:
    """The orchestrator as a service with a beginning and an end."""

    def __init__(
        self,
        log: Log,
        runs: RunStore,
        definitions: DefinitionStore,
        evaluator: Evaluator,
        clock: Clock,
        topics: TopicNames,
        metrics: Metrics,
        settings: OrchestratorSettings | None = None,
        loop_settings: LoopSettings | None = None,
    ) -> None:
        self._settings = settings or OrchestratorSettings()
        sources = (topics.run_commands, topics.node_results)
        self.loop = BatchLoop(log, GROUP, sources, self._handle, loop_settings)
        self.outbox = Outbox(log, runs, clock, self.loop, self._settings.resend_after_seconds)
        self.handler = Orchestrator(runs, Plans(definitions), evaluator, log, self.outbox, clock, topics, metrics)
        self.timers = TimerPoller(runs, log, clock, topics)

    async def _handle(self, records: Sequence[Record], done: Done) -> None:
        await self.handler.handle(records, done)

    def start(self, tasks: Tasks) -> None:
        """Begin to work on the given set of tasks."""
        settings = self._settings
        tasks.start(self.loop.run(), "orchestrator")
        tasks.every(settings.timer_interval_seconds, self.timers.poll, "orchestrator:timers")
        mark_after = int(settings.mark_interval_seconds * 1000)
        tasks.every(settings.mark_interval_seconds, lambda: self.outbox.mark(mark_after), "orchestrator:mark")
        sweep_after = int(settings.resend_after_seconds * 1000)
        tasks.every(settings.sweep_interval_seconds, lambda: self.outbox.sweep(sweep_after), "orchestrator:sweep")

    async def stop(self) -> None:
        """Take no more, commit what is done."""
        await self.loop.stop()
        await self.loop.close()
