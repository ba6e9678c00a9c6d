"""`headrace trigger`, `orchestrator`, `invoker`, `api`: one service each, on Kafka and MongoDB.

The command becomes the service: same process, fresh interpreter, without the memory that the command line took.
"""

import os
import sys

import typer

_SETTINGS = "Settings come from the environment; docs/configuration.md lists them."


def register(app: typer.Typer) -> None:
    app.command(help=f"Run the trigger: entity changes in, runs wanted out. {_SETTINGS}")(trigger)
    app.command(help=f"Run the orchestrator: it decides what happens to runs. {_SETTINGS}")(orchestrator)
    app.command(help=f"Run the invoker: it makes the calls that actions ask for. {_SETTINGS}")(invoker)
    app.command(help=f"Run the HTTP API. {_SETTINGS}")(api)


def trigger() -> None:
    _become("headrace_trigger")


def orchestrator() -> None:
    _become("headrace_orchestrator")


def invoker() -> None:
    _become("headrace_invoker")


def api() -> None:
    _become("headrace_cli.api_process")


def _become(module: str) -> None:
    # -P: a folder that happens to lie where the command was given must not take the place of a library
    os.execv(sys.executable, [sys.executable, "-P", "-m", module])  # noqa: S606
