"""The checker of a simulated history: what must hold whatever happened (docs/delivery.md)."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from headrace.contracts.codec import decode_event
from headrace.contracts.entity_change import event_id
from headrace.core import ids
from headrace.core.events import AttemptFailed, AttemptStarted, Event, NodeCompleted, NodeStarted, RunCompleted, fold
from headrace.core.run import Run
from headrace.ports.stores import StoredRun
from tests.simulation.workload import EXPECTED_NODES, SOURCES, TOPICS, TRIGGERS, shared_id


def expected_runs(world: Any) -> dict[str, str]:
    """The run that each event must start in each workflow."""
    expected = {
        ids.run_id(workflow, trigger, event_id(TOPICS.entity_changes, event)): workflow
        for event in world.events
        for workflow, trigger in TRIGGERS.items()
    }
    return {**expected, **dict.fromkeys(queue_of(world), "queue")}


def queue_of(world: Any) -> list[str]:
    """The runs that must follow one another, in this order."""
    return [ids.run_id("queue", "shared", event_id(TOPICS.entity_changes, shared_id(event))) for event in world.events]


async def is_quiet(world: Any) -> bool:
    """Whether all runs are over, with nothing left to publish."""
    stored = await world.runs.committed.load(list(expected_runs(world)))
    over = len(stored) == len(expected_runs(world)) and all(it.run.is_over for it in stored.values())
    gates = [*await world.gates.unsent(2**62, 10), *await world.gates.due(2**62, 10)]
    return over and not gates and not world.runs.pending and not await world.runs.committed.unsent(2**62, 10)


async def violations(world: Any) -> list[str]:
    """Everything that does not hold, in words."""
    found: list[str] = []
    expected = expected_runs(world)
    stored = await world.runs.committed.load(list(expected))
    history = await read_history(world, found)
    for run_id, workflow in expected.items():
        if run_id not in stored:
            found.append(f"V1 run {run_id} of {workflow} is lost")
            continue
        found.extend(_run_violations(workflow, stored[run_id], history.get(run_id, {})))
    found.extend(f"V1 run {run_id} should not exist" for run_id in history if run_id not in expected)
    found.extend(_call_violations(world, history))
    found.extend(_queue_violations(queue_of(world), history))
    held = [stored.gate for stored in await world.gates.due(2**62, 10)]
    found.extend(f"V10 run {gate.holder} holds its gate for ever, and {len(gate.waiting)} wait" for gate in held)
    for kind, process, tasks in world.processes:
        if tasks.failed is not None and tasks.failed.done():
            found.append(f"{kind} {process.name} died of {tasks.failed.result()!r}")
    for topic in SOURCES:
        for partition in range(2):
            letters = await world.log.read(TOPICS.dead_letters(topic), partition)
            found.extend(f"dead letter: {letter.header('dl-message')}" for letter in letters)
    return found


async def read_history(world: Any, found: list[str]) -> dict[str, dict[int, Event]]:
    """The published events by run and number. One number must always tell of one and the same event."""
    history: dict[str, dict[int, Event]] = defaultdict(dict)
    for partition in range(2):
        for record in await world.log.read(TOPICS.run_events, partition, limit=100_000):
            event = decode_event(record)
            known = history[record.key].setdefault(event.seq, event)
            if known != event:
                found.append(f"V9 run {record.key} told two different events {event.seq}: {known} and {event}")
    return history


def _run_violations(workflow: str, stored: StoredRun, events: dict[int, Event]) -> list[str]:
    found = []
    run = stored.run
    if not run.is_over or (run.result != "SUCCESS" and not _is_unknown(run)):
        waits = [
            (node.node, node.phase, node.attempt, node.error)
            for node in run.nodes.values()
            if node.error or not node.result
        ]
        found.append(f"V2 run {run.id} of {workflow} ended as {run.status}/{run.result}, {waits}")
    elif set(run.nodes) != EXPECTED_NODES[workflow]:
        found.append(f"V3 run {run.id} of {workflow} took another path: {sorted(run.nodes)}")
    if stored.outbox:
        found.append(f"V6 run {run.id} keeps {len(stored.outbox)} unpublished messages")
    if sorted(events) != list(range(1, run.seq + 1)):
        found.append(f"V9 run {run.id} at event {run.seq} told only {sorted(events)}")
    elif fold(None, [events[seq] for seq in sorted(events)]) != run:
        found.append(f"V9 run {run.id}: its events do not give the run that is stored")
    found.extend(_timer_violations(run.id, events))
    completed = [event.node for event in events.values() if isinstance(event, NodeCompleted)]
    if len(completed) != len(set(completed)):
        found.append(f"V4 run {run.id} completed a node twice: {completed}")
    return found


def _queue_violations(queue: list[str], history: dict[str, dict[int, Event]]) -> list[str]:
    """V10: the runs of one entity follow one another in the order of their events; none begins before another's end."""
    found = []
    spans = [(run_id, _begun_at(history.get(run_id, {})), _over_at(history.get(run_id, {}))) for run_id in queue]
    for (first, _, over), (second, begun, _) in pairwise(spans):
        if over is not None and begun is not None and begun < over:
            found.append(f"V10 run {second} began {over - begun} ms before the end of run {first}")
    return found


