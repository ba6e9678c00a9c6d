"""Running a run again: what is carried over, and what is refused (docs/children.md)."""

from typing import Any

import pytest

from headrace.core import ids, rerun
from headrace.core.commands import Failed, ReportAttempt, StartRun, Succeeded
from headrace.core.decide import decide
from headrace.core.events import fold
from headrace.core.json import JsonObject
from tests.scenario import BEGIN, Scenario, condition, edge, start_node, webhook

FORM: Any = {
    "identifier": "start",
    "config": {"type": "SELF_SERVE_TRIGGER", "userInputs": {"properties": {"n": {"type": "number"}}}},
}


def wish(first: Any = "start", node: str = "", inputs: JsonObject | None = None) -> rerun.Wish:
    return rerun.Wish(first, "c1", "ada", BEGIN + 60_000, node, inputs)


def again(old: Scenario, **wanted: Any) -> Scenario:
    """The new run, just started."""
    command = rerun.prepare(old.plan, old.state, wish(**wanted))
    assert isinstance(command, StartRun), command
    scenario = Scenario(old.plan)
    scenario.give(command)
    return scenario


def a_b_c(**b: Any) -> Scenario:
    """start → a → b → c, where b is about to answer."""
    nodes = [FORM, webhook("a", variables={"x": "{{ .response.n }}"}), webhook("b", **b), webhook("c")]
    scenario = Scenario.of(nodes, [edge("start", "a"), edge("a", "b"), edge("b", "c")]).start({"n": 1})

    scenario.answer("a", Succeeded({"response": {"n": 5}}))
    return scenario


def failed_at_b() -> Scenario:
    scenario = a_b_c()
    scenario.answer("b", Failed("status", "answered 500"))
    assert scenario.state.result == "FAILED"
    return scenario


def test_from_the_start_everything_runs_anew_in_a_run_that_names_the_old_one() -> None:
    old = failed_at_b()
    new = again(old)
    assert new.state.rerun_of == old.state.id
    assert new.state.id != old.state.id
    assert (new.state.created_by, new.state.version) == ("ada", 1)
    assert [(name, node.carried) for name, node in new.state.nodes.items()] == [("start", False), ("a", False)]


def test_from_what_failed_only_that_runs_anew_and_the_rest_is_carried_over() -> None:
    old = failed_at_b()

    new = again(old, first="failed")

    assert new.requested() == [("b", 1)]
    assert new.requests[0].node_run_id == ids.node_run_id(new.state.id, "b")
    carried = new.node("a")
    assert (carried.carried, carried.result, carried.output) == (True, "SUCCESS", {"response": {"n": 5}})
    assert new.state.outputs["a"] == {"x": 5}
    assert fold(None, new.events) == new.run


def test_a_carried_run_goes_on_to_its_end() -> None:
    new = again(failed_at_b(), first="failed")
    for node in ("b", "c"):
        node_run_id = ids.node_run_id(new.state.id, node)

        new.give(ReportAttempt(new.state.id, new.now, node, node_run_id, 1, Succeeded({})))
    assert new.state.result == "SUCCESS"
    assert list(new.state.nodes) == ["start", "a", "b", "c"]


def test_from_a_node_that_succeeded_it_and_all_that_follows_run_anew() -> None:
    new = again(failed_at_b(), first="node", node="a")
    assert new.requested() == [("a", 1)]
    assert "b" not in new.state.nodes


def test_edited_inputs_replace_those_of_the_old_run_and_carried_node_runs_stay_as_they_were() -> None:
    new = again(failed_at_b(), first="failed", inputs={"n": 9})
    assert new.state.outputs["start"] == {"n": 9}
    assert new.state.outputs["a"] == {"x": 5}


def test_a_branch_that_was_chosen_stays_chosen() -> None:
    nodes = [start_node(), condition("which", yes="true"), webhook("a"), webhook("b")]
    edges = [edge("start", "which"), edge("which", "a", "yes"), edge("which", "b", fallback=True)]
    old = Scenario.of(nodes, edges).start()
    old.answer("a", Failed("status", "no"))

    new = again(old, first="failed")

    assert new.requested() == [("a", 1)]
    assert (new.node("which").outlet, new.node("which").carried) == ("yes", True)


def test_what_other_branches_had_not_finished_runs_anew_too_and_a_join_waits_for_it() -> None:
    nodes = [start_node(), webhook("a"), webhook("b"), webhook("c"), webhook("join")]
    edges = [*(edge("start", name) for name in "abc"), *(edge(name, "join") for name in "abc")]
    old = Scenario.of(nodes, edges).start()
    old.answer("a")
    old.answer("b", Failed("status", "no"))

    new = again(old, first="node", node="b")

    assert sorted(node for node, _ in new.requested()) == ["b", "c"]
    assert new.node("a").carried
    assert "join" not in new.state.nodes


def test_a_failure_that_was_forgiven_is_carried_over_unless_what_failed_is_repeated() -> None:
    old = a_b_c(onFailure="continue")
    old.answer("b", Failed("status", "no"))
    old.answer("c", Failed("status", "no"))
    assert again(old, first="node", node="c").node("b").result == "FAILED"
    assert again(old, first="failed").requested() == [("b", 1)]


def test_the_same_wish_gives_the_same_run_and_another_one_another() -> None:
    old = failed_at_b()
    first, second = (rerun.prepare(old.plan, old.state, wish()) for _ in range(2))
    assert first == second
    other = rerun.prepare(old.plan, old.state, rerun.Wish("start", "c2", "ada", BEGIN))
    assert isinstance(first, StartRun)
    assert isinstance(other, StartRun)
    assert first.run_id != other.run_id


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"first": "node", "node": "nobody"}, "unknown-node"),
        ({"first": "node", "node": "c"}, "not-reached"),
        ({"inputs": {"n": "text"}}, "bad-inputs"),
        ({"inputs": {"m": 1}}, "bad-inputs"),
    ],
)
def test_a_wish_that_cannot_be_granted_is_refused_with_its_reason(wanted: Any, reason: str) -> None:
    old = failed_at_b()
    refused = rerun.prepare(old.plan, old.state, wish(**wanted))
    assert isinstance(refused, rerun.Refusal)
    assert refused.reason == reason
    assert refused.message


def test_a_run_that_is_not_over_or_in_which_nothing_failed_is_refused() -> None:
    old = a_b_c()
    running = rerun.prepare(old.plan, old.state, wish())
    old.answer("b")
    old.answer("c")
    well = rerun.prepare(old.plan, old.state, wish("failed"))
    assert isinstance(running, rerun.Refusal)
    assert isinstance(well, rerun.Refusal)
    assert (running.reason, well.reason) == ("not-over", "nothing-failed")


def test_a_start_that_comes_twice_is_refused_the_second_time() -> None:
    new = again(failed_at_b(), first="failed")
    command = rerun.prepare(new.plan, failed_at_b().state, wish("failed"))
    assert isinstance(command, StartRun)
    refused = decide(new.plan, new.run, command).rejection
    assert refused is not None
    assert refused.reason == "duplicate"
