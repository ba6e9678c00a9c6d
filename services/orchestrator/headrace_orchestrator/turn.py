"""One run's turn in a batch: its commands decided in order, its changes gathered into one save."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from headrace.contracts.codec import encode_command, encode_event, encode_request
from headrace.contracts.envelope import mark_redelivered
from headrace.contracts.topics import TopicNames
from headrace.core.commands import Command
from headrace.core.decide import decide
from headrace.core.decision import Decision, Question, Rejection
from headrace.core.expression import Answer, Evaluation
from headrace.core.plan import Plan
from headrace.ports.evaluator import Evaluator
from headrace.ports.log import Message, Record
from headrace.ports.stores import StoredRun


@dataclass(slots=True)
class Turn:
    """What a batch does to one run. `next` is what must be saved, None when nothing changed."""

    plan: Plan | None
    stored: StoredRun | None
    from_cache: bool
    commands: Sequence[Command]
    records: Sequence[Record]
    next: StoredRun | None = None
    decisions: list[Decision] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    replies: list[Message] = field(default_factory=list)
    """What refused commands tell other runs. Nothing is saved for them: the same command gives the same reply."""
    _answers: dict[int, dict[str, dict[str, Answer]]] = field(default_factory=dict)

    @property
    def refused(self) -> list[Rejection]:
        """The commands' rejections."""
        return [decision.rejection for decision in self.decisions if decision.rejection is not None]

    def decide(self, topics: TopicNames) -> tuple[list["Asked"], list[tuple[Record, Exception]]]:
        """Decide every command in order; questions still open, or records whose decision is a bug.

        What leaves the process is written here, since a value that cannot be must cost no other record its decision.
        """
        self.decisions.clear()
        self.messages.clear()
        self.replies.clear()
        run = self.stored.run if self.stored else None
        bugs: list[tuple[Record, Exception]] = []
        for index, command in enumerate(self.commands):
            assert self.plan is not None
            try:
                decision = decide(self.plan, run, command, self._answers.get(index, {}))
                asked = [Asked(self, index, question, _evaluation(question)) for question in decision.questions]
                messages = _messages(decision, topics)
            except Exception as error:
                bugs.append((self.records[index], error))
                continue
            if asked:
                return asked, bugs
            self.decisions.append(decision)
            (self.messages if decision.events else self.replies).extend(messages)
            run = decision.run
        return [], bugs

    def answer(self, index: int, question: Question, answers: Sequence[Answer]) -> None:
        """Keep the answers to one command's question."""
        scope = self._answers.setdefault(index, {}).setdefault(question.scope, {})
        scope.update(zip(question.programs, answers, strict=True))

    def gather(self, now: int) -> None:
        """Turn the accepted decisions into one save with its outbox."""
        accepted = [decision for decision in self.decisions if decision.events]
        if not accepted:
            return
        run = accepted[-1].run
        assert run is not None
        # what an earlier save left, its writer may have published already
        known = [mark_redelivered(it) for it in self.stored.outbox] if self.stored and not self.from_cache else []
        outbox = (*known, *self.messages)
        self.next = StoredRun(run, self.stored.rev + 1 if self.stored else 0, outbox, now)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of one command in a turn, as the evaluator takes it."""

    turn: Turn
    index: int
    question: Question
    evaluation: Evaluation


def _evaluation(question: Question) -> Evaluation:
    return Evaluation(question.programs, orjson.dumps(question.input))


def _messages(decision: Decision, topics: TopicNames) -> list[Message]:
    messages = [encode_command(command, topics) for command in decision.commands]
    if decision.run is None:
        return messages
    messages.extend(encode_request(request, topics) for request in decision.requests)
    messages.extend(encode_event(decision.run, event, topics) for event in decision.events)
    return messages


async def decide_turns(
    turns: Mapping[str, Turn], evaluator: Evaluator, now: int, topics: TopicNames
) -> list[tuple[Record, Exception]]:
    """Decide all turns, asking the evaluator for what cannot run here; the records whose decision is a bug."""
    bugs: list[tuple[Record, Exception]] = []
    open_turns = list(turns.values())
    while open_turns:
        asked: list[Asked] = []
        for turn in open_turns:
            questions, failed = turn.decide(topics)
            asked.extend(questions)
            if not questions:
                bugs.extend(failed)
                turn.gather(now)
        if asked:
            for it, answers in zip(asked, await evaluator.evaluate([it.evaluation for it in asked]), strict=True):
                it.turn.answer(it.index, it.question, answers)
        open_turns = list({id(it.turn): it.turn for it in asked}.values())
    return bugs