def _begun_at(events: dict[int, Event]) -> int | None:
    """When the run went on from its trigger."""
    return next((it.at for it in events.values() if isinstance(it, NodeCompleted) and it.node == "shared"), None)


def _over_at(events: dict[int, Event]) -> int | None:
    return next((it.at for it in events.values() if isinstance(it, RunCompleted)), None)


def _timer_violations(run_id: str, events: dict[int, Event]) -> list[str]:
    """V8: an attempt that waited for its time began not before it, and once."""
    due = {(it.node, it.attempt): it.retry.due_at for it in events.values() if isinstance(it, AttemptFailed)}
    begun = [it for it in events.values() if isinstance(it, AttemptStarted)]
    found = [
        f"V8 run {run_id} began attempt {event.attempt} of {event.node} before its time"
        for event in begun
        if event.at < due[event.node, event.attempt - 1]
    ]
    if len({(event.node, event.attempt) for event in begun}) < len(begun):
        found.append(f"V8 run {run_id} began an attempt twice")
    return found


def _is_unknown(run: Run) -> bool:
    """Whether the run failed as a node with `delivery: at_most_once` may: its attempt began and nobody knows more."""
    charge = run.nodes.get("charge")
    return charge is not None and "at most once" in (charge.error or "")


def _call_violations(world: Any, history: dict[str, dict[int, Event]]) -> list[str]:
    """V5: every attempt is called; by one process once at most; by nobody who could have read that it is DONE; and once
    at most where that was promised."""
    found = [f"V5 a call began after its DONE could be read: {late}" for late in world.receiver.late]
    for attempt, callers in world.receiver.calls.items():
        if len(callers) != len(set(callers)):
            found.append(f"V5 attempt {attempt} was called twice by one process: {callers}")
    for attempt, node in _attempts(history):
        calls = len(world.receiver.calls.get(attempt, ()))
        if node == "charge" and calls > 1:
            found.append(f"V5 attempt {attempt} was called {calls} times, and delivery is at most once")
        elif node != "charge" and calls == 0:
            found.append(f"V5 attempt {attempt} was never called")
    return found


def _attempts(history: dict[str, dict[int, Event]]) -> Iterator[tuple[str, str]]:
    """Every attempt that began, with its node."""
    for run_id, events in history.items():
        for event in events.values():
            if isinstance(event, NodeStarted) and event.node != "shared":
                yield ids.attempt_id(event.node_run_id, 1), event.node
            elif isinstance(event, AttemptStarted):
                yield ids.attempt_id(ids.node_run_id(run_id, event.node), event.attempt), event.node
