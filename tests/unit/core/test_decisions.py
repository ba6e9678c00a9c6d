"""Why a run took its branches: conditions decided once more on what they saw then."""

from headrace.core.commands import Succeeded
from headrace.core.decisions import explain_conditions, foreign_of
from headrace.core.expression import Failure
from tests.scenario import Scenario, condition, edge, start_node, webhook

FOREIGN = "[range(2)] | length == 2"


def test_a_condition_is_explained_with_what_it_saw_then_and_not_with_what_came_later() -> None:
    nodes = [
        start_node(), webhook("first"), condition("route", gold='.outputs.first.tier == "gold"', any="true", never="1"),
        webhook("second"), condition("again", late=".outputs.second.ok == true"),
    ]  # fmt: skip
    edges = [
        edge("start", "first"), edge("first", "route"), edge("route", "second", "any"), edge("second", "again"),
    ]  # fmt: skip
    scenario = Scenario.of(nodes, edges).start()
    scenario.answer("first", Succeeded({"tier": "silver"}))
    scenario.answer("second", Succeeded({"ok": False}))

    route, again = explain_conditions(scenario.plan, scenario.state, {})

    assert (route.node, route.reason) == ("route", "the branch any was the first to give true")
    gold, any_, never = route.branches
    assert gold.clause is not None
    assert (gold.clause.answer, gold.clause.holds, gold.taken) == ("false", False, False)
    assert gold.clause.values == ((".outputs.first.tier", "silver"),)
    assert any_.taken
    assert never.clause is None
    assert again.reason == "no branch gave true: the path ends"
    assert again.branches[0].clause is not None
    assert again.branches[0].clause.values == ((".outputs.second.ok", False),)


def test_foreign_programs_are_asked_for_with_what_the_condition_saw() -> None:
    scenario = Scenario.of(
        [start_node(), condition("route", a=FOREIGN), webhook("x")], [edge("start", "route"), edge("route", "x", "a")]
    )
    scenario.answers = {"route:branch": {FOREIGN: True}}
    scenario.start()

    (foreign,) = foreign_of(scenario.plan, scenario.state)
    (decision,) = explain_conditions(scenario.plan, scenario.state, {"route": {FOREIGN: True}})

    assert (foreign.node, foreign.programs) == ("route", (FOREIGN,))
    assert list(foreign.input["outputs"]) == ["start", "trigger"]  # type: ignore[index, call-overload, arg-type]
    assert decision.branches[0].taken
    assert decision.branches[0].clause is not None
    assert decision.branches[0].clause.answer == "true"


def test_a_condition_that_failed_says_so_and_asked_no_further() -> None:
    scenario = Scenario.of(
        [start_node(), condition("route", bad='.outputs.start | error("no")', b="true"), webhook("x")],
        [edge("start", "route"), edge("route", "x", "b")],
    )
    program = '.outputs.start | error("no")'
    scenario.answers = {"route:branch": {program: Failure("runtime", "no")}}
    scenario.start()

    (decision,) = explain_conditions(scenario.plan, scenario.state, {"route": {program: Failure("runtime", "no")}})

    assert "could not be decided" in decision.reason
    assert [branch.clause is None for branch in decision.branches] == [False, True]
    assert not any(branch.taken for branch in decision.branches)


def test_the_default_is_named_when_it_was_taken() -> None:
    scenario = Scenario.of(
        [start_node(), condition("route", a="false"), webhook("x")],
        [edge("start", "route"), edge("route", "x", fallback=True)],
    ).start()

    (decision,) = explain_conditions(scenario.plan, scenario.state, {})

    assert decision.reason == "no branch gave true, so the default was taken"
