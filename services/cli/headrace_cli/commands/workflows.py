"""`headrace workflows`: which there are, and what is in one."""

from typing import Annotated

import typer

from headrace_cli.session import Session


def register(app: typer.Typer) -> None:
    app.command()(workflows)


def workflows(
    context: typer.Context,
    identifier: Annotated[str | None, typer.Argument(metavar="[WORKFLOW]", help="Show this one as JSON.")] = None,
    versions: Annotated[bool, typer.Option("--versions", help="List the versions of the workflow.")] = False,
) -> None:
    """List the workflows, or show one."""
    from headrace_cli import tables
    from headrace_cli.errors import UsageError

    session = Session.of(context)
    if versions and identifier is None:
        raise UsageError("--versions needs a workflow.", "headrace workflows WORKFLOW --versions")
    with session.client() as client:
        if identifier is None:
            found = client.workflows()
        elif versions:
            found = client.versions(identifier)
        else:
            session.print_json(client.workflow(identifier))
            return
    if session.json:
        session.print_json(found)
    elif not found:
        session.out.print("No workflows yet. `headrace apply -f examples/workflows` brings some.")
    else:
        listing = tables.versions if versions else tables.workflows
        session.print_lines(listing(found, session.out.width))
