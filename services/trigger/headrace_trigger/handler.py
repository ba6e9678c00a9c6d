"""Entity events in, start commands out: exactly one run per event and matching trigger.

For every event, in this order: understand it, find the triggers that may match, judge their conditions, publish a start
command per match, write the ledger, finish the record. Run ids are derived from the workflow, the trigger and the
event's id, so an event that is delivered twice asks for the same runs, and the orchestrator starts each once.

Where a trigger has a gate for each entity, a match goes through it, and the gate asks for the run (core/gate.py). It is
told here, too, of runs that are over.

Events are judged a hundred at a time, and the conditions among them that lie outside the total subset go to the
evaluator in one call; what came of all of them is published and recorded once per batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from headrace.contracts.codec import UndecodableMessageError, decode_leave, encode_command
from headrace.contracts.entity_change import BadEventError, EntityChange, decode_entity_change
from headrace.contracts.envelope import dump, trace_fields, traceparent_of
from headrace.contracts.topics import TopicNames
from headrace.core import ids
from headrace.core.commands import LeaveGate, StartRun
from headrace.core.duplicates import FirstPlaces
from headrace.core.expression import Answer, Evaluation
from headrace.core.gate import Entry, Heard, Position
from headrace.core.loop_guard import StartRate, too_deep
from headrace.core.matching import Judgement, Listener, TriggerIndex, judge
from headrace.ports.clock import Clock
from headrace.ports.evaluator import Evaluator
from headrace.ports.log import Log, Message, Record
from headrace.ports.stores import LedgerEntry, LedgerStore, TriggerVerdict, Verdict
from headrace.runtime.dead_letters import dead_letter
from headrace.runtime.loop import Done
from headrace.runtime.metrics import Metrics
from headrace_trigger.counting import Counting
from headrace_trigger.gatekeeper import Gatekeeper
from headrace_trigger.listeners import Listeners

GROUP = "headrace-trigger"
CREATED_BY = "headrace:event-trigger"
"""Runs of event triggers belong to a machine actor (spec 2.2)."""
_AT_ONCE = 100
"""More events than that, as objects, outgrow the processor's cache: each would cost half as much again."""

_log = structlog.get_logger("headrace.trigger")


@dataclass(frozen=True, slots=True)
class TriggerSettings:
    """An event that is the result of `max_depth` runs in a row starts no further one, and one entity starts a trigger
    at most `max_starts_per_minute` times (loop guard). Of the events of a blueprint and action that start nothing the
    ledger keeps `kept_per_second`, and the others are counted."""

    max_depth: int = 10
    max_starts_per_minute: int = 1_000
    kept_per_second: int = 10


@dataclass(slots=True)
class Hearing:
    """One event and the listeners that must be judged on it."""

    record: Record
    change: EntityChange
    considered: int
    candidates: Sequence[Listener]
    answers: Mapping[str, Answer] = field(default_factory=dict)

    @property
    def foreign(self) -> tuple[str, ...]:
        """The programs that the evaluator must run on this event."""
        return tuple({text: None for listener in self.candidates for text in listener.foreign})


@dataclass(slots=True)
class Outcome:
    """What a batch comes to: messages to publish, verdicts on each event, and those that a gate has yet to say."""

    messages: list[Message] = field(default_factory=list)
    judged: list[tuple[Hearing, list[TriggerVerdict]]] = field(default_factory=list)
    passing: list[tuple[Entry, list[TriggerVerdict], int]] = field(default_factory=list)
    """Matches for gates, each with where the verdict on it goes."""


class TriggerHandler:
    """Handles batches of entity.changes and run.gates."""

    def __init__(
        self,
        listeners: Listeners,
        evaluator: Evaluator,
        ledger: LedgerStore,
        gates: Gatekeeper,
        log: Log,
        clock: Clock,
        topics: TopicNames,
        metrics: Metrics,
        settings: TriggerSettings | None = None,
    ) -> None:
        self._listeners = listeners
        self._evaluator = evaluator
        self._ledger = ledger
        self._gates = gates
        self._log = log
        self._clock = clock
        self._topics = topics
        self._metrics = metrics
        self._settings = settings or TriggerSettings()
        self._rate = StartRate(self._settings.max_starts_per_minute)
        self._places = FirstPlaces()
        self.counting = Counting(ledger, self._settings.kept_per_second)

    async def handle(self, records: Sequence[Record], done: Done) -> None:
        """Judge every event of the batch and ask for its runs. Raises UnavailableError: hand the batch over again."""
        gates = self._topics.run_gates
        left = [record for record in records if record.source.topic == gates]
        if left:
            await self._leave(left)
        changes = [record for record in records if record.source.topic != gates] if left else records
        if changes:
            await self._judge(changes)
        for record in records:
            done(record)

    async def _judge(self, records: Sequence[Record]) -> None:
        """Judge changes, publish what follows, and write it into the ledger, in this order."""
        index = await self._listeners.index()
        outcome = Outcome()
        for first in range(0, len(records), _AT_ONCE):
            some = records[first : first + _AT_ONCE]
            hearings = [hearing for record in some if (hearing := self._hear(record, index, outcome.messages))]
            await self._ask(hearings)
            for hearing in hearings:
                self._decide(hearing, outcome)
        if outcome.passing:
            await self._pass(outcome)
        if outcome.messages:
            await self._log.publish(outcome.messages)
        for _, verdicts in outcome.judged:
            self._metrics.entity_event(verdict.verdict for verdict in verdicts)
        now, keeps = self._clock.now(), self.counting.keeps
        entries = [
            self._entry(hearing, verdicts, now)
            for hearing, verdicts in outcome.judged
            if keeps(hearing.change, verdicts, now)
        ]
        if entries:
            await self._ledger.record(entries)

    async def _leave(self, records: Sequence[Record]) -> None:
        """Tell gates of runs that are over."""
        left: list[LeaveGate] = []
        letters: list[Message] = []
        for record in records:
            try:
                left.append(decode_leave(record))
            except UndecodableMessageError as error:
                letters.append(self._give_up(record, error, "undecodable"))
        if letters:
            await self._log.publish(letters)
        await self._gates.leave(left)

    async def _pass(self, outcome: Outcome) -> None:
        """Have the gates say what becomes of the matches that are theirs."""
        said = await self._gates.enter([entry for entry, _, _ in outcome.passing])
        for heard, (_, verdicts, index) in zip(said, outcome.passing, strict=True):
            verdicts[index] = _said(verdicts[index], heard)

    def _hear(self, record: Record, index: TriggerIndex, messages: list[Message]) -> Hearing | None:
        """The event of a record with its candidates; what cannot be understood becomes a dead letter."""
        try:
            change = decode_entity_change(record)
        except BadEventError as error:
            messages.append(self._give_up(record, error, "bad-event"))
            return None
        candidates = index.candidates(change.action, change.blueprint, change.property, change.event)
        return Hearing(record, change, index.considered(change.action, change.blueprint), candidates)

    def _give_up(self, record: Record, error: Exception, reason: str) -> Message:
        """The dead letter of a record that nobody can understand."""
        self._metrics.dead_letter(record.topic, reason)
        trace = trace_fields(traceparent_of(record))
        _log.warning("record dead-lettered", topic=record.topic, offset=record.offset, error=str(error), **trace)
        return dead_letter(record, error, GROUP, self._clock.now())

    async def _ask(self, hearings: Sequence[Hearing]) -> None:
        """Have the programs that cannot run here evaluated, for all events at once."""
        asking = [(hearing, hearing.foreign) for hearing in hearings if hearing.candidates and hearing.foreign]
        if not asking:
            return
        evaluations = [Evaluation(programs, _as_json(hearing)) for hearing, programs in asking]
        for (hearing, programs), answers in zip(asking, await self._evaluator.evaluate(evaluations), strict=True):
            hearing.answers = dict(zip(programs, answers, strict=True))

    def _decide(self, hearing: Hearing, outcome: Outcome) -> None:
        """The verdicts on an event, with a start command for every match that passes no gate."""
        verdicts: list[TriggerVerdict] = []
        outcome.judged.append((hearing, verdicts))
        for listener in hearing.candidates:
            verdict = self._verdict(hearing, listener)
            if verdict.verdict == "matched" and verdict.run_id is not None:
                start = self._start(listener, hearing.change, verdict.run_id)
                if listener.config.has_gate():
                    outcome.passing.append((_entry_of(hearing, listener, start), verdicts, len(verdicts)))
                else:
                    outcome.messages.append(encode_command(start, self._topics))
            verdicts.append(verdict)

    def _entry(self, hearing: Hearing, verdicts: Sequence[TriggerVerdict], now: int) -> LedgerEntry:
        change = hearing.change
        return LedgerEntry(
            event_id=change.event_id, at=now, action=change.action, blueprint=change.blueprint,
            entity=change.entity, considered=hearing.considered, verdicts=tuple(verdicts), event=_as_json(hearing),
            source=_place(hearing.record),
        )  # fmt: skip

    def _verdict(self, hearing: Hearing, listener: Listener) -> TriggerVerdict:
        change = hearing.change
        if hearing.record.timestamp < listener.since_at:
            return _verdict(listener, "older", "the event is older than the workflow")
        judgement: Judgement = judge(listener, change.event, hearing.answers)
        if not judgement.matched:
            return _verdict(listener, "error" if judgement.failed else "filtered", judgement.reason)
        run_id = ids.run_id(listener.workflow, listener.trigger, change.event_id)
        here = _place(hearing.record)
        first = self._places.earlier(run_id, here)
        if first is not None:
            return _verdict(listener, "deduplicated", f"the same event came before, {first}: it has one run", run_id)
        stopped = self._loop(hearing, listener)
        if stopped is not None:
            return _verdict(listener, "loop", stopped)
        if not listener.config.has_gate():  # a gate remembers by itself what came
            self._places.keep(run_id, here)
        return _verdict(listener, "matched", judgement.reason, run_id)

    def _loop(self, hearing: Hearing, listener: Listener) -> str | None:
        """Why this event must not start a run although the condition holds; None when it may."""
        change = hearing.change
        reason = too_deep(change.causation, listener.workflow, self._settings.max_depth)
        if reason is not None:
            return reason
        entity = f"{change.blueprint}/{change.entity}"
        if self._rate.admit(listener.workflow, listener.trigger, entity, hearing.record.timestamp):
            return None
        return f"stopped: loop, {entity} started this trigger {self._settings.max_starts_per_minute} times in a minute"

    def _start(self, listener: Listener, change: EntityChange, run_id: str) -> StartRun:
        return StartRun(
            run_id=run_id,
            at=self._clock.now(),
            workflow=listener.workflow,
            version=listener.version,
            trigger=listener.trigger,
            output=change.event,
            created_by=CREATED_BY,
            causation=change.causation,
        )


def _verdict(listener: Listener, verdict: Verdict, reason: str, run_id: str | None = None) -> TriggerVerdict:
    return TriggerVerdict(listener.workflow, listener.version, listener.trigger, verdict, reason, run_id)


def _place(record: Record) -> str:
    return f"{record.source.topic}/{record.source.partition}/{record.offset}"


def _entry_of(hearing: Hearing, listener: Listener, start: StartRun) -> Entry:
    """A match, as a gate takes it."""
    change, record, config = hearing.change, hearing.record, listener.config
    position = Position(f"{record.topic}/{record.source.partition}", record.offset, record.timestamp)
    entity = f"{change.blueprint}/{change.entity}"
    return Entry(listener.workflow, listener.trigger, entity, start, config.per_entity, config.debounce, position)


def _said(verdict: TriggerVerdict, heard: Heard) -> TriggerVerdict:
    """The verdict on a match after what its gate said."""
    return replace(verdict, verdict=heard.verdict, reason=heard.reason or verdict.reason, run_id=heard.run_id)


def _as_json(hearing: Hearing) -> bytes:
    """The event object as JSON, as triggers see it."""
    return dump(hearing.change.event)
