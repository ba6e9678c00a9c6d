"""Inputs of a run from the command line: `name=value` pairs, or a file of JSON."""

import json
from collections.abc import Sequence
from typing import Any

from headrace_cli import events_file
from headrace_cli.client import JsonDict
from headrace_cli.errors import UsageError


def gather(pairs: Sequence[str], file: str | None) -> JsonDict:
    """The inputs of the file, overlaid with the pairs. Raises UsageError."""
    inputs = _from_file(file) if file is not None else {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--input {pair}: write name=value.", "Text that looks like JSON: name='\"5\"'.")
        inputs[name] = _value(value)
    return inputs


def _from_file(file: str) -> JsonDict:
    try:
        inputs = json.loads(events_file.read_text(file))
    except ValueError as error:
        raise UsageError(f"{file} is no JSON: {error}.") from None
    if not isinstance(inputs, dict):
        raise UsageError(f"{file} must hold one JSON object: input names and their values.")
    return inputs


def _value(text: str) -> Any:
    """JSON when it is JSON (5, true, null, ["a"], "5"), otherwise the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text
