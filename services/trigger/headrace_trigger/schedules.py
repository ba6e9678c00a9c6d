"""Schedules fire (spec 2.3, docs/triggers.md): what is due is started, then the schedule moves on to its next instant.

Any number of processes may do this at once. The run of an instant has an id derived from the workflow, the trigger and
the instant, so two who start it, or one who does so again after it died before the schedule moved on, start one run.
Of those who move a schedule on, one wins the compare-and-set.

A schedule counts from when its version was saved. A new version that leaves it as it is takes over where it stands, so
an instant that nobody could deal with yet is not lost by a change of another node; one that changes it, and one that
publishes it again, begin anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from headrace.contracts.codec import encode_command
from headrace.contracts.envelope import dump
from headrace.contracts.topics import TopicNames
from headrace.core import ids
from headrace.core.authoring import dialects
from headrace.core.commands import StartRun
from headrace.core.run import Causation
from headrace.core.schedule import Schedule, Timetable, Turn, Zones, schedules_of, take_turn
from headrace.core.times import iso
from headrace.ports.clock import Clock
from headrace.ports.log import Log, Message
from headrace.ports.schedules import ScheduleStore, StoredSchedule
from headrace.ports.stores import DefinitionStore, LedgerEntry, LedgerStore, TriggerVerdict, WorkflowVersion
from headrace.runtime.metrics import Metrics
from headrace.runtime.tasks import Tasks

CREATED_BY = "headrace:schedule-trigger"
"""Runs of schedules belong to a machine actor, as those of event triggers do."""

_log = structlog.get_logger("headrace.schedules")


@dataclass(frozen=True, slots=True)
class SchedulerSettings:
    """Every `interval_seconds` due schedules are looked for, `batch` at a time. Under the policy `skip` an instant is
    missed when nobody could start its run for `grace_seconds`."""

    interval_seconds: float = 0.5
    batch: int = 100
    grace_seconds: float = 60.0


class Scheduler:
    """Starts the runs of schedules."""

    def __init__(
        self,
        definitions: DefinitionStore,
        schedules: ScheduleStore,
        ledger: LedgerStore,
        log: Log,
        clock: Clock,
        zones: Zones,
        topics: TopicNames,
        metrics: Metrics,
        settings: SchedulerSettings | None = None,
    ) -> None:
        self._definitions = definitions
        self._schedules = schedules
        self._ledger = ledger
        self._log = log
        self._clock = clock
        self._zones = zones
        self._topics = topics
        self._metrics = metrics
        self._settings = settings or SchedulerSettings()
        self._revision = -1
        self._known: dict[tuple[str, int], tuple[Schedule, ...]] = {}
        self._live: dict[tuple[str, str], Schedule] = {}

    def start(self, tasks: Tasks) -> None:
        """Begin to look for what is due on the given set of tasks."""
        tasks.every(self._settings.interval_seconds, self.sweep, "schedules")

    async def sweep(self) -> int:
        """Start every instant that is due; how many. Raises UnavailableError: call it again."""
        await self._refresh()
        started = 0
        now = self._clock.now()
        while due := await self._schedules.due(now, self._settings.batch):
            turns = []
            for stored in due:
                schedule = await self._current(stored)
                if schedule is not None and stored.due_at is not None:
                    turns.append((stored, schedule, self._turn(schedule, stored.due_at, now)))
            await self._take(turns, now)
            started += sum(len(turn.starts) for _, _, turn in turns)
        return started

    async def _refresh(self) -> None:
        """Learn of changed workflows, and see to it that the store knows every schedule that is live."""
        revision = await self._definitions.revision()
        if revision == self._revision:
            return
        versions = await self._definitions.all()
        found = {}
        for it in versions:
            known = self._known.get((it.identifier, it.version))
            found[it.identifier, it.version] = read_schedules(it) if known is None else known
        live = {schedule.key: schedule for schedules in found.values() for schedule in schedules}
        await self._adopt([schedule for key, schedule in live.items() if self._live.get(key) != schedule])
        self._known, self._live, self._revision = found, live, revision

    async def _adopt(self, schedules: Sequence[Schedule]) -> None:
        """Have the store know these versions of schedules, or newer ones."""
        left = list(schedules)
        while left:
            held = await self._schedules.load([schedule.key for schedule in left])
            left = [it for it in left if it.key not in held or held[it.key].version < it.version]
            writes = [await self._placed(schedule, held.get(schedule.key)) for schedule in left]
            answers = await self._schedules.save(writes)
            left = [schedule for schedule, won in zip(left, answers, strict=True) if not won]

    async def _placed(self, schedule: Schedule, held: StoredSchedule | None) -> StoredSchedule:
        """Where a version of a schedule stands that the store does not know yet."""
        since_at, oldest = await self._unchanged_since(schedule, 1 if held is None else held.version)
        if held is not None and oldest <= held.version and held.spec == schedule.spec:
            return replace(held, rev=held.rev + 1, version=schedule.version)
        zone = self._zones(schedule.config.timezone)
        due_at = None if zone is None else Timetable(schedule.config.cron, zone).next_after(since_at)
        if due_at is None:
            _log.error("schedule never fires", workflow=schedule.workflow, trigger=schedule.trigger, spec=schedule.spec)
        rev = 0 if held is None else held.rev + 1
        return StoredSchedule(*schedule.key, rev, schedule.version, schedule.spec, due_at)

    async def _unchanged_since(self, schedule: Schedule, first: int) -> tuple[int, int]:
        """When the version was saved since which the schedule is as it is without a break, and its number.

        Versions before `first` are not looked at.
        """
        since_at, oldest = schedule.since_at, schedule.version
        while oldest > first:
            older = await self._definitions.version(schedule.workflow, oldest - 1)
            if older is None or older.deleted:
                break
            same = [it for it in read_schedules(older) if it.key == schedule.key and it.spec == schedule.spec]
            if not same:
                break
            since_at, oldest = same[0].since_at, older.version
        return since_at, oldest

    async def _current(self, stored: StoredSchedule) -> Schedule | None:
        """The schedule that is due, if it is still live and stands in the store as it is."""
        schedule = self._live.get(stored.key)
        if schedule is not None and (schedule.version, schedule.spec) == (stored.version, stored.spec):
            return schedule
        latest = await self._definitions.latest(stored.workflow)
        found = () if latest is None or latest.deleted else read_schedules(latest)
        schedule = next((it for it in found if it.key == stored.key), None)
        if schedule is None:
            await self._schedules.delete(stored.key, stored.rev)
            return None
        if schedule.version != stored.version:
            await self._adopt([schedule])
            return None
        return schedule

    def _turn(self, schedule: Schedule, due_at: int, now: int) -> Turn:
        zone = self._zones(schedule.config.timezone)
        if zone is None:
            return Turn((), None, None)
        return take_turn(schedule, zone, due_at, now, int(self._settings.grace_seconds * 1000))

    async def _take(self, turns: Sequence[tuple[StoredSchedule, Schedule, Turn]], now: int) -> None:
        """Publish, write the ledger, move on: in this order, so that a death in between only repeats."""
        if not turns:
            return
        messages: list[Message] = []
        entries: list[LedgerEntry] = []
        for _, schedule, turn in turns:
            for at in turn.starts:
                command = _start(schedule, at, now)
                messages.append(encode_command(command, self._topics))
                entries.append(_entry(schedule, at, now, command.run_id))
            if turn.skipped is not None:
                entries.append(_missed(schedule, turn.skipped, now))
        if messages:
            await self._log.publish(messages)
        if entries:
            await self._ledger.record(entries)
        self._metrics.schedule_verdicts(verdict.verdict for entry in entries for verdict in entry.verdicts)
        await self._schedules.save(
            [replace(stored, rev=stored.rev + 1, due_at=turn.next_at) for stored, _, turn in turns]
        )


def read_schedules(stored: WorkflowVersion) -> tuple[Schedule, ...]:
    """The schedule triggers of a stored version; a version that cannot be read any more has none, and says so."""
    parsed = dialects.parse(stored.document)
    if parsed.definition is None:
        _log.error("workflow cannot be read", workflow=stored.identifier, version=stored.version)
        return ()
    return tuple(schedules_of(parsed.definition, stored.version, stored.updated_at))


def _start(schedule: Schedule, at: int, now: int) -> StartRun:
    cause = schedule.cause(at)
    return StartRun(
        run_id=ids.run_id(schedule.workflow, schedule.trigger, cause),
        at=now,
        workflow=schedule.workflow,
        version=schedule.version,
        trigger=schedule.trigger,
        output=schedule.output(at, now),
        created_by=CREATED_BY,
        causation=Causation(cause, cause),
    )


def _entry(schedule: Schedule, at: int, now: int, run_id: str) -> LedgerEntry:
    verdict = TriggerVerdict(
        schedule.workflow, schedule.version, schedule.trigger, "matched", f"it was due at {iso(at)}", run_id
    )
    return _ledger_entry(schedule, at, now, verdict)


def _missed(schedule: Schedule, span: tuple[int, int], now: int) -> LedgerEntry:
    """One entry for all the instants that were skipped at once: a year of them must not fill the ledger."""
    first, last = span
    which = f"the instant {iso(last)}" if first == last else f"the instants from {iso(first)} to {iso(last)}"
    reason = f"{which} passed while no run could be started, and missedRuns is {schedule.config.missed_runs}"
    verdict = TriggerVerdict(schedule.workflow, schedule.version, schedule.trigger, "missed", reason)
    return _ledger_entry(schedule, last, now, verdict)


def _ledger_entry(schedule: Schedule, at: int, now: int, verdict: TriggerVerdict) -> LedgerEntry:
    return LedgerEntry(
        event_id=schedule.cause(at), at=now, action="SCHEDULE", blueprint="", entity="", considered=1,
        verdicts=(verdict,), event=dump(schedule.output(at, now)),
        source=f"schedule/{schedule.workflow}/{schedule.trigger}",
    )  # fmt: skip
