"""Which nodes run, in what order, and how a run ends."""

from headrace.core.events import NodeCompleted, NodeStarted, RunCompleted, RunStarted, fold
from headrace.core.expression import Failure
from headrace.core.json import JsonObject
from tests.scenario import Scenario, condition, edge, plan_of, start_node, webhook, workflow


def test_a_start_runs_the_trigger_and_asks_for_the_first_action() -> None:
    scenario = Scenario.of([start_node(), webhook("a")], [edge("start", "a")]).start({"n": 1})

    assert scenario.happened() == ["RunStarted", "NodeCompleted", "NodeStarted"]
    assert scenario.requested() == [("a", 1)]
    assert scenario.state.outputs == {"start": {"n": 1}}
    assert scenario.state.status == "IN_PROGRESS"


def test_a_run_without_actions_is_over_at_once() -> None:
    scenario = Scenario.of([start_node()], []).start()

    assert scenario.happened() == ["RunStarted", "NodeCompleted", "RunCompleted"]
    assert (scenario.state.status, scenario.state.result) == ("COMPLETED", "SUCCESS")


def test_actions_follow_one_another_and_the_run_ends_with_the_last() -> None:
    scenario = Scenario.of([start_node(), webhook("a"), webhook("b")], [edge("start", "a"), edge("a", "b")]).start()

    scenario.answer("a")
    assert scenario.requested() == [("a", 1), ("b", 1)]
    assert not scenario.state.is_over
    scenario.answer("b")

    assert scenario.results() == {"start": "SUCCESS", "a": "SUCCESS", "b": "SUCCESS"}
    assert scenario.state.result == "SUCCESS"


def test_chained_conditions_are_settled_in_one_decision() -> None:
    nodes = [start_node(), condition("c1", yes=".outputs.start.n == 1"), condition("c2", yes="true"), webhook("a")]
    edges = [edge("start", "c1"), edge("c1", "c2", "yes"), edge("c2", "a", "yes")]

    scenario = Scenario.of(nodes, edges).start({"n": 1})

    assert scenario.requested() == [("a", 1)]
    assert scenario.state.nodes["c1"].outlet == "yes"
    assert scenario.state.outputs["c1"] == {"selectedOutlet": {"identifier": "yes", "title": "yes"}}


def test_the_first_true_branch_wins_and_the_others_are_not_evaluated() -> None:
    nodes = [
        start_node(),
        condition("c", no="false", first="true", second="true", broken=".outputs.start | error"),
        webhook("a"), webhook("b"),
    ]  # fmt: skip
    edges = [edge("start", "c"), edge("c", "a", "first"), edge("c", "b", "second")]
    scenario = Scenario.of(nodes, edges)
    scenario.answers = {"c:branch": {".outputs.start | error": Failure("runtime", "must not matter")}}

    scenario.start()

    assert scenario.requested() == [("a", 1)]


def test_the_fallback_is_taken_when_no_branch_is_true() -> None:
    nodes = [start_node(), condition("c", yes="false"), webhook("a"), webhook("b")]
    edges = [edge("start", "c"), edge("c", "a", "yes"), edge("c", "b", fallback=True)]

    scenario = Scenario.of(nodes, edges).start()

    assert scenario.requested() == [("b", 1)]
    assert scenario.state.nodes["c"].outlet is None


def test_without_match_and_fallback_the_path_ends_and_the_run_succeeds() -> None:
    scenario = Scenario.of(
        [start_node(), condition("c", yes="null"), webhook("a")], [edge("start", "c"), edge("c", "a", "yes")]
    ).start()

    assert scenario.state.result == "SUCCESS"
    assert "a" not in scenario.state.nodes


def test_only_a_literal_true_matches() -> None:
    for expression in ("1", '"true"', "null", "[]", "{}"):
        nodes = [start_node(), condition("c", yes=expression), webhook("a")]
        scenario = Scenario.of(nodes, [edge("start", "c"), edge("c", "a", "yes")]).start()
        assert scenario.requested() == [], expression


