"""Mutants: the engine with one defence removed. The simulation must catch each, or it proves nothing."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from headrace.contracts.envelope import is_redelivered
from headrace.core.commands import LeaveGate
from headrace.ports.gates import StoredGate
from headrace.ports.log import Record, TopicPartition
from headrace.ports.stores import Claim, StoredRun
from headrace.runtime.loop import BatchLoop
from headrace.runtime.offsets import OffsetTracker, PartitionTracker
from headrace_invoker.calls import Calls
from headrace_invoker.handler import Invoker
from headrace_invoker.job import Job
from headrace_orchestrator.outbox import Save


def commit_highest_offset(kind: str, service: Any) -> None:
    """Offsets: commits past unfinished work."""
    if kind == "world":
        return

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
    """Invoker: no claim is ever written, and none is found."""
    if kind != "invoker":
        return

    class Unclaimed:
        async def load(self, claim_ids: Sequence[str]) -> dict[str, Claim]:
            return {}

        async def save(self, writes: Sequence[tuple[Claim, Claim | None]]) -> list[bool]:
            return [True] * len(writes)

        async def record(self, claims: Sequence[Claim]) -> None: ...

    _surround(service, claims=Unclaimed())


def nomem(kind: str, service: Any) -> None:
    """Invoker: does not know what it has in hand or has done."""
    if kind == "invoker":
        service.handler._memory.knows = lambda attempt, record, done: False
        service.handler._memory.finish = lambda job: job.done(job.record)


def nohw(kind: str, service: Any) -> None:
    """Invoker: takes what it inherits from an earlier owner of its partition for new."""
    if kind == "invoker":
        service.handler._may_be_known = is_redelivered


def noflag(kind: str, service: Any) -> None:
    """Invoker: takes what is marked as redelivered for new."""
    if kind == "invoker":
        service.handler._may_be_known = lambda record: record.inherited


def nofresh(kind: str, service: Any) -> None:
    """Invoker: calls and publishes although others may have its partitions."""
    if kind == "invoker":
        _surround(service, is_fresh=lambda: True)


def strayplain(kind: str, service: Any) -> None:
    """Outside: who replays requests does not mark them."""
    if kind == "world":
        service.mark_stray = lambda message: message


def zombiepub(kind: str, service: Any) -> None:
    """Orchestrator: takes itself for the first to publish what it saved, however long ago that was."""
    if kind == "orchestrator":
        service.outbox._is_first = lambda save: True


def plain_unfresh(kind: str, service: Any) -> None:
    """Orchestrator: publishes plain what it saved although others may have its partitions."""
    if kind == "orchestrator":
        _surround_outbox(service, is_fresh=lambda loop: True)


def plain_after_revoke(kind: str, service: Any) -> None:
    """Orchestrator: publishes plain what it saved although its partitions went meanwhile."""
    if kind == "orchestrator":
        _surround_outbox(service, revocations=0)


def plain_late(kind: str, service: Any) -> None:
    """Orchestrator: publishes plain what it saved although a sweep may have found it."""
    if kind == "orchestrator":
        service.outbox._plain_seconds = float("inf")


def plain_found(kind: str, service: Any) -> None:
    """Orchestrator: publishes plain also what it found, which others saved and may have published."""
    if kind != "orchestrator":
        return
    outbox = service.outbox
    publish = outbox.publish

    async def publish_all(save: Save, saved: Sequence[StoredRun], found: Sequence[StoredRun] = ()) -> None:
        await publish(save, [*saved, *(stored for stored in found if not outbox._is_published(stored))])

    outbox.publish = publish_all


def no_drain(kind: str, service: Any) -> None:
    """Invoker: lets its partitions go while their requests still wait to be begun."""
    if kind != "invoker":
        return

    async def release(partitions: frozenset[TopicPartition]) -> None: ...

    service.loop._on_revoke = release


def done_before_result(kind: str, service: Any) -> None:
    """Invoker: a record is done when its call begins, not when its result is recorded."""
    if kind != "invoker":
        return
    calls: Calls = service.handler.calls
    begin = calls.begin

    def begin_done(job: Job) -> None:
        job.done(job.record)
        begin(job)

    calls.begin = begin_done  # type: ignore[method-assign]


def call_what_was_sent(kind: str, service: Any) -> None:
    """Invoker: takes over an attempt that may have been made although delivery is at most once."""
    if kind == "invoker":
        service.handler._claiming._may_have_been_sent = lambda claim: False


def _surround_outbox(service: Any, **changes: Any) -> None:
    """Have an orchestrator's outbox see other things in its loop than there are."""
    loop = service.loop
    seen = {"is_fresh": lambda _: loop.is_fresh(), "revocations": property(lambda _: loop.revocations), **changes}
    service.outbox._membership = type("Seen", (), seen)()


def _surround(service: Any, **changes: Any) -> None:
    """Give all parts of an invoker other surroundings."""
    handler: Invoker = service.handler
    around = replace(handler._around, **changes)
    for part in (handler, handler.calls, handler.finisher, handler._claiming):
        part._around = around


def done_before_publish(kind: str, service: Any) -> None:
    """Every service: offsets are committed as soon as a batch is fetched (auto-commit)."""
    if kind == "world":
        return
    loop: BatchLoop = service.loop
    handler = loop._handler

    async def done_first(records: Sequence[Record], done: Any) -> None:
        for record in records:
            done(record)
        await handler(records, done)

    loop._handler = done_first


def gate_no_resend(kind: str, service: Any) -> None:
    """Gatekeeper: neither redelivery nor the sweep publishes what a predecessor saved at a gate and left."""
    if kind != "trigger":
        return
    store = service.gatekeeper._store

    class Forgetful:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        async def load(self, gate_ids: Sequence[str]) -> dict[str, StoredGate]:
            held = await store.load(gate_ids)
            return {name: replace(it, outbox=()) for name, it in held.items()}

        async def unsent(self, saved_before: int, limit: int) -> list[StoredGate]:
            return []

    service.gatekeeper._store = Forgetful()


def gate_any_turn(kind: str, service: Any) -> None:
    """Gatekeeper: a run that is over frees the gate, whether it held it or not."""
    if kind != "trigger":
        return
    keeper = service.gatekeeper
    leave = keeper.leave

    async def leave_whoever_it_is(left: Sequence[LeaveGate]) -> None:
        known = await keeper._store.load([it.gate for it in left])
        holders = {name: it.gate.holder for name, it in known.items()}
        await leave([replace(it, run_id=holders.get(it.gate) or it.run_id) for it in left])

    keeper.leave = leave_whoever_it_is


MUTANTS = {
    mutation.__name__: mutation
    for mutation in (
        commit_highest_offset,
        publish_before_save,
        no_outbox_resend,
        trust_duplicate_key,
        no_claims,
        nomem,
        nohw,
        noflag,
        nofresh,
        strayplain,
        zombiepub,
        plain_unfresh,
        plain_after_revoke,
        plain_late,
        plain_found,
        no_drain,
        call_what_was_sent,
        done_before_result,
        done_before_publish,
        gate_no_resend,
        gate_any_turn,
    )
}
