"""What holds of every decision, on random workflows and random histories (docs/delivery.md)."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from headrace.core import ids
from headrace.core.commands import (
    CancelRun,
    Command,
    Failed,
    FireTimer,
    InvokeNode,
    ReportAttempt,
    ReportNode,
    Succeeded,
)
from headrace.core.decide import decide
from headrace.core.decision import Decision
from headrace.core.definition import Action
from headrace.core.events import (
    AttemptStarted,
    Event,
    NodeCompleted,
    NodeStarted,
    PollStarted,
    RunCompleted,
    RunStarted,
    apply,
    fold,
)
from headrace.core.expression import EMPTY, Answer, Failure
from headrace.core.plan import Plan
from headrace.core.run import Phase, Run
from tests.property.workflows import Meaning, Workflow, a_command, meaning, selected, start, workflows
from tests.scenario import BEGIN, RUN_ID, Scenario, start_node

ONE_IN_FIVE = st.integers(0, 4)
ANSWERS: st.SearchStrategy[Answer] = st.sampled_from([True, True, False, None, "text", EMPTY, Failure("runtime", "no")])


def examples(count: int) -> settings:
    """How many histories to try; single ones may take their time."""
    return settings(
        max_examples=count,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


def next_command(data: st.DataObject, workflow: Workflow, run: Run | None) -> Command:
    """A start that succeeds, and then whatever may come."""
    return a_command(data.draw, workflow, run) if run else start(data.draw(st.sampled_from(workflow.triggers)))


def answered(draw: Any, plan: Plan, run: Run | None, command: Command) -> tuple[Decision, dict[str, dict[str, Answer]]]:
    """The decision once every question on the way has an answer."""
    answers: dict[str, dict[str, Answer]] = {}
    for _ in range(100):
        decision = decide(plan, run, command, answers)
        if not decision.questions:
            return decision, answers
        assert decision.run is run
        assert (decision.events, decision.requests, decision.rejection) == ((), (), None)
        for question in decision.questions:
            known = answers.setdefault(question.scope, {})
            fresh = [program for program in question.programs if program not in known]
            assert fresh, "the same question was asked again"
            assert len(set(question.programs)) == len(question.programs)
            known.update({program: draw(ANSWERS) for program in fresh})
    raise AssertionError("the questions do not end")


def check_step(plan: Plan, run: Run | None, command: Command, decision: Decision, answers: Any) -> None:
    """What holds of one step."""
    assert decide(plan, run, command, answers) == decision
    if decision.rejection is not None:
        assert decision.run is run
        assert (decision.events, decision.requests) == ((), ())
        return
    assert decision.run is not None
    assert decision.events
    if isinstance(command, FireTimer):
        assert run is not None
        assert [timer.due_at <= command.at for timer in run.timers if timer.id == command.timer_id] == [True]
    first = 1 if run is None else run.seq + 1
    assert [event.seq for event in decision.events] == list(range(first, first + len(decision.events)))
    assert fold(run, decision.events) == decision.run
    latest = command.at if run is None else max(command.at, run.updated_at)
    assert {event.at for event in decision.events} == {latest}
    check_requests(decision)
    if not (isinstance(command, ReportNode) and not command.report_id and command.status != "COMPLETED"):
        again = decide(plan, decision.run, command, answers)
        assert again.rejection is not None, "an accepted command was accepted again"
        assert again.run is decision.run


def check_requests(decision: Decision) -> None:
    """Every attempt and poll that began has its request, and no other; their ids say which it is."""
    begun = [
        (event.node, getattr(event, "attempt", 1), getattr(event, "poll", 0))
        for event in decision.events
        if isinstance(event, AttemptStarted | PollStarted)
        or (isinstance(event, NodeStarted) and event.phase == "running")
    ]
    assert [(request.node, request.attempt, request.poll) for request in decision.requests] == begun
    for request in decision.requests:
        assert request.node_run_id == ids.node_run_id(request.run_id, request.node)
        assert request.id == ":".join(map(str, (request.node_run_id, request.attempt, request.poll or ""))).rstrip(":")


def check_history(workflow: Workflow, events: list[Event], requests: list[InvokeNode]) -> None:
    """What holds of a whole history."""
    assert len({request.id for request in requests}) == len(requests)
    completed: dict[str, NodeCompleted] = {}
    run = None
    for event in events:
        if isinstance(event, NodeStarted | NodeCompleted) and (run is None or event.node not in run.nodes):
            check_predecessors(workflow.plan, event.node, run, completed)
        if isinstance(event, NodeCompleted):
            assert event.node not in completed, "a node completed twice"
            completed[event.node] = event
        run = apply(run, event)
        check_run(workflow.plan, run)


def check_predecessors(plan: Plan, name: str, run: Run | None, completed: dict[str, NodeCompleted]) -> None:
    """A node begins after all of its ways in are decided and every taken one's source is over."""
    assert run is not None
    incoming = plan.nodes[name].incoming
    if plan.nodes[name].node.is_trigger:
        assert name == run.trigger
        return
    assert all(index in run.edges for index in incoming)
    taken = [plan.edges[index].source for index in incoming if run.edges[index]]
    assert taken
    assert all(source in completed and completed[source].result != "CANCELLED" for source in taken)


