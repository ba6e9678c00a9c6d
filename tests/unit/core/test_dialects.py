"""The three dialects give one graph; what does not fit together is refused."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from headrace.core.authoring import check, dialects
from headrace.core.definition import Action, Branch, Condition, Definition, Edge, EventTrigger, Input, RetryPolicy
from headrace.core.json import JsonObject
from tests.unit.core.documents import approval, condition, event, form, found, node, upsert, webhook, workflow


def parsed(document: JsonObject) -> Definition:
    result = dialects.parse(document)
    assert result.problems == ()
    assert result.definition is not None
    return result.definition


def named_conditions(*branches: tuple[str, str], default: str | None = "d") -> JsonObject:
    """A CONDITION of dialect S; a branch is (connection, expression)."""
    config: JsonObject = {
        "type": "CONDITION",
        "conditions": [{"title": text, "expression": text, "connectionIdentifier": name} for name, text in branches],
    }
    if default is not None:
        config["defaultConnectionIdentifier"] = default
    return config


def named(identifier: str | None, source: str, target: str, **more: Any) -> JsonObject:
    own: JsonObject = {} if identifier is None else {"identifier": identifier}
    return {**own, "sourceIdentifier": source, "targetIdentifier": target, **more}


def dialect_s(config: JsonObject, *connections: Any) -> JsonObject:
    nodes: Any = [node("s", form()), node("c", config), node("a", webhook()), node("b", webhook())]
    return {"identifier": "w", "nodes": nodes, "connections": [named(None, "s", "c"), *connections]}


def dialect_o(branch_field: str = "sourceOptionIdentifier") -> JsonObject:
    nodes: Any = [
        node("s", form()),
        node("c", {"type": "CONDITION", "options": [{"identifier": "x", "title": "X", "expression": "true"}]}),
        node("a", webhook()),
        node("b", webhook()),
    ]
    connections: Any = [
        named(None, "s", "c"),
        named(None, "c", "a", **{branch_field: "x"}),
        named(None, "c", "b", fallback=True),
    ]
    return {"identifier": "w", "nodes": nodes, "connections": connections}


def test_dialect_s_ties_edges_to_branches_by_name() -> None:
    definition = parsed(dialect_s(named_conditions(("t", ".x")), named("t", "c", "a"), named("d", "c", "b")))

    assert definition.nodes["c"].config == Condition(
        (Branch("t", ".x", ".x", pointer="/nodes/1/config/conditions/0"),), "connections"
    )
    assert definition.edges[1:] == (
        Edge("c", "a", branch="t", identifier="t", pointer="/connections/1"),
        Edge("c", "b", fallback=True, identifier="d", pointer="/connections/2"),
    )


def test_two_branches_of_dialect_s_may_take_one_connection() -> None:
    definition = parsed(dialect_s(named_conditions(("t", ".x"), ("t", ".y"), default="t"), named("t", "c", "a")))

    config = definition.nodes["c"].config
    assert isinstance(config, Condition)
    assert [branch.identifier for branch in config.branches] == ["t", "t:2"]
    assert [(edge.branch, edge.fallback) for edge in definition.edges[1:]] == [
        ("t", False),
        ("t:2", False),
        (None, True),
    ]


def test_dialect_o_and_dialect_l_give_the_same_edges() -> None:
    other = workflow(
        {"s": form(), "c": condition(x="true"), "a": webhook(), "b": webhook()}, "s > c", "c.x > a", "c ! b"
    )

    assert parsed(dialect_o()).edges == parsed(other).edges


def test_the_same_workflow_in_all_dialects_passes_all_checks() -> None:
    documents = [
        dialect_s(named_conditions(("t", ".outputs.s.x")), named("t", "c", "a"), named("d", "c", "b")),
        dialect_o(),
    ]

    for document in documents:
        assert check.examine(document).definition is not None


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            dialect_s(named_conditions(("nope", ".x")), named("d", "c", "a")),
            {("unknown-connection", "/nodes/1/config/conditions/0/connectionIdentifier")},
        ),
        (
            dialect_s(named_conditions(("t", ".x")), named("t", "c", "a")),
            {("unknown-connection", "/nodes/1/config/defaultConnectionIdentifier")},
        ),
        (
            dialect_s(named_conditions(("t", ".x")), named("t", "a", "b"), named("d", "c", "a")),
            {("unknown-connection", "/nodes/1/config/conditions/0/connectionIdentifier")},
        ),
        (
            dialect_s(named_conditions(("t", ".x"), default=None), named("t", "c", "a")),
            {("missing-field", "/nodes/1/config/defaultConnectionIdentifier")},
        ),
        (
            dialect_s(named_conditions(("t", ".x")), named("t", "c", "a"), named("d", "c", "b"), named("u", "c", "b")),
            {("connection-never-taken", "/connections/3")},
        ),
        (
            dialect_s(named_conditions(("t", ".x")), named("t", "c", "a", fallback=True), named("d", "c", "b")),
            {("mixed-dialects", "/connections/1")},
        ),
        (
            dialect_s(
                named_conditions(("t", ".x")), named("t", "c", "a", sourceOutletIdentifier="t"), named("d", "c", "b")
            ),
            {("mixed-dialects", "/connections/1")},
        ),
        (
            dialect_s({**named_conditions(("t", ".x")), "outlets": []}, named("t", "c", "a"), named("d", "c", "b")),
            {("mixed-dialects", "/nodes/1/config")},
        ),
        (
            dialect_s({**condition(x="true"), "defaultConnectionIdentifier": "d"}, named("d", "c", "b", fallback=True)),
            {("mixed-dialects", "/nodes/1/config")},
        ),
        (
            dialect_s({**condition(x="true"), "options": []}),
            {("mixed-dialects", "/nodes/1/config")},
        ),
        (dialect_o("sourceOutletIdentifier"), {("mixed-dialects", "/connections/1")}),
        (
            workflow({"c": condition(x="true"), "a": webhook()}, "c > a")
            | {"connections": [named(None, "c", "a", sourceOptionIdentifier="x")]},
            {("mixed-dialects", "/connections/0")},
        ),
        (
            workflow({"c": condition(x="true"), "a": webhook()})
            | {"connections": [named(None, "c", "a", sourceOptionIdentifier="x", sourceOutletIdentifier="x")]},
            {("mixed-dialects", "/connections/0")},
        ),
        (
            workflow({"a": webhook(), "b": webhook()}) | {"connections": [named("e", "a", "b"), named("e", "b", "a")]},
            {("duplicate-connection", "/connections/1/identifier")},
        ),
        (
            {"identifier": "w", "nodes": [node("a", webhook()), node("a", form())]},
            {("duplicate-node", "/nodes/1/identifier")},
        ),
    ],
)
def test_what_does_not_fit_together_is_named(document: JsonObject, expected: set[tuple[str, str]]) -> None:
    assert found(dialects.parse(document).problems) == expected


def test_a_connection_that_cannot_be_read_is_not_reported_as_missing_too() -> None:
    document = dialect_s(named_conditions(("t", ".x")), {"identifier": "t"}, named("d", "c", "b"))

    assert {code for code, _ in found(dialects.parse(document).problems)} == {"missing-field"}


def test_the_two_dialects_of_different_nodes_may_live_side_by_side() -> None:
    document = dialect_s(named_conditions(("t", ".x")), named("t", "c", "a"), named("d", "c", "b"))
    nodes = document["nodes"]
    connections = document["connections"]
    assert isinstance(nodes, list)
    assert isinstance(connections, list)
    nodes.append(node("c2", condition(y="true")))
    connections += [named(None, "a", "c2"), named(None, "c2", "b", sourceOutletIdentifier="y")]

    assert dialects.parse(document).problems == ()


def test_the_name_that_automations_use_for_timers_is_accepted_with_a_warning() -> None:
    document = workflow({"t": event("TIMER_PROPERTY_EXPIRED")})

    result = dialects.parse(document)

    assert found(result.problems) == {("old-event-name", "/nodes/0/config/event/type")}
    assert result.definition is not None
    config = result.definition.nodes["t"].config
    assert isinstance(config, EventTrigger)
    assert config.event_type == "TIMER_EXPIRED"


def test_fan_out_is_allowed() -> None:
    document = workflow({"s": form(), "a": webhook(), "b": webhook()}, "s > a", "s > b")

    assert check.examine(document).problems == ()


def test_extensions_reach_the_action() -> None:
    retry = {"maxAttempts": 4, "backoffSeconds": 0.5, "multiplier": 3, "maxBackoffSeconds": 60}
    document = workflow(
        {
            "a": webhook(
                retry=retry, timeoutSeconds=20, delivery="at_most_once", onFailure="continue", onTimeout="continue"
            )
        }
    )

    config = parsed(document).nodes["a"].config

    assert isinstance(config, Action)
    assert config.retry == RetryPolicy(4, 0.5, 3.0, 60.0)
    assert (config.timeout_seconds, config.delivery) == (20, "at_most_once")
    assert (config.on_failure, config.on_timeout) == ("continue", "continue")


@pytest.mark.parametrize(
    ("config", "synchronized"),
    [
        (webhook(), True),
        (webhook(synchronized=False), False),
        (webhook(agent=True), False),
        ({"type": "KAFKA"}, True),
        ({"type": "KAFKA", "synchronized": False}, False),
        ({"type": "GITHUB", "org": "o", "repo": "r", "workflow": "w"}, False),
        (upsert(), True),
    ],
)
def test_an_action_says_whether_it_ends_with_its_own_answer(config: JsonObject, synchronized: bool) -> None:
    action = parsed(workflow({"a": config})).nodes["a"].config

    assert isinstance(action, Action)
    assert action.synchronized is synchronized


def test_an_input_node_has_a_branch_per_outlet() -> None:
    config = parsed(workflow({"i": approval("ok", "no")})).nodes["i"].config

    assert isinstance(config, Input)
    assert [branch.identifier for branch in config.branches] == ["ok", "no"]


def test_a_draft_keeps_what_can_be_read() -> None:
    result = dialects.parse(workflow({"s": form(), "a": {"type": "WEBHOOK"}, "b": webhook()}, "s > a", "a > b"))

    assert result.definition is None
    assert result.draft is not None
    assert list(result.draft.nodes) == ["s", "a", "b"]
    assert result.unreadable == {"a"}
    assert len(result.draft.edges) == 2


SPEC_NODES: dict[str, JsonObject] = json.loads((Path(__file__).parent / "spec_examples.json").read_text())


@pytest.mark.parametrize("name", SPEC_NODES)
def test_the_examples_of_the_specification_are_accepted(name: str) -> None:
    example: Any = SPEC_NODES[name]
    document: Any = example if "nodes" in example else {"identifier": "w", "nodes": [example]}

    result = dialects.parse(document)

    assert result.problems == ()
    assert result.definition is not None
    assert [p for p in check.check(result.definition) if p.code not in ("no-trigger", "not-yet")] == []


def test_every_node_type_has_an_example() -> None:
    text = json.dumps(SPEC_NODES)

    assert set(re.findall(r'"type": "([A-Z_]+)"', text)) >= {
        "SELF_SERVE_TRIGGER", "EVENT_TRIGGER", "SCHEDULE_TRIGGER", "WEBHOOK", "KAFKA", "GITHUB", "GITLAB",
        "AZURE_DEVOPS", "UPSERT_ENTITY", "INTEGRATION_ACTION", "CONDITION", "INPUT",
    }  # fmt: skip
