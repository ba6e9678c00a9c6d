"""What nodes leave behind and what later ones see: variables, links, labels, context objects."""

from typing import Any

import pytest

from headrace.core import ids
from headrace.core.commands import Succeeded
from headrace.core.json import Json, JsonObject
from headrace.core.times import iso
from tests.scenario import BEGIN, RUN_ID, Scenario, condition, edge, plan_of, start_node, webhook, workflow

ANSWER: JsonObject = {"response": {"status": 200, "data": {"ticket": "T-9"}}}


def after(variables: JsonObject, output: JsonObject | None = None, **config: Any) -> Scenario:
    """start → a → b, with `a` answered."""
    nodes = [start_node(), webhook("a", variables=variables, **config), webhook("b")]
    scenario = Scenario.of(nodes, [edge("start", "a"), edge("a", "b")]).start({"n": 1})
    scenario.answer("a", Succeeded(ANSWER if output is None else output))
    return scenario


def labelled(*outlets: JsonObject) -> Scenario:
    """A run of one condition with these outlets."""
    listed: list[Json] = [{"title": "t", **outlet} for outlet in outlets]
    nodes: list[JsonObject] = [start_node(), {"identifier": "c", "config": {"type": "CONDITION", "outlets": listed}}]
    return Scenario.of(nodes, [edge("start", "c")]).start({"n": 1, "long": "x" * 300})


def test_without_variables_the_raw_output_is_stored() -> None:
    scenario = after({})

    assert scenario.state.outputs["a"] == ANSWER


def test_variables_replace_the_raw_output_and_the_node_run_keeps_it() -> None:
    scenario = after({"ticket": "{{ .response.data.ticket }}"})

    assert scenario.state.outputs["a"] == {"ticket": "T-9"}
    assert scenario.node("a").output == ANSWER


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ .response.status }}", 200),
        ("{{ .result.response.status }}", 200),
        ("{{ .outputs.start.n }}", 1),
        ("{{ .outputs.trigger.n }}", 1),
        ("{{ .outputs.a }}", None),
        ("{{ .workflow.identifier }}", "flow"),
        ("{{ .workflow.version }}", 1),
        ("{{ .workflow.versionIdentifier }}", ids.version_id("flow", 1)),
        ("{{ .workflowRun.identifier }}", RUN_ID),
        ("{{ .workflowRun.createdAt }}", iso(BEGIN)),
        ("{{ .workflowRun.createdBy }}", "tester"),
        ("{{ .workflowRun.trigger.identifier }}", "start"),
        ("{{ .workflowNodeRun.identifier }}", ids.node_run_id(RUN_ID, "a")),
        ("{{ .workflowNodeRun.createdAt }}", iso(BEGIN)),
        ("{{ .nowhere.at.all }}", None),
        ("{{ .secrets.KEY }}", None),
        ("constant", "constant"),
    ],
)
def test_variables_see_the_raw_output_and_the_context(text: str, value: Json) -> None:
    assert after({"x": text}).state.outputs["a"] == {"x": value}


def test_the_context_wins_over_keys_of_the_raw_output() -> None:
    names = ["outputs", "workflow", "workflowRun", "workflowNodeRun", "result"]
    output: JsonObject = {**dict.fromkeys(names, "mine"), "response": "mine"}

    scenario = after({name: f"{{{{ .{name} == 'mine' }}}}" for name in [*names, "response"]}, output)

    assert scenario.state.outputs["a"] == {**dict.fromkeys(names, False), "response": True}


def test_variables_that_cannot_be_evaluated_fail_the_node() -> None:
    scenario = after({"x": "{{ .response.status.code }}"})

    assert (scenario.node("a").result, scenario.state.result) == ("FAILED", "FAILED")
    assert (scenario.node("a").error or "").startswith("The variables could not be evaluated. ")
    assert scenario.requested() == [("a", 1)]


def test_variables_that_cannot_be_evaluated_respect_on_failure() -> None:
    scenario = after({"x": "{{ .response.status.code }}"}, onFailure="continue")

    stored = scenario.state.outputs["a"]
    assert isinstance(stored, dict)
    assert stored["response"] == ANSWER["response"]
    assert stored["error"] == {"message": scenario.node("a").error}
    assert scenario.requested() == [("a", 1), ("b", 1)]


def test_a_variable_without_a_value_is_left_out() -> None:
    assert after({"x": "{{ empty }}", "y": 1}).state.outputs["a"] == {"y": 1}


def test_variables_of_a_trigger_replace_its_inputs() -> None:
    trigger: JsonObject = {**start_node(), "variables": {"double": "{{ .n }}{{ .result.n }}"}}

    scenario = Scenario.of([trigger, webhook("a", body={"x": "{{ .outputs.start.double }}"})], [edge("start", "a")])
    scenario.start({"n": 4})

    assert scenario.state.outputs["start"] == {"double": "44"}
    assert scenario.node("start").output == {"n": 4}


def test_variables_of_a_trigger_that_cannot_be_evaluated_fail_the_run() -> None:
    trigger: JsonObject = {**start_node(), "variables": {"x": "{{ .n.m }}"}}

    scenario = Scenario.of([trigger, webhook("a")], [edge("start", "a")]).start({"n": 4})

    assert scenario.results() == {"start": "FAILED"}
    assert scenario.state.result == "FAILED"
    assert scenario.requests == []