def test_a_condition_that_fails_to_evaluate_fails_the_run() -> None:
    nodes = [start_node(), condition("c", yes=".outputs.start.n.m == 1"), webhook("a")]

    scenario = Scenario.of(nodes, [edge("start", "c"), edge("c", "a", "yes")]).start({"n": 5})

    assert scenario.state.result == "FAILED"
    assert ".outputs.start.n.m == 1" in (scenario.state.nodes["c"].error or "")


def test_a_foreign_program_is_asked_for_and_then_decides() -> None:
    program = "[range(3)] | length == 3"
    nodes = [start_node(), condition("c", yes=program), webhook("a")]
    scenario = Scenario.of(nodes, [edge("start", "c"), edge("c", "a", "yes")])

    scenario.start()
    assert scenario.run is None
    scenario.answers = {"c:branch": {program: True}}
    scenario.start()

    assert scenario.requested() == [("a", 1)]


def test_all_ways_out_of_an_action_are_taken_at_once() -> None:
    nodes = [start_node(), webhook("a"), webhook("b"), webhook("c")]
    edges = [edge("start", "a"), edge("start", "b"), edge("start", "c")]

    scenario = Scenario.of(nodes, edges).start()

    assert scenario.requested() == [("a", 1), ("b", 1), ("c", 1)]


def test_a_join_waits_for_every_branch_that_was_taken() -> None:
    nodes = [start_node(), webhook("a"), webhook("b"), webhook("join")]
    edges = [edge("start", "a"), edge("start", "b"), edge("a", "join"), edge("b", "join")]
    scenario = Scenario.of(nodes, edges).start()

    scenario.answer("a")
    assert ("join", 1) not in scenario.requested()
    scenario.answer("b")

    assert scenario.requested()[-1] == ("join", 1)


def test_a_join_does_not_wait_for_a_branch_that_was_not_taken() -> None:
    nodes = [start_node(), condition("c", left="true", right="false"), webhook("a"), webhook("b"), webhook("join")]
    edges = [
        edge("start", "c"), edge("c", "a", "left"), edge("c", "b", "right"), edge("a", "join"), edge("b", "join"),
    ]  # fmt: skip
    scenario = Scenario.of(nodes, edges).start()

    scenario.answer("a")

    assert scenario.requested() == [("a", 1), ("join", 1)]


def test_death_spreads_through_several_nodes_to_a_join() -> None:
    nodes = [
        start_node(), condition("c", go="true", stop="false"), webhook("a"),
        webhook("d1"), webhook("d2"), webhook("join"),
    ]  # fmt: skip
    edges = [
        edge("start", "c"), edge("c", "a", "go"), edge("c", "d1", "stop"), edge("d1", "d2"), edge("d2", "join"),
        edge("a", "join"),
    ]  # fmt: skip
    scenario = Scenario.of(nodes, edges).start()

    scenario.answer("a")
    scenario.answer("join")

    assert scenario.state.result == "SUCCESS"
    assert set(scenario.state.nodes) == {"start", "c", "a", "join"}


def test_a_node_fed_by_two_triggers_waits_only_for_the_one_that_fired() -> None:
    nodes = [start_node("one"), start_node("two"), webhook("a")]

    scenario = Scenario.of(nodes, [edge("one", "a"), edge("two", "a")]).start(trigger="two")

    assert scenario.requested() == [("a", 1)]


def test_a_node_that_nothing_leads_to_never_runs_and_holds_nobody_up() -> None:
    nodes = [start_node(), webhook("a"), webhook("island"), webhook("join")]

    scenario = Scenario.of(nodes, [edge("start", "a"), edge("a", "join"), edge("island", "join")]).start()
    scenario.answer("a")

    assert scenario.requested() == [("a", 1), ("join", 1)]


