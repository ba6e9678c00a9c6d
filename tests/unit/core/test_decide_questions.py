"""Programs that cannot run here: what is asked, on which input, and what the answers do."""

from typing import Any

import pytest

from headrace.core.commands import ReportAttempt, StartRun, Succeeded
from headrace.core.decide import decide
from headrace.core.decision import Question
from headrace.core.expression import EMPTY, Failure
from headrace.core.ids import node_run_id
from headrace.core.json import JsonObject
from tests.scenario import BEGIN, CAUSE, RUN_ID, Scenario, condition, edge, input_node, start_node, webhook

FIRST, SECOND, THIRD = "[range(1)] | length == 1", "[range(2)] | length == 2", "[range(3)] | length == 3"
BROKEN = Failure("runtime", "it broke")


def start_of(scenario: Scenario) -> StartRun:
    return StartRun(RUN_ID, BEGIN, "flow", scenario.plan.version, "start", {"n": 1}, "tester", CAUSE)


def questions(scenario: Scenario) -> list[Question]:
    """Give the start and keep the questions."""
    return list(scenario.give(start_of(scenario)).questions)


def branching(**outlets: str) -> Scenario:
    """A condition whose outlets lead to actions of their names."""
    nodes = [start_node(), condition("c", **outlets), *map(webhook, outlets)]
    return Scenario.of(nodes, [edge("start", "c"), *[edge("c", name, name) for name in outlets]])


def with_action(**config: Any) -> Scenario:
    return Scenario.of([start_node(), webhook("a", **config)], [edge("start", "a")])


def context(**more: Any) -> JsonObject:
    """The root object of templates in these tests."""
    return {
        "outputs": {"start": {"n": 1}, "trigger": {"n": 1}},
        "workflow": {"identifier": "flow", "version": 1, "versionIdentifier": "wfv_rYCYs8Qs05jWK5Du", "title": None},
        "workflowRun": {
            "identifier": RUN_ID,
            "createdAt": "2023-11-14T22:13:20.000Z",
            "createdBy": "tester",
            "trigger": {"identifier": "start"},
        },
        **more,
    }


NODE_CONTEXT = {"identifier": node_run_id(RUN_ID, "a"), "createdAt": "2023-11-14T22:13:20.000Z"}


def test_nothing_is_decided_while_a_question_is_open() -> None:
    scenario = branching(yes=FIRST)

    decision = decide(scenario.plan, None, start_of(scenario))

    assert (decision.run, decision.events, decision.requests, decision.rejection) == (None, (), (), None)
    assert len(decision.questions) == 1


def test_a_run_that_waits_for_answers_is_the_very_same_object() -> None:
    scenario = with_action(variables={"x": "{{ " + FIRST + " }}"}).start()

    command = ReportAttempt(RUN_ID, BEGIN, "a", node_run_id(RUN_ID, "a"), 1, Succeeded({}))
    decision = decide(scenario.plan, scenario.run, command)

    assert decision.questions
    assert decision.run is scenario.run


def test_a_condition_asks_for_all_its_foreign_programs_at_once_and_each_once() -> None:
    scenario = branching(a=FIRST, b="false", c2=SECOND, d=FIRST)

    assert questions(scenario) == [Question("c:branch", (FIRST, SECOND), context())]


def test_a_condition_asks_only_from_the_first_branch_that_needs_it() -> None:
    assert questions(branching(a="true", b=FIRST)) == []


@pytest.mark.parametrize(
    ("answers", "taken"),
    [
        ({FIRST: True, SECOND: True}, ["a"]),
        ({FIRST: False, SECOND: True}, ["b"]),
        ({FIRST: 1, SECOND: True}, ["b"]),
        ({FIRST: EMPTY, SECOND: True}, ["b"]),
        ({FIRST: None, SECOND: False}, []),
        ({FIRST: True, SECOND: BROKEN}, ["a"]),
    ],
)
def test_the_answers_choose_the_branch(answers: dict[str, Any], taken: list[str]) -> None:
    scenario = branching(a=FIRST, b=SECOND)
    scenario.answers = {"c:branch": answers}

    scenario.start()

    assert [node for node, _ in scenario.requested()] == taken


def test_an_answer_that_is_a_failure_fails_the_condition_and_the_run() -> None:
    scenario = branching(a=FIRST, b=SECOND)
    scenario.answers = {"c:branch": {FIRST: BROKEN, SECOND: True}}

    scenario.start()

    assert scenario.state.result == "FAILED"
    assert scenario.node("c").error == f"A branch could not be decided. {FIRST}: it broke"


def test_a_config_asks_with_its_node_run_in_the_context() -> None:
    scenario = with_action(body={"x": "{{ " + FIRST + " }}", "y": "{{ .outputs.start.n }}"})

    (question,) = questions(scenario)

    assert (question.scope, [text.strip() for text in question.programs]) == ("a:config", [FIRST])
    assert question.input == context(workflowNodeRun=NODE_CONTEXT)


