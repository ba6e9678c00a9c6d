"""Mutants: the engine with one defence removed. The simulation must catch each, or it proves nothing."""

from collections.abc import Sequence
from typing import Any

from headrace.core.commands import InvokeNode
from headrace.ports.log import Record
from headrace.ports.stores import Claim, StoredRun
from headrace.runtime.loop import BatchLoop
from headrace.runtime.offsets import OffsetTracker, PartitionTracker
from headrace_invoker.handler import Invoker


def commit_highest_offset(kind: str, service: Any) -> None:
    """Offsets: commits past unfinished work."""

    class Highest(PartitionTracker):
        def committable(self) -> int | None:
            return None if self._last is None else self._last + 1

    tracker = service.loop._offsets
    original = OffsetTracker.add

    def add(records: Sequence[Record]) -> None:
        original(tracker, records)
        for partition in tracker._partitions.values():
            partition.__class__ = Highest

    tracker.add = add


def publish_before_save(kind: str, service: Any) -> None:
    """Orchestrator: what a decision asks for leaves the process before the decision is saved."""
    if kind != "orchestrator":
        return
    handler = service.handler
    save = handler._save

    async def publish_then_save(writes: Sequence[StoredRun]) -> set[str]:
        await handler._log.publish([message for write in writes for message in write.outbox])
        lost: set[str] = await save(writes)
        return lost

    handler._save = publish_then_save


def no_outbox_resend(kind: str, service: Any) -> None:
    """Orchestrator: neither redelivery nor the sweeper publishes what a predecessor saved and left."""
    if kind != "orchestrator":
        return

    async def sweep(older_than_ms: int, limit: int = 500) -> int:
        return 0

    service.outbox.sweep = sweep
    service.handler._unpublished = lambda turns: []


def trust_duplicate_key(kind: str, service: Any) -> None:
    """Orchestrator: takes "somebody has it already" for proof that it will stay."""
    if kind != "orchestrator":
        return
    handler = service.handler
    save = handler._save

    async def save_and_believe(writes: Sequence[StoredRun]) -> set[str]:
        lost: set[str] = await save(writes)
        return {write.run.id for write in writes if write.run.id in lost and write.rev > 0}

    handler._save = save_and_believe


def no_claims(kind: str, service: Any) -> None:
    """Invoker: calls whatever it is asked to call."""
    if kind != "invoker":
        return
    invoker: Invoker = service.handler

    class Unclaimed:
        async def load(self, claim_ids: Sequence[str]) -> dict[str, Claim]:
            return {}

        async def save(self, writes: Sequence[tuple[Claim, Claim | None]]) -> list[bool]:
            return [True] * len(writes)

    invoker._claims = Unclaimed()
    service.finisher._claims = Unclaimed()


def done_before_result(kind: str, service: Any) -> None:
    """Invoker: a record is done when its call begins, not when its result is published."""
    if kind != "invoker":
        return
    invoker: Invoker = service.handler
    perform = invoker._performers.perform

    async def perform_done(request: InvokeNode) -> Any:
        for job in invoker._calling.values():
            if job.request.id == request.id:
                job.done(job.record)
        return await perform(request)

    invoker._performers.perform = perform_done  # type: ignore[method-assign]


def call_what_was_sent(kind: str, service: Any) -> None:
    """Invoker: takes over an attempt that may have been made although delivery is at most once."""
    if kind != "invoker":
        return
    invoker: Invoker = service.handler
    call = invoker._call

    async def call_again(job: Any, owner: str, was_sent: bool) -> None:
        await call(job, owner, False)

    invoker._call = call_again  # type: ignore[method-assign]


def done_before_publish(kind: str, service: Any) -> None:
    """Every service: offsets are committed as soon as a batch is fetched (auto-commit)."""
    loop: BatchLoop = service.loop
    handler = loop._handler

    async def done_first(records: Sequence[Record], done: Any) -> None:
        for record in records:
            done(record)
        await handler(records, done)

    loop._handler = done_first


MUTANTS = {
    mutation.__name__: mutation
    for mutation in (
        commit_highest_offset,
        publish_before_save,
        no_outbox_resend,
        trust_duplicate_key,
        no_claims,
        call_what_was_sent,
        done_before_result,
        done_before_publish,
    )
}
