"""`headrace demo`: everything at once, with a verdict."""

from typing import Annotated

import typer

from headrace_cli.session import Session


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    context: typer.Context,
    break_receiver: Annotated[
        bool, typer.Option("--break-receiver", hidden=True, help="Refuse messages, to see the demo fail.")
    ] = False,
) -> None:
    """See everything at once, in seconds.

    Starts an engine, sends it events, shows the runs, and checks what an HTTP receiver got. Leaves nothing behind.
    """
    session = Session.of(context)
    with session.working("Starting an engine"):
        from headrace_cli import demo_story
    raise typer.Exit(demo_story.tell(session, break_receiver))
