"""The form of documents: every wrong field is named, by code and place, and all at once."""

from typing import Any

import jsonschema_rs
import pytest

from headrace.core.authoring import dialects, document
from headrace.core.json import JsonObject
from tests.unit.core.documents import condition, errors_of, event, form, found, node, webhook, workflow

ACTION: Any = {"type": "KAFKA"}


def with_node(**fields: Any) -> JsonObject:
    return {"identifier": "w", "nodes": [{"identifier": "a", "config": ACTION, **fields}]}


def with_config(kind: str, **fields: Any) -> JsonObject:
    return {"identifier": "w", "nodes": [node("a", {"type": kind, **fields})]}


CASES: list[tuple[str, Any, set[tuple[str, str]]]] = [
    ("no object", [], {("wrong-type", "")}),
    ("null", None, {("wrong-type", "")}),
    ("empty", {}, {("missing-field", "/identifier"), ("missing-field", "/nodes")}),
    ("nodes null", {"identifier": "w", "nodes": None}, {("missing-field", "/nodes")}),
    ("nodes object", {"identifier": "w", "nodes": {}}, {("wrong-type", "/nodes")}),
    ("connections text", {"identifier": "w", "nodes": [], "connections": "x"}, {("wrong-type", "/connections")}),
    ("identifier number", {"identifier": 5, "nodes": []}, {("wrong-type", "/identifier")}),
    ("identifier empty", {"identifier": "", "nodes": []}, {("bad-identifier", "/identifier")}),
    ("identifier space", {"identifier": "a b", "nodes": []}, {("bad-identifier", "/identifier")}),
    ("identifier dot", {"identifier": "a.b", "nodes": []}, {("bad-identifier", "/identifier")}),
    ("identifier newline", {"identifier": "a\n", "nodes": []}, {("bad-identifier", "/identifier")}),
    ("identifier superscript", {"identifier": "a²", "nodes": []}, {("bad-identifier", "/identifier")}),
    ("identifier arabic digit", {"identifier": "a٣", "nodes": []}, {("bad-identifier", "/identifier")}),
    ("identifier 61", {"identifier": "a" * 61, "nodes": []}, {("too-long", "/identifier")}),
    ("title 101", {"identifier": "w", "nodes": [], "title": "t" * 101}, {("too-long", "/title")}),
    ("description 1101", {"identifier": "w", "nodes": [], "description": "t" * 1101}, {("too-long", "/description")}),
    ("category 41", {"identifier": "w", "nodes": [], "category": "t" * 41}, {("too-long", "/category")}),
    (
        "view runs text",
        {"identifier": "w", "nodes": [], "allowAnyoneToViewRuns": "true"},
        {("wrong-type", "/allowAnyoneToViewRuns")},
    ),
    ("node a number", {"identifier": "w", "nodes": [3]}, {("wrong-type", "/nodes/0")}),
    ("connection null", {"identifier": "w", "nodes": [], "connections": [None]}, {("wrong-type", "/connections/0")}),
    (
        "connection empty",
        {"identifier": "w", "nodes": [], "connections": [{}]},
        {("missing-field", "/connections/0/sourceIdentifier"), ("missing-field", "/connections/0/targetIdentifier")},
    ),
    (
        "101 nodes",
        {"identifier": "w", "nodes": [node(f"n{number}", ACTION) for number in range(101)]},
        {("too-many-nodes", "/nodes")},
    ),
    (
        "node without config",
        {"identifier": "w", "nodes": [{"identifier": "a"}]},
        {("missing-field", "/nodes/0/config")},
    ),
    (
        "node without name",
        {"identifier": "w", "nodes": [{"config": ACTION}]},
        {("missing-field", "/nodes/0/identifier")},
    ),
    ("config a list", {"identifier": "w", "nodes": [node("a", [])]}, {("wrong-type", "/nodes/0/config")}),
    ("no type", {"identifier": "w", "nodes": [node("a", {})]}, {("missing-field", "/nodes/0/config/type")}),
    (
        "type a number",
        {"identifier": "w", "nodes": [node("a", {"type": 1})]},
        {("unknown-node-type", "/nodes/0/config/type")},
    ),
    ("type mistyped", with_config("WEBHOK"), {("unknown-node-type", "/nodes/0/config/type")}),
    ("type lower case", with_config("webhook"), {("unknown-node-type", "/nodes/0/config/type")}),
    ("AI", with_config("AI", userPrompt="x"), {("unsupported-node-type", "/nodes/0/config/type")}),
    ("AI_AGENT", with_config("AI_AGENT"), {("unsupported-node-type", "/nodes/0/config/type")}),
    ("CURSOR_AGENT", with_config("CURSOR_AGENT"), {("unsupported-node-type", "/nodes/0/config/type")}),
    ("links 4", with_node(links=["https://a.test"] * 4), {("too-many", "/nodes/0/links")}),
    ("link number", with_node(links=[1]), {("wrong-type", "/nodes/0/links/0")}),
    ("verbose text", with_node(verbose="yes"), {("wrong-type", "/nodes/0/verbose")}),
    ("variables list", with_node(variables=[]), {("wrong-type", "/nodes/0/variables")}),
    ("node title 101", with_node(title="x" * 101), {("too-long", "/nodes/0/title")}),
    ("no url", with_config("WEBHOOK"), {("missing-field", "/nodes/0/config/url")}),
    ("url null", with_config("WEBHOOK", url=None), {("missing-field", "/nodes/0/config/url")}),
    ("url blank", with_config("WEBHOOK", url=" "), {("blank-value", "/nodes/0/config/url")}),
    ("url number", with_config("WEBHOOK", url=1), {("wrong-type", "/nodes/0/config/url")}),
    ("body number", with_config("WEBHOOK", url="https://x", body=1), {("wrong-type", "/nodes/0/config/body")}),
    ("body text", with_config("WEBHOOK", url="https://x", body="x"), {("wrong-type", "/nodes/0/config/body")}),
    (
        "header number",
        with_config("WEBHOOK", url="https://x", headers={"a": 1}),
        {("wrong-type", "/nodes/0/config/headers/a")},
    ),
    (
        "header with odd name",
        with_config("WEBHOOK", url="https://x", headers={"a/b~": 1}),
        {("wrong-type", "/nodes/0/config/headers/a~1b~0")},
    ),
    ("synchronized text", with_config("KAFKA", synchronized="true"), {("wrong-type", "/nodes/0/config/synchronized")}),
    ("onFailure", with_config("KAFKA", onFailure="stop"), {("unknown-value", "/nodes/0/config/onFailure")}),
    (
        "onTimeout",
        with_config("WEBHOOK", url="https://x", onTimeout=1),
        {("unknown-value", "/nodes/0/config/onTimeout")},
    ),
    ("delivery", with_config("KAFKA", delivery="exactly_once"), {("unknown-value", "/nodes/0/config/delivery")}),
    (
        "retry 0",
        with_config("KAFKA", retry={"maxAttempts": 0}),
        {("out-of-range", "/nodes/0/config/retry/maxAttempts")},
    ),
    (
        "retry 11",
        with_config("KAFKA", retry={"maxAttempts": 11}),
        {("out-of-range", "/nodes/0/config/retry/maxAttempts")},
    ),
    (
        "retry 1.5",
        with_config("KAFKA", retry={"maxAttempts": 1.5}),
        {("wrong-type", "/nodes/0/config/retry/maxAttempts")},
    ),
    ("retry true", with_config("KAFKA", retry=True), {("wrong-type", "/nodes/0/config/retry")}),
    ("retry empty", with_config("KAFKA", retry={}), {("missing-field", "/nodes/0/config/retry/maxAttempts")}),
    (
        "backoff negative",
        with_config("KAFKA", retry={"maxAttempts": 2, "backoffSeconds": -1}),
        {("out-of-range", "/nodes/0/config/retry/backoffSeconds")},
    ),
    ("timeout 0", with_config("KAFKA", timeoutSeconds=0), {("out-of-range", "/nodes/0/config/timeoutSeconds")}),
    (
        "timeout 8 days",
        with_config("KAFKA", timeoutSeconds=691200),
        {("out-of-range", "/nodes/0/config/timeoutSeconds")},
    ),
    ("timeout true", with_config("KAFKA", timeoutSeconds=True), {("wrong-type", "/nodes/0/config/timeoutSeconds")}),
    (
        "github",
        with_config("GITHUB"),
        {("missing-field", f"/nodes/0/config/{name}") for name in ("org", "repo", "workflow")},
    ),
    (
        "gitlab",
        with_config("GITLAB"),
        {("missing-field", f"/nodes/0/config/{name}") for name in ("projectName", "groupName")},
    ),
    (
        "azure",
        with_config("AZURE_DEVOPS"),
        {("missing-field", "/nodes/0/config/org")},
    ),
    (
        "upsert",
        with_config("UPSERT_ENTITY"),
        {("missing-field", f"/nodes/0/config/{name}") for name in ("blueprintIdentifier", "mapping")},
    ),
    (
        "upsert team",
        with_config("UPSERT_ENTITY", blueprintIdentifier="b", mapping={"team": [1]}),
        {("wrong-type", "/nodes/0/config/mapping/team")},
    ),
    (
        "integration",
        with_config("INTEGRATION_ACTION"),
        {
            ("missing-field", f"/nodes/0/config/{name}")
            for name in ("integrationProvider", "integrationInvocationType", "integrationActionExecutionProperties")
        },
    ),
    ("event", with_config("EVENT_TRIGGER"), {("missing-field", "/nodes/0/config/event")}),
    (
        "event empty",
        with_config("EVENT_TRIGGER", event={}),
        {
            ("missing-field", "/nodes/0/config/event/type"),
            ("missing-field", "/nodes/0/config/event/blueprintIdentifier"),
        },
    ),
    (
        "event type",
        with_config("EVENT_TRIGGER", event={"type": "ENTITY_CHANGED", "blueprintIdentifier": "b"}),
        {("unknown-value", "/nodes/0/config/event/type")},
    ),
    (
        "combinator",
        {"identifier": "w", "nodes": [node("a", event("ENTITY_CREATED", ".x", combinator="xor"))]},
        {("unknown-value", "/nodes/0/config/condition/combinator")},
    ),
    (
        "condition type",
        with_config(
            "EVENT_TRIGGER", event={"type": "ENTITY_CREATED", "blueprintIdentifier": "b"}, condition={"type": "X"}
        ),
        {("unknown-value", "/nodes/0/config/condition/type")},
    ),
    ("delay true", with_config("DELAY", seconds=True), {("wrong-type", "/nodes/0/config/seconds")}),
    ("delay text", with_config("DELAY", seconds="5"), {("wrong-type", "/nodes/0/config/seconds")}),
    (
        "missed runs",
        with_config("SCHEDULE_TRIGGER", cron="@daily", missedRuns="x"),
        {("unknown-value", "/nodes/0/config/missedRuns")},
    ),
    ("schedule", with_config("SCHEDULE_TRIGGER"), {("missing-field", "/nodes/0/config/cron")}),
    (
        "input type",
        {"identifier": "w", "nodes": [node("a", form(x="text"))]},
        {("unknown-value", "/nodes/0/config/userInputs/properties/x/type")},
    ),
    (
        "input without type",
        {"identifier": "w", "nodes": [node("a", form(x={}))]},
        {("missing-field", "/nodes/0/config/userInputs/properties/x/type")},
    ),
    (
        "required a text",
        with_config("SELF_SERVE_TRIGGER", userInputs={"properties": {}, "required": "x"}),
        {("wrong-type", "/nodes/0/config/userInputs/required")},
    ),
    (
        "button text",
        with_config("SELF_SERVE_TRIGGER", executeActionButtonText=" go"),
        {("bad-button-text", "/nodes/0/config/executeActionButtonText")},
    ),
    (
        "button text long",
        with_config("SELF_SERVE_TRIGGER", actionCardButtonText="x" * 16),
        {("too-long", "/nodes/0/config/actionCardButtonText")},
    ),
    (
        "step title",
        with_config("SELF_SERVE_TRIGGER", userInputs={"properties": {}, "steps": [{"title": "x" * 26, "order": []}]}),
        {("too-long", "/nodes/0/config/userInputs/steps/0/title")},
    ),
    (
        "no validations",
        with_config("SELF_SERVE_TRIGGER", userInputs={"properties": {}, "validations": []}),
        {("blank-value", "/nodes/0/config/userInputs/validations")},
    ),
    (
        "eleven validations",
        with_config(
            "SELF_SERVE_TRIGGER",
            userInputs={"properties": {}, "validations": [{"constraint": "true", "message": "m"}] * 11},
        ),
        {("too-many", "/nodes/0/config/userInputs/validations")},
    ),
    (
        "outlet without expression",
        with_config("CONDITION", outlets=[{"identifier": "x"}]),
        {("missing-field", "/nodes/0/config/outlets/0/expression")},
    ),
    (
        "label variant",
        with_config(
            "CONDITION",
            outlets=[{"identifier": "x", "expression": "true", "statusLabel": {"text": "x", "variant": "red"}}],
        ),
        {("unknown-value", "/nodes/0/config/outlets/0/statusLabel/variant")},
    ),
    (
        "input node",
        with_config("INPUT"),
        {("missing-field", "/nodes/0/config/userInputs"), ("missing-field", "/nodes/0/config/outlets")},
    ),
    (
        "input node without buttons",
        with_config("INPUT", userInputs={"properties": {}}, outlets=[]),
        {("missing-field", "/nodes/0/config/userInputs/buttons")},
    ),
    (
        "no responders needed",
        with_config(
            "INPUT", userInputs={"buttons": [{"identifier": "x"}]}, outlets=[{"identifier": "x", "numOfResponders": 0}]
        ),
        {("out-of-range", "/nodes/0/config/outlets/0/numOfResponders")},
    ),
]


