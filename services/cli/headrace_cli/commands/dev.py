"""`headrace dev`: the whole engine in this process. `headrace receiver`: something for the examples to call."""

from typing import Annotated

import typer

from headrace_cli.session import Session


def register(app: typer.Typer) -> None:
    app.command()(dev)
    app.command()(receiver)


def dev(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.", show_default="8080")
    ] = None,
    data: Annotated[str | None, typer.Option(metavar="DIR", help="Keep everything in this folder.")] = None,
    memory: Annotated[bool, typer.Option("--memory", help="Keep everything in memory only; the default.")] = False,
    allow_network: Annotated[
        list[str] | None,
        typer.Option(metavar="CIDR", help="Let workflows call these private addresses, such as 127.0.0.0/8."),
    ] = None,
) -> None:
    """Run the whole engine in one process."""
    from headrace.core.errors import HeadraceError
    from headrace.runtime import process
    from headrace_cli.errors import CommandError, UsageError

    session = Session.of(context)
    if data is not None and memory:
        raise UsageError("--data and --memory exclude each other.")
    with session.working("Starting"):
        from headrace_cli import dev_server
    try:
        process.run(dev_server.serve(session, dev_server.settings(host, port, data, memory, allow_network)))
    except CommandError:
        raise
    except HeadraceError as error:
        raise CommandError(str(error)) from None


def receiver(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8099,
    secret: Annotated[
        str | None,
        typer.Option(envvar="HEADRACE_SIGNING_SECRET", help="What the server signs webhooks with; to check them."),
    ] = None,
) -> None:
    """Run the HTTP receiver that the examples call."""
    import asyncio

    from headrace_cli import dev_server

    asyncio.run(dev_server.receive(Session.of(context), port, secret))
