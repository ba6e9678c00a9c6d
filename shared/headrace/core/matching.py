"""Which triggers does an entity event wake? An index first, then the conditions of those that are left (spec 2.2).

The cost of an event must depend on the triggers that can match, not on those that exist. Triggers are found by action
and blueprint; where a condition demands that a path equals a literal, the trigger is filed under that value and is not
even looked at when the event carries another one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from headrace.core import expression
from headrace.core.definition import Definition, EventTrigger, EventType
from headrace.core.expression import Answer, Failure, Path, Program
from headrace.core.json import Json, JsonObject

Action = Literal["CREATE", "UPDATE", "DELETE", "TIMER_EXPIRED"]

ACTIONS: Mapping[EventType, tuple[Action, ...]] = {
    "ENTITY_CREATED": ("CREATE",),
    "ENTITY_UPDATED": ("UPDATE",),
    "ENTITY_DELETED": ("DELETE",),
    "ANY_ENTITY_CHANGE": ("CREATE", "UPDATE", "DELETE"),
    "TIMER_EXPIRED": ("TIMER_EXPIRED",),
}
"""The actions of entity events that each type of event trigger hears (spec 2.2, 11.1)."""


@dataclass(frozen=True, slots=True)
class Listener:
    """An event trigger of a live workflow. It hears events from `since_at` (ms) on, when its workflow came to be."""

    workflow: str
    version: int
    trigger: str
    since_at: int
    config: EventTrigger
    programs: tuple[Program, ...]
    foreign: tuple[str, ...]

    @property
    def conjunctive(self) -> bool:
        """Whether every expression must hold."""
        return self.config.combinator == "and" or len(self.programs) < 2


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a listener's condition holds, and a sentence that says why."""

    matched: bool
    failed: bool
    reason: str


def listeners_of(definition: Definition, version: int, since_at: int, every: bool = False) -> list[Listener]:
    """The published event triggers of a workflow version; `every`: those that are not published, too."""
    found = []
    for node in definition.triggers:
        config = node.config
        if isinstance(config, EventTrigger) and (config.published or every):
            programs = tuple(expression.parse(text) for text in config.expressions)
            foreign = tuple(program.text for program in programs if program.native is None)
            found.append(Listener(definition.identifier, version, node.identifier, since_at, config, programs, foreign))
    return found


@dataclass(slots=True)
class _Bucket:
    """The listeners of one action and blueprint: those filed under a value, and those that always must be looked at."""

    size: int = 0
    always: list[Listener] = field(default_factory=list)
    filed: dict[Path, dict[tuple[str, Json], list[Listener]]] = field(default_factory=dict)

    def add(self, listener: Listener) -> None:
        self.size += 1
        test = _best_test(listener)
        if test is None:
            self.always.append(listener)
        else:
            path, value = test
            self.filed.setdefault(path, {}).setdefault(_key(value), []).append(listener)


class TriggerIndex:
    """The listeners of all live workflows. Built once per change of any workflow; read for every event."""

    def __init__(self, listeners: Iterable[Listener]) -> None:
        self._buckets: dict[tuple[Action, str], _Bucket] = {}
        for listener in listeners:
            for action in ACTIONS[listener.config.event_type]:
                self._buckets.setdefault((action, listener.config.blueprint), _Bucket()).add(listener)

    def considered(self, action: Action, blueprint: str) -> int:
        """How many triggers listen to this action and blueprint."""
        bucket = self._buckets.get((action, blueprint))
        return bucket.size if bucket else 0

    def candidates(self, action: Action, blueprint: str, property_: str | None, event: JsonObject) -> list[Listener]:
        """The listeners whose conditions must be judged; every other one certainly does not match."""
        bucket = self._buckets.get((action, blueprint))
        if bucket is None:
            return []
        found = list(bucket.always)
        for path, by_value in bucket.filed.items():
            found.extend(by_value.get(_key(lookup(event, path)), ()))
        if action == "TIMER_EXPIRED":
            found = [listener for listener in found if listener.config.property == property_]
        return found


def judge(listener: Listener, event: JsonObject, answers: Mapping[str, Answer]) -> Judgement:
    """Whether the listener's condition holds for the event: only a literal `true` counts, a failure counts as no.

    `answers` holds the answers of the listener's foreign programs. The reason names the deciding expression.
    """
    reason = "it has no condition" if not listener.programs else ""
    failed = False
    for program in listener.programs:
        answer = program.native(event) if program.native is not None else answers[program.text]
        holds = answer is True
        if isinstance(answer, Failure):
            failed = True
        if holds and not listener.conjunctive:
            return Judgement(True, False, f"{program.text.strip()} gave true")
        if not holds:
            reason = f"{program.text.strip()} {_gave(answer)}"
            if listener.conjunctive:
                return Judgement(False, failed, reason)
    if listener.conjunctive:
        return Judgement(True, False, reason or "every expression gave true")
    return Judgement(False, failed, reason)


def lookup(root: Json, path: Path) -> Json:
    """The value at a path as jq reads it; where jq would fail, a value that equals no literal."""
    value = root
    for key in path:
        if isinstance(value, dict) and isinstance(key, str):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int):
            value = value[key] if -len(value) <= key < len(value) else None
        elif value is not None:
            return _NOWHERE
    return value


_NOWHERE: Json = "\0nowhere"


def _gave(answer: Answer) -> str:
    if isinstance(answer, Failure):
        return f"failed: {answer.message}"
    if answer is expression.EMPTY:
        return "gave no value"
    if answer is False:
        return "gave false"
    return "gave null" if answer is None else "gave no boolean"


def _best_test(listener: Listener) -> tuple[Path, Json] | None:
    """The equality test under which to file a listener; texts and numbers tell events apart best."""
    if not listener.conjunctive:
        return None
    tests = [test for program in listener.programs for test in program.equalities]
    tests.sort(key=lambda test: isinstance(test[1], bool) or test[1] is None)
    return tests[0] if tests else None


def _key(value: Json) -> tuple[str, Json]:
    """A hashable key that keeps `true` and `1` apart and takes `1` and `1.0` as one, as jq does."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, dict | list):
        return ("other", None)
    return ("scalar", value)
