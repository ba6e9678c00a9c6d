"""Watching one run to its end: drawn again and again on a terminal, line by line anywhere else."""

import time
from collections import deque
from collections.abc import Iterator

from rich.console import Group
from rich.live import Live
from rich.text import Text

from headrace_cli import following, snapshot, timeline
from headrace_cli.client import Client, JsonDict
from headrace_cli.errors import CommandError, ExitCode
from headrace_cli.session import Session
from headrace_cli.snapshot import RunSnapshot

_CODES = {"SUCCESS": ExitCode.OK, "FAILED": ExitCode.FAILED, "CANCELLED": ExitCode.CANCELLED}


def watch(session: Session, client: Client, run_id: str, seconds: float | None = None) -> int:
    """Show the run until it is over. Returns the exit code that fits its result. Raises TooLongError."""
    patience = following.Patience(whole_seconds=seconds)
    stream = following.snapshots(client, run_id, patience, on_lost=lambda reason: _say_lost(session, reason))
    if session.json:
        document = last(stream)
        session.print_json(document)
    else:
        document = draw(session, stream)
    return code_of(document)


def code_of(run: JsonDict) -> int:
    """The exit code that fits the result of a run that is over."""
    return _CODES.get(str(run.get("result")), ExitCode.FAILED)


def draw(session: Session, stream: Iterator[JsonDict], transitions: bool = True) -> JsonDict:
    """Draw the run as it changes, its whole timeline at the end. Returns its last state.

    Where lines cannot be drawn again, each change is one more line, unless `transitions` are not wanted.
    """
    if session.is_live:
        return _draw_live(session, stream)
    else:
        document = _draw_plain(session, stream) if transitions else last(stream)
        session.print_lines(timeline.lines(snapshot.read(document), timeline.Options(width=session.out.width)))
    return document


def last(stream: Iterator[JsonDict]) -> JsonDict:
    """The last state of the run."""
    states = deque(stream, maxlen=1)
    if not states:
        raise CommandError("The server told nothing about the run.")
    return states[0]


def _draw_live(session: Session, stream: Iterator[JsonDict]) -> JsonDict:
    picture = _Picture(session)
    document: JsonDict | None = None
    with Live(
        console=session.out, get_renderable=picture.draw, refresh_per_second=10, vertical_overflow="visible"
    ) as live:
        for document in stream:
            picture.show(snapshot.read(document))
            live.refresh()
    if document is None:
        raise CommandError("The server told nothing about the run.")
    return document


class _Picture:
    """The run as it is drawn between two states: what is at work grows older."""

    def __init__(self, session: Session) -> None:
        self._console = session.out
        self._run: RunSnapshot | None = None
        self._since = 0.0

    def show(self, run: RunSnapshot) -> None:
        self._run, self._since = run, time.monotonic()

    def draw(self) -> Group:
        run = self._run
        if run is None:
            return Group(Text("waiting for the run to start …", "dim"))
        # By the server's clock at its last word, so that a wrong clock here does no harm.
        passed = int((time.monotonic() - self._since) * 1000)
        now = None if run.updated_at is None else run.updated_at + passed
        lines = timeline.lines(run, timeline.Options(width=self._console.width, now=now))
        room = self._console.height - 1
        if not run.is_over and len(lines) > room > 2:
            hidden = Text(f"  … {len(lines) - room + 1} lines above", "dim")
            lines = [lines[0], hidden, *lines[2 - room :]]
        return Group(*lines)


def _draw_plain(session: Session, stream: Iterator[JsonDict]) -> JsonDict:
    """One line per change. The width of names is that of the first snapshot's, so that lines mostly align."""
    seen: dict[str, tuple[str, int]] = {}
    document: JsonDict | None = None
    for document in stream:
        run = snapshot.read(document)
        width = max([len(node.node) for node in run.nodes], default=0)
        for node in run.nodes:
            state = (node.state, node.attempt)
            if seen.get(node.id) != state:
                seen[node.id] = state
                session.out.print(timeline.transition(run, node, width), soft_wrap=True)
    if document is None:
        raise CommandError("The server told nothing about the run.")
    return document


def _say_lost(session: Session, reason: str) -> None:
    session.err.print(f"{reason} Trying again.", style="yellow", soft_wrap=True)
