"""`headrace init`: the topics and indexes that the services need."""

from typing import Annotated

import typer

from headrace_cli.session import Session


def register(app: typer.Typer) -> None:
    app.command()(init)


def init(
    context: typer.Context,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Partitions of topics that do not exist yet.", show_default="12"),
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for Kafka and MongoDB to answer.")
    ] = 60.0,
) -> None:
    """Make the topics in Kafka and the indexes in MongoDB that the services need.

    What is there already stays as it is, so it may be run again and again. A topic that differs from what is wanted is
    reported with what to do, and exit code 6. Settings come from the environment; docs/configuration.md lists them.
    """
    from headrace.runtime import process
    from headrace_cli import preparing

    session = Session.of(context)
    raise typer.Exit(process.run(preparing.prepare(session, preparing.settings(partitions), wait)))
