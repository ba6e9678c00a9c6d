"""Child runs: WORKFLOW and FOR_EACH nodes (docs/children.md)."""

from typing import Any

import pytest

from headrace.core import ids, limits
from headrace.core.commands import LATEST, CancelRun, Failed, ReportChild, StartRun
from headrace.core.decide import decide
from headrace.core.events import fold
from headrace.core.json import JsonObject
from headrace.core.run import Causation, Parent
from tests.scenario import BEGIN, CAUSE, RUN_ID, Scenario, call, edge, plan_of, start_node, webhook, workflow

NODE_RUN = ids.node_run_id(RUN_ID, "each")


def calling(**config: Any) -> Scenario:
    """start → each (a call) → after."""
    nodes = [start_node(), call("each", **config), webhook("after")]
    return Scenario.of(nodes, [edge("start", "each"), edge("each", "after")])


def each(count: int = 3, **config: Any) -> Scenario:
    """A FOR_EACH over 0, 1, 2, ... that was started."""
    return calling(items="{{ .outputs.start.list }}", **config).start({"list": list(range(count))})


def started(scenario: Scenario) -> list[int]:
    """The items whose child runs were asked for, in order."""
    return [it.parent.index for it in scenario.commands if isinstance(it, StartRun) and it.parent]


def cancelled(scenario: Scenario) -> list[tuple[str, bool]]:
    return [(it.run_id, it.force) for it in scenario.commands if isinstance(it, CancelRun)]


def test_a_workflow_node_asks_for_a_child_run_with_rendered_inputs_and_waits() -> None:
    scenario = calling(inputs={"n": "{{ .outputs.start.n }}"}, nodeIdentifier="begin").start({"n": 7})

    child = ids.child_run_id(NODE_RUN, 0)
    cause = Causation(child, CAUSE.root_event_id, 1, ("flow",))
    parent = Parent(RUN_ID, NODE_RUN, 0)
    assert scenario.commands == [
        StartRun(child, BEGIN, "child", LATEST, "begin", {"n": 7}, "tester", cause, parent)
    ]  # fmt: skip
    assert scenario.node("each").phase == "waiting"
    assert scenario.requests == []


def test_the_outputs_of_the_child_run_are_those_of_the_node_and_the_run_goes_on() -> None:
    scenario = calling().start()

    scenario.child("each", outputs={"do": {"ticket": "T-9"}})

    child = ids.child_run_id(NODE_RUN, 0)
    assert scenario.state.outputs["each"] == {"runIdentifier": child, "outputs": {"do": {"ticket": "T-9"}}}
    assert scenario.requested() == [("after", 1)]


@pytest.mark.parametrize("result", ["FAILED", "CANCELLED"])
def test_a_child_run_that_does_not_succeed_fails_the_node_with_its_reason(result: str) -> None:
    scenario = calling().start()
    scenario.child("each", result=result, outputs=None, error="Node do: answered 500")
    assert scenario.node("each").error == "The child run failed. Node do: answered 500"
    assert scenario.state.result == "FAILED"


def test_a_for_each_has_no_more_at_work_than_its_concurrency_and_starts_the_next_as_one_ends() -> None:
    scenario = each(5, concurrency=2, inputs={"i": "{{ .index }}", "it": "{{ .item }}"})
    assert started(scenario) == [0, 1]

    scenario.child("each", 1)
    scenario.child("each", 0)

    assert started(scenario) == [0, 1, 2, 3]
    assert [it.output for it in scenario.commands if isinstance(it, StartRun)][3] == {"i": 3, "it": 3}
    children = scenario.node("each").children
    assert children is not None
    assert (children.running, children.succeeded, children.items) == ((2, 3), 2, (4,))


def test_results_come_in_the_order_of_the_items_whatever_the_order_of_their_ends() -> None:
    scenario = each(3)
    for index in (2, 0, 1):
        scenario.child("each", index)
    output = scenario.state.outputs["each"]
    assert output == {
        "total": 3, "succeeded": 3, "failed": 0, "failures": [],
        "results": [{"do": {"n": 0}}, {"do": {"n": 1}}, {"do": {"n": 2}}],
    }  # fmt: skip
    assert scenario.requested() == [("after", 1)]
    ended = scenario.node("each").children
    assert ended is not None
    assert (ended.items, ended.results, ended.running) == ((), (), ())


