"""Wiring of the invoker: the loop around the handler, and the tasks that work beside it."""

from headrace.contracts.topics import TopicNames
from headrace.ports.clock import Clock
from headrace.ports.log import Log
from headrace.ports.stores import ClaimStore
from headrace.runtime.loop import BatchLoop, LoopSettings
from headrace.runtime.metrics import Metrics
from headrace.runtime.tasks import Tasks
from headrace_invoker.handler import GROUP, Invoker
from headrace_invoker.performance import Performers
from headrace_invoker.settings import InvokerSettings


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
        self.handler = Invoker(
            performers, claims, log, clock, topics, metrics, owner, lambda: self.loop.is_fresh(), self._settings
        )
        self.loop = BatchLoop(
            log, GROUP, (topics.node_requests,), self.handler.handle, loop_settings, self.handler.release
        )

    def start(self, tasks: Tasks) -> None:
        """Begin to work on the given set of tasks."""
        tasks.start(self.loop.run(), "invoker")
        tasks.start(self.handler.finisher.publish(), "invoker:publish")
        tasks.start(self.handler.finisher.record(), "invoker:record")
        tasks.every(self._settings.claim_after_seconds / 2, self.handler.calls.tend, "invoker:leases")

    async def stop(self) -> None:
        """Take no more, let calls in flight end, commit what is done."""
        self.handler.stop()
        await self.loop.stop()
        await self.handler.drain()
        await self.loop.close()
