"""Random workflows, random commands on their runs, and a naive interpreter that says what a workflow means."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from hypothesis import strategies as st

from headrace.core import ids
from headrace.core.commands import (
    Accepted,
    CancelRun,
    Command,
    Failed,
    FireTimer,
    Outcome,
    ReportAttempt,
    ReportChild,
    ReportNode,
    StartRun,
    Succeeded,
)
from headrace.core.json import Json, JsonObject
from headrace.core.plan import Plan
from headrace.core.run import LogLine, NodeRun, Result, Run
from tests.scenario import BEGIN, CAUSE, RUN_ID, call, input_node, plan_of, start_node, webhook

Kind = Literal["trigger", "action", "condition", "input"]
FOREIGN = "[range(2)] | length == 2"
"""A program that only the evaluator can run."""


@dataclass(frozen=True)
class Drawn:
    """One node: where it leads, and how. `ways` has a branch per entry, True for those whose expression holds."""

    name: str
    kind: Kind
    targets: tuple[str, ...] = ()
    config: JsonObject = field(default_factory=dict)
    dialect: str = "outlets"
    ways: tuple[tuple[bool, tuple[str, ...]], ...] = ()
    fallback: tuple[str, ...] = ()


@dataclass(frozen=True)
class Workflow:
    """A random workflow: its drawing, and the plan of the document that was written from it."""

    nodes: tuple[Drawn, ...]
    plan: Plan

    @property
    def triggers(self) -> list[str]:
        return [node.name for node in self.nodes if node.kind == "trigger"]


KINDS_OF_NODES: st.SearchStrategy[Kind] = st.sampled_from(
    ["action", "action", "action", "condition", "condition", "input"]
)
RETRIES: st.SearchStrategy[Json] = st.builds(
    lambda attempts, backoff: {"maxAttempts": attempts, "backoffSeconds": backoff},
    st.sampled_from([3, 2, 1]),
    st.sampled_from([1, 0, 30]),
)
ACTIONS: st.SearchStrategy[JsonObject] = st.fixed_dictionaries(
    {"retry": RETRIES},
    optional={
        "timeoutSeconds": st.sampled_from([1, 20]),
        "synchronized": st.booleans(),
        "onTimeout": st.sampled_from(["fail", "continue"]),
        "onFailure": st.sampled_from(["continue", "terminate"]),
        "delivery": st.sampled_from(["at_least_once", "at_most_once"]),
    },
)
RISKY: st.SearchStrategy[JsonObject] = st.fixed_dictionaries(
    {},
    optional={
        "body": st.sampled_from(["{{ .outputs.trigger.n }}", "{{ .outputs.t0.n.m }}", "{{ " + FOREIGN + " }}"]),
        "variables": st.sampled_from([{"x": "{{ .n }}"}, {"x": "{{ .n.m }}"}, {"x": "{{ " + FOREIGN + " }}"}]),
        "links": st.just(["https://x.test/{{ .n }}", "{{ " + FOREIGN + " }}"]),
    },
)
"""Parts of an action that may fail, or need the evaluator."""


CALLS: st.SearchStrategy[JsonObject] = st.fixed_dictionaries(
    {"workflow": st.just("child")},
    optional={
        "timeoutSeconds": st.sampled_from([1, 20]),
        "onFailure": st.sampled_from(["continue", "terminate"]),
        "inputs": st.sampled_from([{"n": "{{ .outputs.trigger.n }}"}, {"n": "{{ " + FOREIGN + " }}"}]),
    },
)
LOOPS: st.SearchStrategy[JsonObject] = st.fixed_dictionaries(
    {
        "items": st.sampled_from([[], [1], [1, {"m": 2}, 3, 4], "{{ .outputs.trigger.n }}"]),
        "concurrency": st.sampled_from([1, 2, 10]),
        "onItemFailure": st.sampled_from(["stop", "continue"]),
        "inputs": st.sampled_from([{}, {"n": "{{ .item }}"}, {"n": "{{ .item.m }}"}, {"n": "{{ " + FOREIGN + " }}"}]),
    }
)
"""Nodes that start child runs: one, or one for each item."""


@st.composite
def workflows(draw: st.DrawFn, risky: bool = True, plain: bool = False) -> Workflow:
    """A workflow of up to 12 nodes. `plain`: nothing in it retries, limits or waits for time."""
    triggers = [f"t{index}" for index in range(draw(st.integers(1, 2)))]
    names = [f"n{index}" for index in range(draw(st.integers(2, 12 - len(triggers))))]
    nodes = []
    for position, name in enumerate([*triggers, *names]):
        later = names[max(0, position + 1 - len(triggers)) :]
        kind: Kind = (
            "trigger" if name in triggers else draw(st.sampled_from(["action"] * 3 + ["condition"] * 2 + ["input"]))
        )
        least = 1 if kind == "trigger" else 0
        some = (
            st.lists(st.sampled_from(later), min_size=least, max_size=3, unique=True).map(tuple)
            if later
            else st.just(())
        )
        if kind in ("trigger", "action"):
            config = {} if kind == "trigger" else _config(draw, risky, plain)
            nodes.append(Drawn(name, kind, draw(some), config))
            continue
        dialect = draw(st.sampled_from(["outlets", "options", "connections"])) if kind == "condition" else "outlets"
        ways = tuple((draw(st.booleans()), draw(some)) for _ in range(draw(st.integers(1, 3))))
        fallback = draw(some) if kind == "condition" else ()
        if dialect == "connections":  # one connection per branch, and a default one
            ways = tuple((holds, targets[:1]) for holds, targets in ways if targets)
            dialect, fallback = ("connections", fallback[:1]) if fallback else ("outlets", ())
            ways = ways or ((False, ()),)
            dialect = dialect if all(targets for _, targets in ways) else "outlets"
        nodes.append(Drawn(name, kind, dialect=dialect, ways=ways, fallback=fallback))
    return Workflow(tuple(nodes), plan_of(_document(nodes, foreign=risky and draw(st.booleans()))))


def _config(draw: st.DrawFn, risky: bool, plain: bool) -> JsonObject:
    if not plain and draw(st.integers(0, 5)) == 5:
        return {**draw(CALLS), **(draw(LOOPS) if draw(st.booleans()) else {})}
    config: JsonObject = {"onFailure": draw(st.sampled_from(["terminate", "continue"]))} if plain else draw(ACTIONS)
    return {**config, **draw(RISKY)} if risky and draw(st.integers(0, 7)) == 7 else config


def _document(nodes: list[Drawn], foreign: bool) -> JsonObject:
    written: list[Any] = []
    edges: list[Any] = []

    def connect(source: str, targets: tuple[str, ...], **way: Any) -> None:
        edges.extend({"sourceIdentifier": source, "targetIdentifier": target, **way} for target in targets)

    for node in nodes:
        if node.kind in ("trigger", "action"):
            write: Any = start_node if node.kind == "trigger" else call if "workflow" in node.config else webhook
            written.append(write(node.name, **node.config))
            connect(node.name, node.targets)
            continue
        if node.kind == "input":
            written.append(input_node(node.name, *[f"w{index}" for index in range(len(node.ways))]))
        else:
            written.append(_condition(node, FOREIGN if foreign else "true"))
        field_name = "sourceOptionIdentifier" if node.dialect == "options" else "sourceOutletIdentifier"
        for index, (_, targets) in enumerate(node.ways):
            named = node.dialect == "connections"
            connect(
                node.name, targets, **({"identifier": f"{node.name}:{index}"} if named else {field_name: f"w{index}"})
            )
        named = node.dialect == "connections"
        connect(node.name, node.fallback, **({"identifier": f"{node.name}:else"} if named else {"fallback": True}))
    return {"identifier": "flow", "nodes": written, "connections": edges}


def _way(node: Drawn, index: int | None) -> JsonObject:
    """How a connection says, in the node's dialect, that it belongs to a branch, or to none of them."""
    if node.dialect == "connections":
        return {"identifier": f"{node.name}:{'else' if index is None else index}"}
    if index is None:
        return {"fallback": True}
    return {"sourceOptionIdentifier" if node.dialect == "options" else "sourceOutletIdentifier": f"w{index}"}