@pytest.mark.parametrize("on_failure", ["terminate", "continue"])
def test_a_failed_answer_for_a_config_respects_on_failure(on_failure: str) -> None:
    scenario = with_action(body="{{ " + FIRST + " }}", onFailure=on_failure)
    (question,) = questions(scenario)
    scenario.answers = {question.scope: {question.programs[0]: BROKEN}}

    scenario.give(start_of(scenario))

    assert scenario.node("a").result == "FAILED"
    assert "it broke" in (scenario.node("a").error or "")
    assert scenario.state.result == ("FAILED" if on_failure == "terminate" else "SUCCESS")


def test_variables_ask_with_the_raw_output_at_the_root() -> None:
    scenario = with_action(variables={"x": "{{ [range(.n)] | length }}"}).start({"n": 1})

    decision = scenario.answer("a", Succeeded({"n": 3}))

    (question,) = decision.questions
    assert question.scope == "a:variables"
    assert question.input == context(n=3, result={"n": 3}, workflowNodeRun=NODE_CONTEXT)
    scenario.answers = {"a:variables": {question.programs[0]: 3}}
    scenario.answer("a", Succeeded({"n": 3}))
    assert scenario.state.outputs["a"] == {"x": 3}


def test_variables_of_a_trigger_ask_too() -> None:
    trigger: JsonObject = {**start_node(), "variables": {"x": "{{" + FIRST + "}}"}}
    scenario = Scenario.of([trigger], [])

    (question,) = questions(scenario)
    assert question.scope == "start:variables"
    scenario.answers = {"start:variables": {FIRST: BROKEN}}
    scenario.give(start_of(scenario))

    assert scenario.state.result == "FAILED"


def test_links_ask_one_by_one_and_a_failed_answer_skips_its_link() -> None:
    links = ["https://a.test/{{" + FIRST + "}}", "https://b.test", "https://c.test/{{" + SECOND + "}}"]
    scenario = with_action(links=links).start()
    scopes = []

    for answer in (BROKEN, "c"):
        (question,) = scenario.answer("a").questions
        scopes.append(question.scope)
        scenario.answers[question.scope] = {question.programs[0]: answer}
    scenario.answer("a")

    assert scopes == ["a:link0", "a:link2"]
    assert scenario.node("a").links == ("https://b.test", "https://c.test/c")


@pytest.mark.parametrize(("answer", "label"), [("fine", "fine"), (BROKEN, None), (EMPTY, None), (7, None)])
def test_labels_ask_and_a_failed_answer_leaves_them_out(answer: Any, label: str | None) -> None:
    outlet: JsonObject = {
        "identifier": "yes", "title": "t", "expression": "true",
        "statusLabel": {"text": FIRST}, "workflowStatusLabel": {"text": SECOND},
    }  # fmt: skip
    nodes: list[JsonObject] = [start_node(), {"identifier": "c", "config": {"type": "CONDITION", "outlets": [outlet]}}]
    scenario = Scenario.of(nodes, [edge("start", "c")])

    for expected in (FIRST, SECOND):
        assert questions(scenario) == [Question("c:label", (expected,), context())]
        scenario.answers.setdefault("c:label", {})[expected] = answer
    scenario.give(start_of(scenario))

    assert (scenario.node("c").label, scenario.state.label) == (label, label)


def test_labels_of_a_human_step_ask_when_it_completes() -> None:
    outlet = {"identifier": "yes", "statusLabel": {"text": FIRST}}
    scenario = Scenario.of([start_node(), input_node("ask", outlet)], [edge("start", "ask")]).start()
    pressed = {"selectedOutlet": {"identifier": "yes"}}

    (question,) = scenario.report("ask", status="COMPLETED", result="SUCCESS", output=pressed).questions

    assert (question.scope, question.programs) == ("ask:label", (FIRST,))


def test_several_rounds_lead_through_a_chain_of_nodes() -> None:
    nodes = [
        start_node(),
        condition("c1", yes=FIRST),
        condition("c2", yes=SECOND),
        webhook("a", body="{{" + THIRD + "}}"),
    ]
    edges = [edge("start", "c1"), edge("c1", "c2", "yes"), edge("c2", "a", "yes")]
    scenario = Scenario.of(nodes, edges)
    asked = []

    while opened := questions(scenario):
        assert scenario.run is None
        for question in opened:
            asked.append(question.scope)
            scenario.answers[question.scope] = dict.fromkeys(question.programs, True)

    assert asked == ["c1:branch", "c2:branch", "a:config"]
    assert scenario.requested() == [("a", 1)]


def test_answers_to_other_questions_do_no_harm() -> None:
    scenario = with_action()
    scenario.answers = {"a:config": {FIRST: BROKEN}, "nobody:branch": {SECOND: True}}

    scenario.start()

    assert scenario.requested() == [("a", 1)]


def test_a_partial_answer_is_asked_for_again_in_full() -> None:
    scenario = branching(a=FIRST, b=SECOND)
    scenario.answers = {"c:branch": {FIRST: False}}

    (question,) = questions(scenario)

    assert question.programs == (FIRST, SECOND)
