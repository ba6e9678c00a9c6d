"""Write docs/state-machine.md from what `decide` does: `python schemas/state_machine.py > docs/state-machine.md`.

Nothing here knows the rules. Every command is given to a run in every phase; what comes out is the table, and the
changes of state are the diagrams. `--check` fails when the page says something else.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from headrace.core import commands as say
from headrace.core import ids
from headrace.core.authoring import dialects
from headrace.core.decide import decide
from headrace.core.decision import Decision
from headrace.core.json import Json
from headrace.core.plan import Plan, compile_plan
from headrace.core.run import Causation, Result, Run

PAGE = Path(__file__).parent.parent / "docs" / "state-machine.md"
RUN, NOW, LATER = "wfr_" + "0" * 16, 0, 10**12
NODE_RUN = ids.node_run_id(RUN, "a")
CALL: dict[str, Json] = {"type": "WEBHOOK", "url": "https://receiver.example", "synchronized": False}
ACTION: Json = {**CALL, "timeoutSeconds": 60, "retry": {"maxAttempts": 2}}
BUTTONS: Json = {"properties": {}, "buttons": [{"identifier": "yes", "label": "Yes", "variant": "PRIMARY"}]}
CHILD: Json = {"type": "WORKFLOW", "workflowIdentifier": "other"}
INPUT: Json = {"type": "INPUT", "userInputs": BUTTONS, "outlets": [{"identifier": "yes"}]}

INTRO = """# The state machine

<!-- Made by `python schemas/state_machine.py > docs/state-machine.md` from what the code does. Do not edit. -->

A run changes by commands alone; what a command does depends on the run's status and on the phase of the node run it is
about. These pictures and the table are made by giving every command to `headrace.core.decide` in every phase.
"""
EXAMPLE = """## Every command in every phase

