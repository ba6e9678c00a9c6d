"""When schedules fire (spec 2.3): instants from cron expressions, and what to do about missed ones.

Instants are whole milliseconds since the Unix epoch. Time is an argument, and so are the rules of a time zone: the
core asks nobody what time it is where. Cron expressions are read by cronsim, which does what Debian's cron does. On top
of it there are macros, a second as a sixth field in front, and the promise that instants only ever go forward.

Daylight saving time. A schedule that names its minutes and hours follows the clock on the wall: an instant that the
clock skips comes right after the gap, one that the clock shows twice comes the first time only. One whose minute or
hour begins with `*` follows the time that has passed: what the clock skips is left out, and what it shows twice comes
twice.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from cronsim import CronSim, CronSimError

from headrace.core import ids, limits
from headrace.core.definition import Definition, ScheduleTrigger
from headrace.core.json import JsonObject
from headrace.core.times import iso

Zones = Callable[[str], tzinfo | None]
"""The rules of the time zone with an IANA name; None when there is no such zone."""

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""What may stand in place of the fields (spec 2.3)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_HOUR_MS = 3_600_000
_SOME_DAY = 946_684_800_000


def fields_of(cron: str) -> list[str]:
    """The fields of an expression, those that a macro stands for included."""
    return MACROS.get(cron.strip().lower(), cron).split()


class Timetable:
    """The instants of a cron expression in a time zone.

    The expression must be one in which `headrace.core.authoring` finds no fault. One that names days which do not
    exist, such as the 30th of February, has no instants.
    """

    def __init__(self, cron: str, zone: tzinfo) -> None:
        fields = fields_of(cron)
        # cronsim follows the clock on the wall for five fields only, so the second is added afterwards
        self._second_ms = int(fields[0]) * 1000 if len(fields) == 6 else 0
        self._cron = " ".join(fields[-5:])
        self._zone = zone

    def after(self, at: int) -> Iterator[int]:
        """The instants later than `at`, earliest first. Ends when for 50 years there is none."""
        begin = (_EPOCH + (at - self._second_ms) * _MS).astimezone(self._zone)
        try:
            moments = CronSim(self._cron, begin)
        except CronSimError:
            return
        for moment in moments:
            found = (moment - _EPOCH) // _MS + self._second_ms
            # in an hour that the clock shows twice, and for instants of a gap, it gives earlier or equal ones
            if found > at:
                at = found
                yield found

    def next_after(self, at: int) -> int | None:
        """The first instant later than `at`; None when there is none."""
        return next(self.after(at), None)

    def latest(self, since: int, until: int, most: int) -> tuple[int, ...]:
        """The last instants, at most `most`, from `since` to `until`, both included; earliest first.

        The work depends on `most`, not on the length of the span.
        """
        span = _HOUR_MS
        while True:
            begin = max(since, until - span)
            found: deque[int] = deque(maxlen=most)
            for at in self.after(begin - 1):
                if at > until:
                    break
                found.append(at)
            if len(found) == most or begin == since:
                return tuple(found)
            span *= 2


def ever_fires(cron: str) -> bool:
    """Whether a well-formed expression names days that exist."""
    return Timetable(cron, UTC).next_after(_SOME_DAY) is not None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A published schedule trigger of a live workflow. It counts from `since_at`, when its version was saved."""

    workflow: str
    version: int
    trigger: str
    since_at: int
    config: ScheduleTrigger

    @property
    def key(self) -> tuple[str, str]:
        return self.workflow, self.trigger

    @property
    def spec(self) -> str:
        """What decides when it fires, as one text."""
        return spec_of(self.config)

    def cause(self, at: int) -> str:
        """The id of its instant `at`, as an event that starts a run: the same for whoever asks, however often."""
        return "sch_" + ids.derive("schedule", self.workflow, self.trigger, str(at))

    def output(self, at: int, fired_at: int) -> JsonObject:
        """What the trigger puts out for its instant `at`."""
        config = self.config
        return {"scheduledAt": iso(at), "firedAt": iso(fired_at), "cron": config.cron, "timezone": config.timezone}


def spec_of(config: ScheduleTrigger) -> str:
    """What decides when a schedule fires, as one text."""
    return f"{config.cron} {config.timezone}"


def schedules_of(definition: Definition, version: int, since_at: int) -> list[Schedule]:
    """The published schedule triggers of a workflow version."""
    return [
        Schedule(definition.identifier, version, node.identifier, since_at, node.config)
        for node in definition.triggers
        if isinstance(node.config, ScheduleTrigger) and node.config.published
    ]


@dataclass(frozen=True, slots=True)
class Turn:
    """What to do about a schedule that is due: start these instants, skip from the first to the last of those."""

    starts: tuple[int, ...]
    skipped: tuple[int, int] | None
    next_at: int | None


def take_turn(schedule: Schedule, zone: tzinfo, due_at: int, now: int, grace_ms: int) -> Turn:
    """What a schedule that has been due since `due_at` asks for now.

    `skip` starts the last instant if it is not older than `grace_ms`, `latest` starts it in any case, `all` starts up
    to `limits.MISSED_RUNS` of the last ones.
    """
    timetable = Timetable(schedule.config.cron, zone)
    policy = schedule.config.missed_runs
    starts = timetable.latest(due_at, now, limits.MISSED_RUNS if policy == "all" else 1)
    last = starts[-1] if starts else None
    if policy == "skip":
        starts = tuple(at for at in starts if now - at <= grace_ms)
    if starts:
        earlier = timetable.latest(due_at, starts[0] - 1, 1) if starts[0] > due_at else ()
        last = earlier[-1] if earlier else None
    return Turn(starts, None if last is None else (due_at, last), timetable.next_after(now))
