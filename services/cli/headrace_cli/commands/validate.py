"""`headrace validate`: what is wrong with workflow files, without a server."""

from typing import Annotated

import typer

from headrace_cli.session import Session


def register(app: typer.Typer) -> None:
    app.command()(validate)


def validate(
    context: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE|DIR|-...", help="Workflow files, or folders of them.")],
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False,
) -> None:
    """Check workflow files, without a server.

    Form, graph, expressions and references are checked as the server does before it saves a workflow.
    """
    from headrace_cli import documents, problems
    from headrace_cli.errors import ExitCode

    session = Session.of(context)
    found = documents.find(files)
    with session.working("Checking"):
        judged = documents.judge(found)
    everything = [finding for findings in judged for finding in findings]
    failed = any(finding.severity == "error" or strict for finding in everything)
    if session.json:
        listed = [problems.as_json(file.name, each) for file, all_ in zip(found, judged, strict=True) for each in all_]
        session.print_json({"ok": not failed, "files": len(found), "problems": listed})
    else:
        for file, findings in zip(found, judged, strict=True):
            session.print_lines(problems.lines(file.name, file.text, findings))
        session.out.print(problems.summary(everything, len(found)))
    raise typer.Exit(ExitCode.FAILED if failed else ExitCode.OK)
