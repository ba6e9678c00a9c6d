"""Waiting for things that happen a moment after they were asked for."""

import time

from headrace_cli import explanation
from headrace_cli.client import Client
from headrace_cli.errors import NotFoundError
from headrace_cli.explanation import Explanation

_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.5


def explanation_of(client: Client, event_id: str, patience_seconds: float = 5.0) -> Explanation | None:
    """What became of the event, as soon as the trigger service has judged it; None when it takes too long."""
    until = time.monotonic() + patience_seconds
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return explanation.read(client.explain(event_id))
        except NotFoundError:
            if time.monotonic() > until:
                return None
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
