"""What keeps a readable definition from being saved, and what is only doubtful."""

from itertools import pairwise
from typing import Any

import pytest

from headrace.core.authoring import check, dialects
from headrace.core.authoring.source import positions
from headrace.core.errors import Problem
from headrace.core.json import Json, JsonObject
from tests.unit.core.documents import (
    approval,
    condition,
    errors_of,
    event,
    form,
    found,
    said,
    webhook,
    workflow,
)

START: dict[str, Any] = {"s": form()}
SCHEDULE = "SCHEDULE_TRIGGER"


def with_edge(nodes: dict[str, Any], **fields: Json) -> JsonObject:
    return {**workflow(nodes), "connections": [fields]}


def with_form(**user_inputs: Any) -> JsonObject:
    return workflow({"s": {"type": "SELF_SERVE_TRIGGER", "userInputs": {"properties": {}, **user_inputs}}})


def asks(**more: Any) -> dict[str, Any]:
    return {
        "type": "INPUT",
        "userInputs": {"buttons": [{"identifier": "ok"}]},
        "outlets": [{"identifier": "ok"}],
        **more,
    }


def with_input(**definition: Any) -> JsonObject:
    return workflow({"s": form(x=definition)})


X = "/nodes/0/config/userInputs/properties/x"
FORM = "/nodes/0/config/userInputs"

