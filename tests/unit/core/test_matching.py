"""Which triggers an event wakes: judging conditions, and the index that must not lose a match."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core import expression
from headrace.core.authoring import dialects
from headrace.core.definition import EventTrigger
from headrace.core.expression import EMPTY, Failure, Path
from headrace.core.json import Json, JsonObject
from headrace.core.matching import ACTIONS, Judgement, Listener, TriggerIndex, judge, listeners_of, lookup

FOREIGN = "[range(3)] | length == 3"


def listener_of(*expressions: str, trigger: str = "t", **config: Any) -> Listener:
    config = {"event_type": "ENTITY_UPDATED", "blueprint": "service", **config}
    programs = tuple(map(expression.parse, expressions))
    foreign = tuple(program.text for program in programs if program.native is None)
    return Listener("flow", 1, trigger, 0, EventTrigger(expressions=expressions, **config), programs, foreign)


def found(
    listeners: list[Listener], event: JsonObject, action: Any = "UPDATE", property_: str | None = None
) -> list[str]:
    """The triggers that the index wants judged."""
    return [each.trigger for each in TriggerIndex(listeners).candidates(action, "service", property_, event)]


@pytest.mark.parametrize(
    ("expressions", "combinator", "event", "judgement"),
    [
        ([], "and", {}, Judgement(True, False, "it has no condition")),
        ([], "or", {}, Judgement(True, False, "it has no condition")),
        (["true"], "and", {}, Judgement(True, False, "every expression gave true")),
        (["true"], "or", {}, Judgement(True, False, "every expression gave true")),
        ([".a", ".b"], "and", {"a": True, "b": True}, Judgement(True, False, "every expression gave true")),
        ([".a", " .b "], "and", {"a": True}, Judgement(False, False, ".b gave null")),
        ([".a", ".b"], "and", {"a": False}, Judgement(False, False, ".a gave false")),
        ([".a"], "and", {"a": 1}, Judgement(False, False, ".a gave no boolean")),
        ([".a"], "and", {"a": "true"}, Judgement(False, False, ".a gave no boolean")),
        (["empty"], "and", {}, Judgement(False, False, "empty gave no value")),
        ([".a", ".b"], "or", {"b": True}, Judgement(True, False, ".b gave true")),
        ([".a", ".b"], "or", {"a": True}, Judgement(True, False, ".a gave true")),
        ([".a", ".b"], "or", {}, Judgement(False, False, ".b gave null")),
    ],
)
def test_only_a_literal_true_holds_and_the_reason_names_the_deciding_expression(
    expressions: list[str], combinator: str, event: JsonObject, judgement: Judgement
) -> None:
    assert judge(listener_of(*expressions, combinator=combinator), event, {}) == judgement


def test_a_failing_expression_does_not_match_and_is_marked() -> None:
    judgement = judge(listener_of(".a.b == 1"), {"a": 5}, {})

    assert (judgement.matched, judgement.failed) == (False, True)
    assert judgement.reason.startswith(".a.b == 1 failed: Cannot index number")


def test_one_true_expression_outweighs_a_failing_one_with_or() -> None:
    assert judge(listener_of(".a.b", ".c", combinator="or"), {"a": 5, "c": True}, {}).matched
    assert judge(listener_of(".a.b", ".c", combinator="or"), {"a": 5, "c": False}, {}).failed


@pytest.mark.parametrize(
    ("answer", "matched", "failed"),
    [
        (True, True, False),
        (False, False, False),
        (1, False, False),
        (EMPTY, False, False),
        (Failure("time", "slow"), False, True),
    ],
)
def test_foreign_expressions_are_judged_by_their_answers(answer: Any, matched: bool, failed: bool) -> None:
    listener = listener_of(FOREIGN)

    judgement = judge(listener, {}, {FOREIGN: answer})

    assert listener.foreign == (FOREIGN,)
    assert (judgement.matched, judgement.failed) == (matched, failed)


@pytest.mark.parametrize(
    ("event_type", "hears"),
    [
        ("ENTITY_CREATED", {"CREATE"}),
        ("ENTITY_UPDATED", {"UPDATE"}),
        ("ENTITY_DELETED", {"DELETE"}),
        ("ANY_ENTITY_CHANGE", {"CREATE", "UPDATE", "DELETE"}),
        ("TIMER_EXPIRED", {"TIMER_EXPIRED"}),
    ],
)
def test_each_type_of_trigger_hears_its_actions(event_type: Any, hears: set[str]) -> None:
    index = TriggerIndex([listener_of(event_type=event_type, property="p")])
    actions: list[Any] = ["CREATE", "UPDATE", "DELETE", "TIMER_EXPIRED"]

    assert {action for action in actions if index.candidates(action, "service", "p", {})} == hears
    assert {action for action in actions if index.considered(action, "service")} == hears


def test_only_the_blueprints_own_triggers_are_considered() -> None:
    index = TriggerIndex([listener_of(), listener_of(".a == 1"), listener_of(blueprint="team")])

    assert index.considered("UPDATE", "service") == 2
    assert index.considered("UPDATE", "nobody") == 0
    assert index.candidates("UPDATE", "nobody", None, {}) == []


def test_a_timer_wakes_the_triggers_of_its_property() -> None:
    timers: Any = {"event_type": "TIMER_EXPIRED"}
    listeners = [
        listener_of(trigger="ttl", property="ttl", **timers),
        listener_of(trigger="due", property="due", **timers),
        listener_of(".a == 1", trigger="filed", property="ttl", **timers),
    ]

    assert found(listeners, {"a": 1}, "TIMER_EXPIRED", "ttl") == ["ttl", "filed"]
    assert found(listeners, {"a": 2}, "TIMER_EXPIRED", "ttl") == ["ttl"]
    assert found(listeners, {"a": 1}, "TIMER_EXPIRED", None) == []


def test_a_trigger_whose_literal_differs_is_not_even_looked_at() -> None:
    listeners = [
        listener_of(trigger="always"),
        listener_of('.tier == "gold"', trigger="gold"),
        listener_of('.tier == "silver"', trigger="silver"),
        listener_of('.tier == "gold" or .x', trigger="either"),
        listener_of('.tier == "silver"', ".x", combinator="or", trigger="any"),
    ]

    assert found(listeners, {"tier": "gold"}) == ["always", "either", "any", "gold"]
    assert found(listeners, {}) == ["always", "either", "any"]


@pytest.mark.parametrize(
    ("literal", "value", "is_found"),
    [
        ("true", True, True),
        ("true", 1, False),
        ("1", True, False),
        ("0", False, False),
        ("1", 1, True),
        ("1", 1.0, True),
        ("1.0", 1, True),
        ("-0.0", 0, True),
        ("1", "1", False),
        ("null", None, True),
        ("null", False, False),
        ("false", False, True),
        ("false", None, False),
        ('""', "", True),
        ('""', None, False),
        ('"é"', "é", True),
        ("1", [1], False),
        ("1", {"a": 1}, False),
    ],
)
def test_literals_are_told_apart_as_jq_does(literal: str, value: Json, is_found: bool) -> None:
    listener = listener_of(f".v == {literal}")

    assert (found([listener], {"v": value}) == ["t"]) is (is_found or not listener.programs[0].equalities)
    assert judge(listener, {"v": value}, {}).matched is is_found


def test_a_missing_value_is_found_where_null_is_demanded() -> None:
    assert found([listener_of(".a.b == null")], {}) == ["t"]
    assert found([listener_of(".a.b == null")], {"a": None}) == ["t"]
    assert found([listener_of(".a.b == null")], {"a": 5}) == []


def test_texts_and_numbers_tell_events_apart_better_than_booleans() -> None:
    listener = listener_of('.on == true and .gone == null and .tier == "gold"')

    assert found([listener], {"tier": "gold"}) == ["t"]
    assert found([listener], {"on": True, "gone": None}) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((), {"a": {"b": [{"c": 1}, 2]}, "n": None}),
        (("a", "b", 0, "c"), 1),
        (("a", "b", -1), 2),
        (("a", "b", 2), None),
        (("a", "b", -3), None),
        (("a", "x", "y", 0), None),
        (("n", "x"), None),
        (("n", 0), None),
    ],
)
def test_paths_are_read_as_jq_reads_them(path: Path, value: Json) -> None:
    assert lookup({"a": {"b": [{"c": 1}, 2]}, "n": None}, path) == value


@pytest.mark.parametrize("path", [("a", 0), ("l", "x"), ("s", "x"), ("s", 0), ("l", 0, "x")])
def test_where_jq_fails_the_value_equals_nothing(path: Path) -> None:
    value = lookup({"a": {}, "l": [True], "s": "text"}, path)

    assert value not in (None, True, False, 0, 1, "", "text")


def test_the_listeners_of_a_workflow_are_its_published_event_triggers() -> None:
    def trigger(name: str, **config: Any) -> JsonObject:
        event: Json = {"type": "ENTITY_CREATED", "blueprintIdentifier": "service"}
        return {"identifier": name, "config": {"type": "EVENT_TRIGGER", "event": event, **config}}

    condition = {"type": "JQ", "expressions": [".a == 1", FOREIGN], "combinator": "or"}
    nodes: list[Json] = [
        trigger("plain"),
        trigger("hidden", published=False),
        trigger("picky", condition=condition),
        {"identifier": "form", "config": {"type": "SELF_SERVE_TRIGGER"}},
    ]
    definition = dialects.parse({"identifier": "flow", "nodes": nodes, "connections": []}).definition
    assert definition is not None

    plain, picky = listeners_of(definition, 4, 77)

    assert (plain.trigger, plain.workflow, plain.version, plain.since_at, plain.conjunctive) == (
        "plain",
        "flow",
        4,
        77,
        True,
    )
    assert (picky.trigger, picky.foreign, picky.conjunctive) == ("picky", (FOREIGN,), False)


SCALARS = st.sampled_from([None, True, False, 0, 1, 1.0, -1, 2.5, "", "a", "1", "true", 2**53, "\0nowhere"])
KEYS = st.sampled_from(["a", "b", "c"])
VALUES: st.SearchStrategy[Json] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
EVENTS: st.SearchStrategy[JsonObject] = st.dictionaries(KEYS, VALUES, max_size=3)
LITERALS = st.sampled_from(
    ["null", "true", "false", "0", "1", "1.0", "-1", "2.5", '""', '"a"', '"1"', "9007199254740992"]
)
PATHS = st.lists(st.sampled_from([".a", ".b", ".c", "[0]", "[-1]", "[1]"]), max_size=3).map(
    lambda steps: "".join(steps) if steps and steps[0][0] == "." else "." + "".join(steps)
)
TESTS = st.one_of(
    st.builds(lambda path, literal: f"{path} == {literal}", PATHS, LITERALS),
    st.builds(lambda path, literal: f"{literal} == {path}", PATHS, LITERALS),
    st.builds(lambda path, literal: f"{path} != {literal}", PATHS, LITERALS),
    st.builds(lambda path, inner, literal: f"{path} | {inner} == {literal}", PATHS, PATHS, LITERALS),
    PATHS,
)
EXPRESSIONS = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        st.builds(lambda left, right: f"({left}) and ({right})", inner, inner),
        st.builds(lambda left, right: f"({left}) or ({right})", inner, inner),
        inner.map(lambda text: f"({text}) | not"),
        inner.map(lambda text: f"({text}) == true"),
        inner.map(lambda text: f"if {text} then true else false end"),
    ),
    max_leaves=4,
)
BLUEPRINTS = st.sampled_from(["service", "team"])
PROPERTIES = st.sampled_from(["ttl", "due"])


@st.composite
def listeners(draw: st.DrawFn) -> list[Listener]:
    return [
        listener_of(
            *draw(st.lists(EXPRESSIONS, max_size=2)),
            trigger=f"t{number}",
            event_type=draw(st.sampled_from(list(ACTIONS))),
            blueprint=draw(BLUEPRINTS),
            property=draw(PROPERTIES),
            combinator=draw(st.sampled_from(["and", "or"])),
        )
        for number in range(draw(st.integers(1, 6)))
    ]


@settings(max_examples=400, deadline=None)
@given(listeners(), EVENTS, st.sampled_from(["CREATE", "UPDATE", "DELETE", "TIMER_EXPIRED"]), BLUEPRINTS, PROPERTIES)
def test_the_index_never_loses_a_match(
    all_of_them: list[Listener], event: JsonObject, action: Any, blueprint: str, property_: str
) -> None:
    def hears(listener: Listener) -> bool:
        config = listener.config
        timely = action != "TIMER_EXPIRED" or config.property == property_
        return config.blueprint == blueprint and action in ACTIONS[config.event_type] and timely

    by_hand = {each.trigger for each in all_of_them if hears(each) and judge(each, event, {}).matched}
    candidates = TriggerIndex(all_of_them).candidates(action, blueprint, property_, event)

    assert {each.trigger for each in candidates if judge(each, event, {}).matched} == by_hand
    assert all(map(hears, candidates))
    assert len({each.trigger for each in candidates}) == len(candidates)


@settings(max_examples=300, deadline=None)
@given(PATHS, LITERALS, EVENTS)
def test_a_trigger_filed_under_a_literal_is_found_exactly_when_it_holds(
    path: str, literal: str, event: JsonObject
) -> None:
    listener = listener_of(f"{path} == {literal}")
    assert listener.programs[0].equalities

    assert (found([listener], event) == ["t"]) is judge(listener, event, {}).matched
