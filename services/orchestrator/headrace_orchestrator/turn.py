"""One run's turn in a batch: its commands decided in order, its changes gathered into one save."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from headrace.contracts.codec import encode_event, encode_request
from headrace.contracts.topics import TopicNames
from headrace.core.commands import Command
from headrace.core.decide import decide
from headrace.core.decision import Decision, Question, Rejection
from headrace.core.expression import Answer, Evaluation
from headrace.core.plan import Plan
from headrace.core.run import Run
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
    _answers: dict[int, dict[str, dict[str, Answer]]] = field(default_factory=dict)

    @property
    def refused(self) -> list[Rejection]:
        """The commands' rejections."""
        return [decision.rejection for decision in self.decisions if decision.rejection is not None]

    def decide(self) -> tuple[list[tuple[int, Question]], list[tuple[Record, Exception]]]:
        """Decide every command in order; questions still open, or records whose decision is a bug."""
        self.decisions.clear()
        run = self.stored.run if self.stored else None
        bugs: list[tuple[Record, Exception]] = []
        for index, command in enumerate(self.commands):
            assert self.plan is not None
            try:
                decision = decide(self.plan, run, command, self._answers.get(index, {}))
            except Exception as error:
                bugs.append((self.records[index], error))
                continue
            if decision.questions:
                return [(index, question) for question in decision.questions], bugs
            self.decisions.append(decision)
            run = decision.run
        return [], bugs

    def answer(self, index: int, question: Question, answers: Sequence[Answer]) -> None:
        """Keep the answers to one command's question."""
        scope = self._answers.setdefault(index, {}).setdefault(question.scope, {})
        scope.update(zip(question.programs, answers, strict=True))

    def gather(self, now: int, topics: TopicNames) -> None:
        """Turn the accepted decisions into one save with its outbox."""
        accepted = [decision for decision in self.decisions if decision.events]
        if not accepted:
            return
        run = accepted[-1].run
        assert run is not None
        known = self.stored.outbox if self.stored and not self.from_cache else ()
        outbox = (*known, *_messages(accepted, run, topics))
        self.next = StoredRun(run, self.stored.rev + 1 if self.stored else 0, outbox, now)


def _messages(accepted: Sequence[Decision], run: Run, topics: TopicNames) -> list[Message]:
    messages: list[Message] = []
    for decision in accepted:
        messages.extend(encode_request(request, topics) for request in decision.requests)
        messages.extend(encode_event(run, event, topics) for event in decision.events)
    return messages


async def decide_turns(
    turns: Mapping[str, Turn], evaluator: Evaluator, now: int, topics: TopicNames
) -> list[tuple[Record, Exception]]:
    """Decide all turns, asking the evaluator for what cannot run here; the records whose decision is a bug."""
    bugs: list[tuple[Record, Exception]] = []
    open_turns = list(turns.values())
    while open_turns:
        asked: list[tuple[Turn, int, Question]] = []
        for turn in open_turns:
            questions, failed = turn.decide()
            asked.extend((turn, index, question) for index, question in questions)
            if not questions:
                bugs.extend(failed)
                turn.gather(now, topics)
        if asked:
            evaluations = [Evaluation(question.programs, orjson.dumps(question.input)) for _, _, question in asked]
            for (turn, index, question), answers in zip(asked, await evaluator.evaluate(evaluations), strict=True):
                turn.answer(index, question, answers)
        open_turns = list({id(turn): turn for turn, _, _ in asked}.values())
    return bugs
