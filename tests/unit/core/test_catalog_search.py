"""Search rules: read with every problem at once, and asked of an entity."""

from typing import Any

import pytest

from headrace.core.catalog import search
from headrace.core.catalog.blueprint import read_blueprint
from headrace.core.catalog.entity import Entity
from headrace.core.catalog.rules import OPERATORS, Group, parse_rules
from headrace.core.catalog.search import Surroundings
from headrace.core.json import Json, JsonObject

SERVICE = read_blueprint(
    "service", {"relations": {"domain": {"target": "domain"}, "owners": {"target": "user", "many": True}}}
)
USER = read_blueprint("user", {"relations": {"uses": {"target": "service", "many": True}}})
SHOP = Entity(
    "service", "shop", 0, "ann", 1_000, "bob", "The Shop", None, ("pay", "ops"),
    {"tier": "gold", "n": 5, "on": True, "tags": ["a", "b"], "at": "2026-01-31T09:00:00Z", "none": [], "text": "héllo"},
    {"domain": "money", "owners": ["u1", "u2"]},
)  # fmt: skip
MONEY = Entity("domain", "money", 0, "a", 0, "a", "Money matters")
U9 = Entity("user", "u9", 0, "a", 0, "a", relations={"uses": ["shop"]})
AROUND = Surroundings(
    {"service": SERVICE, "user": USER},
    {"domain/money": MONEY, "user/u9": U9, "user/u8": Entity("user", "u8", 0, "a", 0, "a")},
)


def rules(*given: JsonObject, combinator: str = "and") -> Group:
    group, problems = parse_rules({"combinator": combinator, "rules": list(given)})
    assert problems == ()
    return group


def rule(property_: str, operator: str, value: Json = None) -> JsonObject:
    return {"property": property_, "operator": operator, "value": value}


def holds(*given: JsonObject, combinator: str = "and") -> bool:
    return search.fits(rules(*given, combinator=combinator), SHOP, AROUND)


TRUE: list[tuple[str, str, Json]] = [
    ("tier", "=", "gold"), ("n", "=", 5.0), ("on", "=", True), ("missing", "=", None), ("tags", "=", ["a", "b"]),
    ("tags", "=", "a"), ("$identifier", "=", "shop"), ("$blueprint", "in", ["service", "x"]), ("$team", "=", "ops"),
    ("$createdBy", "=", "ann"), ("$title", "contains", "Shop"), ("tier", "!=", "silver"), ("missing", "!=", "x"),
    ("tags", "contains", "b"), ("tags", "containsAny", ["x", "b"]), ("text", "contains", "éll"),
    ("tier", "doesNotContains", "z"), ("missing", "doesNotContains", "z"), ("tier", "beginsWith", "go"),
    ("tier", "endsWith", "ld"), ("tier", "doesNotBeginsWith", "x"), ("tier", "doesNotEndsWith", "x"),
    ("tier", "in", ["x", "gold"]), ("tier", "notIn", ["x"]), ("missing", "isEmpty", None), ("none", "isEmpty", None),
    ("n", "isNotEmpty", None), ("on", "isNotEmpty", None), ("n", ">", 4), ("n", ">=", 5), ("n", "<", 5.5),
    ("n", "<=", 5), ("n", "between", {"from": 5, "to": 6}), ("n", "notBetween", {"from": 6, "to": 7}),
    ("at", "=", "2026-01-31T09:00:00Z"), ("at", "<", "2026-01-31T09:30:00.000Z"),
    ("at", ">=", "2026-01-31T10:00:00+01:00"), ("at", "<=", "2026-01-31T10:00:00+01:00"), ("tier", ">", "gol"),
    ("$updatedAt", "between", {"from": "1970-01-01T00:00:00Z", "to": "1970-01-01T00:00:01Z"}),
]  # fmt: skip


@pytest.mark.parametrize(("property_", "operator", "value"), TRUE)
def test_what_holds_and_its_opposite_does_not(property_: str, operator: str, value: Json) -> None:
    opposites = {"=": "!=", "contains": "doesNotContains", "in": "notIn", "isEmpty": "isNotEmpty", "<": ">="}
    opposites |= {"beginsWith": "doesNotBeginsWith", "endsWith": "doesNotEndsWith", "between": "notBetween", ">": "<="}
    both = opposites | {after: before for before, after in opposites.items()}

    assert holds(rule(property_, operator, value))
    if operator in both:
        is_equal_too = operator in (">=", "<=") and holds(rule(property_, "=", value))
        assert holds(rule(property_, both[operator], value)) is False or is_equal_too


def test_every_operator_has_a_case() -> None:
    assert {operator for _, operator, _ in TRUE} == set(OPERATORS)


@pytest.mark.parametrize(
    ("property_", "operator", "value"),
    [
        ("n", "=", "5"), ("on", "=", 1), ("n", ">", "4"), ("on", ">", 0), ("missing", "<", 1), ("missing", ">", ""),
        ("tags", "containsAny", []), ("tags", "contains", "ab"), ("n", "contains", 5), ("$title", "=", "shop"),
    ],
)  # fmt: skip
def test_values_of_different_kinds_do_not_match(property_: str, operator: str, value: Json) -> None:
    assert not holds(rule(property_, operator, value))


