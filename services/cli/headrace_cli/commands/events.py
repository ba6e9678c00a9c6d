"""`headrace events send` and `headrace explain`: entity changes, and what became of them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace_cli.session import Session, TimeoutOption

if TYPE_CHECKING:
    from headrace_cli.client import Client
    from headrace_cli.explanation import Explanation

app = typer.Typer(help="Entity changes: what may start runs.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    parent.command()(explain)


@app.command()
def send(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="One event, an array of events, or one event a line.")],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Watch the runs that they start; fails when one fails.")
    ] = False,
    timeout: TimeoutOption = None,
) -> None:
    """Publish entity changes and say which runs they started."""
    from headrace_cli import events_file, waiting, words

    session = Session.of(context)
    events = events_file.read(file)
    told = []
    with session.client() as client:
        with session.working(f"Publishing {len(events)} events"):
            identifiers = [client.send_event(event) for event in events]
        for event, event_id in zip(events, identifiers, strict=True):
            with session.working(f"Waiting for the trigger service's answer to {event_id}"):
                explanation = waiting.explanation_of(client, event_id)
            runs = list(explanation.run_ids) if explanation else []
            told.append({"eventId": event_id, "runIds": runs, "judged": explanation is not None})
            if not session.json:
                session.out.print(f"{event_id}  {words.event(event)}", soft_wrap=True)
                session.out.print(f"  {_outcome(explanation)}", style="" if runs else "dim", soft_wrap=True)
        started = [run for entry in told for run in _texts(entry["runIds"])]
        code = _follow(session, client, started, timeout) if follow else 0
    if session.json:
        session.print_json(told)
    raise typer.Exit(code)


@app.command("try")
def try_events(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="As for `send`.")],
) -> None:
    """Say what entity changes would start, without publishing them."""
    from headrace_cli import events_file, explanation

    session = Session.of(context)
    events = events_file.read(file)
    with session.client() as client:
        answers = [client.try_event(event) for event in events]
    if session.json:
        session.print_json(answers)
        return
    for event, verdicts in zip(events, answers, strict=True):
        _print(session, explanation.read({"event": event, "verdicts": verdicts}))


def explain(
    context: typer.Context,
    event_id: Annotated[
        str, typer.Argument(metavar="EVENT_ID|RUN", help="As `headrace events send` prints it, or a run, wfr_...")
    ],
    workflow: Annotated[
        str | None, typer.Option(metavar="WORKFLOW", help="Only what the triggers of this workflow said.")
    ] = None,
) -> None:
    """Say why an event did, or did not, start runs, or why a run took its branches.

    Lists every trigger that was considered, and the clause that said no with the values that it saw.
    """
    from headrace_cli import explanation

    session = Session.of(context)
    with session.client() as client:
        if event_id.startswith("wfr_"):
            _print_decisions(session, client.decisions(event_id))
            return
        answer = client.explain(event_id, workflow)
    if session.json:
        session.print_json(answer)
        return
    _print(session, explanation.read(answer))


def _print(session: Session, explained: "Explanation") -> None:
    from headrace_cli import explanation

    session.out.print(explanation.head(explained), soft_wrap=True)
    if explained.verdicts:
        session.print_lines(explanation.table(explained, session.out.width))
    else:
        session.out.print(explanation.NOBODY)


def _print_decisions(session: Session, decisions: "list[dict[str, Any]]") -> None:
    from headrace_cli import explanation

    if session.json:
        session.print_json(decisions)
    elif not decisions:
        session.out.print("The run came to no condition.")
    else:
        session.print_lines(explanation.decisions(decisions))


def _outcome(explanation: "Explanation | None") -> str:
    if explanation is None:
        return "not judged yet; ask later: headrace explain EVENT_ID"
    if explanation.run_ids:
        return "started " + ", ".join(f"{each.workflow} {each.run_id}" for each in explanation.verdicts if each.run_id)
    return f"started nothing: headrace explain {explanation.event_id}"


def _follow(session: Session, client: "Client", run_ids: list[str], seconds: float | None) -> int:
    """Watch one run after the other. Returns the worst of their exit codes."""
    from headrace_cli import following, watching

    codes = [0]
    for run_id in run_ids:
        if session.json:
            stream = following.snapshots(client, run_id, following.Patience(whole_seconds=seconds))
            codes.append(watching.code_of(watching.last(stream)))
        else:
            codes.append(watching.watch(session, client, run_id, seconds))
    return max(codes)


def _texts(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []
