"""`headrace blueprints` and `headrace entities`: what is in the catalog, and files that go into it."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from headrace_cli.session import Session

_FILES = typer.Option("--file", "-f", metavar="FILE|DIR|-", help="Save what a file holds; may be repeated.")


def register(app: typer.Typer) -> None:
    app.command()(blueprints)
    app.command()(entities)


def blueprints(
    context: typer.Context,
    identifier: Annotated[str | None, typer.Argument(metavar="[BLUEPRINT]", help="Show this one as JSON.")] = None,
    files: Annotated[list[str] | None, _FILES] = None,
) -> None:
    """List the blueprints, show one, or save files."""
    from headrace_cli import tables

    session = Session.of(context)
    if files:
        _save(session, files, lambda client, raw: client.save_blueprint(raw))
        return
    with session.client() as client:
        if identifier is not None:
            session.print_json(client.blueprint(identifier))
            return
        found = client.blueprints()
    if session.json:
        session.print_json(found)
    elif not found:
        session.out.print("No blueprints yet. `headrace blueprints -f FILE` saves one.")
    else:
        session.print_lines(tables.blueprints(found, session.out.width))


def entities(
    context: typer.Context,
    blueprint: Annotated[str, typer.Argument(metavar="BLUEPRINT")],
    identifier: Annotated[str | None, typer.Argument(metavar="[ENTITY]", help="Show this one as JSON.")] = None,
    files: Annotated[list[str] | None, _FILES] = None,
    merge: Annotated[bool, typer.Option("--merge", help="With -f: change only what the file says.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000, help="How many to list at most.")] = 100,
) -> None:
    """List the entities of a blueprint, show one, or save files: created, or replaced."""
    from headrace_cli import tables

    session = Session.of(context)
    if files:
        _save(session, files, lambda client, raw: client.save_entity(blueprint, raw, merge))
        return
    with session.client() as client:
        if identifier is not None:
            session.print_json(client.entity(blueprint, identifier))
            return
        found = client.entities(blueprint, limit)
    if session.json:
        session.print_json(found)
    elif not found:
        session.out.print(f"The blueprint {blueprint} has no entities.")
    else:
        session.print_lines(tables.entities(found, session.out.width))


def _save(session: Session, names: list[str], save: Callable[[Any, bytes], dict[str, Any]]) -> None:
    """Save each file; those that the server refuses are shown with what is wrong, the others are saved all the same."""
    from headrace_cli import documents, problems
    from headrace_cli.errors import ExitCode, RejectedError

    results: list[dict[str, Any]] = []
    failed = False
    with session.client() as client:
        for file in documents.find(names):
            try:
                saved = save(client, file.raw)
            except RejectedError as error:
                failed = True
                listed = [problems.as_json(file.name, each) for each in error.findings]
                results.append({"file": file.name, "saved": False, "message": error.message, "problems": listed})
                if not session.json:
                    session.print_lines(problems.lines(file.name, file.text, error.findings))
                    session.out.print(f"✗ {file.name}: {error.message}", style="bold red", soft_wrap=True)
                continue
            results.append({"file": file.name, "saved": True, "identifier": saved.get("identifier")})
            if not session.json:
                session.out.print(f"✓ {saved.get('identifier')} saved", soft_wrap=True)
    if session.json:
        session.print_json(results)
    raise typer.Exit(ExitCode.FAILED if failed else ExitCode.OK)