def test_no_items_are_done_at_once() -> None:
    scenario = each(0)
    assert scenario.node("each").result == "SUCCESS"
    assert scenario.state.outputs["each"] == {"total": 0, "succeeded": 0, "failed": 0, "results": [], "failures": []}


def test_after_the_first_failure_no_more_are_started_and_the_node_fails_when_those_at_work_are_over() -> None:
    scenario = each(5, concurrency=2)
    scenario.child("each", 1, result="FAILED", outputs=None, error="no")
    assert (started(scenario), scenario.node("each").status) == ([0, 1], "IN_PROGRESS")

    scenario.child("each", 0)

    assert scenario.node("each").error == "The child run of item 1 failed. no"
    assert scenario.state.result == "FAILED"
    output: Any = scenario.state.outputs["each"]
    assert (output["succeeded"], output["failed"], output["total"]) == (1, 1, 5)


def test_failures_are_only_counted_when_the_author_says_continue() -> None:
    scenario = each(30, concurrency=30, onItemFailure="continue")
    for index in range(30):
        scenario.child("each", index, result="FAILED", outputs=None, error=f"no {index}")
    output: Any = scenario.state.outputs["each"]
    assert (scenario.node("each").result, output["failed"], len(output["failures"])) == ("SUCCESS", 30, 20)
    assert output["failures"][1] == {
        "index": 1, "runIdentifier": ids.child_run_id(NODE_RUN, 1), "message": "no 1",
    }  # fmt: skip


def test_an_item_whose_inputs_cannot_be_rendered_has_failed_and_the_others_go_on() -> None:
    scenario = calling(items="{{ .outputs.start.list }}", inputs={"n": "{{ .item.n }}"}, onItemFailure="continue")
    scenario.start({"list": [{"n": 1}, "text", {"n": 3}]})
    assert started(scenario) == [0, 2]
    children = scenario.node("each").children
    assert children is not None
    assert children.failed == 1
    assert children.failures[0][1].startswith("The inputs could not be rendered.")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"list": {"a": 1}}, "They must be an array; this is an object."),
        ({}, "They must be an array; this is null."),
        ({"list": [0] * (limits.FOR_EACH_ITEMS + 1)}, "There are 10001 of them; at most 10000 can be taken."),
        ({"list": ["x" * limits.FOR_EACH_BYTES]}, "at most 1024 KiB can be kept."),
    ],
)
def test_items_that_cannot_be_taken_fail_the_node(given: Any, said: str) -> None:
    scenario = calling(items="{{ .outputs.start.list }}").start(given)
    assert said in str(scenario.node("each").error)
    assert scenario.commands == []


def test_results_beyond_the_limit_are_left_out_and_everything_is_counted() -> None:
    scenario = each(3)
    for index in range(3):
        scenario.child("each", index, outputs={"do": "x" * 40_000})
    output: Any = scenario.state.outputs["each"]
    assert (output["results"], output["succeeded"]) == (None, 3)


def test_a_report_counts_once_and_only_for_an_item_at_work() -> None:
    scenario = each(3, concurrency=1)
    scenario.child("each", 0)
    for index in (0, 2, 9):
        before = scenario.run
        refused = scenario.child("each", index).rejection
        assert refused is not None
        assert refused.reason == "duplicate"
        assert scenario.run is before


def test_a_report_for_a_node_run_that_is_over_or_that_has_no_child_runs_is_refused() -> None:
    scenario = calling().start()
    scenario.child("each")
    over, stranger, unknown = scenario.child("each"), scenario.child("after"), scenario.child("nobody")
    reasons = [it.rejection.reason for it in (over, stranger, unknown) if it.rejection]
    assert reasons == ["node-over", "unknown-node", "unknown-node"]


@pytest.mark.parametrize("force", [False, True])
def test_cancelling_the_parent_cancels_the_child_runs_at_work(force: bool) -> None:
    scenario = each(5, concurrency=2)

    scenario.cancel(force)

    assert cancelled(scenario) == [(ids.child_run_id(NODE_RUN, index), force) for index in (0, 1)]
    assert scenario.state.status == ("COMPLETED" if force else "CANCELLING")
    if not force:
        for index in (0, 1):
            scenario.child("each", index, result="CANCELLED", outputs=None)
        assert scenario.node("each").result == "CANCELLED"
    assert (scenario.state.result, started(scenario)) == ("CANCELLED", [0, 1])


