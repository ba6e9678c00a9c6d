"""The program `headrace`: its global options, its commands, and what the shell gets when something goes wrong.

Command modules import only typer at the top; what they need to do their work they import when called, so that
`headrace --help` and shell completion answer at once.
"""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from headrace_cli.commands import apply, catalog, demo, dev, events, init, runs, serve, token, validate, workflows
from headrace_cli.errors import CommandError, ExitCode, RejectedError
from headrace_cli.session import DEFAULT_URL, OutputFormat, Session

_EPILOG = (
    "Global options may stand before or after the command. "
    "Exit codes: 0 ok, 1 the thing asked for failed, 2 usage, 3 server not reachable, 4 not allowed, 5 not found, "
    "6 conflict, 7 the run was cancelled, 8 it took too long."
)

app = typer.Typer(
    name="headrace",
    help="An event-driven workflow engine that can say why something did, or did not, fire.",
    epilog=_EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help in plain text: importing rich for it would triple the time that it takes
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(events.app, name="events")
for _module in (demo, dev, validate, apply, workflows, catalog, runs, token, init, serve):
    _module.register(app)
events.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(f"headrace {metadata.version('headrace')}")
        raise typer.Exit


@app.callback()
def _globals(
    context: typer.Context,
    url: Annotated[str, typer.Option(envvar="HEADRACE_URL", help="The server.", metavar="URL")] = DEFAULT_URL,
    output: Annotated[OutputFormat, typer.Option("--output", "-o", help="How to print results.")] = "text",
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours (NO_COLOR does the same).")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    context.obj = Session(url=url.rstrip("/"), output=output, color=not (no_color or os.environ.get("NO_COLOR")))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code; expected errors go to standard error, without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=globals_first(given), prog_name="headrace")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitCode.OK if end.code is None else ExitCode.FAILED
    except CommandError as error:
        _complain(error)
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough (`headrace runs | head`). Nothing more can be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    return ExitCode.OK


_WITH_VALUE = ("--url", "--output", "-o")


def globals_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with the global options moved to the front, where typer wants them; after `--` nothing moves."""
    front: list[str] = []
    rest: list[str] = []
    remaining = list(arguments)
    while remaining:
        argument = remaining.pop(0)
        if argument == "--":
            rest += [argument, *remaining]
            break
        if argument in _WITH_VALUE and remaining:
            front += [argument, remaining.pop(0)]
        elif (
            argument == "--no-color" or argument.startswith(("--url=", "--output=")) or argument in ("-ojson", "-otext")
        ):
            front.append(argument)
        else:
            rest.append(argument)
    return front + rest


def _complain(error: CommandError) -> None:
    """What went wrong and what to do, on standard error."""
    lines = [f"error: {error.message}"]
    if isinstance(error, RejectedError):
        lines += [f"  {each.pointer or '/'}: {each.severity}[{each.code}]: {each.message}" for each in error.findings]
    if error.hint:
        lines.append(f"hint: {error.hint}")
    typer.echo("\n".join(lines), err=True)