TIMERS: dict[Phase, list[list[str]]] = {
    "running": [[], ["deadline"]],
    "waiting": [[], ["deadline"], ["poll"], ["deadline", "poll"]],
    "polling": [[], ["deadline"]],
    "retrying": [["retry"]],
    "done": [[]],
}


def check_run(plan: Plan, run: Run) -> None:
    """What holds of a run between any two events."""
    assert len({timer.id for timer in run.timers}) == len(run.timers)
    assert all(run.nodes[timer.node].status == "IN_PROGRESS" for timer in run.timers)
    for node in run.nodes.values():
        mine = [timer.kind for timer in run.timers if timer.node == node.node]
        assert (node.phase == "done") == (node.status == "COMPLETED") == (node.result is not None)
        assert mine in TIMERS[node.phase]
        assert all(timer.attempt == node.attempt for timer in run.timers if timer.node == node.node)
        action = plan.nodes[node.node].node.config
        assert node.attempt <= (action.retry.max_attempts if isinstance(action, Action) else 1)
    if run.is_over:
        assert not run.in_progress()
        assert run.result is not None


@examples(600)
@given(st.data())
def test_every_step_of_every_history_keeps_the_rules(data: st.DataObject) -> None:
    workflow = data.draw(workflows())
    run: Run | None = None
    events: list[Event] = []
    requests: list[InvokeNode] = []
    given_before: list[Command] = []
    for _ in range(data.draw(st.integers(3, 25))):
        if given_before and data.draw(ONE_IN_FIVE) == 0:
            command = data.draw(st.sampled_from(given_before))
        else:
            command = next_command(data, workflow, run)
        over = run is not None and run.is_over
        decision, answers = answered(data.draw, workflow.plan, run, command)
        check_step(workflow.plan, run, command, decision, answers)
        assert not (over and decision.rejection is None), "something happened to a run that is over"
        given_before.append(command)
        run = decision.run
        events += decision.events
        requests += decision.requests
        if events:
            assert fold(None, events) == run
    check_history(workflow, events, requests)


@examples(300)
@given(st.data())
def test_whatever_happened_answering_all_that_is_open_ends_the_run(data: st.DataObject) -> None:
    workflow = data.draw(workflows())
    run = None
    for _ in range(data.draw(st.integers(1, 8))):
        command = next_command(data, workflow, run)
        decision, _ = answered(data.draw, workflow.plan, run, command)
        run = decision.run
    assert run is not None
    steps = 0
    while not run.is_over:
        steps += 1
        assert steps < 200, "the run does not end"
        command = data.draw(st.sampled_from(open_ends(run)))
        decision, answers = answered(data.draw, workflow.plan, run, command)
        assert decision.rejection is None
        check_step(workflow.plan, run, command, decision, answers)
        check_run(workflow.plan, decision.run or run)
        run = decision.run
        assert run is not None
    assert run.timers == ()