GRAPHS: list[tuple[str, JsonObject, set[tuple[str, str]]]] = [
    ("no trigger", workflow({"a": webhook()}), {("no-trigger", "/nodes")}),
    ("no nodes", workflow({}), {("no-trigger", "/nodes")}),
    ("unknown target", workflow(START, "s > x"), {("unknown-node", "/connections/0/targetIdentifier")}),
    (
        "unknown source",
        workflow(START | {"a": webhook()}, "x > a"),
        {("unknown-node", "/connections/0/sourceIdentifier"), ("unreachable-node", "/nodes/1")},
    ),
    ("self-connection", workflow(START | {"a": webhook()}, "s > a", "a > a"), {("self-connection", "/connections/1")}),
    (
        "into a trigger",
        workflow(START | {"a": webhook()}, "s > a", "a > s"),
        {("trigger-as-target", "/connections/1/targetIdentifier")},
    ),
    (
        "trigger to trigger",
        workflow(START | {"t": event()}, "s > t"),
        {("trigger-as-target", "/connections/0/targetIdentifier")},
    ),
    (
        "cycle",
        workflow(START | {"a": webhook(), "b": webhook()}, "s > a", "a > b", "b > a"),
        {("cycle", "/connections/2")},
    ),
    ("unreachable", workflow(START | {"a": webhook()}), {("unreachable-node", "/nodes/1")}),
    (
        "branch from an action",
        workflow(START | {"a": webhook(), "b": webhook()}, "s > a", "a.x > b"),
        {("branch-not-allowed", "/connections/1")},
    ),
    (
        "fallback from an action",
        workflow(START | {"a": webhook(), "b": webhook()}, "s > a", "a ! b"),
        {("fallback-not-allowed", "/connections/1/fallback")},
    ),
    ("repeated", workflow(START | {"a": webhook()}, "s > a", "s > a"), {("repeated-connection", "/connections/1")}),
    ("no branches", workflow(START | {"c": condition()}, "s > c"), {("no-branches", "/nodes/1/config")}),
    (
        "condition without anything",
        workflow(START | {"c": {"type": "CONDITION"}}, "s > c"),
        {("no-branches", "/nodes/1/config")},
    ),
    (
        "edge without branch",
        workflow(START | {"c": condition(x=".a"), "a": webhook()}, "s > c", "c > a"),
        {("connection-without-branch", "/connections/1"), ("branch-without-connection", "/nodes/1/config/outlets/0")},
    ),
    (
        "unknown branch",
        workflow(START | {"c": condition(gold=".a"), "a": webhook()}, "s > c", "c.golt > a"),
        {
            ("unknown-branch", "/connections/1/sourceOutletIdentifier"),
            ("branch-without-connection", "/nodes/1/config/outlets/0"),
        },
    ),
    (
        "fallback with branch",
        with_edge(
            START | {"c": condition(x=".a"), "a": webhook()},
            sourceIdentifier="c",
            targetIdentifier="a",
            sourceOutletIdentifier="x",
            fallback=True,
        ),
        {
            ("fallback-with-branch", "/connections/0"),
            ("unreachable-node", "/nodes/1"),
            ("unreachable-node", "/nodes/2"),
        },
    ),
    (
        "blank expression",
        workflow(START | {"c": condition(x="  "), "a": webhook()}, "s > c", "c.x > a"),
        {("blank-expression", "/nodes/1/config/outlets/0/expression")},
    ),
    (
        "blank filter",
        workflow({"t": event("ENTITY_CREATED", ".x", "\n")}),
        {("blank-expression", "/nodes/0/config/condition/expressions/1")},
    ),
    (
        "fallback of an INPUT",
        workflow(START | {"i": approval("ok"), "a": webhook()}, "s > i", "i.ok > a", "i ! a"),
        {("fallback-not-allowed", "/connections/2/fallback")},
    ),
    (
        "INPUT edge without outlet",
        workflow(START | {"i": approval("ok"), "a": webhook()}, "s > i", "i > a"),
        {("connection-without-branch", "/connections/1"), ("branch-without-connection", "/nodes/1/config/outlets/0")},
    ),
    (
        "INPUT without outlets",
        workflow(START | {"i": approval(buttons=("ok",))}, "s > i"),
        {("no-branches", "/nodes/1/config")},
    ),
    (
        "outlet without button",
        workflow(START | {"i": approval("ok", buttons=("okay",)), "a": webhook()}, "s > i", "i.ok > a"),
        {("unknown-button", "/nodes/1/config/outlets/0/identifier")},
    ),
    (
        "two buttons of one name",
        workflow(START | {"i": approval("ok", buttons=("ok", "ok")), "a": webhook()}, "s > i", "i.ok > a"),
        {("duplicate-button", f"/nodes/1/config/userInputs/buttons/{n}/identifier") for n in (0, 1)},
    ),
    (
        "branch open",
        workflow(START | {"c": condition(x=".a", y=".b"), "a": webhook()}, "s > c", "c.x > a"),
        {("branch-without-connection", "/nodes/1/config/outlets/1")},
    ),
    (
        "timer without property",
        workflow({"t": event("TIMER_EXPIRED")}),
        {("missing-field", "/nodes/0/config/event/propertyIdentifier")},
    ),
    (
        "needless property",
        workflow(
            {
                "t": {
                    "type": "EVENT_TRIGGER",
                    "event": {"type": "ENTITY_UPDATED", "blueprintIdentifier": "b", "propertyIdentifier": "p"},
                }
            }
        ),
        {("unused-field", "/nodes/0/config/event/propertyIdentifier")},
    ),
    (
        "long sync timeout",
        workflow(START | {"a": webhook(timeoutSeconds=301)}, "s > a"),
        {("out-of-range", "/nodes/1/config/timeoutSeconds")},
    ),
    ("method", workflow(START | {"a": webhook(method="post")}, "s > a"), {("unknown-value", "/nodes/1/config/method")}),
    (
        "url without scheme",
        workflow(START | {"a": webhook(url="example.test/x")}, "s > a"),
        {("bad-url", "/nodes/1/config/url")},
    ),
    (
        "url of a file",
        workflow(START | {"a": webhook(url="file:///etc/{{ .x }}")}, "s > a"),
        {("bad-url", "/nodes/1/config/url")},
    ),
    (
        "link",
        workflow(START | {"a": (webhook(), {"links": ["https://ok.test", "nope"]})}, "s > a"),
        {("bad-url", "/nodes/1/links/1")},
    ),
    (
        "integration",
        workflow(
            START
            | {
                "a": {
                    "type": "INTEGRATION_ACTION",
                    "integrationProvider": "g",
                    "integrationInvocationType": "x",
                    "integrationActionExecutionProperties": {},
                }
            },
            "s > a",
        ),
        {("missing-field", "/nodes/1/config/installationId")},
    ),
    (
        "azure without a way",
        workflow(START | {"a": {"type": "AZURE_DEVOPS", "org": "acme"}}, "s > a"),
        {("missing-field", "/nodes/1/config/webhook")},
    ),
    (
        "azure without a pipeline",
        workflow(START | {"a": {"type": "AZURE_DEVOPS", "org": "acme", "project": "shop"}}, "s > a"),
        {("missing-field", "/nodes/1/config/pipelineId")},
    ),
    (
        "azure without a project",
        workflow(START | {"a": {"type": "AZURE_DEVOPS", "org": "acme", "pipelineId": 7}}, "s > a"),
        {("missing-field", "/nodes/1/config/project")},
    ),
    (
        "azure both ways",
        workflow(
            START | {"a": {"type": "AZURE_DEVOPS", "org": "acme", "webhook": "w", "project": "p", "pipelineId": "7"}},
            "s > a",
        ),
        {("unused-field", "/nodes/1/config/webhook")},
    ),
    (
        "braces open",
        workflow(START | {"a": webhook({"k": ["x {{ .a"]})}, "s > a"),
        {("template-syntax", "/nodes/1/config/body/k/0")},
    ),
    (
        "braces closed",
        workflow(START | {"a": (webhook(), {"variables": {"v": "{{ .x }} }} y"}})}, "s > a"),
        {("template-syntax", "/nodes/1/variables/v")},
    ),
    (
        "braces in a key",
        workflow(START | {"a": webhook({"{{ .a": 1})}, "s > a"),
        {("template-syntax", "/nodes/1/config/body/{{ .a")},
    ),
    (
        "braces in a link",
        workflow(START | {"a": (webhook(), {"links": ["https://x.test/{{"]})}, "s > a"),
        {("template-syntax", "/nodes/1/links/0")},
    ),
]

CRONS: list[tuple[str, JsonObject, set[tuple[str, str]]]] = [
    (f"cron {cron!r}", workflow({"t": {"type": SCHEDULE, "cron": cron}}), {(code, "/nodes/0/config/cron")})
    for cron, code in [
        ("", "bad-cron"),
        ("* * * *", "bad-cron"),
        ("60 0 0 * * *", "bad-cron"),
        ("* 0 0 * * *", "bad-cron"),
        ("0 0 0 0 * * *", "bad-cron"),
        ("60 * * * *", "bad-cron"),
        ("0 24 * * *", "bad-cron"),
        ("0 0 0 * *", "bad-cron"),
        ("0 0 * 13 *", "bad-cron"),
        ("0 0 * * 8", "bad-cron"),
        ("0 0 * * FRU", "bad-cron"),
        ("5-1 * * * *", "bad-cron"),
        ("*/0 * * * *", "bad-cron"),
        ("a b c d e", "bad-cron"),
        ("@dayly", "bad-cron"),
        ("@reboot", "bad-cron"),
        ("@", "bad-cron"),
        ("0 30 2 30 2 *", "bad-cron"),
        ("1,,2 * * * *", "bad-cron"),
        ("*-3 * * * *", "bad-cron"),
        ("٣ * * * *", "bad-cron"),
        ("* * * * *", "schedule-too-dense"),
        ("*/4 * * * *", "schedule-too-dense"),
        ("0,3 * * * *", "schedule-too-dense"),
        ("7 0,3 * * * *", "schedule-too-dense"),
    ]
]

_STEPS: list[tuple[dict[str, Any], str, str]] = [
    ({"type": "DELAY"}, "missing-field", "/seconds"),
    ({"type": "DELAY", "seconds": -1}, "out-of-range", "/seconds"),
    ({"type": "DELAY", "seconds": 31_622_401}, "out-of-range", "/seconds"),
    ({"type": "DELAY", "until": "tomorrow"}, "wrong-type", "/until"),
    ({"type": "DELAY", "until": "2026-12-24T18:00:00"}, "wrong-type", "/until"),
    ({"type": "DELAY", "until": "2026-12-24T18:00:00Z", "seconds": 5}, "unused-field", "/seconds"),
    (asks(timeoutOutlet="ok"), "unused-field", "/timeoutOutlet"),
    (asks(timeoutOutlet="no", timeoutSeconds=5), "unknown-outlet", "/timeoutOutlet"),
]

