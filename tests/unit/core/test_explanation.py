"""Why a trigger does, or does not, fire: verdicts, reasons and the values behind them."""

from typing import Any

import pytest

from headrace.core import expression
from headrace.core.definition import EventTrigger
from headrace.core.explanation import Clause, Explanation, explain
from headrace.core.expression import EMPTY, Failure
from headrace.core.json import Json, JsonObject
from headrace.core.matching import Listener

EVENT: JsonObject = {
    "action": "UPDATE",
    "diff": {
        "before": None,
        "after": {"properties": {"tier": "gold", "size-x": 3, "notes": "x" * 300}, "team": ["pay", "ops"]},
    },
}
FOREIGN = "[range(3)] | length == 3"
TIER = ".diff.after.properties.tier"


def listener_of(*expressions: str, **config: Any) -> Listener:
    config = {"event_type": "ENTITY_UPDATED", "blueprint": "service", **config}
    programs = tuple(map(expression.parse, expressions))
    foreign = tuple(program.text for program in programs if program.native is None)
    return Listener("flow", 1, "t", 0, EventTrigger(expressions=expressions, **config), programs, foreign)


def explained(*expressions: str, answers: Any = None, event: JsonObject | None = None, **config: Any) -> Explanation:
    return explain(listener_of(*expressions, **config), "UPDATE", "service", None, event or EVENT, answers or {})


@pytest.mark.parametrize(
    ("config", "action", "blueprint", "property_", "verdict", "reason"),
    [
        (
            {"blueprint": "team"}, "UPDATE", "service", None,
            "other-blueprint", "it listens to blueprint team, not service",
        ),
        ({}, "CREATE", "service", None, "other-event", "it listens to ENTITY_UPDATED, and this is a CREATE"),
        ({}, "UPSERT", "service", None, "other-event", "it listens to ENTITY_UPDATED, and this is an UPSERT"),
        (
            {"event_type": "ANY_ENTITY_CHANGE"}, "TIMER_EXPIRED", "service", "ttl",
            "other-event", "it listens to ANY_ENTITY_CHANGE, and this is a TIMER_EXPIRED",
        ),
        (
            {"event_type": "TIMER_EXPIRED", "property": "ttl"}, "TIMER_EXPIRED", "service", "due",
            "other-event", "it listens to the timer ttl, and this is due",
        ),
    ],
)  # fmt: skip
def test_events_that_the_trigger_does_not_hear_are_said_to_be_others(
    config: Any, action: str, blueprint: str, property_: str | None, verdict: str, reason: str
) -> None:
    explanation = explain(listener_of("true", **config), action, blueprint, property_, EVENT, {})

    assert explanation == Explanation(False, verdict, reason, ())


@pytest.mark.parametrize(
    ("event_type", "action"),
    [("ANY_ENTITY_CHANGE", "DELETE"), ("ENTITY_CREATED", "CREATE"), ("TIMER_EXPIRED", "TIMER_EXPIRED")],
)
def test_events_that_the_trigger_hears_fire_without_a_condition(event_type: Any, action: str) -> None:
    explanation = explain(listener_of(event_type=event_type, property="ttl"), action, "service", "ttl", EVENT, {})

    assert explanation == Explanation(True, "matched", "it has no condition", ())


def test_a_clause_shows_what_it_gave_and_what_it_read() -> None:
    explanation = explained(f'{TIER} == "gold"', f'{TIER} == "silver" ')

    assert (explanation.fires, explanation.verdict) == (False, "filtered")
    assert explanation.reason == f'{TIER} == "silver" gave false'
    assert explanation.clauses == (
        Clause(f'{TIER} == "gold"', "true", True, ((TIER, "gold"),)),
        Clause(f'{TIER} == "silver"', "false", False, ((TIER, "gold"),)),
    )


def test_a_value_that_is_read_twice_is_shown_once() -> None:
    (clause,) = explained(f'{TIER} == "a" or {TIER} == "b"').clauses

    assert clause.values == ((TIER, "gold"),)


@pytest.mark.parametrize(
    ("text", "answer", "holds"),
    [
        ("true", "true", True),
        ("false", "false", False),
        ("null", "null", False),
        ("1", "1", False),
        ("1.5", "1.5", False),
        ('"true"', "true", False),
        ("empty", "no value", False),
        (".diff.after.team", '["pay", "ops"]', False),
        ("[null, true]", "[null, true]", False),
        ('{a: "é"}', '{"a": "é"}', False),
        (".diff.after.properties.notes", "x" * 200, False),
    ],
)
def test_answers_are_shown_as_json(text: str, answer: str, holds: bool) -> None:
    """Arrays and objects were once shown as Python writes them."""
    (clause,) = explained(text).clauses

    assert (clause.answer, clause.holds) == (answer, holds)


def test_an_expression_that_fails_is_an_error_and_says_how() -> None:
    explanation = explained(".action.x == 1")

    assert (explanation.fires, explanation.verdict) == (False, "error")
    assert explanation.reason.startswith(".action.x == 1 failed: Cannot index string")
    assert explanation.clauses[0].answer.startswith("failed: Cannot index string")


@pytest.mark.parametrize(
    ("answer", "shown", "verdict"),
    [
        (True, "true", "matched"),
        (False, "false", "filtered"),
        (EMPTY, "no value", "filtered"),
        (Failure("time", "took too long"), "failed: took too long", "error"),
    ],
)
def test_foreign_programs_are_explained_by_their_answers(answer: Any, shown: str, verdict: str) -> None:
    explanation = explained(FOREIGN, answers={FOREIGN: answer})

    assert (explanation.verdict, explanation.clauses[0].answer) == (verdict, shown)
    assert explanation.clauses[0].values == ()


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (".action", ".action"),
        ('.diff.after.properties["size-x"]', '.diff.after.properties["size-x"]'),
        ('.["a b"].c', '.["a b"].c'),
        ('.["say \\"hi\\""]', '.["say \\"hi\\""]'),
        ('.["é"]', '.["é"]'),
        (".diff.after.team[0]", ".diff.after.team[0]"),
        (".diff.after.team[-1]", ".diff.after.team[-1]"),
        (".list[2].x", ".list[2].x"),
    ],
)
def test_paths_are_shown_as_one_writes_them_in_jq(text: str, path: str) -> None:
    (clause,) = explained(text).clauses

    assert [shown for shown, _ in clause.values] == [path]
    assert expression.parse(path).paths == expression.parse(text).paths


def test_a_path_that_begins_with_an_index_is_written_as_a_path_and_not_as_an_array() -> None:
    (clause,) = explained(".[0] == 1").clauses

    assert clause.values[0][0] == ".[0]"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 200 + "…"),
        ([0] * 20, [0] * 20),
        ([0] * 21, "an array of 21 values"),
        (dict.fromkeys(map(str, range(21)), 0), "an object of 21 values"),
        (None, None),
        (True, True),
    ],
)
def test_long_values_are_shortened(value: Json, shown: Json) -> None:
    (clause,) = explained(".v", event={"v": value}).clauses

    assert clause.values == ((".v", shown),)