def test_groups_combine_and_nest() -> None:
    yes, no = rule("n", "=", 5), rule("n", "=", 6)
    inner: JsonObject = {"combinator": "or", "rules": [no, yes]}

    assert holds(yes, inner)
    assert not holds(no, inner)
    assert holds(no, yes, combinator="or")
    assert holds(), "no rules, no restriction"
    assert holds(combinator="or")


def test_relations_are_asked_by_identifier_or_by_title() -> None:
    assert holds({"relation": "domain", "operator": "=", "value": "money"})
    assert holds({"relation": "owners", "operator": "contains", "value": "u2"})
    assert not holds({"relation": "owners", "operator": "=", "value": "u3"})
    assert holds({"relation": "domain", "targetProperty": "$title", "operator": "beginsWith", "value": "Money"})
    titled: JsonObject = {"relation": "owners", "targetProperty": "$title", "operator": "isEmpty"}
    assert holds(titled), "entities that are not there have no title"

    assert search.keys_for(rules(titled), SHOP, SERVICE) == {"user/u1", "user/u2"}
    assert search.keys_for(rules({"relation": "owners", "operator": "isEmpty"}), SHOP, SERVICE) == set()


def test_related_to_looks_along_relations_in_both_directions() -> None:
    def related(blueprint: str, value: Json) -> bool:
        return holds({"operator": "relatedTo", "blueprint": blueprint, "value": value})

    assert related("domain", "money")
    assert related("user", ["none", "u1"])
    assert related("user", "u9"), "it leads here"
    assert not related("user", "u8")
    assert not related("domain", "shop")
    asked = rules({"operator": "relatedTo", "blueprint": "user", "value": ["u8", "u9"]})
    assert search.keys_in(asked) == {"user/u8", "user/u9"}


@pytest.mark.parametrize(
    ("given", "combinator", "expected"),
    [
        ([rule("$blueprint", "=", "a")], "and", {"a"}),
        ([rule("$blueprint", "in", ["a", "b"]), rule("$blueprint", "in", ["b", "c"]), rule("n", "=", 1)], "and", {"b"}),
        ([rule("$blueprint", "=", "a"), rule("$blueprint", "=", "b")], "or", {"a", "b"}),
        ([rule("$blueprint", "=", "a"), rule("n", "=", 1)], "or", None),
        ([rule("$blueprint", "!=", "a")], "and", None),
        ([rule("n", "=", 1)], "and", None),
        ([], "or", None),
    ],
)
def test_rules_say_to_which_blueprints_they_confine(
    given: list[JsonObject], combinator: str, expected: set[str] | None
) -> None:
    assert search.only_blueprints(rules(*given, combinator=combinator)) == expected


def nested(depth: int) -> Any:
    return {"combinator": "and", "rules": [nested(depth - 1)] if depth else []}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (None, [("wrong-type", "")]),
        ({}, [("missing-field", "/combinator"), ("missing-field", "/rules")]),
        ({"combinator": "xor", "rules": {}}, [("unknown-value", "/combinator"), ("wrong-type", "/rules")]),
        ({"combinator": "and", "rules": [], "limit": 1}, [("unknown-field", "/limit")]),
        ([1], [("wrong-type", "/rules/0")]),
        ([{}], [("missing-field", "/rules/0")]),
        ([{"property": 1, "operator": "="}], [("wrong-type", "/rules/0/property")]),
        ([{"property": "$titel", "operator": "="}], [("unknown-property", "/rules/0/property")]),
        ([{"property": "a"}], [("missing-field", "/rules/0/operator")]),
        ([{"property": "a", "operator": "contain"}], [("unknown-value", "/rules/0/operator")]),
        ([{"property": "a", "operator": "in", "value": "x"}], [("wrong-type", "/rules/0/value")]),
        ([{"property": "a", "operator": ">", "value": None}], [("wrong-type", "/rules/0/value")]),
        ([{"property": "a", "operator": "between", "value": {"from": 1}}], [("wrong-type", "/rules/0/value")]),
        ([{"property": "a", "operator": "=", "value": {"jqQuery": "."}}], [("unsupported-rule", "/rules/0/value")]),
        ([{"property": "a", "operator": "=", "vlaue": 1}], [("unknown-field", "/rules/0/vlaue")]),
        ([{"scorecard": "a", "operator": "="}], [("unsupported-rule", "/rules/0")]),
        ([{"relation": "", "operator": "="}], [("wrong-type", "/rules/0/relation")]),
        ([{"relation": "a", "targetProperty": "b", "operator": "="}], [("unknown-value", "/rules/0/targetProperty")]),
        ([{"operator": "relatedTo", "value": "a"}], [("missing-field", "/rules/0/blueprint")]),
        ([{"operator": "relatedTo", "blueprint": "a"}], [("wrong-type", "/rules/0/value")]),
        ([{"property": "a", "operator": "isEmpty"}] * 205, [("too-many", "/rules/200")]),
        (nested(10), []),
        (nested(11), [("too-deep", "/rules/0" * 11)]),
    ],
    ids=lambda it: str(it)[:50],
)
def test_what_is_wrong_with_rules_is_said_with_its_place(document: Any, expected: list[tuple[str, str]]) -> None:
    if isinstance(document, list):
        document = {"combinator": "and", "rules": document}

    _, problems = parse_rules(document)

    assert [(it.code, it.pointer) for it in problems] == expected
    assert all(it.message.endswith(".") and not it.message[0].islower() and it.severity == "error" for it in problems)
