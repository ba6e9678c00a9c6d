"""What all commands share: the server, the output format, and where to print."""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from headrace_cli.client import Client

DEFAULT_URL = "http://127.0.0.1:8080"
OutputFormat = Literal["text", "json"]
TimeoutOption = Annotated[
    float | None,
    typer.Option("--timeout", min=0, metavar="SECONDS", help="Follow no longer than this; the run goes on."),
]

_PIPE_WIDTH = 160
"""How wide lines may be when nobody tells: a pipe has no width, and cut identifiers are of no use to it."""


@dataclass
class Session:
    """The global options of one call of `headrace`."""

    url: str = DEFAULT_URL
    output: OutputFormat = "text"
    color: bool = True

    @staticmethod
    def of(context: typer.Context) -> "Session":
        """The session that the program's callback made."""
        session = context.find_object(Session)
        assert session is not None, "the callback runs before every command"
        return session

    @property
    def json(self) -> bool:
        return self.output == "json"

    @cached_property
    def out(self) -> "Console":
        """Results go here."""
        return _console(sys.stdout, self.color)

    @cached_property
    def err(self) -> "Console":
        """Progress and complaints go here."""
        return _console(sys.stderr, self.color)

    @property
    def is_live(self) -> bool:
        """Whether a person watches, so that lines may be drawn again."""
        return self.out.is_terminal and not self.json and os.environ.get("TERM") != "dumb"

    def client(self) -> "Client":
        """A client of the server, signed in on first use."""
        from headrace_cli import credentials
        from headrace_cli.client import Client

        return Client(self.url, credentials.find(self.url))

    def print_json(self, value: Any) -> None:
        """One JSON document on standard output, at once: whoever reads it may wait for it, as for the URL of `dev`."""
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def print_lines(self, lines: "Iterable[Text]") -> None:
        """Lines that have their layout already."""
        for line in lines:
            self.out.print(line, soft_wrap=True)

    @contextmanager
    def working(self, message: str) -> Iterator[None]:
        """A spinner on standard error while something takes long; nothing at all when that is no terminal."""
        if not self.err.is_terminal or self.json:
            yield
            return
        with self.err.status(message, spinner="dots"):
            yield


def _console(file: Any, color: bool) -> "Console":
    from rich.console import Console

    console = Console(file=file, highlight=False, markup=False, emoji=False, color_system="auto" if color else None)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PIPE_WIDTH
    return console
