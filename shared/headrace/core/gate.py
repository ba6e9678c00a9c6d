"""The gate of an entity at a trigger: which of its events start a run, and when (docs/triggers.md, issue 5).

Theory of operation. An event trigger with `perEntity` or `debounce` has a gate for each entity. At most one run holds
a gate; others wait there, and events may be gathered before it. What happens to a gate is a step:

* `enter`: an event matched. Its run starts, is started but held, takes the place of others that are held, or is
  dropped; or the event is gathered with others (debounce).
* `ripen`: what was gathered has been quiet for long enough, and enters as one event.
* `leave`: a run is over. If it held the gate, the next one is admitted.
* `check`: a look at the run that holds the gate, now and then, in case that nobody said that it is over.

Steps are pure, as `decide` is: the same step at the same gate asks for the same. An event that is delivered again is
known by its place in the log, or by its id; what was said of it is said again, and nothing else happens.

Events that become one keep what tells a workflow about them: the run gets the last one, with the state of the entity
before the first (`diff.before`), and the ids of all (`merged`).
"""

from collections.abc import Mapping
from dataclasses import replace

from headrace.core._gate_types import (
    Entry,
    Gate,
    GateVerdict,
    Gathering,
    Heard,
    Merged,
    Position,
    Step,
    Waiting,
)
from headrace.core.commands import AdmitRun, CancelRun, LeaveGate, StartRun
from headrace.core.definition import Debounce, PerEntity
from headrace.core.json import Json, JsonObject
from headrace.core.run import Run
from headrace.core.times import iso
from headrace.core.value_class import value_class

__all__ = [
    "Entry",
    "Gate",
    "GateVerdict",
    "Gathering",
    "Heard",
    "Merged",
    "Position",
    "Step",
    "Waiting",
    "check",
    "enter",
    "leave",
    "leaving",
    "place_of",
    "ripen",
]

MAX_WAITING = 1_000
"""Runs that may wait at one gate."""
MAX_RECENT = 32
"""Events of which a gate remembers what it said."""
MAX_MERGED = 100
"""Ids of merged events that a run is told, the last ones."""
CHECK_MS = 15_000
MAX_CHECK_MS = 600_000
LOST_MS = 4 * 86_400_000
"""A run that does not exist so long after it was asked for never will: its command is not kept that long."""
SUPERSEDED_BY = "headrace:latest-wins:"
"""Begins what `cancelledBy` says of a run whose place another one took; the other's id follows."""


@value_class
class _Arrival:
    """What became of an event that came as far as the gate itself."""

    gate: Gate
    verdict: GateVerdict
    reason: str
    commands: tuple[StartRun | AdmitRun | CancelRun, ...] = ()


def enter(gate: Gate, entry: Entry) -> Step:
    """An event that matched comes to the gate."""
    start = entry.start
    event_id = start.causation.event_id
    known = _known(gate, entry, event_id)
    if known is not None:
        return Step(gate, (), known)
    run_id = start.run_id
    if entry.debounce is None or (entry.policy == "drop-while-running" and gate.holder is not None):
        merged = Merged(_before(start.output), 1, (event_id,))
        arrival = _arrive(gate, start, entry.policy, merged)
    else:
        arrival, run_id = _gather(gate, start, entry.policy, entry.debounce)
    heard = Heard(event_id, arrival.verdict, arrival.reason, None if arrival.verdict == "dropped" else run_id)
    latest = entry.position
    if gate.position is not None and gate.position.timestamp > latest.timestamp:
        latest = replace(latest, timestamp=gate.position.timestamp)
    after = replace(arrival.gate, position=latest, recent=(*gate.recent, heard)[-MAX_RECENT:])
    return Step(after, arrival.commands, heard)


def ripen(gate: Gate, at: int) -> Step:
    """Let what was gathered enter, if its time has come."""
    gathering = gate.gathering
    if gathering is None or gathering.due_at > at:
        return Step(gate)
    # while a run is at work nothing is gathered under this policy: one that is now began by another version's rule
    policy: PerEntity = "serial" if gathering.policy == "drop-while-running" else gathering.policy
    start = replace(gathering.start, at=at)
    arrival = _arrive(replace(gate, gathering=None), start, policy, gathering.merged)
    return Step(arrival.gate, arrival.commands)


def leave(gate: Gate, run_id: str, at: int) -> Step:
    """A run is over: nobody waits for it any more, and if it held the gate, the next one is admitted."""
    if gate.holder != run_id:
        waiting = tuple(it for it in gate.waiting if it.run_id != run_id)
        return Step(gate if len(waiting) == len(gate.waiting) else replace(gate, waiting=waiting))
    if not gate.waiting:
        return Step(replace(gate, holder=None, since_at=0, check_at=None))
    following, *rest = gate.waiting
    held = _held_by(replace(gate, waiting=tuple(rest)), following.run_id, at)
    return Step(held, (AdmitRun(following.run_id, at),))


def check(gate: Gate, holder: Run | None, at: int) -> Step:
    """Look at the run that holds the gate, if it is time to; None: there is no such run yet."""
    if gate.holder is None or gate.check_at is None or gate.check_at > at:
        return Step(gate)
    age = at - gate.since_at
    if holder is None and age >= LOST_MS:
        return leave(gate, gate.holder, at)
    if holder is not None and holder.is_over:
        return leave(gate, gate.holder, at)
    commands = (AdmitRun(gate.holder, at),) if holder is not None and holder.is_held else ()
    return Step(replace(gate, check_at=at + min(max(age, CHECK_MS), MAX_CHECK_MS)), commands)


