"""A decision in the making: the run so far, and everything that was said on the way."""

from typing import Any

from headrace.core import expression
from headrace.core.commands import InvokeNode, ToAnother
from headrace.core.decision import Answers, Question, Rejection
from headrace.core.events import Event, apply
from headrace.core.expression import Answer, Program
from headrace.core.json import Json
from headrace.core.plan import Plan
from headrace.core.run import NodeRun, Run


class Unanswered(Exception):  # noqa: N818  # not an error: it unwinds a decision that must wait for answers
    """Raised inside a decision when programs must be evaluated elsewhere first; `decide` turns it into questions."""

    def __init__(self, question: Question) -> None:
        self.question = question


class Draft:
    """Mutable and private to one call of `decide`."""

    __slots__ = ("answers", "at", "commands", "events", "plan", "requests", "run")

    def __init__(self, plan: Plan, run: Run | None, at: int, answers: Answers) -> None:
        self.plan = plan
        self.run: Run = run  # type: ignore[assignment]  # None only until RunStarted, the first event
        self.at = at if run is None else max(at, run.updated_at)
        self.answers = answers
        self.events: list[Event] = []
        self.requests: list[InvokeNode] = []
        self.commands: list[ToAnother] = []

    def emit(self, event_type: Any, **fields: Any) -> None:
        """Append an event and fold it into the run."""
        seq = self.run.seq + 1 if self.run is not None else 1
        event: Event = event_type(seq=seq, at=self.at, **fields)
        self.events.append(event)
        self.run = apply(self.run, event)

    def open_node_run(self, node_run_id: str) -> NodeRun | Rejection:
        """The node run, if there is one and it is not over; else why it cannot be told anything."""
        node_run = self.run.node_run(node_run_id)
        if node_run is None:
            return Rejection("unknown-node", f"run {self.run.id} has no node run {node_run_id}")
        if node_run.status == "COMPLETED":
            return Rejection("node-over", f"node run {node_run.id} is over with {node_run.result}")
        return node_run

    def answers_for(self, scope: str, programs: tuple[str, ...], root: Json) -> dict[str, Answer]:
        """The answers of foreign programs on `root`. Raises Unanswered until the shell has brought them."""
        known = self.answers.get(scope, {})
        if any(program not in known for program in programs):
            raise Unanswered(Question(scope, programs, root))
        return {program: known[program] for program in programs}

    def evaluate(self, scope: str, program: Program, root: Json, also: tuple[str, ...] = ()) -> Answer:
        """The answer of one program on `root`; `also` names foreign programs worth asking in the same breath."""
        if program.native is not None:
            return program.native(root)
        asked = tuple(dict.fromkeys((program.text, *also)))
        return self.answers_for(scope, asked, root)[program.text]


def sentence(program: Program, answer: expression.Failure) -> str:
    """What to tell the author about a program that failed."""
    return f"{program.text.strip()}: {answer.message}"
