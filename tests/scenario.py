"""Builds small workflows and drives the pure core through them, for tests of decisions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.core import ids
from headrace.core.authoring import dialects
from headrace.core.commands import (
    CancelRun,
    Command,
    FireTimer,
    InvokeNode,
    Outcome,
    ReportAttempt,
    ReportChild,
    ReportNode,
    StartRun,
    Succeeded,
    ToAnother,
)
from headrace.core.decide import decide
from headrace.core.decision import Decision
from headrace.core.events import Event
from headrace.core.json import Json, JsonObject
from headrace.core.plan import Plan, compile_plan
from headrace.core.run import Causation, LogLine, NodeRun, Run

RUN_ID = "wfr_" + "0" * 16
BEGIN = 1_700_000_000_000
CAUSE = Causation("evt_1", "evt_1")


def webhook(name: str, **more: Any) -> JsonObject:
    """A WEBHOOK node. `variables`, `links`, `verbose` go to the node, everything else to its config."""
    node: JsonObject = {key: more.pop(key) for key in ("variables", "links", "verbose") if key in more}
    return {"identifier": name, "config": {"type": "WEBHOOK", "url": "https://receiver.test/" + name, **more}, **node}


def condition(name: str, **outlets: str) -> JsonObject:
    """A CONDITION node with an outlet per keyword: identifier=expression."""
    listed: list[Json] = [{"identifier": key, "title": key, "expression": text} for key, text in outlets.items()]
    return {"identifier": name, "config": {"type": "CONDITION", "outlets": listed}}


def start_node(name: str = "start") -> JsonObject:
    """A self-serve trigger without inputs."""
    return {"identifier": name, "config": {"type": "SELF_SERVE_TRIGGER"}}


def input_node(name: str, *outlets: str | Mapping[str, Any], **more: Any) -> JsonObject:
    """An INPUT node with a button per outlet: an identifier, or a whole outlet."""
    listed = [{"identifier": outlet} if isinstance(outlet, str) else outlet for outlet in outlets]
    buttons = [{"identifier": outlet["identifier"], "label": "Press", "variant": "PRIMARY"} for outlet in listed]
    config: Any = {"type": "INPUT", "userInputs": {"properties": {}, "buttons": buttons}, "outlets": listed, **more}
    return {"identifier": name, "config": config}


def call(name: str, workflow: str = "child", **config: Any) -> JsonObject:
    """A WORKFLOW node, or with `items` a FOR_EACH node."""
    kind = "FOR_EACH" if "items" in config else "WORKFLOW"
    return {"identifier": name, "config": {"type": kind, "workflowIdentifier": workflow, **config}}


def edge(source: str, target: str, outlet: str | None = None, fallback: bool = False) -> JsonObject:
    """A connection, through an outlet or as the fallback."""
    more: JsonObject = {"sourceOutletIdentifier": outlet} if outlet else {}
    if fallback:
        more["fallback"] = True
    return {"sourceIdentifier": source, "targetIdentifier": target, **more}


def workflow(nodes: list[JsonObject], edges: list[JsonObject]) -> JsonObject:
    """A workflow document."""
    return {"identifier": "flow", "nodes": list(nodes), "connections": list(edges)}


def plan_of(document: JsonObject, version: int = 1) -> Plan:
    """The plan of a correct document."""
    parsed = dialects.parse(document)
    errors = [problem for problem in parsed.problems if problem.severity == "error"]
    assert not errors, errors
    assert parsed.definition is not None
    return compile_plan(parsed.definition, version)


@dataclass
class Scenario:
    """A run in the hands of a test: remembers every decision, event and request."""

    plan: Plan
    run: Run | None = None
    now: int = BEGIN
    events: list[Event] = field(default_factory=list)
    requests: list[InvokeNode] = field(default_factory=list)
    commands: list[ToAnother] = field(default_factory=list)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, nodes: list[JsonObject], edges: list[JsonObject]) -> "Scenario":
        return cls(plan_of(workflow(nodes, edges)))

    @property
    def state(self) -> Run:
        assert self.run is not None
        return self.run

    def node(self, name: str) -> NodeRun:
        """The node run of a node that was reached."""
        return self.state.nodes[name]

    def give(self, command: Command) -> Decision:
        """Decide a command and keep what came of it."""
        decision = decide(self.plan, self.run, command, self.answers)
        self.run = decision.run
        self.events.extend(decision.events)
        self.requests.extend(decision.requests)
        self.commands.extend(decision.commands)
        return decision

    def start(self, output: JsonObject | None = None, trigger: str = "start") -> "Scenario":
        """Start the run at a trigger."""
        self.give(StartRun(RUN_ID, self.now, "flow", self.plan.version, trigger, output or {}, "tester", CAUSE))
        return self

    def answer(
        self, node: str, outcome: Outcome | None = None, attempt: int = 1, logs: tuple[LogLine, ...] = (), poll: int = 0
    ) -> Decision:
        """The invoker's answer for an attempt of a node, or for a poll of it; without an outcome it succeeded."""
        outcome = outcome or Succeeded({"response": {"status": 200, "data": {}}})
        node_run_id = ids.node_run_id(RUN_ID, node)
        return self.give(ReportAttempt(RUN_ID, self.now, node, node_run_id, attempt, outcome, logs, poll))

    def report(self, node: str, **fields: Any) -> Decision:
        """A report from outside."""
        return self.give(ReportNode(RUN_ID, self.now, ids.node_run_id(RUN_ID, node), "reporter", **fields))

    def child(self, node: str, index: int = 0, **fields: Any) -> Decision:
        """A child run is over; it succeeded unless told otherwise."""
        said = {"result": "SUCCESS", "outputs": {"do": {"n": index}}} | fields
        return self.give(ReportChild(RUN_ID, self.now, ids.node_run_id(RUN_ID, node), index, **said))

    def fire(self, kind: str = "retry", wait: bool = True) -> Decision:
        """Fire the first timer of a kind, when it is due."""
        timer = next(timer for timer in self.state.timers if timer.kind == kind)
        if wait:
            self.now = timer.due_at
        return self.give(FireTimer(RUN_ID, self.now, timer.id))

    def cancel(self, force: bool = False) -> Decision:
        """Somebody cancels the run."""
        return self.give(CancelRun(RUN_ID, self.now, "boss", force))

    def requested(self) -> list[tuple[str, int]]:
        """The attempts asked for so far: (node, attempt)."""
        return [(request.node, request.attempt) for request in self.requests]

    def happened(self) -> list[str]:
        """The kinds of events so far."""
        return [type(event).__name__ for event in self.events]

    def results(self) -> dict[str, str | None]:
        """The result of every node run so far."""
        return {name: node.result for name, node in self.state.nodes.items()}
