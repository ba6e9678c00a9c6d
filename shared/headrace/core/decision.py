"""What a decision is made of: what came out, what was refused, and what must be asked first."""

from collections.abc import Mapping
from typing import Literal

from headrace.core.commands import InvokeNode, ToAnother
from headrace.core.events import Event
from headrace.core.expression import Answer
from headrace.core.json import Json
from headrace.core.run import Run
from headrace.core.value_class import value_class

RejectionReason = Literal[
    "duplicate", "stale-attempt", "unknown-run", "unknown-trigger", "unknown-node", "unknown-timer",
    "node-over", "run-over", "not-due", "unfit-start", "unfit-response",
]  # fmt: skip


@value_class
class Rejection:
    """A command that does not apply. It changed nothing; `detail` says why, for people."""

    reason: RejectionReason
    detail: str


@value_class
class Question:
    """Programs outside the total subset that a decision needs answered on `input` (core/expression.py)."""

    scope: str
    programs: tuple[str, ...]
    input: Json


Answers = Mapping[str, Mapping[str, Answer]]
"""Answers by scope, then by program text."""


@value_class
class Decision:
    """The outcome of one command.

    Accepted: `run` is the new state, `events` the transitions that led there, `requests` the work to ask for.
    `commands` are for others: child runs, the parent, the gate.
    Rejected: `run` is the very object that was given, and nothing else is set but `rejection`; when a run cannot
    be started there is none, and commands tell its parent and its gate.
    Unfinished: `questions` must be answered and `decide` be called again with the same arguments and all answers.
    """

    run: Run | None
    events: tuple[Event, ...] = ()
    requests: tuple[InvokeNode, ...] = ()
    rejection: Rejection | None = None
    questions: tuple[Question, ...] = ()
    commands: tuple[ToAnother, ...] = ()
