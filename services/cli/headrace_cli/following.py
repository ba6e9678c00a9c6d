"""Following a run as it happens: server-sent events, from before its first moment to its last, over lost connections."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from headrace_cli.client import Client, JsonDict
from headrace_cli.errors import CommandError, NotFoundError, UnreachableError


@dataclass(frozen=True, slots=True)
class Message:
    """One server-sent event."""

    id: str
    event: str
    data: str


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a run to appear, and for a lost server to come back."""

    appear_seconds: float = 5.0
    reconnect_seconds: float = 30.0
    first_pause_seconds: float = 0.05
    longest_pause_seconds: float = 2.0


def snapshots(
    client: Client,
    run_id: str,
    patience: Patience = Patience(),  # noqa: B008 (immutable)
    on_lost: Callable[[str], None] = lambda reason: None,
) -> Iterator[JsonDict]:
    """The run after each change, the last one completed. Every state that the server tells comes once, in order.

    Raises NotFoundError when the run does not appear in time, UnreachableError when the server stays away.
    """
    last_id, begun, lost_at = "", time.monotonic(), None
    pause = patience.first_pause_seconds
    while True:
        try:
            for message in _messages(client, run_id, last_id):
                last_id, lost_at, pause = message.id or last_id, None, patience.first_pause_seconds
                run = _run_of(message)
                if run is not None:
                    yield run
                    if run.get("status") == "COMPLETED":
                        return
            reason: CommandError = client.unreachable("the stream ended early")
        except NotFoundError as error:
            if last_id or time.monotonic() - begun > patience.appear_seconds:
                raise
            reason = error
        except UnreachableError as error:
            reason = error
        if not isinstance(reason, NotFoundError):
            lost_at = time.monotonic() if lost_at is None else lost_at
            if time.monotonic() - lost_at > patience.reconnect_seconds:
                raise reason
            on_lost(reason.message)
        time.sleep(pause)
        pause = min(pause * 2, patience.longest_pause_seconds)


def _messages(client: Client, run_id: str, last_id: str) -> Iterator[Message]:
    headers = {"Accept": "text/event-stream"}
    if last_id:
        headers["Last-Event-ID"] = last_id
    try:
        with client.stream(f"/v1/workflows/runs/{run_id}/stream", headers) as response:
            if response.status_code != 200:
                response.read()
                client.checked(response)
            yield from parse(response.iter_lines())
    except (httpx.TransportError, httpx.StreamError) as error:
        raise client.unreachable(str(error) or type(error).__name__) from None


def parse(lines: Iterable[str]) -> Iterator[Message]:
    """The messages in a stream of lines, as the HTML standard reads them. A half message at the end is dropped."""
    identifier, event, data = "", "message", list[str]()
    for line in lines:
        if not line:
            if data:
                yield Message(identifier, event, "\n".join(data))
            event, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "data":
                data.append(value)
            case "id":
                identifier = value
            case "event":
                event = value


def _run_of(message: Message) -> JsonDict | None:
    try:
        value: Any = json.loads(message.data)
    except ValueError:
        return None
    run = value.get("workflowRun") if isinstance(value, dict) else None
    return run if isinstance(run, dict) else None