def _condition(node: Drawn, true: str) -> JsonObject:
    """The condition in its dialect; a branch holds by the program `true`."""
    branches = [(f"w{index}", true if holds else "false") for index, (holds, _) in enumerate(node.ways)]
    config: JsonObject = {"type": "CONDITION"}
    if node.dialect == "connections":
        config["conditions"] = [
            {"expression": text, "connectionIdentifier": f"{node.name}:{index}"}
            for index, (_, text) in enumerate(branches)
        ]
        config["defaultConnectionIdentifier"] = f"{node.name}:else"
    else:
        config[node.dialect] = [{"identifier": name, "title": name, "expression": text} for name, text in branches]
    return {"identifier": node.name, "config": config}


# What a workflow means.


@dataclass(frozen=True)
class Meaning:
    """What must come of a run: its result, that of every node that runs, and what each of them must wait for."""

    result: Result
    nodes: dict[str, Result]
    predecessors: dict[str, set[str]]


def meaning(
    workflow: Workflow, trigger: str, succeeds: Callable[[str], bool], presses: Callable[[str], int]
) -> Meaning:
    """What a run from `trigger` comes to when actions succeed by this table and people press these buttons.

    Naive on purpose: it goes back from each node to what leads there, and knows nothing of edges that are decided one
    by one, of order or of time. Only for workflows that are plain. With a failure that terminates, other branches end
    by the order of things; then only that node's failure and the run's are meant.
    """
    drawn = {node.name: node for node in workflow.nodes}

    def ways_out(node: Drawn) -> tuple[str, ...]:
        if node.kind in ("trigger", "action"):
            return () if node.kind == "action" and ends_the_run(node) else node.targets
        if node.kind == "input":
            return node.ways[presses(node.name) % len(node.ways)][1]
        return next((targets for holds, targets in node.ways if holds), node.fallback)

    def ends_the_run(node: Drawn) -> bool:
        return not succeeds(node.name) and node.config.get("onFailure", "terminate") == "terminate"

    def runs(name: str) -> bool:
        if drawn[name].kind == "trigger":
            return name == trigger
        return any(name in ways_out(node) and runs(node.name) for node in workflow.nodes)

    reached = [node for node in workflow.nodes if runs(node.name)]
    results: dict[str, Result] = {
        node.name: "SUCCESS" if node.kind != "action" or succeeds(node.name) else "FAILED" for node in reached
    }
    failed = any(node.kind == "action" and ends_the_run(node) for node in reached)
    before = {each.name: {node.name for node in reached if each.name in ways_out(node)} for each in reached}
    return Meaning("FAILED" if failed else "SUCCESS", results, before)


