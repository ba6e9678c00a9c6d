"""The clockwork of the catalog: timers that are due, and events that were saved and not published.

Any number of processes may sweep at once. A timer fires by a save: of all that try, one wins the compare-and-set, and
only what was saved is published. What lies unpublished for a while is published by whoever finds it, under the ids that
it was saved with, so two who do so make no second event.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from headrace.contracts.topics import TopicNames
from headrace.core.catalog import timers
from headrace.ports.catalog import CatalogStore, StoredEntity
from headrace.ports.clock import Clock
from headrace.ports.log import Log
from headrace.runtime.catalog import timer_messages
from headrace.runtime.tasks import Tasks


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """Intervals in seconds. Events unpublished for `resend_after_seconds` are published again; `batch` entities are
    read and saved at a time."""

    timer_interval_seconds: float = 0.25
    resend_interval_seconds: float = 5.0
    resend_after_seconds: float = 15.0
    batch: int = 500


class CatalogSweeper:
    """Fires timers and publishes what was left behind."""

    def __init__(
        self,
        catalog: CatalogStore,
        log: Log,
        clock: Clock,
        topics: TopicNames,
        settings: SweepSettings | None = None,
    ) -> None:
        self._catalog = catalog
        self._log = log
        self._clock = clock
        self._topics = topics
        self._settings = settings or SweepSettings()

    def start(self, tasks: Tasks) -> None:
        """Begin to sweep on the given set of tasks."""
        tasks.every(self._settings.timer_interval_seconds, self.fire, "catalog:timers")
        tasks.every(self._settings.resend_interval_seconds, self.resend, "catalog:resend")

    async def fire(self) -> int:
        """Fire every timer that is due; how many this process fired. Raises UnavailableError: call it again."""
        fired = 0
        now = self._clock.now()
        while due := await self._catalog.due(now, self._settings.batch):
            writes, counts = [], []
            for stored in due:
                expired, left = timers.fire(stored.timers, now)
                events = timer_messages(stored, expired.items(), now, self._topics)
                outbox = (*stored.outbox, *events)
                writes.append(replace(stored, rev=stored.rev + 1, outbox=outbox, saved_at=now, timers=left))
                counts.append(len(expired))
            answers = await self._catalog.save(writes)
            await self._publish([write for write, won in zip(writes, answers, strict=True) if won])
            fired += sum(count for count, won in zip(counts, answers, strict=True) if won)
        return fired

    async def resend(self) -> int:
        """Publish what lies unpublished for long; of how many entities. Raises UnavailableError: call it again."""
        before = self._clock.now() - int(self._settings.resend_after_seconds * 1000)
        done: set[tuple[str, int]] = set()
        while True:
            stale = await self._catalog.unsent(before, self._settings.batch)
            # marking is not waited for, so some may come again
            fresh = [stored for stored in stale if (stored.entity.key, stored.rev) not in done]
            if not fresh:
                return len(done)
            await self._publish(fresh)
            done.update((stored.entity.key, stored.rev) for stored in fresh)

    async def _publish(self, saved: Sequence[StoredEntity]) -> None:
        if saved:
            await self._log.publish([message for stored in saved for message in stored.outbox])
            await self._catalog.mark_sent([(stored.entity.key, stored.rev) for stored in saved])
