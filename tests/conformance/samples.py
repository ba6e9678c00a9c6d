"""Runs, messages and ledger entries to store, built as the engine builds them: by folding events."""

from dataclasses import dataclass

from headrace.core.events import (
    AttemptFailed,
    Event,
    NodeCompleted,
    NodeReported,
    NodeStarted,
    RunCancelling,
    RunCompleted,
    RunStarted,
    fold,
)
from headrace.core.json import JsonObject
from headrace.core.run import Causation, LogLine, Result, Run, Timer
from headrace.ports.log import Message
from headrace.ports.stores import LedgerEntry, StoredRun, TriggerVerdict

START = 1_750_000_000_000


@dataclass
class ManualClock:
    """A clock that stands until somebody moves it."""

    at: int = START

    def now(self) -> int:
        return self.at

    def monotonic(self) -> float:
        return self.at / 1_000


def started(run_id: str, *, workflow: str = "deploy", version: int = 1, by: str = "ann", at: int = START) -> RunStarted:
    return RunStarted(1, at, run_id, workflow, version, "on-change", "EVENT_TRIGGER", by, Causation("ev", "ev"))


def make_run(
    run_id: str,
    *events: Event,
    workflow: str = "deploy",
    version: int = 1,
    by: str = "ann",
    at: int = START,
    result: Result | None = None,
) -> Run:
    """A run whose trigger has fired, after the given events, completed when a result is given."""
    run = fold(None, [started(run_id, workflow=workflow, version=version, by=by, at=at), *events])
    assert run is not None
    if result is not None:
        run = after(run, RunCompleted(run.seq + 1, run.updated_at + 1, result))
    return run


def after(run: Run, *events: Event) -> Run:
    later = fold(run, events)
    assert later is not None
    return later


def calling(run: Run, node: str = "call", *due: int) -> Run:
    """The run with a call under way, with a timer for each instant."""
    timers = tuple(Timer(f"{run.id}:{node}:{i}", node, 1, "deadline", at) for i, at in enumerate(due))
    return after(
        run,
        NodeStarted(run.seq + 1, run.updated_at, node, f"{run.id}:{node}", "WEBHOOK", {"url": "x"}, "running", timers),
    )


def called(run: Run, node: str = "call", output: JsonObject | None = None, external: str | None = None) -> Run:
    """The run with that call answered."""
    output = {"status": 200} if output is None else output
    event = NodeCompleted(
        run.seq + 1, run.updated_at + 5, node, f"{run.id}:{node}", "WEBHOOK", "SUCCESS", output=output, stored=output,
        external_run_id=external, logs=(LogLine(run.updated_at, "INFO", "called — ✓", (("try", "1"),)),),
    )  # fmt: skip
    return after(run, event)


def reported(run: Run, node: str, external: str) -> Run:
    """The run after somebody told the name under which they know a node run."""
    return after(run, NodeReported(run.seq + 1, run.updated_at, node, external_run_id=external, links=("https://x",)))


def failed_once(run: Run, node: str, retry_at: int) -> Run:
    retry = Timer(f"{run.id}:{node}:retry", node, 1, "retry", retry_at)
    return after(run, AttemptFailed(run.seq + 1, run.updated_at, node, 1, "502", retry))


def cancelling(run: Run) -> Run:
    return after(run, RunCancelling(run.seq + 1, run.updated_at + 1, "bob"))


def completed(run: Run, result: Result = "SUCCESS") -> Run:
    return after(run, RunCompleted(run.seq + 1, run.updated_at + 1, result))


def write(run: Run, rev: int = 0, *outbox: Message, saved_at: int = START) -> StoredRun:
    return StoredRun(run, rev, outbox, saved_at)


def message(topic: str, key: str = "k", value: bytes | None = b"v", **headers: bytes) -> Message:
    return Message(topic, key, value, tuple(headers.items()))


def entry(
    event_id: str, *verdicts: TriggerVerdict, blueprint: str = "service", entity: str = "shop", at: int = START,
    event: bytes = b"{}",
) -> LedgerEntry:  # fmt: skip
    return LedgerEntry(
        event_id, at, "ENTITY_UPDATED", blueprint, entity, 3, verdicts, event, "headrace.entity.changes.v1/0/7"
    )
