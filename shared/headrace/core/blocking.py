"""What does an unfinished node run wait for, and until when? (Issue 5: every waiting run answers "blocked on".)"""

from dataclasses import dataclass
from typing import Literal

from headrace.core.definition import DELAY, Action, Node
from headrace.core.gate import Gate, place_of
from headrace.core.installations import installation_of
from headrace.core.responses import responders_of, tally
from headrace.core.run import NodeRun, Run
from headrace.core.times import iso

BlockedKind = Literal["answer", "report", "person", "retry", "children", "delay", "turn"]


@dataclass(frozen=True, slots=True)
class Blocked:
    """`until` (ms) is when the engine looks at the node run again by itself; None: only somebody else ends the wait."""

    kind: BlockedKind
    until: int | None
    reason: str


def blocked_on(node_run: NodeRun, run: Run, node: Node | None, gate: Gate | None = None) -> Blocked | None:
    """What the node run waits for; None when it is over. `node` is its definition, as far as it is known, and `gate`
    the one that its run waits at."""
    if node_run.status == "COMPLETED":
        return None
    kind: BlockedKind = "turn" if run.is_held else _kind(node_run)
    return Blocked(kind, _until(node_run, run), _reason(kind, node_run, run, node, gate))


def _until(node_run: NodeRun, run: Run) -> int | None:
    return min((timer.due_at for timer in run.timers if timer.node == node_run.node), default=None)


def _kind(node_run: NodeRun) -> BlockedKind:
    if node_run.children is not None:
        return "children"
    if node_run.type == DELAY:
        return "delay"
    if node_run.type == "INPUT":
        return "person"
    if node_run.phase == "retrying":
        return "retry"
    return "answer" if node_run.phase == "running" else "report"


def _reason(kind: BlockedKind, node_run: NodeRun, run: Run, node: Node | None, gate: Gate | None) -> str:
    until = _until(node_run, run)
    by = "" if until is None else f", until {iso(until)} at most"
    match kind:
        case "answer":
            return f"the answer to attempt {node_run.attempt}{by}"
        case "retry":
            return f"attempt {node_run.attempt + 1}{_most(node)}{_at(until)}. {node_run.error or ''}".strip()
        case "children":
            return f"{_open_children(node_run)}{by}"
        case "delay":
            return "its time" if until is None else f"its time, {iso(until)}"
        case "person":
            return f"{_people(node_run)}{by}"
        case "report":
            return _report(node_run, run, by)
        case "turn":
            return _turn(run, gate)


def _turn(run: Run, gate: Gate | None) -> str:
    place = place_of(gate, run.id)
    if place is None or gate is None:
        return "its turn among the runs of its entity"
    holder, before = place
    more = f"; {before} more wait before it" if before else ""
    return f"its turn: run {holder} holds the concurrency key {gate.entity}{more}"


def _at(until: int | None) -> str:
    return "" if until is None else f" at {iso(until)}"


def _most(node: Node | None) -> str:
    config = None if node is None else node.config
    return f" of {config.retry.max_attempts}" if isinstance(config, Action) else ""


def _open_children(node_run: NodeRun) -> str:
    children = node_run.children
    assert children is not None, "asked of nodes with child runs only"
    ended = children.succeeded + children.failed
    return f"{children.total - ended} of {children.total} child runs, {len(children.running)} of them at work"


def _people(node_run: NodeRun) -> str:
    so_far = ", ".join(f"{it.outlet} {it.given} of {it.needed}" for it in tally(node_run))
    named = [
        f"{what} {' or '.join(str(it) for it in names)}"
        for what in ("users", "roles", "teams")
        if isinstance(names := responders_of(node_run).get(what), list) and names
    ]
    return f"people ({so_far}){', by ' + ' or '.join(named) if named else ''}"


def _report(node_run: NodeRun, run: Run, by: str) -> str:
    poll = next((it.due_at for it in run.timers if it.node == node_run.node and it.kind == "poll"), None)
    if poll is not None:
        return f"the end of its job; it is looked at again at {iso(poll)}"
    if node_run.phase == "polling":
        return "what becomes of its job, which is being looked at"
    installation = installation_of(node_run.type, node_run.config)
    return f"a report{f' of the installation {installation}' if installation else ''}{by}"
