"""Following a run: from before it is there until it is over, over lost connections."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from headrace_cli import following
from headrace_cli.client import Client
from headrace_cli.credentials import Credentials
from headrace_cli.errors import NotAllowedError, NotFoundError, UnreachableError
from headrace_cli.following import Message, Patience, TooLongError
from tests.cli.samples import run

HASTY = Patience(appear_seconds=0.2, reconnect_seconds=0.2, first_pause_seconds=0.001, longest_pause_seconds=0.01)


def message(seq: int, document: dict[str, Any]) -> bytes:
    return f"id: {seq}\nevent: run\ndata: {json.dumps(document)}\n\n".encode()


class Server:
    """Answers one request after the other as the script says; an exception is a lost connection."""

    def __init__(self, *script: httpx.Response | Exception | list[bytes | Exception]) -> None:
        self._script = list(script)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(200, content=_chunks(answer))

    def client(self, credentials: Credentials | None = None) -> Client:
        return Client("http://test", credentials, transport=httpx.MockTransport(self))


def _chunks(parts: list[bytes | Exception]) -> Iterator[bytes]:
    for part in parts:
        if isinstance(part, Exception):
            raise part
        yield part


def not_found() -> httpx.Response:
    return httpx.Response(404, json={"ok": False, "error": "not_found", "message": "no such run"})


GOING, OVER = run([]), run([], end=5)


def test_it_yields_every_state_and_ends_with_the_run() -> None:
    server = Server([b"retry: 1000\n\n", message(1, GOING), b": still here\n\n", message(2, OVER)])

    with server.client() as client:
        states = list(following.snapshots(client, "wfr_1", HASTY))

    assert states == [GOING, OVER]


def test_it_waits_for_a_run_that_is_not_there_yet() -> None:
    server = Server(not_found(), not_found(), [message(1, OVER)])

    with server.client() as client:
        assert list(following.snapshots(client, "wfr_1", HASTY)) == [OVER]


def test_a_run_that_never_appears_is_not_found() -> None:
    with Server(not_found()).client() as client, pytest.raises(NotFoundError):
        list(following.snapshots(client, "wfr_1", HASTY))


@pytest.mark.parametrize("loss", [httpx.ReadError("reset"), httpx.RemoteProtocolError("half a chunk"), None])
def test_it_resumes_a_lost_stream_after_the_last_state_it_saw(loss: Exception | None) -> None:
    first: list[bytes | Exception] = [message(1, GOING), *([loss] if loss else [])]
    server = Server(first, httpx.ConnectError("refused"), [message(2, OVER)])
    told: list[str] = []

    with server.client() as client:
        states = list(following.snapshots(client, "wfr_1", HASTY, told.append))

    assert states == [GOING, OVER]
    assert [request.headers.get("last-event-id") for request in server.requests] == [None, "1", "1"]
    assert len(told) == 1, "one outage is told once"


def test_a_server_that_stays_away_is_unreachable() -> None:
    expected = r"Cannot reach Headrace at http://test \(Connection refused\)"
    gone = Server(httpx.ConnectError("[Errno 111] Connection refused"))

    with gone.client() as client, pytest.raises(UnreachableError, match=expected):
        list(following.snapshots(client, "wfr_1", HASTY))


def test_a_stream_with_nothing_more_to_say_gives_the_run_as_it_is() -> None:
    whole = httpx.Response(200, json={"ok": True, "workflowRun": OVER})

    with Server(httpx.Response(204), whole).client() as client:
        assert list(following.snapshots(client, "wfr_1", HASTY)) == [OVER]


def test_a_run_may_take_only_so_long() -> None:
    hasty = Patience(first_pause_seconds=0.001, longest_pause_seconds=0.01, whole_seconds=0.05)
    server = Server([message(1, GOING), httpx.ReadTimeout("silence")])

    with server.client() as client, pytest.raises(TooLongError):
        list(following.snapshots(client, "wfr_1", hasty))


def test_a_token_that_ends_meanwhile_is_replaced_once() -> None:
    token = httpx.Response(200, json={"ok": True, "accessToken": "t"})
    refused = httpx.Response(401, json={"ok": False, "error": "unauthorized", "message": "expired"})

    with Server(token, refused, token, [message(1, OVER)]).client(Credentials("a", "b")) as client:
        assert list(following.snapshots(client, "wfr_1", HASTY)) == [OVER]

    stubborn = Server(token, refused, token, refused)
    with stubborn.client(Credentials("a", "b")) as client, pytest.raises(NotAllowedError):
        list(following.snapshots(client, "wfr_1", HASTY))


def test_server_sent_events_are_read_as_the_standard_says() -> None:
    lines = [": comment", "id: 7", "data: a", "data:b", "", "", "event: x", "data: c", "", "data: half"]

    assert list(following.parse(lines)) == [Message("7", "message", "a\nb"), Message("7", "x", "c")]
