"""`headrace apply`: workflow files become workflows."""

from typing import TYPE_CHECKING, Annotated

import typer

from headrace_cli.session import Session

if TYPE_CHECKING:
    from headrace_cli.applying import Applied


def register(app: typer.Typer) -> None:
    app.command()(apply)


def apply(
    context: typer.Context,
    files: Annotated[
        list[str], typer.Option("--file", "-f", metavar="FILE|DIR|-", help="A workflow, or a folder of them.")
    ],
) -> None:
    """Create or update workflows. Applying the same files again changes nothing."""
    from headrace_cli import applying, documents, problems
    from headrace_cli.errors import ExitCode, RejectedError

    session = Session.of(context)
    found = documents.find(files)
    results: list[dict[str, object]] = []
    failed = False
    with session.client() as client:
        for file in found:
            try:
                with session.working(f"Applying {file.name}"):
                    applied = applying.apply(client, file)
            except RejectedError as error:
                failed = True
                listed = [problems.as_json(file.name, each) for each in error.findings]
                results.append({"file": file.name, "change": "rejected", "message": error.message, "problems": listed})
                if not session.json:
                    session.print_lines(problems.lines(file.name, file.text, error.findings))
                    session.out.print(f"✗ {file.name}: {error.message}", style="bold red", soft_wrap=True)
                continue
            results.append(_as_json(applied))
            if not session.json:
                session.print_lines(problems.lines(file.name, file.text, applied.warnings))
                session.out.print(_sentence(applied), soft_wrap=True)
    if session.json:
        session.print_json(results)
    raise typer.Exit(ExitCode.FAILED if failed else ExitCode.OK)


def _sentence(applied: "Applied") -> str:
    match applied.change:
        case "created":
            return f"✓ {applied.identifier} created"
        case "updated":
            return f"✓ {applied.identifier} updated to v{applied.version}"
        case _:
            return f"· {applied.identifier} unchanged (v{applied.version})"


def _as_json(applied: "Applied") -> dict[str, object]:
    from headrace_cli import problems

    return {
        "file": applied.file,
        "workflow": applied.identifier,
        "change": applied.change,
        "version": applied.version,
        "problems": [problems.as_json(applied.file, each) for each in applied.warnings],
    }