# What can be said to a run.

KINDS: st.SearchStrategy[Any] = st.sampled_from(["connection", "timeout", "status", "refused", "unknown-outcome"])
OUTPUTS: st.SearchStrategy[JsonObject] = st.sampled_from([{}, {"n": 1}, {"n": {"m": 2}}, {"response": {"status": 200}}])
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Failed, KINDS, st.just("no"), st.just(True)),
    st.builds(Accepted, OUTPUTS),
    st.builds(Accepted, OUTPUTS, st.none() | st.just("ext"), st.none(), st.sampled_from([0.0, 5.0, 60.0]), st.just({})),
    st.builds(Succeeded, OUTPUTS),
    st.builds(
        Failed,
        KINDS,
        st.just("no"),
        st.sampled_from([True, True, False]),
        st.none() | OUTPUTS,
        st.none() | st.sampled_from([0.0, 2.0, 1e6]),
    ),
)
LOGS = st.lists(st.just(LogLine(BEGIN, "INFO", "line")), max_size=2).map(tuple)
RESULTS: st.SearchStrategy[Result] = st.sampled_from(["SUCCESS", "SUCCESS", "FAILED", "CANCELLED"])


def selected(way: int) -> JsonObject:
    """The output of a human step that pressed a button."""
    return {"selectedOutlet": {"identifier": f"w{way}"}}