def open_ends(run: Run) -> list[Command]:
    """The answers and timers that the run waits for. There must be one as long as it is not over."""
    at = run.updated_at
    ends: list[Command] = [FireTimer(RUN_ID, timer.due_at, timer.id) for timer in run.timers]
    for node in run.in_progress():
        if node.phase in ("running", "polling"):
            late = Failed("timeout", "late", retryable=True)
            ends += [
                ReportAttempt(RUN_ID, at, node.node, node.id, node.attempt, outcome, poll=node.poll)
                for outcome in (late, Succeeded({"n": 2}))
            ]
        elif node.phase == "waiting":
            ends.append(ReportNode(RUN_ID, at, node.id, "worker", "COMPLETED", "SUCCESS", selected(0)))
        else:
            assert any(timer.node == node.node for timer in run.timers)
    return ends


def check_joins(run: Run, expected: Meaning) -> None:
    """No node began before all that lead to it were over."""
    for name in run.nodes:
        before = expected.predecessors[name]
        assert all(source in run.nodes and run.nodes[source].status == "COMPLETED" for source in before), name


@examples(600)
@given(workflows(risky=False, plain=True), st.data())
def test_a_run_comes_to_what_its_workflow_means(workflow: Workflow, data: st.DataObject) -> None:
    failing = data.draw(st.sets(st.sampled_from(sorted(workflow.plan.nodes))))
    buttons = data.draw(st.dictionaries(st.sampled_from(sorted(workflow.plan.nodes)), st.integers(0, 2)))
    trigger = data.draw(st.sampled_from(workflow.triggers))
    expected = meaning(workflow, trigger, lambda name: name not in failing, lambda name: buttons.get(name, 0))

    run = decide(workflow.plan, None, start(trigger)).run
    assert run is not None
    while not run.is_over:
        check_joins(run, expected)
        node = data.draw(st.sampled_from(run.in_progress()))
        way = buttons.get(node.node, 0) % max(1, len(workflow.plan.nodes[node.node].branches))
        command: Command = ReportNode(RUN_ID, BEGIN, node.id, "person", "COMPLETED", "SUCCESS", selected(way))
        if node.type != "INPUT":
            outcome = Failed("status", "no") if node.node in failing else Succeeded({})
            command = ReportAttempt(RUN_ID, BEGIN, node.node, node.id, 1, outcome)
        run = decide(workflow.plan, run, command).run
        assert run is not None

    results = {name: node.result for name, node in run.nodes.items()}
    assert run.result == expected.result
    if expected.result == "SUCCESS":
        assert results == expected.nodes
    else:
        assert {name: expected.nodes[name] for name in results if results[name] != "CANCELLED"} == {
            name: result for name, result in results.items() if result != "CANCELLED"
        }
        assert set(results) <= set(expected.nodes)


@examples(100)
@given(workflows(), st.data())
def test_the_same_start_makes_the_same_requests_however_often_it_is_decided(
    workflow: Workflow, data: st.DataObject
) -> None:
    command = start(data.draw(st.sampled_from(workflow.triggers)))
    decision, answers = answered(data.draw, workflow.plan, None, command)

    again = decide(workflow.plan, None, replace(command), answers)

    assert again == decision
    assert isinstance(decision.events[0], RunStarted)


@examples(300)
@given(workflows(), st.data())
def test_a_cancel_by_force_ends_any_run_at_once(workflow: Workflow, data: st.DataObject) -> None:
    decision, _ = answered(data.draw, workflow.plan, None, start(data.draw(st.sampled_from(workflow.triggers))))
    run = decision.run
    assume(run is not None and not run.is_over)
    assert run is not None

    ended = decide(workflow.plan, run, CancelRun(RUN_ID, BEGIN, "boss", force=True))

    assert ended.run is not None
    assert ended.run.is_over
    assert isinstance(ended.events[-1], RunCompleted)
    assert ended.run.result == "CANCELLED"
    assert ended.requests == ()


@pytest.mark.parametrize("command", ["start", "nobody"])
def test_a_workflow_without_nodes_to_run_still_decides(command: str) -> None:
    decision = decide(Scenario.of([start_node()], []).plan, None, start(command))

    assert (decision.rejection is None) is (command == "start")
