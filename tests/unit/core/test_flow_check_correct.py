"""Correct definitions of many kinds: not one of them may be warned about."""

import json
import re
from pathlib import Path

import pytest

from headrace.core.authoring import check
from headrace.core.json import JsonObject
from tests.unit.core.documents import approval, condition, event, form, said, upsert, webhook, workflow

SAID_ELSEWHERE = ("branch-without-connection", "not-yet")
"""Warnings that have nothing to do with the flow of values."""
GOLD = '.outputs.s.tier == "gold"'
TIER: JsonObject = {"type": "string", "enum": ["gold", "silver"]}
RESULT = "{{ .outputs.x.response.data.id }}"
CORRECT: list[tuple[str, JsonObject]] = [
    (
        "plain chain",
        workflow(
            {
                "s": form(tier=TIER),
                "x": webhook({"t": "{{ .outputs.s.tier }}"}),
                "y": webhook({"id": RESULT, "t": "{{ .outputs.trigger.tier }}"}),
            },
            "s > x",
            "x > y",
        ),
    ),
    (
        "brackets",
        workflow(
            {
                "my-form": form(**{"my-tier": TIER}),
                "x": webhook({"t": '{{ .outputs["my-form"]["my-tier"] }} {{ .outputs."my-form"."my-tier" }}'}),
            },
            "my-form > x",
        ),
    ),
    (
        "secrets in a config",
        workflow(
            {
                "s": form(),
                "x": webhook(
                    headers={"Authorization": "Bearer {{ .secrets.TOKEN }}", "X": '{{ .secrets["other-token"] }}'}
                ),
            },
            "s > x",
        ),
    ),
    (
        "ids of the run",
        workflow(
            {
                "s": form(),
                "x": (
                    webhook(
                        headers={
                            "X-Run": "{{ .workflowRun.identifier }}/{{ .workflow.versionIdentifier }}",
                            "Node": "{{ .workflowNodeRun.identifier }}",
                            "By": "{{ .workflowRun.trigger.by.email }}",
                        }
                    ),
                    {"links": ["https://x.test/{{ .outputs.x.response.data.id }}"]},
                ),
            },
            "s > x",
        ),
    ),
    (
        "variables in both eras",
        workflow(
            {
                "s": form(tier=TIER),
                "x": (
                    webhook(),
                    {
                        "variables": {
                            "id": "{{ .response.data.id }}",
                            "again": "{{ .result.response.data.id }}",
                            "tier": "{{ .outputs.s.tier }}",
                            "run": "{{ .workflowRun.identifier }}",
                        }
                    },
                ),
                "y": webhook({"i": "{{ .outputs.x.id }}", "t": "{{ .outputs.x.tier }}"}),
            },
            "s > x",
            "x > y",
        ),
    ),
    (
        "failure goes on",
        workflow(
            {
                "s": form(),
                "x": (webhook(onFailure="continue"), {"variables": {"id": "{{ .response.data.id }}"}}),
                "c": condition(failed=".outputs.x.error != null", gone=".outputs.x.response.status == 404"),
                "y": webhook({"e": "{{ .outputs.x.error.message }}"}),
            },
            "s > x",
            "x > c",
            "c.failed > y",
            "c.gone > y",
        ),
    ),
    (
        "update with both sides",
        workflow(
            {
                "t": event(
                    "ENTITY_UPDATED",
                    ".diff.before.properties.tier != .diff.after.properties.tier",
                    '.diff.after.properties.tier == "gold"',
                ),
                "x": webhook(
                    {
                        "was": "{{ .outputs.t.diff.before.properties.tier }}",
                        "is": "{{ .outputs.trigger.diff.after.title }}",
                        "e": "{{ .outputs.t.context.entityIdentifier }}",
                        "by": "{{ .outputs.t.trigger.by.userId }}",
                    }
                ),
            },
            "t > x",
        ),
    ),
    (
        "any change, guarded in the filter",
        workflow(
            {
                "t": event(
                    "ANY_ENTITY_CHANGE", '.action == "UPDATE"', ".diff.before.properties.n < .diff.after.properties.n"
                ),
                "x": webhook({"was": "{{ .outputs.t.diff.before.properties.n }}"}),
            },
            "t > x",
        ),
    ),
    (
        "any change, guarded in the program",
        workflow(
            {
                "t": event("ANY_ENTITY_CHANGE", ".diff.before != null and .diff.before.title != .diff.after.title"),
                "x": webhook({"was": '{{ .outputs.t.diff.before.title // "new" }}'}),
            },
            "t > x",
        ),
    ),
    (
        "any change, harmless equality",
        workflow({"t": event("ANY_ENTITY_CHANGE", '.diff.before.properties.tier == "gold"'), "x": webhook()}, "t > x"),
    ),
    (
        "any change, condition before use",
        workflow(
            {
                "t": event("ANY_ENTITY_CHANGE"),
                "c": condition(changed='.outputs.t.action == "UPDATE"'),
                "x": webhook({"was": "{{ .outputs.t.diff.before.title }}"}),
            },
            "t > c",
            "c.changed > x",
        ),
    ),
    (
        "create that asks for null",
        workflow(
            {
                "t": event("ENTITY_CREATED", ".diff.before == null"),
                "x": webhook({"e": "{{ .outputs.t.diff.after.relations.domain }}"}),
            },
            "t > x",
        ),
    ),
    (
        "delete",
        workflow(
            {
                "t": event("ENTITY_DELETED", '.diff.before.properties.tier == "gold"'),
                "x": webhook({"e": "{{ .outputs.t.diff.before.identifier }}"}),
            },
            "t > x",
        ),
    ),
    (
        "timer",
        workflow(
            {
                "t": {
                    "type": "EVENT_TRIGGER",
                    "event": {"type": "TIMER_EXPIRED", "blueprintIdentifier": "sandbox", "propertyIdentifier": "ttl"},
                    "condition": {
                        "type": "JQ",
                        "expressions": ['.action == "TIMER_EXPIRED"', ".diff.after.properties.autoDelete == true"],
                    },
                },
                "x": webhook({"e": "{{ .outputs.t.diff.after.identifier }}"}),
            },
            "t > x",
        ),
    ),
    (
        "join with defaults",
        workflow(
            {
                "s": form(tier=TIER),
                "c": condition(g=GOLD),
                "x": webhook(),
                "y": webhook(
                    {
                        "a": '{{ .outputs.x.response.data.id // "none" }}',
                        "b": '{{ if .outputs.x then "x" else "y" end }}',
                        "c": "{{ [.outputs.x.response.data.id, .outputs.s.tier] | map(select(. != null)) }}",
                    }
                ),
            },
            "s > c",
            "c.g > x",
            "c ! y",
            "x > y",
        ),
    ),
    (
        "join after a parallel part",
        workflow(
            {
                "s": form(),
                "x": webhook(),
                "y": webhook(),
                "z": webhook({"a": RESULT, "b": "{{ .outputs.y.response.data.id }}"}),
            },
            "s > x",
            "s > y",
            "x > z",
            "y > z",
        ),
    ),
    (
        "join of a parallel part with a branch",
        workflow(
            {"s": form(tier=TIER), "x": webhook(), "c": condition(g=GOLD), "y": webhook(), "z": webhook({"a": RESULT})},
            "s > x",
            "s > c",
            "x > z",
            "c.g > y",
            "y > z",
            "c ! z",
        ),
    ),
    (
        "asked again later",
        workflow(
            {
                "s": form(tier=TIER),
                "c": condition(g=GOLD),
                "x": webhook(),
                "j": webhook(),
                "d": condition(g=GOLD),
                "y": webhook({"a": RESULT}),
            },
            "s > c",
            "c.g > x",
            "x > j",
            "c ! j",
            "j > d",
            "d.g > y",
        ),
    ),
    (
        "missing node in a condition",
        workflow(
            {
                "s": form(tier=TIER),
                "c": condition(g=GOLD),
                "x": webhook(),
                "d": condition(ok=".outputs.x.response.status == 200"),
                "y": webhook(),
            },
            "s > c",
            "c.g > x",
            "x > d",
            "c ! d",
            "d.ok > y",
        ),
    ),
    (
        "two triggers with the alias",
        workflow(
            {
                "s": form(tier=TIER),
                "t": event(),
                "x": webhook(
                    {"a": "{{ .outputs.trigger.tier }}", "b": "{{ .outputs.t.diff.after.title // .outputs.s.tier }}"}
                ),
            },
            "s > x",
            "t > x",
        ),
    ),
    (
        "approval",
        workflow(
            {
                "s": form(tag="string"),
                "i": {**approval("ok", "no"), "description": "Deploy {{ .outputs.s.tag }}?"},
                "x": webhook(
                    {
                        "by": "{{ .outputs.i.responses[0].submitterInfo.submittedBy }}",
                        "o": "{{ .outputs.i.selectedOutlet.identifier }}",
                    }
                ),
                "y": webhook(),
            },
            "s > i",
            "i.ok > x",
            "i.no > y",
        ),
    ),
    (
        "reports from outside",
        workflow(
            {
                "s": form(),
                "x": webhook(synchronized=False),
                "y": (
                    {"type": "GITHUB", "org": "o", "repo": "r", "workflow": "w"},
                    {"variables": {"u": "{{ .workflowRunUrl }}", "i": "{{ .inputs.x }}"}},
                ),
                "z": webhook({"a": "{{ .outputs.x.anything.at.all }}", "b": "{{ .outputs.y.u }}"}),
            },
            "s > x",
            "x > y",
            "y > z",
        ),
    ),
    (
        "kafka and schedule",
        workflow(
            {
                "t": {"type": "SCHEDULE_TRIGGER", "cron": "0 9 * * 1-5"},
                "x": {"type": "KAFKA", "payload": {"at": "{{ .outputs.t.scheduledAt }}"}},
                "y": webhook({"k": "{{ .outputs.x.offset }}"}),
            },
            "t > x",
            "x > y",
        ),
    ),
    (
        "objects and lists of a form",
        workflow(
            {
                "s": form(
                    o={"type": "object", "properties": {"a": {"type": "string"}}},
                    l={"type": "array", "items": {"type": "string"}},
                    u={"type": "object", "format": "labeled-url"},
                ),
                "x": webhook(
                    {
                        "a": "{{ .outputs.s.o.a }}",
                        "l": "{{ .outputs.s.l[0] }}",
                        "n": "{{ .outputs.s.l | length }}",
                        "u": "{{ .outputs.s.u.url }}",
                    }
                ),
            },
            "s > x",
        ),
    ),
    (
        "conditions of all kinds",
        workflow(
            {
                "s": form(on="boolean", n="number", e={"type": "number", "enum": [1, 2]}, t="string"),
                "c": condition(
                    a=".outputs.s.on",
                    b=".outputs.s.n >= 3",
                    c=".outputs.s.e == 1.0",
                    d=".outputs.s.t == null",
                    e='.outputs.s.t == "x" or .outputs.s.t == "y"',
                    f='.outputs.s.t | test("^a")',
                    g="true",
                ),
                "x": webhook(),
            },
            "s > c",
            *(f"c.{name} > x" for name in "abcdefg"),
        ),
    ),
    (
        "spread and keys",
        workflow(
            {
                "s": form(o="object", t="string"),
                "x": webhook(
                    {
                        "{{ spreadValue() }}": "{{ .outputs.s.o }}",
                        "{{ .outputs.s.t }}": 1,
                        "fixed": "{{ {a: .outputs.s.t} | tojson }}",
                    }
                ),
            },
            "s > x",
        ),
    ),
    (
        "strings that look like paths",
        workflow(
            {
                "s": form(t="string"),
                "x": webhook(
                    {
                        "a": '{{ .outputs.s.t + " .outputs.nope.x printf {{ " }}',
                        "b": '{{ .outputs.s.t | ltrimstr(".inputs.x") }}',
                    }
                ),
            },
            "s > x",
        ),
    ),
    (
        "jq that resembles Go",
        workflow(
            {
                "s": form(t="string"),
                "x": webhook(
                    {
                        "a": "{{ now | date }}",
                        "b": "{{ def lower: ascii_downcase; .outputs.s.t | lower }}",
                        "c": '{{ "\\(.outputs.s.t)-x" }}',
                    }
                ),
            },
            "s > x",
        ),
    ),
    (
        "inner documents with the same words",
        workflow(
            {
                "s": form(),
                "x": webhook(),
                "y": webhook(
                    {
                        "a": "{{ .outputs.x.response.data.items | map(.outputs.foo) }}",
                        "b": "{{ [.outputs.x.response.data[] | .inputs.x] | length }}",
                        "c": "{{ .outputs.x.response.data as $d | $d.outputs.q }}",
                    }
                ),
            },
            "s > x",
            "x > y",
        ),
    ),
    (
        "a node named trigger",
        workflow({"trigger": event(), "x": webhook({"a": "{{ .outputs.trigger.diff.after.title }}"})}, "trigger > x"),
    ),
    (
        "variables with keys from templates",
        workflow(
            {
                "s": form(t="string"),
                "x": (webhook(), {"variables": {"{{ .outputs.s.t }}": "{{ .response.data }}"}}),
                "y": webhook({"a": "{{ .outputs.x.whatever }}"}),
            },
            "s > x",
            "x > y",
        ),
    ),
    (
        "upsert chain",
        workflow(
            {
                "t": event("ENTITY_CREATED"),
                "x": upsert(
                    identifier="{{ .outputs.t.diff.after.identifier }}-copy",
                    relations={"source": "{{ .outputs.t.diff.after.identifier }}"},
                ),
                "y": webhook({"id": "{{ .outputs.x.response.data.identifier }}"}),
            },
            "t > x",
            "x > y",
        ),
    ),
    (
        "a trigger that maps its inputs",
        workflow(
            {
                "s": (form(tier=TIER), {"variables": {"tier": "{{ .tier | ascii_upcase }}"}}),
                "c": condition(g='.outputs.s.tier == "GOLD"'),
                "x": webhook(),
            },
            "s > c",
            "c.g > x",
        ),
    ),
]


@pytest.mark.parametrize("document", [case[1] for case in CORRECT], ids=[case[0] for case in CORRECT])
def test_a_correct_definition_is_never_warned_about(document: JsonObject) -> None:
    examined = check.examine(document)

    assert [(p.code, p.pointer, p.message) for p in examined.problems if p.code not in SAID_ELSEWHERE] == []
    assert examined.definition is not None


def test_the_example_of_the_documentation_is_correct() -> None:
    text = (Path(__file__).parents[3] / "docs/workflows.md").read_text()
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)

    assert said(check.examine(json.loads(example)).problems) == ()
