"""Wiring of the invoker: the loop around the handler, its finisher and its heartbeat."""

from headrace.contracts.topics import TopicNames
from headrace.ports.clock import Clock
from headrace.ports.log import Log
from headrace.ports.stores import ClaimStore
from headrace.runtime.loop import BatchLoop, LoopSettings
from headrace.runtime.metrics import Metrics
from headrace.runtime.tasks import Tasks
from headrace_invoker.finisher import Finisher
from headrace_invoker.handler import GROUP, Invoker, InvokerSettings
from headrace_invoker.performance import Performers

_DRAIN_SECONDS = 20.0


class InvokerService:
    """The invoker as a service with a beginning and an end."""

    def __init__(
        self,
        log: Log,
        claims: ClaimStore,
        performers: Performers,
        clock: Clock,
        topics: TopicNames,
        metrics: Metrics,
        owner: str,
        settings: InvokerSettings | None = None,
        loop_settings: LoopSettings | None = None,
    ) -> None:
        self._settings = settings or InvokerSettings()
        self.finisher = Finisher(claims, log)
        self.handler = Invoker(performers, claims, log, self.finisher, clock, topics, metrics, owner, self._settings)
        self.loop = BatchLoop(log, GROUP, (topics.node_requests,), self.handler.handle, loop_settings)

    def start(self, tasks: Tasks) -> None:
        """Begin to work on the given set of tasks."""
        tasks.start(self.loop.run(), "invoker")
        tasks.start(self.finisher.run(), "invoker:finish")
        tasks.every(self._settings.lease_seconds / 6, self.handler.renew, "invoker:renew")

    async def stop(self) -> None:
        """Take no more, let calls in flight end, commit what is done."""
        self.handler.stop()
        await self.loop.stop()
        await self.handler.drain(_DRAIN_SECONDS)
        await self.loop.close()
