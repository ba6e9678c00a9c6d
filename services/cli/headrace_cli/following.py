"""Following a run as it happens: server-sent events, from before its first moment to its last."""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from headrace_cli.client import Client, JsonDict
from headrace_cli.errors import CommandError, ExitCode, NotAllowedError, NotFoundError, UnreachableError


class TooLongError(CommandError):
    """Raised when a run is not over after the time it was given. It goes on; look again later."""

    exit_code = ExitCode.TOO_LONG

    def __init__(self, run_id: str, seconds: float | None) -> None:
        super().__init__(f"{run_id} is not over after {seconds or 0:g} s. It goes on: headrace show {run_id}")


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
    whole_seconds: float | None = None
    """How long the run may take altogether; None waits as long as it takes."""


def snapshots(
    client: Client,
    run_id: str,
    patience: Patience = Patience(),
    on_lost: Callable[[str], None] = lambda reason: None,
) -> Iterator[JsonDict]:
    """The run after each change, the last one completed. Every state that the server tells comes once, in order.

    Raises NotFoundError when the run does not appear in time, UnreachableError when the server stays away.
    """
    last_id, begun = "", time.monotonic()
    deadline = _Deadline(run_id, patience.whole_seconds)
    outage = _Outage(patience)
    while True:
        try:
            for message in _messages(client, run_id, last_id, deadline):
                last_id = message.id or last_id
                outage.end()
                run = _run_of(message)
                if run is not None:
                    yield run
                    if run.get("status") == "COMPLETED":
                        return
            outage.go_on(client.unreachable("the stream ended early"), on_lost)
        except NotFoundError:
            if last_id or time.monotonic() - begun > patience.appear_seconds:
                raise
        except NotAllowedError:
            if outage.signed_in_again or not client.forget_token():
                raise
            outage.signed_in_again = True
        except UnreachableError as error:
            outage.go_on(error, on_lost)
        deadline.check()
        outage.pause()


class _Outage:
    """The time without news: how long it may last, and how long to pause before asking again."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self.end()

    def end(self) -> None:
        """There is news."""
        self._since: float | None = None
        self._pause_seconds = self._patience.first_pause_seconds
        self.signed_in_again = False

    def go_on(self, reason: UnreachableError, on_lost: Callable[[str], None]) -> None:
        """Bear with a lost connection once more. Raises the reason when it has lasted too long."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
            on_lost(reason.message)
        if now - self._since > self._patience.reconnect_seconds:
            raise reason

    def pause(self) -> None:
        time.sleep(self._pause_seconds)
        self._pause_seconds = min(self._pause_seconds * 2, self._patience.longest_pause_seconds)


class _Deadline:
    """How long the run may take altogether."""

    def __init__(self, run_id: str, seconds: float | None) -> None:
        self._run_id = run_id
        self._seconds = seconds
        self._until = math.inf if seconds is None else time.monotonic() + seconds

    def check(self) -> None:
        """Raises TooLongError when the time is over."""
        if time.monotonic() >= self._until:
            raise TooLongError(self._run_id, self._seconds)

    @property
    def quiet_seconds(self) -> float:
        """How long a stream may be silent; the server gives a sign of life every 15 seconds."""
        return max(min(self._until - time.monotonic(), 45.0), 0.01)


def _messages(client: Client, run_id: str, last_id: str, deadline: _Deadline) -> Iterator[Message]:
    """The messages after `last_id`. Raises TooLongError."""
    headers = {"Accept": "text/event-stream"}
    if last_id:
        headers["Last-Event-ID"] = last_id
    try:
        with client.stream(f"/v1/workflows/runs/{run_id}/stream", headers, deadline.quiet_seconds) as response:
            if response.status_code != 200:
                response.read()
                client.checked(response)
                yield _whole(client, run_id)
            yield from parse(_before(deadline, response.iter_lines()))
    except (httpx.TransportError, httpx.StreamError) as error:
        deadline.check()
        raise client.unreachable(str(error) or type(error).__name__) from None


def _before(deadline: _Deadline, lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        deadline.check()
        yield line


def _whole(client: Client, run_id: str) -> Message:
    """The run as it is, where the stream has nothing more to say (204)."""
    return Message("", "run", json.dumps(client.run(run_id)))


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
    run = value.get("workflowRun", value) if isinstance(value, dict) else None
    return run if isinstance(run, dict) and "status" in run else None
