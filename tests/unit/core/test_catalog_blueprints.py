"""Blueprints: what is wrong with one, all at once, and what is read of one that was saved."""

from typing import Any

import pytest

from headrace.core.catalog.blueprint import Relation, read_blueprint
from headrace.core.catalog.blueprint_check import check_blueprint, targets_of
from headrace.core.json import Json

SANDBOX: dict[str, Any] = {
    "identifier": "sandbox",
    "title": "Sandbox",
    "schema": {
        "properties": {
            "tier": {"type": "string", "enum": ["small", "large"], "default": "small"},
            "ttl": {"type": "string", "format": "timer"},
            "size": {"type": "number", "minimum": 1},
            "tags": {"type": "array", "items": {"type": "string", "format": "url"}},
            "host": {"type": "string", "format": "ipv4", "pattern": "^10"},
        },
        "required": ["ttl"],
    },
    "relations": {"parent": {"target": "sandbox"}, "owners": {"target": "team", "many": True, "required": True}},
}


def with_property(**definition: Any) -> dict[str, Any]:
    return {"identifier": "x", "schema": {"properties": {"p": definition}}}


def found(document: Json, identifier: str | None = None) -> list[tuple[str, str, str]]:
    return [(it.code, it.pointer, it.severity[0]) for it in check_blueprint(document, identifier)]


def test_a_blueprint_of_everything_is_without_problems_and_is_read_as_it_says() -> None:
    assert check_blueprint(SANDBOX) == ()

    read = read_blueprint("sandbox", SANDBOX)

    assert read.timers == ("ttl",)
    assert read.required == {"ttl"}
    assert read.relations == {"parent": Relation("sandbox"), "owners": Relation("team", many=True, required=True)}
    assert targets_of(SANDBOX) == {"/relations/parent/target": "sandbox", "/relations/owners/target": "team"}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ([], [("wrong-type", "", "e")]),
        ({}, [("missing-field", "/identifier", "e")]),
        ({"identifier": 7}, [("wrong-type", "/identifier", "e")]),
        ({"identifier": "a/b"}, [("bad-identifier", "/identifier", "e")]),
        ({"identifier": "x", "title": 1}, [("wrong-type", "/title", "e")]),
        ({"identifier": "x", "colour": 1}, [("unknown-field", "/colour", "w")]),
        ({"identifier": "x", "mirrorProperties": {"a": {}}}, [("not-yet", "/mirrorProperties", "w")]),
        ({"identifier": "x", "mirrorProperties": {}}, []),
        ({"identifier": "x", "schema": []}, [("wrong-type", "/schema", "e")]),
        ({"identifier": "x", "schema": {"required": ["p"]}}, [("unknown-property", "/schema/required/0", "e")]),
        ({"identifier": "x", "schema": {"required": "p"}}, [("wrong-type", "/schema/required", "e")]),
        (with_property(), [("missing-field", "/schema/properties/p/type", "e")]),
        (with_property(type="text"), [("unknown-value", "/schema/properties/p/type", "e")]),
        (with_property(type="string", format="entity"), [("unknown-value", "/schema/properties/p/format", "e")]),
        (with_property(type="number", format="timer"), [("unknown-value", "/schema/properties/p/format", "e")]),
        (with_property(type="string", enum=[]), [("blank-value", "/schema/properties/p/enum", "e")]),
        (with_property(type="string", pattern="("), [("invalid-value", "/schema/properties/p/pattern", "e")]),
        (with_property(type="number", minimum="1"), [("wrong-type", "/schema/properties/p/minimum", "e")]),
        (with_property(type="number", default="1"), [("wrong-type", "/schema/properties/p/default", "e")]),
        (
            with_property(type="string", format="timer", default="soon"),
            [("bad-format", "/schema/properties/p/default", "e")],
        ),
        (
            with_property(type="array", items={"type": "string", "format": "timer"}),
            [("invalid-value", "/schema/properties/p/items/format", "e")],
        ),
        ({"identifier": "x", "relations": {"r": {}}}, [("missing-field", "/relations/r/target", "e")]),
        ({"identifier": "x", "relations": {"r": 1}}, [("wrong-type", "/relations/r", "e")]),
        (
            {"identifier": "x", "relations": {"r/": {"target": "x", "many": "no"}}},
            [("bad-identifier", "/relations/r~1", "e"), ("wrong-type", "/relations/r~1/many", "e")],
        ),
    ],
    ids=lambda it: str(it)[:60] if isinstance(it, dict) else None,
)
def test_what_is_wrong_is_said_with_its_place(document: Json, expected: list[tuple[str, str, str]]) -> None:
    assert found(document) == expected


def test_everything_is_said_at_once_and_in_whole_sentences() -> None:
    document: dict[str, Any] = {
        "identifier": "x y", "icon": 3, "schema": {"properties": {"p": {"type": "strnig"}}, "required": ["q"]},
        "relations": {"r": {"target": 1, "requird": True}},
    }  # fmt: skip
    problems = check_blueprint(document)

    assert [it.code for it in problems] == [
        "bad-identifier", "wrong-type", "unknown-value", "unknown-property", "unknown-field", "wrong-type",
    ]  # fmt: skip
    assert all(it.message.endswith(".") and not it.message[0].islower() for it in problems)
    assert problems[4].hint == 'Did you mean "required"?'


def test_a_blueprint_cannot_be_renamed() -> None:
    assert found({"identifier": "y"}, "x") == [("identifier-mismatch", "/identifier", "e")]


def test_whatever_was_saved_can_be_read() -> None:
    junks: list[Any] = [{}, {"schema": 1, "relations": []}, {"schema": {"properties": {"p": 1}, "required": [1]}}]
    for junk in junks:
        read = read_blueprint("x", junk)

        assert (read.properties, read.required, read.relations) == ({}, frozenset(), {})
