"""Events from a file or standard input: one object, an array, or JSON lines."""

import json
import sys
from pathlib import Path

from headrace_cli.client import JsonDict
from headrace_cli.errors import UsageError


def read(name: str) -> list[JsonDict]:
    """The events in a file, or in standard input for `-`. Raises UsageError, naming the line that is wrong."""
    return parse(name, read_text(name))


def read_text(name: str) -> str:
    """The text of a file, or of standard input for `-`. Raises UsageError."""
    try:
        return read_bytes(name).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{name} is not text in UTF-8.") from None


def read_bytes(name: str) -> bytes:
    """The bytes of a file, or of standard input for `-`. Raises UsageError."""
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}.") from None


def parse(name: str, text: str) -> list[JsonDict]:
    """The events in a text; `name` is for complaints. Raises UsageError."""
    try:
        whole = json.loads(text)
    except ValueError as error:
        events = _parse_lines(name, text, error)
    else:
        events = whole if isinstance(whole, list) else [whole]
    for number, event in enumerate(events, 1):
        if not isinstance(event, dict):
            raise UsageError(f"{name}: event {number} is no JSON object.", _SHAPES)
    if not events:
        raise UsageError(f"{name} holds no event.", _SHAPES)
    return events


_SHAPES = "A file may hold one event, an array of events, or one event a line."


def _parse_lines(name: str, text: str, whole: ValueError) -> list[JsonDict]:
    """JSON lines. When not even the first line stands alone, the complaint about the whole text is the better one."""
    events = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            events.append(json.loads(line))
        except ValueError as error:
            if not events and isinstance(whole, json.JSONDecodeError):
                raise UsageError(f"{name}:{whole.lineno}:{whole.colno}: {whole.msg}.", _SHAPES) from None
            column = error.colno if isinstance(error, json.JSONDecodeError) else 1
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise UsageError(f"{name}:{number}:{column}: {reason}.", _SHAPES) from None
    return events
