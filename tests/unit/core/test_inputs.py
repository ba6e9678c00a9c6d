"""Inputs of self-serve triggers: defaults, required ones, types, formats and bounds."""

from time import perf_counter
from typing import Any

import pytest

from headrace.core.authoring import inputs
from headrace.core.json import Json, JsonObject
from tests.unit.core.documents import found


def form(required: Json = None, **properties: Any) -> JsonObject:
    return {"properties": properties, **({} if required is None else {"required": required})}


def one(definition: JsonObject, value: Json) -> set[tuple[str, str]]:
    return found(inputs.validate(form(x=definition), {"x": value}).problems)


def string(**more: Any) -> JsonObject:
    return {"type": "string", **more}


URL = "https://example.test/a?b=c#d"
GOOD: list[tuple[JsonObject, Json]] = [
    (string(), ""),
    (string(), "x" * 100_000),
    (string(enum=["a", "b"]), "b"),
    (string(pattern="^v[0-9]+$"), "v12"),
    (string(pattern="b"), "abc"),
    (string(minLength=2, maxLength=2), "😀é"),
    (string(format="date-time"), "2026-11-22T09:00Z"),
    (string(format="date-time"), "2026-11-22T09:00:59.123Z"),
    (string(format="date-time"), "2024-02-29T00:00:00Z"),
    (string(format="email"), "ana.b+c@mail.example.test"),
    (string(format="url"), URL),
    (string(format="url"), "https://exämple.test/ü"),
    (string(format="entity", blueprint="service"), "billing"),
    (string(format="user"), "ana@example.test"),
    (string(format="team"), "pay"),
    (string(format="yaml"), "a: ["),
    (string(format="markdown"), "# x"),
    ({"type": "number"}, 5),
    ({"type": "number"}, 5.5),
    ({"type": "number", "minimum": 1, "maximum": 1}, 1),
    ({"type": "number", "enum": [1, 2.5]}, 2.5),
    ({"type": "number", "enum": [1]}, 1.0),
    ({"type": "boolean"}, False),
    ({"type": "object"}, {"any": {"thing": [1]}}),
    ({"type": "object", "properties": {"a": string()}, "required": ["a"]}, {"a": "x"}),
    ({"type": "object", "properties": {}, "additionalProperties": True}, {"b": 1}),
    ({"type": "object", "properties": {"a": string()}, "additionalProperties": {"type": "number"}}, {"a": "x", "b": 1}),
    ({"type": "object", "patternProperties": {"^x-": string()}}, {"x-a": "b"}),
    ({"type": "object", "format": "labeled-url"}, {"url": URL, "displayText": "x"}),
    ({"type": "array"}, [1, "a", None]),
    ({"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 2, "uniqueItems": True}, [1, 2]),
    ({"type": "array", "items": string(format="email")}, ["a@example.test"]),
    ({"type": "array", "enum": ["a", "b"]}, ["b", "a"]),
    ({"type": "array", "uniqueItems": True}, [1, True, "1", [1], {"a": 1}]),
]
BAD: list[tuple[JsonObject, Json, str, str]] = [
    (string(), 5, "wrong-type", "/x"),
    (string(), ["a"], "wrong-type", "/x"),
    (string(), "x" * 100_001, "too-long", "/x"),
    (string(enum=["a"]), "A", "not-in-enum", "/x"),
    (string(pattern="^v[0-9]+$"), "v", "pattern-mismatch", "/x"),
    (string(minLength=3), "ab", "too-short", "/x"),
    (string(maxLength=1), "ab", "too-long", "/x"),
    (string(format="date-time"), "2026-11-22T09:00:00", "bad-format", "/x"),
    (string(format="date-time"), "2026-11-22T09:00:00+01:00", "bad-format", "/x"),
    (string(format="date-time"), "2026-02-30T09:00:00Z", "bad-format", "/x"),
    (string(format="date-time"), "2026-11-22T25:00Z", "bad-format", "/x"),
    (string(format="date-time"), "2026-11-22T09:00:61Z", "bad-format", "/x"),
    (string(format="date-time"), "٢٠٢٦-11-22T09:00Z", "bad-format", "/x"),
    (string(format="email"), ".ana@example.test", "bad-format", "/x"),
    (string(format="email"), "a..b@example.test", "bad-format", "/x"),
    (string(format="email"), "ana@example", "bad-format", "/x"),
    (string(format="email"), "ana@-example.test", "bad-format", "/x"),
    (string(format="email"), "@example.test", "bad-format", "/x"),
    (string(format="email"), "a b@example.test", "bad-format", "/x"),
    (string(format="url"), "example.test/x", "bad-format", "/x"),
    (string(format="url"), "https://a b", "bad-format", "/x"),
    (string(format="entity", blueprint="b"), " ", "bad-format", "/x"),
    ({"type": "number"}, "5", "wrong-type", "/x"),
    ({"type": "number"}, True, "wrong-type", "/x"),
    ({"type": "number", "minimum": 2}, 1, "out-of-range", "/x"),
    ({"type": "number", "maximum": 2}, 3, "out-of-range", "/x"),
    ({"type": "number", "exclusiveMinimum": 2}, 2, "out-of-range", "/x"),
    ({"type": "number", "exclusiveMaximum": 2}, 2, "out-of-range", "/x"),
    ({"type": "number", "enum": [1]}, 2, "not-in-enum", "/x"),
    ({"type": "boolean"}, "true", "wrong-type", "/x"),
    ({"type": "boolean"}, 1, "wrong-type", "/x"),
    ({"type": "object"}, [], "wrong-type", "/x"),
    ({"type": "object", "properties": {"a": string()}, "required": ["a"]}, {}, "missing-input", "/x/a"),
    ({"type": "object", "properties": {"a": string()}}, {"b": 1}, "unknown-input", "/x/b"),
    ({"type": "object", "properties": {"a": string()}}, {"a": 1}, "wrong-type", "/x/a"),
    ({"type": "object", "properties": {"a/b": string()}}, {"a/b": 1}, "wrong-type", "/x/a~1b"),
    ({"type": "object", "format": "labeled-url"}, {"displayText": "x"}, "missing-input", "/x/url"),
    ({"type": "object", "format": "labeled-url"}, {"url": "x"}, "bad-format", "/x/url"),
    ({"type": "object", "patternProperties": {"^x-": string()}}, {"y": "b"}, "unknown-input", "/x/y"),
    ({"type": "array"}, {}, "wrong-type", "/x"),
    ({"type": "array", "minItems": 1}, [], "too-few-items", "/x"),
    ({"type": "array", "maxItems": 1}, [1, 2], "too-many-items", "/x"),
    ({"type": "array"}, [0] * 10_001, "too-many-items", "/x"),
    ({"type": "array", "uniqueItems": True}, [{"a": 1, "b": 2}, {"b": 2, "a": 1}], "repeated-item", "/x/1"),
    ({"type": "array", "items": {"type": "number"}}, [1, "2"], "wrong-type", "/x/1"),
    ({"type": "array", "enum": ["a"]}, ["a", "c"], "not-in-enum", "/x"),
]


@pytest.mark.parametrize(("definition", "value"), GOOD)
def test_a_fitting_value_is_taken_as_it_is(definition: JsonObject, value: Json) -> None:
    checked = inputs.validate(form(x=definition), {"x": value})

    assert checked.problems == ()
    assert checked.values == {"x": value}


@pytest.mark.parametrize(("definition", "value", "code", "pointer"), BAD)
def test_an_unfit_value_is_named_at_its_place(definition: JsonObject, value: Json, code: str, pointer: str) -> None:
    assert one(definition, value) == {(code, pointer)}


def test_a_literal_default_fills_what_is_not_given() -> None:
    checked = inputs.validate(form(["x"], x=string(default="d"), y={"type": "boolean", "default": False}), {})

    assert checked == inputs.Checked({"x": "d", "y": False}, ())


def test_null_counts_as_not_given() -> None:
    checked = inputs.validate(form(["y"], x=string(default="d"), y=string()), {"x": None, "y": None})

    assert checked.values == {"x": "d"}
    assert found(checked.problems) == {("missing-input", "/y")}


def test_every_problem_is_reported_at_once() -> None:
    checked = inputs.validate(form(["a", "b"], a=string(), b=string(), c={"type": "number"}), {"c": "x", "d": 1})

    assert found(checked.problems) == {
        ("missing-input", "/a"),
        ("missing-input", "/b"),
        ("wrong-type", "/c"),
        ("unknown-input", "/d"),
    }


def test_a_mistyped_input_gets_a_hint() -> None:
    (problem,) = inputs.validate(form(service=string()), {"sevrice": "x"}).problems

    assert problem.hint == 'Did you mean "service"?'


def test_a_disabled_input_is_left_out_and_not_asked_for() -> None:
    checked = inputs.validate(form(["x"], x=string(disabled=True, default="d")), {"x": 5})

    assert checked == inputs.Checked({}, ())


def test_an_invisible_input_is_not_asked_for_but_taken() -> None:
    definition = form(["x"], x=string(visible=False))

    assert inputs.validate(definition, {}).problems == ()
    assert inputs.validate(definition, {"x": "v"}).values == {"x": "v"}


def test_jq_forms_count_as_absent() -> None:
    query: Any = {"jqQuery": ".x"}
    definition = form(query, x=string(default=query, enum=query, pattern=query, visible=query, disabled=query))

    assert inputs.validate(definition, {}) == inputs.Checked({}, ())
    assert inputs.validate(definition, {"x": "anything"}).problems == ()


def test_values_come_in_the_order_of_the_form() -> None:
    checked = inputs.validate(form(a=string(), b=string(default="2"), c=string()), {"c": "3", "a": "1"})

    assert list(checked.values) == ["a", "b", "c"]


@pytest.mark.parametrize("given", [[], "x", 5, True])
def test_inputs_must_be_an_object(given: Json) -> None:
    assert found(inputs.validate(form(), given).problems) == {("wrong-type", "")}


@pytest.mark.parametrize("user_inputs", [{}, {"properties": None}, {"properties": {"x": 5}}, {"required": 3}])
def test_a_form_without_inputs_takes_none(user_inputs: JsonObject) -> None:
    assert inputs.validate(user_inputs, None) == inputs.Checked({}, ())


def test_a_pattern_costs_the_same_whatever_the_text() -> None:
    started = perf_counter()

    assert one(string(pattern="^(a+)+$"), "a" * 50_000 + "!") == {("pattern-mismatch", "/x")}
    assert perf_counter() - started < 1


def test_long_values_are_shortened_in_messages() -> None:
    (problem,) = inputs.validate(form(x=string(pattern="^b$")), {"x": "a" * 10_000}).problems

    assert len(problem.message) < 200


def test_a_value_for_a_secret_input_is_refused_since_it_could_not_be_kept() -> None:
    """Nothing may lie about in plain text that an author asked to be encrypted (spec 9.1)."""
    checked = inputs.validate(form(token=string(encryption="aes256-gcm")), {"token": "hunter2"})

    assert [(problem.code, problem.pointer) for problem in checked.problems] == [("secret-input", "/token")]
    assert "hunter2" not in str(checked)