PEOPLE: list[tuple[str, JsonObject, set[tuple[str, str]]]] = [
    (
        f"{config}",
        workflow(START | {"x": config, "y": webhook()}, "s > x", "x.ok > y" if config["type"] == "INPUT" else "x > y"),
        {(code, f"/nodes/1/config{place}")},
    )
    for config, code, place in _STEPS
]


FORMS: list[tuple[str, JsonObject, set[tuple[str, str]]]] = [
    ("required unknown", with_form(required=["x"]), {("unknown-input", f"{FORM}/required/0")}),
    ("order unknown", with_form(order=["x"]), {("unknown-input", f"{FORM}/order/0")}),
    ("order and steps", with_form(order=[], steps=[]), {("order-with-steps", f"{FORM}/order")}),
    (
        "step order unknown",
        with_form(steps=[{"title": "a", "order": ["x"]}]),
        {("unknown-input", f"{FORM}/steps/0/order/0")},
    ),
    ("dependsOn unknown", with_input(type="string", dependsOn=["y"]), {("unknown-input", f"{X}/dependsOn/0")}),
    ("required by jq", with_form(required={"jqQuery": "[]"}), {("jq-inputs-later", f"{FORM}/required")}),
    (
        "validations",
        with_form(validations=[{"constraint": "true", "message": "m"}]),
        {("jq-inputs-later", f"{FORM}/validations")},
    ),
    ("blank name", workflow({"s": form(**{" ": "string"})}), {("bad-input-name", f"{FORM}/properties/ ")}),
    ("format", with_input(type="string", format="datetime"), {("unknown-format", f"{X}/format")}),
    ("format of numbers", with_input(type="number", format="url"), {("unknown-format", f"{X}/format")}),
    ("entity", with_input(type="string", format="entity"), {("missing-field", f"{X}/blueprint")}),
    ("unfit field", with_input(type="number", pattern="a"), {("unused-field", f"{X}/pattern")}),
    ("default type", with_input(type="number", default="5"), {("bad-default", f"{X}/default")}),
    ("default true", with_input(type="number", default=True), {("bad-default", f"{X}/default")}),
    ("default not in enum", with_input(type="string", enum=["a"], default="b"), {("bad-default", f"{X}/default")}),
    ("default too small", with_input(type="number", minimum=3, default=2), {("bad-default", f"{X}/default")}),
    ("default date", with_input(type="string", format="date-time", default="today"), {("bad-default", f"{X}/default")}),
    (
        "default items",
        with_input(type="array", items={"type": "number"}, default=["x"]),
        {("bad-default", f"{X}/default")},
    ),
    ("default by jq", with_input(type="string", default={"jqQuery": ".x"}), {("jq-inputs-later", f"{X}/default")}),
    ("visible by jq", with_input(type="string", visible={"jqQuery": ".x"}), {("jq-inputs-later", f"{X}/visible")}),
    ("enum type", with_input(type="string", enum=["a", 1]), {("bad-enum-value", f"{X}/enum/1")}),
    ("enum empty", with_input(type="string", enum=[]), {("empty-enum", f"{X}/enum")}),
    (
        "enum of items",
        with_input(type="array", items={"type": "string", "enum": [1]}),
        {("bad-enum-value", f"{X}/items/enum/0")},
    ),
    ("range", with_input(type="number", minimum=3, maximum=2), {("empty-range", f"{X}/minimum")}),
    (
        "open range",
        with_input(type="number", exclusiveMinimum=3, maximum=3),
        {("empty-range", f"{X}/exclusiveMinimum")},
    ),
    ("lengths", with_input(type="string", minLength=3, maxLength=2), {("empty-range", f"{X}/minLength")}),
    ("pattern", with_input(type="string", pattern="("), {("bad-pattern", f"{X}/pattern")}),
    ("pattern with look-ahead", with_input(type="string", pattern="(?=a)b"), {("bad-pattern", f"{X}/pattern")}),
    ("pattern long", with_input(type="string", pattern="a" * 513), {("bad-pattern", f"{X}/pattern")}),
    (
        "encrypted default",
        with_input(type="string", encryption="aes256-gcm", default="x"),
        {("bad-encryption", f"{X}/default")},
    ),
    (
        "encrypted url",
        with_input(type="string", format="url", encryption="aes256-gcm"),
        {("bad-encryption", f"{X}/encryption")},
    ),
    ("encrypted number", with_input(type="number", encryption="aes256-gcm"), {("bad-encryption", f"{X}/encryption")}),
    (
        "nested required",
        with_input(type="object", properties={"a": {"type": "string"}}, required=["b"]),
        {("unknown-input", f"{X}/required/0")},
    ),
    (
        "nested default",
        with_input(type="object", properties={"a": {"type": "string", "default": 1}}),
        {("bad-default", f"{X}/properties/a/default")},
    ),
    (
        "context",
        workflow({"s": {**form(x="string"), "contexts": [{"on": "ENTITY", "userInput": "x"}]}}),
        {("unknown-input", "/nodes/0/config/contexts/0/userInput")},
    ),
    (
        "contexts",
        workflow(
            {
                "s": {
                    **form(x={"type": "string", "format": "entity", "blueprint": "b"}),
                    "contexts": [{"on": "ENTITY", "userInput": "x"}] * 2,
                }
            }
        ),
        {("duplicate-context", "/nodes/0/config/contexts/1/userInput")},
    ),
    (
        "create context",
        workflow({"s": {**form(), "contexts": [{"on": "CREATE_ENTITY"}]}}),
        {("missing-field", "/nodes/0/config/contexts/0/blueprintIdentifier")},
    ),
]

