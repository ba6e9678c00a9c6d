"""Why would, or would not, a trigger fire for an event? The same judgement as `matching`, spelled out with values."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from headrace.core import expression
from headrace.core.breakdown import Part, break_down
from headrace.core.expression import Answer, Failure, Path, Program
from headrace.core.json import Json, JsonObject
from headrace.core.matching import ACTIONS, Listener, judge, lookup

_MAX_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Clause:
    """One expression of a condition: what it gave, and the values that it read from the event."""

    expression: str
    answer: str
    holds: bool
    values: tuple[tuple[str, Json], ...]
    parts: tuple["ShownPart", ...] = ()
    """Its sub-expressions, where it has any that are more than a path."""


@dataclass(frozen=True, slots=True)
class ShownPart:
    """A sub-expression and what it gave, as text; None when nobody asked, since what was before it decided."""

    expression: str
    answer: str | None
    parts: tuple["ShownPart", ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether a trigger fires for an event, in one sentence, with the clauses behind it."""

    fires: bool
    verdict: str
    reason: str
    clauses: tuple[Clause, ...] = ()


def explain(
    listener: Listener, action: str, blueprint: str, property_: str | None, event: JsonObject,
    answers: Mapping[str, Answer],
) -> Explanation:  # fmt: skip
    """The explanation for one listener. `answers` holds the answers of its foreign programs."""
    config = listener.config
    if not config.published:
        return Explanation(False, "unpublished", "the trigger is not published")
    if config.blueprint != blueprint:
        return Explanation(False, "other-blueprint", f"it listens to blueprint {config.blueprint}, not {blueprint}")
    if action not in ACTIONS[config.event_type]:
        return Explanation(False, "other-event", f"it listens to {config.event_type}, and this is {_article(action)}")
    if action == "TIMER_EXPIRED" and config.property != property_:
        reason = f"it listens to the timer {config.property}, and this is {property_}"
        return Explanation(False, "other-event", reason)
    judgement = judge(listener, event, answers)
    clauses = tuple(clause_of(program, event, answers) for program in listener.programs)
    verdict = "matched" if judgement.matched else "error" if judgement.failed else "filtered"
    return Explanation(judgement.matched, verdict, judgement.reason, clauses)


def clause_of(program: Program, event: Json, answers: Mapping[str, Answer]) -> Clause:
    """What a program gave for its input, with the values behind it. `answers` holds the answers of foreign programs."""
    answer = program.native(event) if program.native is not None else answers[program.text]
    values = tuple((_dotted(path), _shortened(lookup(event, path))) for path in dict.fromkeys(program.paths) if path)
    parts = tuple(_part(part) for part in break_down(program.text, event))
    return Clause(program.text.strip(), _shown(answer), answer is True, values, parts)


def _part(part: Part) -> ShownPart:
    answer = _shown(part.answer) if part.asked else None
    return ShownPart(part.expression, answer, tuple(_part(it) for it in part.parts))


def _shown(answer: Answer) -> str:
    if isinstance(answer, Failure):
        return f"failed: {answer.message}"
    if answer is expression.EMPTY:
        return "no value"
    text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    return text[:_MAX_SHOWN]


def _dotted(path: Path) -> str:
    """The path as one would write it in JQ."""
    text = ""
    for key in path:
        if isinstance(key, str) and key.isidentifier() and key.isascii():
            text += f".{key}"
        else:
            text += f"{'' if text else '.'}[{json.dumps(key, ensure_ascii=False)}]"
    return text


def _shortened(value: Json) -> Json:
    if isinstance(value, str) and len(value) > _MAX_SHOWN:
        return value[:_MAX_SHOWN] + "…"
    if isinstance(value, dict | list) and len(value) > 20:
        return f"{'an object' if isinstance(value, dict) else 'an array'} of {len(value)} values"
    return value


def _article(action: str) -> str:
    return f"{'an' if action[0] in 'AEIOU' else 'a'} {action}"
