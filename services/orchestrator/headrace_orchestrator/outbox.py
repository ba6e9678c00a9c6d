"""What was saved is published, and what is published is marked: the relay between a run's document and the log."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace.contracts.envelope import mark_redelivered
from headrace.ports.clock import Clock
from headrace.ports.log import Log, Message
from headrace.ports.stores import RunStore, StoredRun


class Membership(Protocol):
    """What an outbox must know of the loop that feeds it (headrace.runtime.loop.BatchLoop)."""

    revocations: int

    def is_fresh(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Save:
    """When a save began: by the monotonic clock, and by the partitions we had."""

    began: float
    revocations: int


class Outbox:
    """Publishes outboxes and remembers which of them still have to be marked sent in the store.

    Marking rides on the run's next save, which replaces the outbox anyway; runs with no next save are marked in bulk
    later. Losing a mark only repeats a publish, and every reader recognises a repeated message by its id.

    What is published for the first time goes out plain, everything else as `redelivered`, and an invoker calls what
    is plain without a look at its claim. So plain must be certain: the process that saved an outbox publishes it plain
    only while nobody else can have found it in the store. Another orchestrator finds it when the partitions of its
    commands went there (so: none was revoked since the save began, and the heartbeat is fresh), or when it lies unsent
    for `resend_after_seconds`, and so only a third of that time is ours: the rest is the log's, whose publishing must
    give up sooner than that (docs/delivery.md).
    """

    def __init__(
        self, log: Log, runs: RunStore, clock: Clock, membership: Membership, resend_after_seconds: float
    ) -> None:
        self._log = log
        self._runs = runs
        self._clock = clock
        self._membership = membership
        self._plain_seconds = resend_after_seconds / 3
        self._unmarked: dict[str, tuple[int, int]] = {}

    def begin(self) -> Save:
        """Runs are about to be decided and saved, to be published with `publish`. Call it before their `saved_at` is
        taken, from which a sweep counts."""
        return Save(self._clock.monotonic(), self._membership.revocations)

    async def publish(self, save: Save, saved: Sequence[StoredRun], found: Sequence[StoredRun] = ()) -> None:
        """Publish the outboxes of runs saved just now, and of runs found with one that may have been published.

        What this process published and has not marked yet is not published again: a request that is published twice is
        answered twice, and every answer would find the outbox still unmarked.
        """
        found = [stored for stored in found if not self._is_published(stored)]
        messages: list[Message] = []
        is_first = self._is_first(save)
        for stored in saved:
            messages.extend(stored.outbox if is_first else map(mark_redelivered, stored.outbox))
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
        await self.publish(self.begin(), (), waiting)
        return len(waiting)

    def _is_first(self, save: Save) -> bool:
        """Whether nobody else can have published yet what was saved."""
        membership = self._membership
        return (
            membership.is_fresh()
            and membership.revocations == save.revocations
            and self._clock.monotonic() - save.began < self._plain_seconds
        )

    def _is_published(self, stored: StoredRun) -> bool:
        rev, _ = self._unmarked.get(stored.run.id, (None, 0))
        return rev == stored.rev
