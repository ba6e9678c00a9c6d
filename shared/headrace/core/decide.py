"""What happens to a run when a command arrives: the heart of Headrace.

    decide(plan, run, command, answers) -> Decision

Theory of operation. `decide` is a pure function: no I/O, no clock, no randomness. Time is the command's `at`; ids are
derived from the run, the node and the attempt; so deciding the same command on the same run asks for the *same* work,
however often and wherever it is repeated. That is what lets the shells crash, retry and race (docs/delivery.md).

It is total: every command on every run has an answer, a set of events or a rejection. A rejection returns the very
same run. Duplicates need no table of seen messages: a transition is legal once only, so the second delivery of a
command finds it done and is rejected by meaning.

A decision is made by emitting events and folding each into the run at once (`events.apply`), so the events of a run
are by construction all there is to know about it. Condition nodes, failures to render and whole chains of them are
settled inside one decision; only actions and people make a run wait.

Programs outside the total subset cannot run here. When one is needed, the decision stops and comes back with
`questions`; the shell has them evaluated and calls again with the same arguments and the answers. Nothing is half
done in between, since nothing was changed.
"""

from typing import assert_never

from headrace.core import _child_runs, _held, _people, _reports, _rerun, parents
from headrace.core._draft import Draft, Unanswered
from headrace.core._flow import dead_from_start
from headrace.core._nodes import abandon, advance, complete, end
from headrace.core.commands import (
    AdmitRun,
    CancelRun,
    Command,
    FireTimer,
    ReportAttempt,
    ReportChild,
    ReportNode,
    RespondNode,
    StartRun,
    ToAnother,
)
from headrace.core.decision import Answers, Decision, Rejection
from headrace.core.events import RunCancelling, RunStarted
from headrace.core.gate import leaving
from headrace.core.plan import Plan
from headrace.core.run import Run

_NO_ANSWERS: Answers = {}


def decide(plan: Plan, run: Run | None, command: Command, answers: Answers = _NO_ANSWERS) -> Decision:
    """What `command` does to `run` (None: there is no such run yet). Total and deterministic; see the module."""
    rejection = _refuse(run, command)
    if rejection is not None:
        return Decision(run, rejection=rejection)
    draft = Draft(plan, run, command.at, answers)
    try:
        rejection = _perform(draft, command)
    except Unanswered as unanswered:
        return Decision(run, questions=(unanswered.question,))
    if rejection is not None:
        return Decision(run, rejection=rejection, commands=_refusal(command, rejection))
    if draft.run.is_over:
        draft.commands.extend(parents.report_to_parent(draft.run))
        draft.commands.extend(leaving(draft.run.gate, draft.run.id, draft.at))
    return Decision(draft.run, tuple(draft.events), tuple(draft.requests), commands=tuple(draft.commands))


def _refuse(run: Run | None, command: Command) -> Rejection | None:
    """What can be refused without looking closer."""
    if isinstance(command, StartRun):
        return Rejection("duplicate", f"run {command.run_id} exists already") if run is not None else None
    if run is None or run.id != command.run_id:
        return Rejection("unknown-run", f"there is no run {command.run_id}")
    if run.is_over:
        return Rejection("run-over", f"run {run.id} is over with {run.result}")
    return None


def _refusal(command: Command, rejection: Rejection) -> tuple[ToAnother, ...]:
    """What others are told who wait for a run that cannot be started."""
    if not isinstance(command, StartRun):
        return ()
    return (*parents.refusal(command, rejection.detail), *leaving(command.gate, command.run_id, command.at))


def _perform(draft: Draft, command: Command) -> Rejection | None:
    match command:
        case StartRun():
            return _start(draft, command)
        case AdmitRun():
            return _held.admit(draft)
        case ReportAttempt():
            return _reports.report_attempt(draft, command)
        case ReportNode():
            return _reports.report_node(draft, command)
        case RespondNode():
            return _people.respond(draft, command)
        case FireTimer():
            return _reports.fire_timer(draft, command)
        case ReportChild():
            return parents.report_child(draft, command)
        case CancelRun():
            return _cancel(draft, command)
        case _:
            assert_never(command)


def _start(draft: Draft, command: StartRun) -> Rejection | None:
    name, output = command.trigger, command.output
    if command.parent is not None:
        found = parents.inputs_of(draft.plan, command)
        if isinstance(found, str):
            return Rejection("unfit-start", found)
        name, output = found
    trigger = draft.plan.nodes.get(name)
    if trigger is None or not trigger.node.is_trigger:
        detail = f"workflow {command.workflow} version {command.version} has no trigger {name}"
        return Rejection("unknown-trigger", detail)
    draft.emit(
        RunStarted,
        run_id=command.run_id,
        workflow=command.workflow,
        version=command.version,
        trigger=name,
        trigger_type=trigger.type,
        created_by=command.created_by,
        causation=command.causation,
        edges=dead_from_start(draft.plan, name),
        parent=command.parent,
        rerun_of=command.rerun_of,
        gate=command.gate,
    )
    if command.held:
        _held.hold(draft, name, output)
        return None
    ready = complete(draft, name, "SUCCESS", output)
    advance(draft, _rerun.take_over(draft, command.carried, ready) if command.carried else ready)
    return None


def _cancel(draft: Draft, command: CancelRun) -> Rejection | None:
    """Spec 7.4.6: gracefully, node runs at work finish and nothing follows; with force they fail at once."""
    if draft.run.status == "CANCELLING" and not command.force:
        return Rejection("duplicate", f"run {draft.run.id} is being cancelled already")
    if draft.run.status != "CANCELLING":
        draft.emit(RunCancelling, by=command.by)
    for node_run in draft.run.in_progress():
        if command.force:
            abandon(draft, node_run, "FAILED", f"The run was cancelled by force by {command.by}.", force=True)
        elif node_run.phase == "retrying" or node_run.type in ("INPUT", "DELAY") or draft.run.is_held:
            abandon(draft, node_run, "CANCELLED", f"The run was cancelled by {command.by}.")
        else:
            _child_runs.release(draft, node_run)
    if command.force:
        end(draft, "CANCELLED", "")
    else:
        advance(draft, ())
    return None