@pytest.mark.parametrize(("document", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_every_wrong_field_is_an_error_at_its_place(document: Any, expected: set[tuple[str, str]]) -> None:
    parsed = dialects.parse(document)

    assert found(parsed.problems) == expected
    assert parsed.definition is None
    assert all(problem.message.endswith(".") for problem in parsed.problems)


def test_problems_of_all_pieces_are_reported_together() -> None:
    parsed = dialects.parse(
        {
            "identifier": "a b",
            "nodes": [node("x", {"type": "WEBHOOK"}), 7, node("y", {"type": "AI"})],
            "connections": [{"sourceIdentifier": "x"}],
        }
    )

    assert errors_of(parsed.problems) == {
        ("bad-identifier", "/identifier"),
        ("missing-field", "/nodes/0/config/url"),
        ("wrong-type", "/nodes/1"),
        ("unsupported-node-type", "/nodes/2/config/type"),
        ("missing-field", "/connections/0/targetIdentifier"),
    }


@pytest.mark.parametrize(
    ("document", "pointer", "hint"),
    [
        ({"identifier": "w", "nodes": [], "tiitle": "x"}, "/tiitle", 'Did you mean "title"?'),
        (
            {"identifier": "w", "nodes": [], "allow_anyone_to_view_runs": True},
            "/allow_anyone_to_view_runs",
            'Did you mean "allowAnyoneToViewRuns"?',
        ),
        (with_node(onFailure="continue"), "/nodes/0/onFailure", '"onFailure" belongs inside "config".'),
        (
            with_config("WEBHOOK", url="https://x", synchronised=True),
            "/nodes/0/config/synchronised",
            'Did you mean "synchronized"?',
        ),
        (
            with_config("KAFKA", retry={"maxAttempts": 2, "backofSeconds": 1}),
            "/nodes/0/config/retry/backofSeconds",
            'Did you mean "backoffSeconds"?',
        ),
        (
            {"identifier": "w", "nodes": [node("a", form(x={"type": "string", "titel": "X"}))]},
            "/nodes/0/config/userInputs/properties/x/titel",
            'Did you mean "title"?',
        ),
        (
            {
                "identifier": "w",
                "nodes": [],
                "connections": [{"sourceIdentifier": "a", "targetIdentifier": "b", "sourceIdentifer": 1}],
            },
            "/connections/0/sourceIdentifer",
            'Did you mean "sourceIdentifier"?',
        ),
    ],
)
def test_an_unknown_field_is_dropped_with_a_warning_and_a_hint(document: JsonObject, pointer: str, hint: str) -> None:
    (problem,) = dialects.parse(document).problems

    assert (problem.code, problem.severity, problem.pointer) == ("unknown-field", "warning", pointer)
    assert problem.hint == hint


def test_dropped_fields_do_not_reach_the_graph() -> None:
    parsed = dialects.parse(
        with_config("UPSERT_ENTITY", blueprintIdentifier="b", mapping={"identifer": "x", "title": "t"})
    )

    assert parsed.definition is not None
    config = parsed.definition.nodes["a"].config
    assert getattr(config, "config", None) == {
        "type": "UPSERT_ENTITY",
        "blueprintIdentifier": "b",
        "mapping": {"title": "t"},
    }


def test_fields_that_the_server_adds_are_accepted_in_silence() -> None:
    document: Any = {
        "identifier": "w",
        "nodes": [],
        "version": 3,
        "createdAt": "2026-01-01",
        "updatedBy": "u",
        "orgId": "o",
    }

    assert dialects.parse(document).problems == ()


@pytest.mark.parametrize("name", ["a", "Ä", "服务", "deploy-it", "a_b:c@d", "9", "ß" * 60])
def test_identifiers_may_use_letters_of_any_script(name: str) -> None:
    assert dialects.parse({"identifier": name, "nodes": []}).problems == ()


def test_null_stands_for_an_absent_optional_field() -> None:
    parsed = dialects.parse(workflow({"a": (webhook(headers=None, body=None), {"title": None, "links": None})}))

    assert parsed.problems == ()
    assert parsed.definition is not None
    assert "headers" not in getattr(parsed.definition.nodes["a"].config, "config", {})


def test_numbers_stay_as_they_were_written() -> None:
    body = {"big": 2**53 - 1, "float": 1.0, "nested": [0.1, -0.0]}
    parsed = dialects.parse(workflow({"a": webhook(body)}))

    assert parsed.definition is not None
    assert getattr(parsed.definition.nodes["a"].config, "config", {})["body"] == body


def test_a_hostile_document_gets_a_bounded_answer() -> None:
    document: Any = {"identifier": "w", "nodes": [], **{f"unknown{number}": number for number in range(5000)}}

    problems = dialects.parse(document).problems

    assert len(problems) <= 201


def test_the_json_schema_is_stable_and_accepts_what_is_accepted_here() -> None:
    schema = document.json_schema()
    validator = jsonschema_rs.Draft202012Validator(schema)
    good = workflow({"s": form(x="string"), "c": condition(a="true"), "h": webhook({"x": 1})}, "s > c", "c.a > h")

    assert schema == document.json_schema()
    assert validator.is_valid(good)
    assert not validator.is_valid({"identifier": "a b", "nodes": []})
    assert not validator.is_valid(with_config("WEBHOOK"))