def test_variables_of_a_condition_read_the_selected_outlet() -> None:
    node: JsonObject = {**condition("c", yes="true"), "variables": {"path": "{{ .selectedOutlet.identifier }}"}}

    scenario = Scenario.of([start_node(), node], [edge("start", "c")]).start()

    assert scenario.state.outputs["c"] == {"path": "yes"}
    assert scenario.node("c").outlet == "yes"


def test_a_condition_without_match_selects_nothing() -> None:
    scenario = Scenario.of([start_node(), condition("c", no="false")], [edge("start", "c")]).start()

    assert scenario.state.outputs["c"] == {"selectedOutlet": None}


def test_a_config_sees_its_own_node_run_and_what_came_before() -> None:
    body = {"id": "{{ .workflowNodeRun.identifier }}", "ticket": "{{ .outputs.a.response.data.ticket }}"}
    nodes = [start_node(), webhook("a"), webhook("b", body=body)]
    scenario = Scenario.of(nodes, [edge("start", "a"), edge("a", "b")]).start()

    scenario.answer("a", Succeeded(ANSWER))

    config = scenario.requests[-1].config
    assert isinstance(config, dict)
    assert config["body"] == {"id": scenario.node("b").id, "ticket": "T-9"}


def test_the_name_trigger_is_a_nodes_own_when_there_is_one() -> None:
    """Until that node ran, the name once meant the trigger that fired."""
    nodes = [start_node(), webhook("a", body={"x": "{{ .outputs.trigger }}"}), webhook("trigger")]

    scenario = Scenario.of(nodes, [edge("start", "a"), edge("a", "trigger")]).start({"n": 1})

    config = scenario.requests[0].config
    assert isinstance(config, dict)
    assert config["body"] == {"x": None}


def test_the_context_knows_title_and_version_of_the_workflow() -> None:
    nodes = [start_node(), webhook("a", body="{{ .workflow }}")]
    document = {**workflow(nodes, [edge("start", "a")]), "title": "A flow"}

    scenario = Scenario(plan_of(document, version=7)).start()

    config = scenario.requests[0].config
    assert isinstance(config, dict)
    expected = {"identifier": "flow", "version": 7, "versionIdentifier": ids.version_id("flow", 7), "title": "A flow"}
    assert config["body"] == expected
    assert scenario.requests[0].version == 7


def test_links_are_rendered_when_the_node_completes() -> None:
    links = [
        "https://ci.test/{{ .result.response.data.ticket }}",
        "http://x.test/{{ .outputs.a.t }}/{{ .response.status }}",
    ]

    scenario = after({"t": "{{ .response.data.ticket }}"}, links=links)

    assert scenario.node("a").links == ("https://ci.test/T-9", "http://x.test/T-9/200")


@pytest.mark.parametrize(
    "skipped",
    [
        "{{ .response.status.code }}",
        "{{ .response.status }}",
        "ftp://x.test",
        "javascript:alert(1)",
        "{{ empty }}",
        "x",
    ],
)
def test_links_that_fail_or_are_no_addresses_are_skipped(skipped: str) -> None:
    scenario = after({}, links=["https://one.test", skipped, "https://three.test"])

    assert scenario.node("a").links == ("https://one.test", "https://three.test")
    assert scenario.node("a").result == "SUCCESS"


def test_a_failed_node_shows_its_links_too() -> None:
    scenario = after({"x": "{{ .response.status.code }}"}, links=["https://ci.test/{{ .response.data.ticket }}"])

    assert scenario.node("a").result == "FAILED"
    assert scenario.node("a").links == ("https://ci.test/T-9",)


def test_labels_of_the_chosen_branch_name_the_node_run_and_the_run() -> None:
    scenario = labelled(
        {"identifier": "no", "expression": "false", "statusLabel": {"text": '"no"'}},
        {
            "identifier": "yes",
            "expression": "true",
            "statusLabel": {"text": '"n is \\(.outputs.start.n)"', "variant": "alert"},
            "workflowStatusLabel": {"text": '"whole"'},
        },
    )

    assert (scenario.node("c").label, scenario.state.label) == ("n is 1", "whole")


@pytest.mark.parametrize("text", [".outputs.start.n.m", ".outputs.start.n", "null", '""', "empty"])
def test_a_label_that_is_no_text_is_left_out(text: str) -> None:
    label: Json = {"text": text}

    scenario = labelled(
        {"identifier": "yes", "expression": "true", "statusLabel": label, "workflowStatusLabel": label},
    )

    assert (scenario.node("c").label, scenario.state.label) == (None, None)
    assert scenario.state.result == "SUCCESS"


def test_labels_are_cut_to_two_hundred_characters() -> None:
    scenario = labelled({"identifier": "yes", "expression": "true", "statusLabel": {"text": ".outputs.start.long"}})

    assert scenario.node("c").label == "x" * 200


def test_the_last_label_of_the_run_stays() -> None:
    def outlet(label: str | None) -> JsonObject:
        more: JsonObject = {"workflowStatusLabel": {"text": f'"{label}"'}} if label else {}
        return {"identifier": "yes", "title": "t", "expression": "true", **more}

    conditions: list[JsonObject] = [
        {"identifier": f"c{index}", "config": {"type": "CONDITION", "outlets": [outlet(label)]}}
        for index, label in enumerate(["first", "second", None])
    ]
    edges = [edge("start", "c0"), edge("c0", "c1", "yes"), edge("c1", "c2", "yes")]

    scenario = Scenario.of([start_node(), *conditions], edges).start()

    assert scenario.state.label == "second"
