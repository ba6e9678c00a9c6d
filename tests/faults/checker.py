"""What must hold once faults are over (docs/delivery.md), as pure functions over what was read.

Each gives its complaints in words, and none when all is well. test_checker.py shows that each of them can complain.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from tests.faults.history import (
    ATTEMPT_FAILED,
    ATTEMPT_STARTED,
    COMPLETED,
    NODE_COMPLETED,
    NODE_STARTED,
    RESULTS,
    STARTED,
    Call,
    Event,
    History,
    NodeRun,
    Takeover,
    node_runs,
    subject_of,
)

NOBODY = "nobody"
"""The caller whose signature is none of our invokers'."""
RECORDED_SECONDS = 2.0
"""So long after its answer an attempt is known to be done, and must not be called again whatever happens. Usually it
takes 20 ms; what a busy machine needs was 260 ms at most."""

_ONCE_PER_NODE = (NODE_STARTED, NODE_COMPLETED)
_ONCE_PER_RUN = (STARTED, COMPLETED)


def complaints(history: History) -> list[str]:
    """Everything that does not hold, in words."""
    runs = history.runs()
    calls = history.calls_by_id()
    found = [*repetitions(history.events), *order(history.events), *existence(history, runs)]
    asked: set[str] = set()
    for run_id, events in runs.items():
        found += [f"run {run_id}: {it}" for it in (*numbering(events), *transitions(events))]
        for node_run in node_runs(events):
            asked.add(node_run.id)
            said = call_complaints(node_run, calls.get(node_run.id, []), history.takeovers)
            found += [f"run {run_id}, {node_run.node} {node_run.id}: {it}" for it in said]
    found += [f"{len(made)} calls under {it}, which no event tells of" for it, made in calls.items() if it not in asked]
    found += database(history, runs)
    return found + [f"dead letter: {it}" for it in history.dead_letters]


def repetitions(events: Sequence[Event]) -> Iterator[str]:
    """A record may come again, with the same bytes."""
    known: dict[str, bytes] = {}
    for it in events:
        if it.id != f"{it.run_id}/{it.seq}":
            yield f"event {it.id} tells of {it.run_id}/{it.seq}"
        if known.setdefault(it.id, it.value) != it.value:
            yield f"event {it.id} came with two values: {known[it.id]!r} and {it.value!r}"


def order(events: Sequence[Event]) -> Iterator[str]:
    """The numbers of a run come in order where they come for the first time, and all in one partition."""
    last: dict[str, int] = {}
    places: dict[str, int] = {}
    for it in sorted(events, key=lambda it: (it.partition, it.offset)):
        if places.setdefault(it.run_id, it.partition) != it.partition:
            yield f"run {it.run_id} is in partitions {places[it.run_id]} and {it.partition}"
        if it.seq > last.get(it.run_id, 0) + 1:
            yield f"run {it.run_id}: {it.seq} came before {last.get(it.run_id, 0) + 1}"
        last[it.run_id] = max(it.seq, last.get(it.run_id, 0))


def numbering(events: Sequence[Event]) -> Iterator[str]:
    """From 1 without gaps to the end of the run, after which nothing comes."""
    numbers = [it.seq for it in events]
    missing = sorted(set(range(1, max(numbers) + 1)) - set(numbers))
    if missing:
        yield f"no events {missing} of {max(numbers)}"
    if events[0].type != STARTED:
        yield f"begins with {events[0].type}"
    if COMPLETED not in {it.type for it in events}:
        yield f"never ended: its last event is {events[-1].seq}, {events[-1].type} {events[-1].node}".rstrip()
    elif events[-1].type != COMPLETED:
        yield f"goes on after its end, with {events[-1].type}"


def transitions(events: Sequence[Event]) -> Iterator[str]:
    """Each transition once: a run begins and ends once, a node too, and attempts follow each other."""
    once = Counter(it.type for it in events if it.type in _ONCE_PER_RUN)
    once.update(f"{it.type} of {it.node}" for it in events if it.type in _ONCE_PER_NODE)
    yield from (f"{count} times {what}" for what, count in once.items() if count > 1)
    attempts: dict[str, int] = {}
    failed: dict[str, int] = defaultdict(int)
    for it in events:
        if it.type == NODE_STARTED:
            attempts[it.node] = 1
        elif it.type == ATTEMPT_FAILED:
            failed[it.node] += 1
            if it.data["attempt"] != attempts.get(it.node):
                yield f"attempt {it.data['attempt']} of {it.node} failed, and {attempts.get(it.node)} was at work"
        elif it.type == ATTEMPT_STARTED:
            attempts[it.node] = attempts.get(it.node, 0) + 1
            if it.data["attempt"] != attempts[it.node] or failed[it.node] != attempts[it.node] - 1:
                yield f"attempt {it.data['attempt']} of {it.node} began after {failed[it.node]} failures"
        elif it.type == NODE_COMPLETED and it.node in attempts and failed[it.node] != attempts[it.node] - 1:
            yield f"{it.node} was completed in attempt {attempts[it.node]} after {failed[it.node]} failures"