def test_a_parent_that_fails_elsewhere_cancels_its_child_runs() -> None:
    nodes = [start_node(), call("each"), webhook("other")]
    scenario = Scenario.of(nodes, [edge("start", "each"), edge("start", "other")]).start()
    scenario.answer("other", Failed("refused", "no"))
    assert cancelled(scenario) == [(ids.child_run_id(NODE_RUN, 0), False)]
    refused = scenario.child("each").rejection
    assert refused is not None
    assert refused.reason == "run-over"


def test_a_time_limit_ends_the_node_and_cancels_what_is_at_work() -> None:
    scenario = calling(timeoutSeconds=60).start()
    scenario.fire("deadline")
    assert scenario.node("each").error == "Not every child run reported back within 60 s."
    assert len(cancelled(scenario)) == 1


def test_runs_that_lie_too_deep_in_each_other_are_not_started() -> None:
    scenario = calling()
    deep = Causation("e", "e", limits.NESTED_RUNS, ("a", "b"))
    scenario.give(StartRun(RUN_ID, BEGIN, "flow", 1, "start", {}, "tester", deep))
    assert "10 runs led to this one; it may start no more. They are a → b → flow." in str(scenario.node("each").error)
    assert scenario.commands == []


def test_the_history_folds_to_the_run() -> None:
    scenario = each(4, concurrency=2, onItemFailure="continue")
    scenario.child("each", 1, result="FAILED", outputs=None)
    scenario.child("each", 0)
    assert fold(None, scenario.events) == scenario.run


CHILD = workflow([start_node(), webhook("do")], [edge("start", "do")])
PARENT = Parent("wfr_parent", "wfnr_parent", 4)


def child_start(output: Any = None, trigger: str = "") -> StartRun:
    return StartRun(RUN_ID, BEGIN, "flow", 3, trigger, output or {}, "tester", CAUSE, PARENT)


def test_a_child_run_tells_its_parent_when_it_is_over() -> None:
    scenario = Scenario(plan_of(CHILD))
    scenario.give(child_start())
    assert (scenario.state.parent, scenario.state.trigger, scenario.commands) == (PARENT, "start", [])

    scenario.answer("do")

    outputs: JsonObject = {"do": {"response": {"status": 200, "data": {}}}}
    assert scenario.commands == [ReportChild("wfr_parent", BEGIN, "wfnr_parent", 4, "SUCCESS", outputs)]


def test_a_child_run_that_fails_tells_why() -> None:
    scenario = Scenario(plan_of(CHILD))
    scenario.give(child_start())
    scenario.answer("do", Failed("status", "answered 500"))
    assert scenario.commands == [
        ReportChild("wfr_parent", BEGIN, "wfnr_parent", 4, "FAILED", None, "Node do: answered 500")
    ]


FORM: Any = {"type": "SELF_SERVE_TRIGGER", "userInputs": {"properties": {"n": {"type": "number"}}, "required": ["n"]}}
TIMED: Any = {"type": "SCHEDULE_TRIGGER", "cron": "0 9 * * *"}


@pytest.mark.parametrize(
    ("triggers", "trigger", "said"),
    [
        ({"start": FORM}, "", "Its inputs do not fit."),
        ({"start": FORM}, "other", 'has no self-serve trigger "other"'),
        ({"start": TIMED}, "", "has no self-serve trigger, and child runs start at one"),
        ({"start": FORM, "again": FORM}, "", "has several self-serve triggers"),
    ],
)
def test_a_child_run_that_cannot_be_started_is_refused_and_its_parent_told(
    triggers: Any, trigger: str, said: str
) -> None:
    nodes: Any = [{"identifier": name, "config": config} for name, config in triggers.items()]
    plan = plan_of(workflow([*nodes, webhook("do")], [edge("start", "do")]))

    decision = decide(plan, None, child_start({"x": 1}, trigger))

    assert decision.run is None
    assert decision.rejection is not None
    assert decision.rejection.reason == "unfit-start"
    (told,) = decision.commands
    assert isinstance(told, ReportChild)
    assert (told.run_id, told.index, told.result) == ("wfr_parent", 4, "FAILED")
    assert said in str(told.error)