CASES = GRAPHS + CRONS + PEOPLE + FORMS


def judged(document: Json) -> tuple[Problem, ...]:
    parsed = dialects.parse(document)
    assert parsed.problems == ()
    assert parsed.definition is not None
    return said(check.check(parsed.definition))


@pytest.mark.parametrize(("document", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_every_fault_is_named_at_its_place(document: JsonObject, expected: set[tuple[str, str]]) -> None:
    assert found(judged(document)) == expected


def test_two_outlets_of_one_name_are_refused() -> None:
    config = {"type": "CONDITION", "outlets": [{"identifier": "x", "expression": text} for text in (".a", ".b")]}
    problems = judged(workflow(START | {"c": config, "a": webhook()}, "s > c", "c.x > a"))

    assert found(problems) == {("duplicate-branch", f"/nodes/1/config/outlets/{index}/identifier") for index in (0, 1)}


def test_a_cycle_is_told_in_the_order_of_its_connections() -> None:
    nodes = START | {name: webhook() for name in "abc"}
    (problem,) = judged(workflow(nodes, "s > a", "a > b", "b > c", "c > a"))

    around = problem.message.split(": ")[1].split(". ")[0].split(" → ")
    assert around[0] == around[-1]
    assert sorted(around[1:]) == ["a", "b", "c"]
    assert all(step in ("a b", "b c", "c a") for step in map(" ".join, pairwise(around)))


@pytest.mark.parametrize(
    "cron",
    [
        "0 9 * * 1-5",
        "*/5 * * * *",
        "0 0 1 JAN,jul sun",
        "15 */2 1-15/3 * 7",
        "0,30 8-18 * * MON-FRI",
        "5/10 * * * *",
        "@daily",
        "@Weekly",
        "15 0 9 * * *",
    ],
)
def test_good_schedules_pass(cron: str) -> None:
    assert judged(workflow({"t": {"type": SCHEDULE, "cron": cron}})) == ()


def test_long_timeouts_are_for_nodes_that_wait_for_a_report() -> None:
    assert judged(workflow(START | {"a": webhook(synchronized=False, timeoutSeconds=604800)}, "s > a")) == ()


@pytest.mark.parametrize(
    "url", ["{{ .outputs.s.url }}", "https://{{ .x }}/y", "HTTP://a.test", "http{{ .s }}://x", " https://a.test "]
)
def test_urls_that_may_come_out_right_pass(url: str) -> None:
    assert judged(workflow(START | {"a": webhook(url=url)}, "s > a")) == ()


def test_two_connections_of_one_branch_are_a_fan_out() -> None:
    nodes = START | {"c": condition(x=".a"), "a": webhook(), "b": webhook()}

    assert judged(workflow(nodes, "s > c", "c.x > a", "c.x > b", "c ! a", "c ! b")) == ()


def test_examining_reports_form_and_graph_together() -> None:
    document = workflow({"s": form(), "a": {"type": "WEBHOOK"}, "c": condition(x=" ")}, "s > a", "s > nope", "a > c")

    examined = check.examine(document)

    assert examined.definition is None
    assert errors_of(examined.problems) == {
        ("missing-field", "/nodes/1/config/url"),
        ("unknown-node", "/connections/1/targetIdentifier"),
        ("blank-expression", "/nodes/2/config/outlets/0/expression"),
    }


def test_nodes_that_cannot_be_read_cause_no_further_complaints() -> None:
    broken = {"type": "CONDITION", "outlets": [{"identifier": "x"}]}
    document = workflow({"s": {"type": "EVENT_TRIGGER"}, "c": broken, "a": webhook()}, "s > c", "c.x > a", "c ! a")

    assert {code for code, _ in found(check.examine(document).problems)} == {"missing-field"}


def test_a_definition_with_warnings_only_can_be_saved() -> None:
    examined = check.examine(workflow({"s": form(), "a": webhook()}, extra=1))

    assert [problem.severity for problem in examined.problems] == ["warning", "warning"]
    assert examined.definition is not None


def test_a_template_problem_points_at_the_very_brace() -> None:
    config = '{"type":"WEBHOOK","url":"https://x","body":\n {"k":"\\u00e9\\n ok {{ .x"}}'
    text = f'{{"identifier":"w","nodes":[{{"identifier":"a","config":{config}}}]}}'
    document = workflow({"a": webhook({"k": "é\n ok {{ .x"}, url="https://x")})
    problems = [problem for problem in check.examine(document).problems if problem.code == "template-syntax"]

    line, column = positions(text).locate_problem(problems[0])

    assert text.split("\n")[line - 1][column - 1 :].startswith("{{ .x")


def test_all_programs_of_a_definition_are_listed() -> None:
    label = {"text": '"ok"'}
    nodes = {
        "t": event("ENTITY_UPDATED", ".a", " "),
        "s": form(x={"type": "string", "default": {"jqQuery": ".b"}}),
        "c": {"type": "CONDITION", "outlets": [{"identifier": "x", "expression": ".c", "statusLabel": label}]},
        "a": (
            webhook({"{{ .d }}": "{{ .e }} and {{ .f }}", "{{ spreadValue() }}": "{{ .g }}"}),
            {"variables": {"v": "{{ .h }}"}, "links": ["{{ .i }}"]},
        ),
        "i": {**approval("ok"), "description": "{{ .j }}"},
    }
    definition = dialects.parse(workflow(nodes)).definition
    assert definition is not None

    programs = check.expressions(definition)

    assert [text for _, text in programs] == [".a", ".b", ".c", '"ok"', ".d", ".e", ".f", ".g", ".h", ".i", ".j"]
    assert programs[0] == ("/nodes/0/config/condition/expressions/0", ".a")
    assert programs[3] == ("/nodes/2/config/outlets/0/statusLabel/text", '"ok"')


def test_programs_beside_a_malformed_template_are_still_listed() -> None:
    definition = dialects.parse(workflow({"a": webhook({"x": "{{ .a", "y": "{{ .b }}"})})).definition
    assert definition is not None

    assert [text for _, text in check.expressions(definition)] == [".b"]


def test_hints_name_what_was_meant() -> None:
    hints = {problem.code: problem.hint for _, document, _ in GRAPHS for problem in judged(document)}

    assert hints["unknown-branch"] == 'Did you mean "gold"?'
    assert hints["unknown-value"] == 'Did you mean "POST"?'
