"""One connection: a request goes out, its answer comes back, and then perhaps the next request.

aiohttp's parser reads the answers (llhttp, with aiohttp's limits). The rest of aiohttp's client is left out: its layers
of sessions, requests and responses cost a call more than the call itself (ADR 0003).
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Literal, cast

from aiohttp.client_exceptions import ClientPayloadError
from aiohttp.http import HttpResponseParser
from aiohttp.http_exceptions import HttpProcessingError

from headrace.adapters.http.headers import flatten
from headrace.adapters.http.policy import EgressPolicy
from headrace.core.errors import HeadraceError

_MOST_RESPONSE_HEADERS = 100
_NEVER_WITH_BODY = frozenset({101, 204, 304})

Phase = Literal["queue", "dns", "connect", "response", "body"]


@dataclass(slots=True)
class Attempt:
    """How far a call has come: where it is, and whether a byte of it may have left."""

    host: str = ""
    place: str = ""
    phase: Phase = "queue"
    sent: bool = False
    """Over all hops of a redirect."""
    refusal: str = ""
    began_at: float = 0.0
    """When the hop had its turn, by the monotonic clock."""

    def aim(self, host: str, place: str) -> None:
        """Begin the next hop."""
        self.host, self.place = host, place
        self.phase = "queue"


class ConnectionEndedError(HeadraceError):
    """Raised when a connection ended before the answer did. `error` is the system's, None when it was closed."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__("the connection ended")
        self.error = error


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it arrived, with the names of its headers in lower case. `truncated`: the body went on."""

    status: int
    headers: dict[str, str]
    body: bytes
    truncated: bool


class Connection(asyncio.Protocol):
    """Carries one exchange at a time. Whatever comes unasked, or cannot be read to its end, is its last."""

    def __init__(self, policy: EgressPolicy) -> None:
        self._policy = policy
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._answer: asyncio.Future[Answer] | None = None
        self._attempt = Attempt()
        self._head: Any = None
        self._body: Any = None
        self.is_reusable = True
        """Whether another exchange may follow: the last one ended as HTTP/1.1 wants it, and nothing came since."""

    async def exchange(self, request: bytes, attempt: Attempt, *, with_body: bool) -> Answer:
        """Send the request and read its answer. `with_body` is false for HEAD, whose answers have none.

        Raises ConnectionEndedError, and aiohttp's HttpProcessingError for what is no HTTP. Not to be called when
        `is_reusable` is false.
        """
        assert self._transport is not None, "a connection that is lost is not reusable"
        loop = asyncio.get_running_loop()
        policy = self._policy
        self._parser = HttpResponseParser(
            cast(Any, self), loop, policy.max_response_bytes, payload_exception=ClientPayloadError,
            response_with_body=with_body, read_until_eof=True,
            auto_decompress=False,  # it has no limit; body.py does it with one
            max_line_size=policy.max_header_bytes, max_field_size=policy.max_header_bytes,
            max_headers=_MOST_RESPONSE_HEADERS,
        )  # fmt: skip
        self._head = self._body = None
        self._attempt = attempt
        self._answer = loop.create_future()
        self.is_reusable = False
        attempt.sent = True
        attempt.phase = "response"
        self._transport.write(request)
        try:
            return await self._answer
        finally:
            self._answer = self._parser = self._head = self._body = None

    def abort(self) -> None:
        """End the connection at once. An exchange under way fails."""
        self.is_reusable = False
        if self._transport is not None:
            self._transport.abort()

    # what the event loop tells its protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.abort()  # nobody asked for it
            return
        try:
            messages, _, rest = self._parser.feed_data(data)
        except Exception as error:
            if self._head is not None and self._body.is_eof():
                self._read_on(ends=False)  # the answer is whole; what cannot be read came behind it
            else:
                self._answer.set_exception(error if isinstance(error, HttpProcessingError) else HttpProcessingError())
            return
        ends = not rest
        for message, body in messages:
            if self._head is not None:
                ends = False  # two answers to one request
            elif not 100 <= message.code < 200 or message.code == 101:
                self._head, self._body = message, body
                self._attempt.phase = "body"
        if self._head is not None:
            self._read_on(ends)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_reusable = False
        self._transport = None
        if self._answer is None or self._answer.done():
            return
        if self._head is not None:
            try:
                self._parser.feed_eof()
            except HttpProcessingError:
                pass  # the body has a length, or chunks, and did not get there
            else:
                self._read_on(ends=False)
        if not self._answer.done():
            self._answer.set_exception(ConnectionEndedError(error))

    def _read_on(self, ends: bool) -> None:
        """Give the answer if its body is there, or as much of it as is kept. `ends`: nothing came behind it."""
        assert self._answer is not None
        head, body, limit = self._head, self._body, self._policy.max_response_bytes
        is_complete = body.is_eof()
        if head.code in _NEVER_WITH_BODY:
            data = b""
        elif is_complete or body.total_bytes > limit:
            data = body.read_nowait()
        else:
            return
        truncated = len(data) > limit
        self.is_reusable = is_complete and ends and not truncated and not head.should_close and head.code != 101
        self._answer.set_result(Answer(head.code, flatten(head.headers.items()), data[:limit], truncated))

    # what the parser asks of its protocol: nothing, since `_read_on` stops at the limit

    def pause_reading(self) -> None:
        """See above."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """See above."""