def start(trigger: str, at: int = BEGIN) -> StartRun:
    return StartRun(RUN_ID, at, "flow", 1, trigger, {"n": 1}, "tester", CAUSE)


STATUSES: Any = st.sampled_from([None, "IN_PROGRESS", "COMPLETED"])
REPORTS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "status": STATUSES,
        "result": RESULTS,
        "output": st.none() | OUTPUTS | st.integers(0, 3).map(selected),
        "logs": LOGS,
        "external_run_id": st.none() | st.just("ext"),
        "links": st.none() | st.just(("https://x.test",)),
        "report_id": st.sampled_from(["", "r1", "r2", "r3"]),
    }
)
WORDS = st.sampled_from(["answer"] * 6 + ["report"] * 2 + ["timer", "cancel", "start", "nonsense"])
MOVED = st.integers(-5_000, 40_000)
TIMER_KINDS: Any = st.sampled_from(["retry", "deadline", "poll1", "poll2"])
LATE = st.sampled_from([0] * 8 + [-1, 1])
CHANCE = st.integers(0, 9)
Draw = Callable[[st.SearchStrategy[Any]], Any]


def a_command(draw: Draw, workflow: Workflow, run: Run) -> Command:
    """Something to say to the run: mostly what may happen next, now and then what is late, early or nonsense."""
    at, word = run.updated_at + draw(MOVED), draw(WORDS)
    if word == "start":
        return start(draw(st.sampled_from([*workflow.triggers, "n0", "nobody"])), at)
    if word == "timer" and run.timers:
        timer = draw(st.sampled_from(run.timers))
        return FireTimer(RUN_ID, at if draw(CHANCE) == 0 else timer.due_at, timer.id)
    if word == "cancel" and draw(CHANCE) < 3:
        return CancelRun(RUN_ID, at, "boss", draw(st.booleans()))
    if run.timers and draw(CHANCE) < 2:
        return FireTimer(RUN_ID, run.timers[-1].due_at, run.timers[-1].id)
    node = _a_node(draw, workflow, run, word == "nonsense")
    if word == "timer":
        return FireTimer(RUN_ID, at + 10**9, ids.timer_id(node.id, draw(LATE) + node.attempt, draw(TIMER_KINDS)))
    said: Command
    if node.children is not None and draw(CHANCE):
        index = draw(st.sampled_from([*node.children.running, 0, 1]))
        outputs = draw(st.none() | OUTPUTS)
        return ReportChild(RUN_ID, at, node.id, index, draw(RESULTS), outputs, draw(st.none() | st.just("no")))
    if word == "report" or node.phase == "waiting":
        said = ReportNode(RUN_ID, at, node.id, "worker", **draw(REPORTS))
    else:
        attempt, poll = node.attempt + draw(LATE), max(0, node.poll + draw(LATE))
        said = ReportAttempt(RUN_ID, at, node.node, node.id, attempt, draw(OUTCOMES), draw(LOGS), poll)
    return replace(said, run_id="wfr_" + "9" * 16) if word == "nonsense" and draw(CHANCE) == 0 else said


def _a_node(draw: Draw, workflow: Workflow, run: Run, any_at_all: bool) -> NodeRun:
    """A node run in progress, or with little chance any node, reached or not, or none that exists."""
    at_work = run.in_progress()
    if at_work and not any_at_all and draw(CHANCE):
        found: NodeRun = draw(st.sampled_from(at_work))
        return found
    name = draw(st.sampled_from([*workflow.plan.nodes, "nobody"]))
    stranger = NodeRun(ids.node_run_id(RUN_ID, name), name, "WEBHOOK", "IN_PROGRESS", "running", 1, BEGIN, BEGIN)
    return run.nodes.get(name, stranger)
