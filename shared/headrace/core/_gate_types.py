"""What a gate is made of; `headrace.core.gate` says what happens at one, and is where to import them from."""

from typing import Literal

from headrace.core.commands import AdmitRun, CancelRun, StartRun
from headrace.core.definition import Debounce, PerEntity
from headrace.core.json import Json
from headrace.core.value_class import value_class

GateVerdict = Literal["matched", "waiting", "dropped", "debounced"]


@value_class
class Position:
    """Where in the log an event was: a partition's name, the offset, and the record's time (ms)."""

    source: str
    offset: int
    timestamp: int


@value_class
class Entry:
    """An event that matched: the run that it asks for, and the place of the event in the log."""

    workflow: str
    trigger: str
    entity: str
    """With its blueprint: `<blueprint>/<entity>`."""
    start: StartRun
    policy: PerEntity
    debounce: Debounce | None
    position: Position


@value_class
class Heard:
    """What was said of an event."""

    event_id: str
    verdict: GateVerdict
    reason: str
    run_id: str | None


@value_class
class Merged:
    """The events that a run stands for: the entity before the first of them, their number, and the last ids."""

    before: Json
    count: int
    event_ids: tuple[str, ...]


@value_class
class Waiting:
    """A run that is held. `merged` is kept where a later event may take its place."""

    run_id: str
    merged: Merged | None = None


@value_class
class Gathering:
    """Events that will be one: the start so far, with the last event, and when it enters unless more come."""

    start: StartRun
    policy: PerEntity
    merged: Merged
    first_at: int
    due_at: int


@value_class
class Gate:
    """A gate. `holder` is the run that holds it, `since_at` (ms) since when, `check_at` when it is looked at again."""

    id: str
    workflow: str
    trigger: str
    entity: str
    holder: str | None = None
    since_at: int = 0
    check_at: int | None = None
    waiting: tuple[Waiting, ...] = ()
    gathering: Gathering | None = None
    position: Position | None = None
    """The last event that came through, with the latest time of all."""
    recent: tuple[Heard, ...] = ()

    @property
    def due_at(self) -> int | None:
        """When something is to be done at this gate without anybody asking."""
        times = [self.check_at, self.gathering.due_at if self.gathering else None]
        return min((at for at in times if at is not None), default=None)

    @property
    def is_idle(self) -> bool:
        """Whether forgetting it would lose nothing but the memory of what it heard."""
        return self.holder is None and self.gathering is None and not self.waiting


@value_class
class Step:
    """What a step made of a gate, and what is asked of runs by it. `heard`: what is said of the event that entered."""

    gate: Gate
    commands: tuple[StartRun | AdmitRun | CancelRun, ...] = ()
    heard: Heard | None = None