The commands are about a node run that is an asynchronous action with a time limit and two attempts, the first of which
is meant, a human step, or one that waits for a child run. Another action follows it. A cell holds the events of an
accepted command in their order, or in italics why it is refused. Not shown: with `onFailure: continue`, a failed node
run is followed as well and does not end the run; with `onTimeout: continue`, the time-out of the last attempt is a
success.
"""


def plan_of(config: Json, is_last: bool) -> Plan:
    """start → a, where `a` has this config; → b, unless `a` is the last."""
    way: dict[str, Json] = {"sourceOutletIdentifier": "yes"} if config is INPUT else {}
    ends = [("start", "a", {})] if is_last else [("start", "a", {}), ("a", "b", way)]
    configs: dict[str, Json] = {"start": {"type": "SELF_SERVE_TRIGGER"}, "a": config, "b": {**CALL}}
    document: Json = {
        "identifier": "flow",
        "nodes": [{"identifier": name, "config": each} for name, each in configs.items()],
        "connections": [{"sourceIdentifier": one, "targetIdentifier": two, **more} for one, two, more in ends],
    }
    definition = dialects.parse(document).definition
    assert definition is not None
    return compile_plan(definition, 1)


def start(trigger: str) -> say.Command:
    return say.StartRun(RUN, NOW, "flow", 1, trigger, {}, "ada", Causation("e", "e"))


def answer(outcome: say.Outcome, attempt: int = 1, poll: int = 0) -> say.Command:
    return say.ReportAttempt(RUN, NOW, "a", NODE_RUN, attempt, outcome, poll=poll)


def done(result: Result, node_run: str = NODE_RUN) -> say.Command:
    output: dict[str, Json] = {"selectedOutlet": {"identifier": "yes"}}
    return say.ReportNode(RUN, NOW, node_run, "worker", "COMPLETED", result, output)


START, CANCEL, FORCE = start("start"), say.CancelRun(RUN, NOW, "boss"), say.CancelRun(RUN, NOW, "boss", force=True)
SUCCEEDED, ACCEPTED = answer(say.Succeeded({})), answer(say.Accepted({}))
FOLLOWED = answer(say.Accepted({}, poll_after_seconds=10))
DOWN = answer(say.Failed("connection", "down", retryable=True))
POLL = say.FireTimer(RUN, LATER, ids.timer_id(NODE_RUN, 1, "poll1"))
COMMANDS: Mapping[str, say.Command] = {
    "StartRun": START,
    "StartRun, unknown trigger": start("b"),
    "ReportAttempt Succeeded": SUCCEEDED,
    "ReportAttempt Accepted": ACCEPTED,
    "ReportAttempt Accepted, polled": FOLLOWED,
    "ReportAttempt Failed, retryable": DOWN,
    "ReportAttempt Failed": answer(say.Failed("refused", "no")),
    "ReportAttempt, another attempt": answer(say.Succeeded({}), 2),
    "ReportAttempt of poll 1, Succeeded": answer(say.Succeeded({}), poll=1),
    "ReportAttempt of poll 1, Accepted": answer(say.Accepted({}, poll_after_seconds=10), poll=1),
    "ReportNode IN_PROGRESS": say.ReportNode(RUN, NOW, NODE_RUN, "worker", "IN_PROGRESS", output={"n": 1}),
    "ReportNode SUCCESS": done("SUCCESS"),
    "ReportNode FAILED": done("FAILED"),
    "ReportNode CANCELLED": done("CANCELLED"),
    "ReportNode, unknown node run": done("SUCCESS", ids.node_run_id(RUN, "nobody")),
    "FireTimer deadline": say.FireTimer(RUN, LATER, ids.timer_id(NODE_RUN, 1, "deadline")),
    "FireTimer deadline, too early": say.FireTimer(RUN, NOW, ids.timer_id(NODE_RUN, 1, "deadline")),
    "FireTimer retry": say.FireTimer(RUN, LATER, ids.timer_id(NODE_RUN, 1, "retry")),
    "FireTimer poll": POLL,
    "ReportChild SUCCESS": say.ReportChild(RUN, NOW, NODE_RUN, 0, "SUCCESS", {}),
    "ReportChild FAILED": say.ReportChild(RUN, NOW, NODE_RUN, 0, "FAILED", error="no"),
    "CancelRun": CANCEL,
    "CancelRun by force": FORCE,
}
STATES: Mapping[str, tuple[Json, tuple[say.Command, ...]]] = {
    "no run": (ACTION, ()),
    "running": (ACTION, (START,)),
    "waiting": (ACTION, (START, ACCEPTED)),
    "waiting, polled": (ACTION, (START, FOLLOWED)),
    "polling": (ACTION, (START, FOLLOWED, POLL)),
    "waiting for people": (INPUT, (START,)),
    "waiting for a child run": (CHILD, (START,)),
    "retrying": (ACTION, (START, DOWN)),
    "done": (ACTION, (START, SUCCEEDED)),
    "CANCELLING, running": (ACTION, (START, CANCEL)),
    "CANCELLING, waiting": (ACTION, (START, ACCEPTED, CANCEL)),
    "run COMPLETED": (ACTION, (START, FORCE)),
}


def outcomes(is_last: bool) -> dict[tuple[str, str], tuple[Run | None, Decision]]:
    """The run before, and the decision, for every command in every state."""
    found: dict[tuple[str, str], tuple[Run | None, Decision]] = {}
    for state, (config, before) in STATES.items():
        plan, run = plan_of(config, is_last), None
        for command in before:
            run = decide(plan, run, command).run
        found |= {(name, state): (run, decide(plan, run, command)) for name, command in COMMANDS.items()}
    return found


def cell(decision: Decision) -> str:
    events = "<br>".join(type(event).__name__ for event in decision.events)
    return events if decision.rejection is None else f"*{decision.rejection.reason}*"


def diagram(heading: str, last: str, state_of: Callable[[Run | None], str], is_last: bool) -> str:
    """The changes of state that the commands brought about, as a Mermaid diagram."""
    arrows: dict[str, list[str]] = {}
    for (name, _), (before, decision) in outcomes(is_last).items():
        if state_of(before) != state_of(decision.run):
            arrows.setdefault(f"{state_of(before)} --> {state_of(decision.run)}", []).append(name)
    lines = [f"    {ends} : {'<br>'.join(dict.fromkeys(names))}" for ends, names in arrows.items()]
    return "\n".join([f"## {heading}\n\n```mermaid\nstateDiagram-v2", *lines, f"    {last} --> [*]\n```\n"])


def page() -> str:
    """The whole page."""
    found = outcomes(is_last=False)
    rows = [f"| {name} | {' | '.join(cell(found[name, state][1]) for state in STATES)} |" for name in COMMANDS]
    table = [f"| | {' | '.join(STATES)} |", "|---" * (len(STATES) + 1) + "|", *rows, ""]
    runs = diagram("A run of one node", "COMPLETED", lambda run: run.status if run else "[*]", is_last=True)
    nodes = diagram("A node run", "done", lambda run: run.nodes["a"].phase if run else "[*]", is_last=False)
    return "\n".join([INTRO, runs, nodes, EXAMPLE, *table])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Print docs/state-machine.md as the code behaves.")
    parser.add_argument("--check", action="store_true", help="print nothing; fail when the page says something else")
    if not parser.parse_args().check:
        sys.stdout.write(page())
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page():
        sys.exit(f"docs/{PAGE.name} has drifted: run python schemas/state_machine.py > docs/{PAGE.name}")
