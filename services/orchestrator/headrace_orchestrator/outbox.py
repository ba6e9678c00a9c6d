"""What was saved is published, and what is published is marked: the relay between a run's document and the log."""

from collections.abc import Sequence

from headrace.contracts.envelope import mark_redelivered
from headrace.ports.clock import Clock
from headrace.ports.log import Log, Message
from headrace.ports.stores import RunStore, StoredRun


class Outbox:
    """Publishes outboxes and remembers which of them still have to be marked sent in the store.

    Marking rides on the run's next save, which replaces the outbox anyway; runs with no next save are marked in bulk
    later. Losing a mark only repeats a publish, and every reader recognises a repeated message by its id.
    """

    def __init__(self, log: Log, runs: RunStore, clock: Clock) -> None:
        self._log = log
        self._runs = runs
        self._clock = clock
        self._unmarked: dict[str, tuple[int, int]] = {}

    async def publish(self, saved: Sequence[StoredRun], found: Sequence[StoredRun] = ()) -> None:
        """Publish the outboxes of runs saved just now, and of runs found with one that may have been published.

        What this process published and has not marked yet is not published again: a request that is published twice is
        answered twice, and every answer would find the outbox still unmarked.
        """
        found = [stored for stored in found if not self._is_published(stored)]
        messages: list[Message] = []
        for stored in saved:
            messages.extend(stored.outbox)
        for stored in found:
            messages.extend(mark_redelivered(message) for message in stored.outbox)
        if messages:
            await self._log.publish(messages)
        now = self._clock.now()
        for stored in (*saved, *found):
            if stored.outbox:
                self._unmarked[stored.run.id] = (stored.rev, now)

    async def mark(self, older_than_ms: int) -> None:
        """Mark what was published that long ago and has had no later save."""
        before = self._clock.now() - older_than_ms
        due = [(run_id, rev) for run_id, (rev, at) in self._unmarked.items() if at <= before]
        if due:
            await self._runs.mark_sent(due)
            for run_id, rev in due:
                if self._unmarked.get(run_id, (None,))[0] == rev:
                    del self._unmarked[run_id]

    async def sweep(self, older_than_ms: int, limit: int = 500) -> int:
        """Publish again what lies unsent for that long, whoever saved it; the number of runs."""
        stale = await self._runs.unsent(self._clock.now() - older_than_ms, limit)
        waiting = [stored for stored in stale if not self._is_published(stored)]
        await self.publish((), waiting)
        return len(waiting)

    def _is_published(self, stored: StoredRun) -> bool:
        rev, _ = self._unmarked.get(stored.run.id, (None, 0))
        return rev == stored.rev
