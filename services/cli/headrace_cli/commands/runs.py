"""`headrace run`, `runs`, `show`, `logs`, `rerun`, `respond`, `cancel`: runs, from start to end and again."""

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace_cli.session import Session, TimeoutOption

if TYPE_CHECKING:
    from headrace_cli.client import Client

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run's identifier, wfr_...")]


class StatusFilter(Enum):
    IN_PROGRESS = "IN_PROGRESS"
    CANCELLING = "CANCELLING"
    COMPLETED = "COMPLETED"


class ResultFilter(Enum):
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


def register(app: typer.Typer) -> None:
    for command in (run, runs, show, logs, rerun, respond, cancel):
        app.command()(command)


def run(
    context: typer.Context,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW")],
    pairs: Annotated[
        list[str] | None, typer.Option("--input", "-i", metavar="NAME=VALUE", help="An input; JSON or plain text.")
    ] = None,
    file: Annotated[
        str | None, typer.Option("--inputs-json", metavar="FILE", help="A JSON object of inputs; - is standard input.")
    ] = None,
    trigger: Annotated[
        str | None, typer.Option(metavar="NODE", help="The self-serve trigger, if there are several.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Follow the run to its end; the exit code is its result.")
    ] = False,
    timeout: TimeoutOption = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Starting again with the same key gives the same run.")
    ] = None,
) -> None:
    """Start a run of a self-serve workflow."""
    from headrace_cli import inputs

    session = Session.of(context)
    given = inputs.gather(pairs or [], file)
    with session.client() as client:
        with session.working(f"Starting {workflow}"):
            started = client.start_run(workflow, given, trigger, idempotency_key)
        if wait:
            raise typer.Exit(_follow(session, client, str(started["identifier"]), timeout))
    _say(session, started)


def runs(
    context: typer.Context,
    workflow: Annotated[list[str] | None, typer.Option(metavar="WORKFLOW", help="Only of these workflows.")] = None,
    status: Annotated[list[StatusFilter] | None, typer.Option(help="Only in these states.")] = None,
    result: Annotated[list[ResultFilter] | None, typer.Option(help="Only with these results.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
) -> None:
    """List runs, the newest first."""
    from headrace_cli import tables

    session = Session.of(context)
    query = {
        "workflowIdentifiers": workflow or [],
        "statuses": [each.value for each in status or []],
        "results": [each.value for each in result or []],
        "limit": limit,
    }
    with session.client() as client:
        found = client.runs(query)
    if session.json:
        session.print_json(found)
    elif not found:
        session.out.print("No runs." if workflow or status or result else "No runs yet.")
    else:
        session.print_lines(tables.runs(found, session.out.width))


def show(
    context: typer.Context,
    run: RunArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Watch it to its end; the exit code is its result.")
    ] = False,
    timeout: TimeoutOption = None,
) -> None:
    """Show a run, or follow it to its end.

    Shows states, times, attempts, waits, branches taken, outputs and logs.
    """
    from headrace_cli import snapshot, timeline

    session = Session.of(context)
    with session.client() as client:
        if follow:
            raise typer.Exit(_follow(session, client, run, timeout))
        document = client.run(run)
    if session.json:
        session.print_json(document)
        return
    options = timeline.Options(width=session.out.width)
    session.print_lines(timeline.lines(snapshot.read(document), options))


def logs(
    context: typer.Context,
    identifier: Annotated[str, typer.Argument(metavar="RUN|NODE_RUN", help="wfr_... or wfnr_...")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run is over.")] = False,
) -> None:
    """Print the log of a run or a node run."""
    from headrace_cli import log_following, snapshot, tables
    from headrace_cli.errors import UsageError

    session = Session.of(context)
    one_node = identifier.startswith("wfnr_")
    if follow and one_node:
        raise UsageError("-f follows a run, not a node run.", "headrace logs RUN -f")
    with session.client() as client:
        if follow:
            log_following.follow(session, client, identifier)
            return
        found = client.node_run_logs(identifier) if one_node else client.run_logs(identifier)
    if session.json:
        session.print_json(found)
        return
    for entry in found:
        session.print_lines(tables.log_lines([snapshot.log_line(entry)], _node_of(entry)))


def rerun(
    context: typer.Context,
    run: RunArgument,
    first: Annotated[
        str, typer.Option("--from", metavar="start|failed|NODE", help="Where to begin; what comes before is kept.")
    ] = "start",
    pairs: Annotated[
        list[str] | None, typer.Option("--input", "-i", metavar="NAME=VALUE", help="An input to change.")
    ] = None,
    latest: Annotated[bool, typer.Option("--latest", help="Take the latest version; from the start only.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Follow the new run to its end; the exit code is its result.")
    ] = False,
    timeout: TimeoutOption = None,
) -> None:
    """Run a run again, as a new run.

    From the start, from what failed, or from any node that it reached.
    """
    from headrace_cli import inputs

    session = Session.of(context)
    given = inputs.gather(pairs or [], None)
    with session.client() as client:
        with session.working(f"Repeating {run}"):
            started = client.rerun(run, first, given, "latest" if latest else "same")
        if wait:
            raise typer.Exit(_follow(session, client, str(started["identifier"]), timeout))
    _say(session, started)


def respond(
    context: typer.Context,
    node_run: Annotated[str, typer.Argument(metavar="NODE_RUN", help="The INPUT node that waits, wfnr_...")],
    button: Annotated[str, typer.Argument(metavar="BUTTON", help="The identifier of the button.")],
    pairs: Annotated[
        list[str] | None, typer.Option("--input", "-i", metavar="NAME=VALUE", help="An input of the form.")
    ] = None,
) -> None:
    """Press a button of a form that a run waits for.

    Each person may respond once.
    """
    from headrace_cli import inputs

    session = Session.of(context)
    given = inputs.gather(pairs or [], None)
    with session.client() as client:
        answer = client.respond(node_run, button, given)
    if session.json:
        session.print_json(answer)
    else:
        session.out.print(f"{node_run}: {button}.")


def cancel(
    context: typer.Context,
    run: RunArgument,
    force: Annotated[bool, typer.Option("--force", help="Do not wait for node runs at work.")] = False,
) -> None:
    """Cancel a run.

    Node runs at work finish first, unless --force is given.
    """
    session = Session.of(context)
    with session.client() as client:
        answer = client.cancel_run(run, force)
    if session.json:
        session.print_json(answer)
    else:
        session.out.print(f"{run}: cancelling{' at once' if force else ' after the node runs at work'}.")


def _say(session: Session, started: dict[str, Any]) -> None:
    """Name the run that was started."""
    if session.json:
        session.print_json(started)
    else:
        session.out.print(str(started["identifier"]))


def _follow(session: Session, client: "Client", run_id: str, seconds: float | None) -> int:
    from headrace_cli import watching

    return watching.watch(session, client, run_id, seconds)


def _node_of(entry: dict[str, object]) -> str:
    node = entry.get("node") or entry.get("nodeIdentifier") or ""
    if isinstance(node, dict):
        node = node.get("identifier", "")
    return str(node)
