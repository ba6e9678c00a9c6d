"""A batch of commands: load, decide, save, publish. The order is the protocol (docs/delivery.md).

1. Commands are grouped by run; runs that are not cached are read in one majority read.
2. Each run's commands are decided in order. Programs that cannot run in this process are asked for in one batch for
   all runs, then those runs are decided again.
3. All changed runs are saved in one write, each with its outbox, each only if nobody saved it in between. Runs that
   somebody else saved first are read and decided again; nothing of the lost decision has left the process.
4. The outboxes are published: those just saved, and those found unpublished with a run whose command was a duplicate,
   since a predecessor may have died between its save and its publish. What somebody else may have published before is
   marked as `redelivered` (headrace_orchestrator.outbox).
5. Only then are the records done.

A "no" that comes from a cached run is not believed until a fresh read says so too.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from headrace.contracts.codec import UndecodableMessageError, decode_command, encode_command
from headrace.contracts.envelope import trace_fields, traceparent_of
from headrace.contracts.topics import TopicNames
from headrace.core.commands import Command, ReportChild, StartRun
from headrace.core.gate import leaving
from headrace.core.plan import Plan
from headrace.ports.clock import Clock
from headrace.ports.errors import TooLargeError, UnavailableError
from headrace.ports.evaluator import Evaluator
from headrace.ports.log import Log, Message, Record
from headrace.ports.stores import RunStore, StoredRun
from headrace.runtime.dead_letters import dead_letter
from headrace.runtime.loop import Done
from headrace.runtime.metrics import Metrics
from headrace.runtime.plans import MissingVersionError, Plans
from headrace_orchestrator.cache import RunCache
from headrace_orchestrator.child_starts import ChildStarts
from headrace_orchestrator.outbox import Outbox
from headrace_orchestrator.turn import Turn, decide_turns

GROUP = "headrace-orchestrator"
_MAX_ROUNDS = 20

_log = structlog.get_logger("headrace.orchestrator")


class ContentionError(UnavailableError):
    """Other writers kept winning; back off and begin the batch again."""


@dataclass(slots=True)
class Work:
    """The commands of one run in a batch, with the records they came in."""

    commands: list[Command] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)


class Orchestrator:
    """Handles batches of run.commands and node.results."""

    def __init__(
        self,
        runs: RunStore,
        plans: Plans,
        evaluator: Evaluator,
        log: Log,
        outbox: Outbox,
        clock: Clock,
        topics: TopicNames,
        metrics: Metrics,
        cache: RunCache | None = None,
    ) -> None:
        self._runs = runs
        self._plans = plans
        self._evaluator = evaluator
        self._log = log
        self._outbox = outbox
        self._clock = clock
        self._topics = topics
        self._metrics = metrics
        self._cache = cache if cache is not None else RunCache()

    async def handle(self, records: Sequence[Record], done: Done) -> None:
        """Do everything the records ask for. Raises UnavailableError: hand the same records over again."""
        work = await self._read(records)
        try:
            await self._settle(work)
        except TooLargeError:
            for run_id, piece in work.items():
                await self._settle_alone(run_id, piece)
        for record in records:
            done(record)

    async def _settle(self, work: dict[str, Work]) -> None:
        """Decide, save and publish, again for those runs that somebody else changed meanwhile."""
        fresh = False
        for _ in range(_MAX_ROUNDS):
            if not work:
                return
            work = await self._round(work, fresh)
            fresh = True
        if work:
            raise ContentionError(f"{len(work)} runs are being changed by somebody else all the time")

    async def _settle_alone(self, run_id: str, piece: Work) -> None:
        """One run of a batch in which one cannot be stored: the others must not suffer, and its records are kept."""
        try:
            await self._settle({run_id: piece})
        except TooLargeError as error:
            self._cache.drop([run_id])
            await self._log.publish(self._give_up(piece.records, error))

    async def _read(self, records: Sequence[Record]) -> dict[str, Work]:
        """The records' commands by run. Those that nobody can understand become dead letters."""
        work: dict[str, Work] = defaultdict(Work)
        letters: list[Message] = []
        for record in records:
            try:
                command = decode_command(record)
            except UndecodableMessageError as error:
                self._metrics.dead_letter(record.topic, "undecodable")
                trace = trace_fields(traceparent_of(record))
                _log.error("record dead-lettered", topic=record.topic, offset=record.offset, error=str(error), **trace)
                letters.append(dead_letter(record, error, GROUP, self._clock.now()))
            else:
                run = work[command.run_id]
                run.commands.append(command)
                run.records.append(record)
        if letters:
            await self._log.publish(letters)
        return work

    async def _round(self, work: dict[str, Work], fresh: bool) -> dict[str, Work]:
        """Load, decide, save and publish once; the work that must be done again on a fresh read."""
        save = self._outbox.begin()
        turns = await self._decide(work, await self._load(work, fresh))
        doubtful = set() if fresh else {run_id for run_id, turn in turns.items() if turn.refused and turn.from_cache}
        settled = {run_id: turn for run_id, turn in turns.items() if run_id not in doubtful}
        lost = await self._save([turn.next for turn in settled.values() if turn.next is not None])
        kept = [turn for run_id, turn in settled.items() if run_id not in lost]
        saved = [turn.next for turn in kept if turn.next is not None]
        await self._outbox.publish(save, saved, self._unpublished(kept))
        self._cache.drop(doubtful | lost)
        self._cache.put(saved)
        self._count(kept, len(lost))
        return {run_id: work[run_id] for run_id in doubtful | lost}

    def _unpublished(self, turns: Sequence[Turn]) -> list[StoredRun]:
        """Runs that this batch does not change, found with an outbox that a predecessor may not have published."""
        return [turn.stored for turn in turns if turn.next is None and turn.stored is not None and turn.stored.outbox]

    async def _load(self, work: dict[str, Work], fresh: bool) -> dict[str, tuple[StoredRun, bool]]:
        """The runs of the work, each with whether it came from the cache."""
        known = {} if fresh else self._cache.get(work)
        missing = [run_id for run_id in work if run_id not in known]
        loaded = await self._runs.load(missing) if missing else {}
        return {
            **{run_id: (stored, True) for run_id, stored in known.items()},
            **{run_id: (stored, False) for run_id, stored in loaded.items()},
        }

    async def _decide(self, work: dict[str, Work], runs: dict[str, tuple[StoredRun, bool]]) -> dict[str, Turn]:
        """A turn per run. A run whose version is missing or whose decision is a bug becomes dead letters."""
        turns: dict[str, Turn] = {}
        outgoing: list[Message] = []  # dead letters, and what refused starts tell their parents
        child_starts = ChildStarts(self._plans)
        for run_id, piece in work.items():
            stored, from_cache = runs.get(run_id, (None, False))
            commands: Sequence[Command] = piece.commands
            replies: list[ReportChild] = []
            try:
                if stored is None:
                    commands, replies = await child_starts.resolve(piece.commands)
                plan = await self._plan(stored, commands)
                if plan is None:
                    self._metrics.rejected("unfit-start" if replies else "unknown-run", len(piece.commands))
            except MissingVersionError as error:
                outgoing.extend(self._give_up(piece.records, error))
                plan = None
            turns[run_id] = Turn(plan, stored, from_cache, commands if plan else [], piece.records)
            outgoing.extend(encode_command(reply, self._topics) for reply in replies)
        bugs = await decide_turns(turns, self._evaluator, self._clock.now(), self._topics)
        for record, bug in bugs:
            outgoing.extend(self._give_up([record], bug))
        outgoing.extend(message for turn in turns.values() for message in turn.replies)
        if outgoing:
            await self._log.publish(outgoing)
        return turns

    async def _plan(self, stored: StoredRun | None, commands: Sequence[Command]) -> Plan | None:
        """The plan to decide with; None when there is neither a run nor a command that starts one."""
        if stored is not None:
            return await self._plans.get(stored.run.workflow, stored.run.version)
        start = next((command for command in commands if isinstance(command, StartRun)), None)
        return await self._plans.get(start.workflow, start.version) if start else None

    async def _save(self, writes: Sequence[StoredRun]) -> set[str]:
        """Save the changed runs; the ids of those that somebody else saved first."""
        if not writes:
            return set()
        self._cache.drop(write.run.id for write in writes)
        answers = await self._runs.save(writes)
        return {write.run.id for write, saved in zip(writes, answers, strict=True) if not saved}

    def _count(self, turns: Sequence[Turn], lost: int) -> None:
        self._metrics.conflicts(lost)
        decisions = [decision for turn in turns for decision in turn.decisions]
        for decision in decisions:
            if decision.rejection is not None:
                self._metrics.rejected(decision.rejection.reason)
        self._metrics.transitions(event for decision in decisions for event in decision.events)

    def _give_up(self, records: Sequence[Record], error: Exception) -> list[Message]:
        reason = _reason(error)
        for record in records:
            self._metrics.dead_letter(record.topic, reason)
            where = {"topic": record.topic, "offset": record.offset, **trace_fields(traceparent_of(record))}
            _log.error("record dead-lettered", **where, reason=reason, exc_info=error)
        letters = [dead_letter(record, error, GROUP, self._clock.now()) for record in records]
        return [*letters, *self._freed_gates(records)]

    def _freed_gates(self, records: Sequence[Record]) -> list[Message]:
        """What gates are told whose runs will not begin because of these records."""
        starts = [command for record in records if isinstance(command := decode_command(record), StartRun)]
        told = [it for start in starts for it in leaving(start.gate, start.run_id, self._clock.now())]
        return [encode_command(it, self._topics) for it in told]


def _reason(error: Exception) -> str:
    if isinstance(error, MissingVersionError):
        return "missing-version"
    return "too-large" if isinstance(error, TooLargeError) else "bug"
