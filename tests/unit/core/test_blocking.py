"""Every node run that waits says what for, and until when."""

from typing import Any

from headrace.core.blocking import Blocked, blocked_on
from headrace.core.commands import Accepted, Failed, Succeeded
from headrace.core.times import iso
from tests.scenario import BEGIN, Scenario, call, edge, input_node, start_node, webhook


def waiting(node: Any) -> Scenario:
    return Scenario.of([start_node(), node, webhook("then")], [edge("start", "it"), edge("it", "then")]).start()


def blocked(scenario: Scenario) -> Blocked:
    found = blocked_on(scenario.node("it"), scenario.state, scenario.plan.nodes["it"].node)
    assert found is not None
    return found


def test_a_call_under_way_waits_for_its_answer() -> None:
    limited = waiting(webhook("it", timeoutSeconds=10))

    assert blocked(waiting(webhook("it"))) == Blocked("answer", None, "the answer to attempt 1")
    until = BEGIN + 15_000
    assert blocked(limited) == Blocked("answer", until, f"the answer to attempt 1, until {iso(until)} at most")


def test_a_planned_attempt_says_which_of_how_many_and_when() -> None:
    scenario = waiting(webhook("it", retry={"maxAttempts": 5, "backoffSeconds": 60}))
    scenario.answer("it", Failed("status", "The receiver is busy.", retryable=True))

    found = blocked(scenario)
    assert found.kind == "retry"
    assert found.until is not None
    assert found.reason == f"attempt 2 of 5 at {iso(found.until)}. The receiver is busy."
    unknown = blocked_on(scenario.node("it"), scenario.state, None)
    assert unknown is not None
    assert unknown.reason.startswith("attempt 2 at ")


def test_accepted_work_waits_for_a_report_or_for_the_next_look() -> None:
    reported = waiting(webhook("it", synchronized=False, timeoutSeconds=60))
    reported.answer("it", Accepted({}))
    followed = waiting(webhook("it", synchronized=False))
    followed.answer("it", Accepted({}, poll_after_seconds=10))
    until = BEGIN + 65_000

    assert blocked(reported) == Blocked("report", until, f"a report, until {iso(until)} at most")
    assert blocked(followed).reason == f"the end of its job; it is looked at again at {iso(BEGIN + 10_000)}"
    followed.fire("poll")
    assert blocked(followed) == Blocked("report", None, "what becomes of its job, which is being looked at")


def test_work_for_an_installation_names_it() -> None:
    action = {
        "type": "INTEGRATION_ACTION", "installationId": "ops", "integrationProvider": "ours",
        "integrationInvocationType": "greet", "integrationActionExecutionProperties": {},
    }  # fmt: skip
    offered = waiting({"identifier": "it", "config": action})
    offered.answer("it", Accepted({}))
    through = waiting(webhook("it", agent=True))
    through.answer("it", Accepted({}))

    assert blocked(offered).reason == "a report of the installation ops"
    assert blocked(through).reason == "a report of the installation _PORT_EXEC_AGENT"


def test_people_are_named_with_how_far_they_are() -> None:
    two = {"identifier": "yes", "numOfResponders": 2}
    scenario = waiting(input_node("it", two, "no", responders={"teams": ["ops"], "users": ["a@b.c", "d@e.f"]}))

    assert blocked(scenario).reason == "people (yes 0 of 2, no 0 of 1), by users a@b.c or d@e.f or teams ops"
    assert blocked(waiting(input_node("it", "no"))).reason == "people (no 0 of 1)"


def test_child_runs_are_counted() -> None:
    scenario = waiting(call("it", items=[1, 2, 3, 4], concurrency=2))
    scenario.child("it", 0)

    assert blocked(scenario) == Blocked("children", None, "3 of 4 child runs, 2 of them at work")


def test_a_delay_names_its_instant() -> None:
    scenario = waiting({"identifier": "it", "config": {"type": "DELAY", "seconds": 5}})

    assert blocked(scenario) == Blocked("delay", BEGIN + 5_000, f"its time, {iso(BEGIN + 5_000)}")


def test_what_is_over_waits_for_nothing() -> None:
    scenario = waiting(webhook("it"))
    scenario.answer("it", Succeeded({}))

    assert blocked_on(scenario.node("it"), scenario.state, None) is None
