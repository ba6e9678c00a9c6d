"""What expressions read is there when they read it; a correct definition is never warned about."""

from typing import Any

import pytest

from headrace.core.authoring import check
from headrace.core.authoring.source import positions
from headrace.core.json import JsonObject
from tests.unit.core.documents import condition, event, form, found, upsert, webhook, workflow

GOLD = '.outputs.s.tier == "gold"'
TIER = {"type": "string", "enum": ["gold", "silver"]}
K = "/nodes/1/config/body/k"
FILTER = "/nodes/0/config/condition/expressions/0"


def reading(text: str, **inputs: Any) -> JsonObject:
    """A form with these inputs, then a webhook whose body holds the text."""
    return workflow({"s": form(**(inputs or {"tier": TIER})), "a": webhook({"k": text})}, "s > a")


def after_event(kind: str, text: str, *expressions: str, **more: str) -> JsonObject:
    return workflow({"t": event(kind, *expressions, **more), "a": webhook({"k": text})}, "t > a")


def mapped(variables: JsonObject, config: JsonObject | None = None) -> JsonObject:
    return workflow({"s": form(tier=TIER), "a": (config or webhook(), {"variables": variables})}, "s > a")


def chosen(*expressions: str, **inputs: Any) -> JsonObject:
    """A form, then a condition with these branches, all of them connected."""
    names = [f"b{number}" for number in range(len(expressions))]
    nodes = {
        "s": form(**(inputs or {"tier": TIER})),
        "c": condition(**dict(zip(names, expressions, strict=True))),
        "a": webhook(),
    }
    return workflow(nodes, "s > c", *(f"c.{name} > a" for name in names))


def outlet(number: int) -> str:
    return f"/nodes/1/config/outlets/{number}/expression"


BRANCHED = {
    "s": form(tier=TIER),
    "c": condition(gold=GOLD),
    "x": webhook(),
    "a": webhook({"k": "{{ .outputs.x.response.data }}"}),
}
DOUBTS: list[tuple[str, JsonObject, set[tuple[str, str]]]] = [
    ("unknown node", reading("{{ .outputs.start.tier }}"), {("unknown-reference", K)}),
    ("unknown node in brackets", reading('{{ .outputs["start"].tier }}'), {("unknown-reference", K)}),
    (
        "unknown node, foreign program",
        reading('{{ .outputs.start.tier | ltrimstr("a") | explode }}'),
        {("unknown-reference", K)},
    ),
    (
        "unknown node in a key",
        reading("x") | workflow({"s": form(), "a": webhook({"{{ .outputs.q.x }}": 1})}, "s > a"),
        {("unknown-reference", "/nodes/1/config/body/{{ .outputs.q.x }}")},
    ),
    ("unknown node in a condition", chosen(".outputs.q.x == 1"), {("unknown-reference", outlet(0))}),
    ("self", reading("{{ .outputs.a.response }}"), {("self-reference", K)}),
    ("self in variables", mapped({"v": "{{ .outputs.a.response }}"}), {("self-reference", "/nodes/1/variables/v")}),
    (
        "later node",
        workflow({"s": form(), "a": webhook({"k": "{{ .outputs.b.response }}"}), "b": webhook()}, "s > a", "a > b"),
        {("reference-not-upstream", K)},
    ),
    (
        "parallel node",
        workflow({"s": form(), "a": webhook({"k": "{{ .outputs.b.response }}"}), "b": webhook()}, "s > a", "s > b"),
        {("reference-not-upstream", K)},
    ),
    (
        "other branch",
        workflow(BRANCHED, "s > c", "c.gold > x", "c ! a"),
        {("reference-not-upstream", "/nodes/3/config/body/k")},
    ),
    (
        "some paths",
        workflow(BRANCHED, "s > c", "c.gold > x", "c ! a", "x > a"),
        {("reference-on-some-paths", "/nodes/3/config/body/k")},
    ),
    (
        "one of two triggers",
        workflow({"s": form(tier=TIER), "a": webhook({"k": "{{ .outputs.s.tier }}"}), "t": event()}, "s > a", "t > a"),
        {("reference-on-some-paths", K)},
    ),
    (
        "hyphen",
        workflow({"my-start": form(tier=TIER), "a": webhook({"k": "{{ .outputs.my-start.tier }}"})}, "my-start > a"),
        {("name-needs-brackets", K)},
    ),
    (
        "hyphen in a condition",
        workflow(
            {
                "s": form(tier=TIER),
                "x-1": webhook(),
                "c": condition(g=".outputs.x-1.response.status == 200"),
                "a": webhook(),
            },
            "s > x-1",
            "x-1 > c",
            "c.g > a",
        ),
        {("name-needs-brackets", "/nodes/2/config/outlets/0/expression")},
    ),
    ("hyphen of an input", reading("{{ .outputs.s.my-tier }}", **{"my-tier": TIER}), {("name-needs-brackets", K)}),
    (
        "hyphen of an input by alias",
        reading("{{ .outputs.trigger.my-tier }}", **{"my-tier": TIER}),
        {("name-needs-brackets", K)},
    ),
    (
        "name in other letters",
        workflow({"größe": form(tier=TIER), "a": webhook({"k": "{{ .outputs.größe.tier }}"})}, "größe > a"),
        {("name-needs-brackets", K)},
    ),
    ("unknown input", reading("{{ .outputs.s.teir }}"), {("unknown-path", K)}),
    ("unknown input by alias", reading("{{ .outputs.trigger.teir }}"), {("unknown-path", K)}),
    ("inside a string input", reading("{{ .outputs.s.tier.name }}"), {("not-an-object", K)}),
    (
        "response body",
        workflow(
            {"s": form(), "x": webhook(), "a": webhook({"k": "{{ .outputs.x.response.body }}"})}, "s > x", "x > a"
        ),
        {("unknown-path", "/nodes/2/config/body/k")},
    ),
    (
        "not among the variables",
        workflow(
            {
                "s": form(),
                "x": (webhook(), {"variables": {"id": "{{ .response.data.id }}"}}),
                "a": webhook({"k": "{{ .outputs.x.response.data.id }}"}),
            },
            "s > x",
            "x > a",
        ),
        {("unknown-path", "/nodes/2/config/body/k")},
    ),
    (
        "upsert output",
        workflow(
            {"s": form(), "x": upsert(identifier="y"), "a": webhook({"k": "{{ .outputs.x.entity.identifier }}"})},
            "s > x",
            "x > a",
        ),
        {("unknown-path", "/nodes/2/config/body/k")},
    ),
    ("event field", after_event("ENTITY_UPDATED", "{{ .outputs.t.entity }}"), {("unknown-path", K)}),
    ("entity field", after_event("ENTITY_UPDATED", "{{ .outputs.t.diff.after.tier }}"), {("unknown-path", K)}),
    ("context field", reading("{{ .workflowRun.id }}"), {("unknown-path", K)}),
    ("inputs", reading("{{ .inputs.tier }}"), {("foreign-root", K)}),
    ("event", reading("{{ .event.diff.after }}"), {("foreign-root", K)}),
    ("run id", reading("{{ .run.id }}"), {("foreign-root", K)}),
    ("trigger by", reading("{{ .trigger.by.user.email }}"), {("foreign-root", K)}),
    ("entity", reading("{{ .entity.identifier }}"), {("foreign-root", K)}),
    ("action", reading("{{ .action.identifier }}"), {("foreign-root", K)}),
    ("response in a config", reading("{{ .response.data }}"), {("unknown-root", K)}),
    ("mistyped root", reading("{{ .output.s.tier }}"), {("unknown-root", K)}),
    ("mistyped raw output", mapped({"v": "{{ .respons.data }}"}), {("unknown-root", "/nodes/1/variables/v")}),
    (
        "body of the raw output",
        mapped({"v": "{{ .result.response.body }}"}),
        {("unknown-path", "/nodes/1/variables/v")},
    ),
    ("secrets in variables", mapped({"v": "{{ .secrets.KEY }}"}), {("secrets-not-here", "/nodes/1/variables/v")}),
    ("secrets in a condition", chosen('.secrets.KEY == "x"'), {("secrets-not-here", outlet(0))}),
    ("date helper", reading('{{ now | date "2006-01-02" }}'), {("go-template", K)}),
    ("printf helper", reading('{{ printf "%s" .outputs.s.tier }}'), {("go-template", K)}),
    ("lower helper", reading("{{ .outputs.s.tier | lower }}"), {("go-template", K)}),
    ("default helper", reading('{{ .outputs.s.tier | default "x" }}'), {("go-template", K)}),
    ("braces in a condition", chosen("{{ .outputs.s.tier }}"), {("braces-in-condition", outlet(0))}),
    (
        "braces in a filter",
        after_event("ENTITY_UPDATED", "x", "{{ .diff.after }} == null"),
        {("braces-in-condition", FILTER)},
    ),
    (
        "outputs in a filter",
        after_event("ENTITY_UPDATED", "x", ".outputs.t.diff.after.title == 1"),
        {("outputs-in-filter", FILTER)},
    ),
    ("entity in a filter", after_event("ENTITY_UPDATED", "x", ".entity.title == 1"), {("unknown-root", FILTER)}),
    (
        "entity field in a filter",
        after_event("ENTITY_UPDATED", "x", ".diff.after.tier == 1"),
        {("unknown-path", FILTER)},
    ),
    ("before on create", after_event("ENTITY_CREATED", "{{ .outputs.t.diff.before.title }}"), {("always-null", K)}),
    (
        "before on create by alias",
        after_event("ENTITY_CREATED", "{{ .outputs.trigger.diff.before.title }}"),
        {("always-null", K)},
    ),
    (
        "before on create in the filter",
        after_event("ENTITY_CREATED", "x", ".diff.before.title != .diff.after.title"),
        {("always-null", FILTER)},
    ),
    ("after on delete", after_event("ENTITY_DELETED", "{{ .outputs.t.diff.after.title }}"), {("always-null", K)}),
    (
        "before on any change",
        after_event("ANY_ENTITY_CHANGE", "{{ .outputs.t.diff.before.title }}"),
        {("null-on-create", K)},
    ),
    (
        "before on any change, guarded in the other alternative only",
        after_event("ANY_ENTITY_CHANGE", "x", '.action == "UPDATE"', ".diff.before.title != 1", combinator="or"),
        {("null-on-create", "/nodes/0/config/condition/expressions/1")},
    ),
    (
        "before on any change in the filter",
        after_event("ANY_ENTITY_CHANGE", "x", ".diff.before.title != .diff.after.title"),
        {("null-on-create", FILTER)},
    ),
    ("action that never comes", after_event("ENTITY_CREATED", "x", '.action == "UPDATE"'), {("never-true", FILTER)}),
    (
        "action that does not exist",
        after_event("ANY_ENTITY_CHANGE", "x", '.action == "UPDATED"'),
        {("never-true", FILTER)},
    ),
    (
        "other blueprint",
        after_event("ENTITY_UPDATED", "x", '.diff.after.blueprint == "team"'),
        {("never-true", FILTER)},
    ),
    ("filter of false", after_event("ENTITY_UPDATED", "x", "false"), {("never-true", FILTER)}),
    (
        "two values at once",
        after_event("ENTITY_UPDATED", "x", '.diff.after.title == "a" and .diff.after.title == "b"'),
        {("never-true", FILTER)},
    ),
    ("false", chosen("false"), {("dead-branch", outlet(0))}),
    ("text", chosen('"gold"'), {("dead-branch", outlet(0))}),
    ("comparison of literals", chosen("1 == 2"), {("dead-branch", outlet(0))}),
    ("after true", chosen("true", GOLD), {("dead-branch", outlet(1))}),
    ("twice", chosen(GOLD, f" {GOLD} "), {("dead-branch", outlet(1))}),
    ("outside the enum", chosen('.outputs.s.tier == "bronze"'), {("dead-branch", outlet(0))}),
    ("outside the enum by alias", chosen('.outputs.trigger.tier == "bronze"'), {("dead-branch", outlet(0))}),
    (
        "outside the enum of numbers",
        chosen(".outputs.s.n == 3", n={"type": "number", "enum": [1, 2]}),
        {("dead-branch", outlet(0))},
    ),
    ("boolean as text", chosen('.outputs.s.on == "true"', on="boolean"), {("dead-branch", outlet(0))}),
    ("text as number", chosen(".outputs.s.n == 3", n="string"), {("dead-branch", outlet(0))}),
    ("text as condition", chosen(".outputs.s.n", n="string"), {("dead-branch", outlet(0))}),
    (
        "fallback after true",
        workflow({"s": form(), "c": condition(b="true"), "a": webhook()}, "s > c", "c.b > a", "c ! a"),
        {("dead-branch", "/connections/2")},
    ),
    (
        "asked before",
        workflow(
            {
                "s": form(tier=TIER),
                "c": condition(g=GOLD),
                "d": condition(i='.outputs.s.tier == "silver"'),
                "a": webhook(),
            },
            "s > c",
            "c.g > d",
            "d.i > a",
        ),
        {("dead-branch", "/nodes/2/config/outlets/0/expression")},
    ),
    (
        "unknown node in a label",
        workflow(
            {
                "s": form(),
                "c": {
                    "type": "CONDITION",
                    "outlets": [{"identifier": "x", "expression": "true", "statusLabel": {"text": ".outputs.q.x"}}],
                },
                "a": webhook(),
            },
            "s > c",
            "c.x > a",
        ),
        {("unknown-reference", "/nodes/1/config/outlets/0/statusLabel/text")},
    ),
    (
        "trigger reads a node",
        workflow({"s": (form(tier=TIER), {"variables": {"v": "{{ .outputs.a.response }}"}}), "a": webhook()}, "s > a"),
        {("reference-not-upstream", "/nodes/0/variables/v")},
    ),
]


@pytest.mark.parametrize(("document", "expected"), [case[1:] for case in DOUBTS], ids=[case[0] for case in DOUBTS])
def test_every_doubt_is_named_at_its_place(document: JsonObject, expected: set[tuple[str, str]]) -> None:
    examined = check.examine(document)

    assert found(examined.problems) == expected
    assert examined.definition is not None
    assert all(problem.severity == "warning" and problem.hint for problem in examined.problems)


def test_a_doubt_in_a_template_points_at_its_block() -> None:
    document = reading("é: {{ .outputs.s.tier }} and {{ .outputs.nope.x }}")
    (problem,) = check.examine(document).problems
    text = '{"nodes":[{},{"config":{"body":{"k":"\\u00e9: {{ .outputs.s.tier }} and {{ .outputs.nope.x }}"}}}]}'

    _, column = positions(text).locate_problem(problem)

    assert text[column - 1 :].startswith("{{ .outputs.nope.x")


@pytest.mark.parametrize(
    ("document", "hint"),
    [
        (reading("{{ .outputs.s.teir }}"), 'Did you mean "tier"?'),
        (reading("{{ .inputs.tier }}"), "Write .outputs.s.<input>."),
        (reading("{{ .run.id }}"), "Write .workflowRun.identifier."),
        (after_event("ENTITY_UPDATED", "{{ .entity.title }}"), "Write .outputs.t.diff.after."),
        (
            after_event("ENTITY_UPDATED", "{{ .outputs.t.diff.after.tier }}"),
            "A property of the entity is at .outputs.t.diff.after.properties.tier.",
        ),
        (after_event("ENTITY_UPDATED", "{{ .outputs.t.diff.after.identifer }}"), 'Did you mean "identifier"?'),
        (reading("{{ .outputs.s.my-tier }}", **{"my-tier": TIER}), 'Write .outputs.s["my-tier"].'),
        (reading("{{ .outputs.s.tier | lower }}"), "Write ascii_downcase."),
        (after_event("ENTITY_DELETED", "{{ .outputs.t.diff.after.title }}"), "Read .outputs.t.diff.before."),
    ],
)
def test_a_hint_says_what_to_write_instead(document: JsonObject, hint: str) -> None:
    (problem,) = check.examine(document).problems

    assert problem.hint == hint


def test_a_node_that_never_runs_makes_no_other_uncertain() -> None:
    nodes = {"s": form(), "x": webhook(), "y": webhook({"k": "{{ .outputs.x.response.data }}"}), "idle": webhook()}
    document = workflow(nodes, "s > x", "x > y", "idle > y")

    assert found(check.examine(document).problems) == {("unreachable-node", "/nodes/3")}


def test_nothing_is_said_about_the_flow_of_a_definition_with_errors() -> None:
    document = workflow({"s": form(), "a": webhook({"k": "{{ .outputs.nope.x }}"})}, "s > a", "a > missing")

    assert {code for code, _ in found(check.examine(document).problems)} == {"unknown-node"}