def test_events_are_numbered_without_gaps_and_give_the_run_again() -> None:
    nodes = [start_node(), condition("c", yes="true"), webhook("a", variables={"x": "{{ .response.status }}"})]
    scenario = Scenario.of(nodes, [edge("start", "c"), edge("c", "a", "yes")]).start()
    scenario.answer("a")

    assert [event.seq for event in scenario.events] == list(range(1, len(scenario.events) + 1))
    assert fold(None, scenario.events) == scenario.state
    kinds = (RunStarted, NodeCompleted, NodeCompleted, NodeStarted, NodeCompleted, RunCompleted)
    assert [type(event) for event in scenario.events] == list(kinds)


def test_a_branch_without_a_connection_ends_the_path() -> None:
    nodes = [start_node(), condition("c", lonely="true", other="true"), webhook("a"), webhook("b")]
    edges = [edge("start", "c"), edge("c", "a", "other"), edge("c", "b", fallback=True)]

    scenario = Scenario.of(nodes, edges).start()

    assert scenario.requested() == []
    assert (scenario.state.result, scenario.node("c").outlet) == ("SUCCESS", "lonely")


def test_two_connections_between_the_same_nodes_start_the_target_once() -> None:
    nodes = [start_node(), condition("c", one="false", two="true"), webhook("a")]

    scenario = Scenario.of(nodes, [edge("start", "c"), edge("c", "a", "one"), edge("c", "a", "two")]).start()
    scenario.answer("a")

    assert scenario.requested() == [("a", 1)]
    assert scenario.state.result == "SUCCESS"


def test_the_same_start_asks_for_the_same_work() -> None:
    flow = [start_node(), webhook("a"), webhook("b")], [edge("start", "a"), edge("start", "b")]

    first, second = Scenario.of(*flow).start({"n": 1}), Scenario.of(*flow).start({"n": 1})

    assert first.requests == second.requests
    assert (first.events, first.run) == (second.events, second.run)


def test_dialects_decide_alike() -> None:
    """Spec 0.2: the same branch written three ways takes the same path."""
    nodes: JsonObject = {
        "S": {
            "type": "CONDITION",
            "conditions": [{"title": "y", "expression": "true", "connectionIdentifier": "e2"}],
            "defaultConnectionIdentifier": "e3",
        },
        "O": {"type": "CONDITION", "options": [{"identifier": "y", "title": "y", "expression": "true"}]},
        "L": {"type": "CONDITION", "outlets": [{"identifier": "y", "title": "y", "expression": "true"}]},
    }  # fmt: skip
    ways: dict[str, list[JsonObject]] = {
        "S": [{"identifier": "e2"}, {"identifier": "e3"}],
        "O": [{"sourceOptionIdentifier": "y"}, {"fallback": True}],
        "L": [{"sourceOutletIdentifier": "y"}, {"fallback": True}],
    }
    for dialect, config in nodes.items():
        document = workflow(
            [start_node(), {"identifier": "c", "config": config}, webhook("a"), webhook("b")],
            [
                {"identifier": "e1", **edge("start", "c")},
                {**edge("c", "a"), **ways[dialect][0]},
                {**edge("c", "b"), **ways[dialect][1]},
            ],
        )
        scenario = Scenario(plan_of(document)).start()
        assert scenario.requested() == [("a", 1)], dialect


def test_the_trigger_alias_reads_the_trigger_that_fired() -> None:
    nodes = [start_node("one"), start_node("two"), webhook("a", body={"x": "{{ .outputs.trigger.n }}"})]

    scenario = Scenario.of(nodes, [edge("one", "a"), edge("two", "a")]).start({"n": 7}, trigger="two")

    config = scenario.requests[0].config
    assert isinstance(config, dict)
    assert config["body"] == {"x": 7}


def test_started_nodes_keep_their_rendered_config() -> None:
    nodes = [start_node(), webhook("a", body={"run": "{{ .workflowRun.identifier }}"})]

    scenario = Scenario.of(nodes, [edge("start", "a")]).start()

    started = next(event for event in scenario.events if isinstance(event, NodeStarted))
    assert isinstance(started.config, dict)
    assert started.config["body"] == {"run": scenario.state.id}