def existence(history: History, runs: dict[str, list[Event]]) -> Iterator[str]:
    """Every event that matches has one run, and there is no other; each took its way, to its result."""
    by_subject: dict[tuple[str, str], list[str]] = defaultdict(list)
    for run_id, events in runs.items():
        by_subject[subject_of(events)].append(run_id)
    for wanted in history.wanted:
        found = by_subject.pop((wanted.workflow, wanted.subject), [])
        if len(found) != 1:
            yield f"{len(found)} runs of {wanted.workflow} for {wanted.subject}: {found}"
            continue
        events = runs[found[0]]
        nodes = frozenset(it.node for it in events if it.type == NODE_COMPLETED)
        results = [it.data["result"] for it in events if it.type == COMPLETED]
        if COMPLETED in {it.type for it in events} and (nodes != wanted.nodes or results != [wanted.result]):
            yield (
                f"run {found[0]} of {wanted.workflow} ended as {results} by way of {sorted(nodes)}, "
                f"not as {wanted.result} by way of {sorted(wanted.nodes)}"
            )
    for (workflow, subject), found in by_subject.items():
        yield f"nobody asked for runs of {workflow} for {subject or 'nothing that its trigger names'}: {found}"


def call_complaints(node_run: NodeRun, calls: Sequence[Call], takeovers: Sequence[Takeover]) -> Iterator[str]:
    """Every attempt is called: once, and once more for each takeover from who had called it.

    All calls of a node run carry one webhook-id, whatever the attempt; so the bound is on their sum.
    """
    if len(calls) < len(node_run.began):
        yield f"{len(node_run.began)} attempts, and only {len(calls)} calls"
    may_repeat = sum(_strikes(takeover, calls) for takeover in takeovers)
    if len(calls) > len(node_run.began) + may_repeat:
        yield f"{len(node_run.began)} attempts, {may_repeat} takeovers, and {_told(calls)}"
    if any(call.life == NOBODY for call in calls):
        yield f"somebody called whose signature is not an invoker's: {_told(calls)}"
    for life, count in Counter(call.life for call in calls).items():
        if count > len(node_run.began):
            yield f"{life} made {count} calls for {len(node_run.began)} attempts: {_told(calls)}"
    if len({call.body for call in calls}) > 1:
        yield f"its calls differ in their bodies: {_told(calls)}"
    yield from _evidence(node_run, calls)


def _strikes(takeover: Takeover, calls: Sequence[Call]) -> bool:
    """Whether it may have taken this work from somebody: a life that it struck had called, and cannot have recorded
    the answer by then."""
    return any(
        call.life in takeover.lives
        and call.at <= takeover.until
        and (call.answered is None or call.answered >= takeover.since - RECORDED_SECONDS)
        for call in calls
    )


def _evidence(node_run: NodeRun, calls: Sequence[Call]) -> Iterator[str]:
    """What the events say was answered, was."""
    answered = Counter(call.status for call in calls)
    for it in node_run.failed:
        if not any(str(status) in str(it.data["error"]) for status in answered if status):
            yield f"attempt {it.data['attempt']} failed with {it.data['error']!r}, which nobody answered"
    for it in node_run.completed:
        response = (it.data.get("output") or {}).get("response")
        if it.data["result"] == "SUCCESS" and response is not None:
            given = [call.answer for call in calls if call.status == response["status"]]
            if response["data"] not in given:
                yield f"was completed with {response}, and these were the answers: {given}"


def _told(calls: Sequence[Call]) -> str:
    return f"{len(calls)} calls: " + ", ".join(f"{it.life} at {it.at:.3f} got {it.status}" for it in calls)


def database(history: History, runs: dict[str, list[Event]]) -> Iterator[str]:
    """The database and the topic tell the same story, and nothing is left to be done."""
    for run_id in runs.keys() - history.stored.keys():
        yield f"run {run_id} has events, and no document"
    for run_id, it in history.stored.items():
        events = runs.get(run_id)
        if events is None:
            yield f"run {run_id} has a document, and no events"
            continue
        if it.state not in RESULTS:
            yield f"run {run_id} is stored as {it.state}"
        elif it.state not in [event.data["result"] for event in events if event.type == COMPLETED]:
            yield f"run {run_id} is stored as {it.state}, and its events do not say so"
        if it.unsent:
            yield f"run {run_id} has unpublished messages"
        if it.timers:
            yield f"run {run_id} has {it.timers} timers left"
        if not 1 <= it.rev <= events[-1].seq:
            yield f"run {run_id} was saved {it.rev} times for {events[-1].seq} transitions"
        told = {event.data["nodeRunId"] for event in events if event.type == NODE_COMPLETED}
        if it.node_runs != told:
            yield f"run {run_id} has node runs {sorted(it.node_runs ^ told)} in its document or its events, not in both"