def leaving(gate: str | None, run_id: str, at: int) -> tuple[LeaveGate, ...]:
    """What a gate is told when a run is over, or cannot begin; nothing without a gate."""
    return () if gate is None else (LeaveGate(gate, run_id, at),)


def place_of(gate: Gate | None, run_id: str) -> tuple[str | None, int] | None:
    """For a run that waits: which run holds the gate, and how many wait before it. None: it does not wait there."""
    ids = [it.run_id for it in gate.waiting] if gate is not None else []
    return (gate.holder, ids.index(run_id)) if gate is not None and run_id in ids else None


def _known(gate: Gate, entry: Entry, event_id: str) -> Heard | None:
    """What was said of this event when it came before; None when it is new."""
    for heard in reversed(gate.recent):
        if heard.event_id == event_id:
            return heard
    run_id = entry.start.run_id
    if run_id == gate.holder or any(it.run_id == run_id for it in gate.waiting):
        return Heard(event_id, "matched", "it came before, and has its run", run_id)
    last, at = gate.position, entry.position
    if last is None or last.source != at.source or at.offset > last.offset or at.timestamp > last.timestamp:
        return None
    verdict: GateVerdict = "dropped" if entry.policy == "drop-while-running" else "matched"
    return Heard(event_id, verdict, "it came before; what was said of it is forgotten", run_id)


def _arrive(gate: Gate, start: StartRun, policy: PerEntity, merged: Merged) -> _Arrival:
    """An event is at the gate itself."""
    if policy == "parallel":
        return _Arrival(gate, "matched", "", (_told(start, merged),))
    if gate.holder is None:
        passing = replace(_told(start, merged), gate=gate.id)
        return _Arrival(_held_by(gate, start.run_id, start.at), "matched", "", (passing,))
    at_work = f"run {gate.holder} of {gate.entity} is at work"
    if policy == "drop-while-running":
        return _Arrival(gate, "dropped", f"{at_work}, and perEntity is drop-while-running")
    if policy == "latest-wins":
        return _supersede(gate, start, merged, at_work)
    if len(gate.waiting) >= MAX_WAITING:
        return _Arrival(gate, "dropped", f"{at_work}, and {MAX_WAITING} wait already")
    held = replace(_told(start, merged), gate=gate.id, held=True)
    waiting = (*gate.waiting, Waiting(start.run_id))
    before = f", and {len(gate.waiting)} wait before it" if gate.waiting else ""
    return _Arrival(replace(gate, waiting=waiting), "waiting", f"it waits: {at_work}{before}", (held,))


def _supersede(gate: Gate, start: StartRun, merged: Merged, at_work: str) -> _Arrival:
    """Of the runs that wait only the last one remains, and stands for all events since the one that is at work."""
    for earlier in reversed(gate.waiting):
        if earlier.merged is not None:
            merged = _joined(earlier.merged, merged)
    held = replace(_told(start, merged), gate=gate.id, held=True)
    cancels = tuple(CancelRun(it.run_id, start.at, SUPERSEDED_BY + start.run_id) for it in gate.waiting)
    instead = f", in the place of run {gate.waiting[-1].run_id}" if gate.waiting else ""
    waiting = (Waiting(start.run_id, merged),)
    return _Arrival(replace(gate, waiting=waiting), "waiting", f"it waits: {at_work}{instead}", (held, *cancels))


def _gather(gate: Gate, start: StartRun, policy: PerEntity, debounce: Debounce) -> tuple[_Arrival, str]:
    """Add an event to those that are gathered; the run of all of them has the id that the first one asked for."""
    merged = Merged(_before(start.output), 1, (start.causation.event_id,))
    first_at, run_id = start.at, start.run_id
    if gate.gathering is not None:
        merged = _joined(gate.gathering.merged, merged)
        first_at, run_id = gate.gathering.first_at, gate.gathering.start.run_id
    latest_at = first_at + int(debounce.max_seconds * 1000)
    due_at = min(start.at + int(debounce.seconds * 1000), latest_at)
    gathering = Gathering(replace(start, run_id=run_id), policy, merged, first_at, due_at)
    reason = (
        f"one run starts when {gate.entity} was quiet for {debounce.seconds:g} s: at {iso(due_at)} unless more comes, "
        f"at {iso(latest_at)} at the latest; {merged.count} so far"
    )
    return _Arrival(replace(gate, gathering=gathering), "debounced", reason), run_id


def _held_by(gate: Gate, run_id: str, at: int) -> Gate:
    return replace(gate, holder=run_id, since_at=at, check_at=at + CHECK_MS)


def _joined(earlier: Merged, later: Merged) -> Merged:
    return Merged(
        earlier.before, earlier.count + later.count, (*earlier.event_ids, *later.event_ids)[-MAX_MERGED:]
    )  # fmt: skip


def _told(start: StartRun, merged: Merged) -> StartRun:
    """The start, with what it must know of the events that it stands for; that of a single event as it is."""
    if merged.count == 1:
        return start
    diff = start.output.get("diff")
    more: JsonObject = {"merged": {"count": merged.count, "eventIds": list(merged.event_ids)}}
    if isinstance(diff, dict):
        more["diff"] = {**diff, "before": merged.before}
    return replace(start, output={**start.output, **more})


def _before(output: Mapping[str, Json]) -> Json:
    diff = output.get("diff")
    return diff.get("before") if isinstance(diff, dict) else None
