"""A real HTTP receiver for the examples: it hands out tickets, is flaky once, checks signatures and remembers it all.

Standard library only, the check of the signature included: this is all that a receiver of yours needs to do.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_STATUS_WORDS = {200: "OK", 201: "Created", 400: "Bad Request", 404: "Not Found", 500: "Internal Server Error"}
_STALE_SECONDS = 300
_MAX_BODY = 1_048_576


@dataclass(frozen=True, slots=True)
class Received:
    """One request and what was answered. Header names are lower case; `signed` is the verdict on the signature."""

    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytes
    body: Any
    signed: bool
    status: int
    answer: Any

    @property
    def webhook_id(self) -> str:
        return self.headers.get("webhook-id", "")


@dataclass
class Desk:
    """What answers the requests: pure bookkeeping, no network. `broken` makes it refuse messages (for tests)."""

    secret: str
    now: Callable[[], float]
    broken: bool = False
    received: list[Received] = field(default_factory=list)
    _calls: dict[str, int] = field(default_factory=dict)

    def handle(self, method: str, path: str, headers: Mapping[str, str], raw: bytes) -> Received:
        """Answer one request and remember it."""
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = None
        signed = is_signed(headers, raw, self.secret, self.now())
        status, answer = self._answer(method, path, body if isinstance(body, dict) else {})
        record = Received(method, path, dict(headers), raw, body, signed, status, answer)
        self.received.append(record)
        return record

    def _answer(self, method: str, path: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        match method, path.strip("/").split("/"):
            case "POST", ["changes"]:
                return 201, {"ticketId": f"CHG-{1000 + self._count('changes')}", "status": "open"}
            case "PATCH", ["changes", ticket]:
                return 200, {"ticketId": ticket, "status": body.get("status")}
            case "PUT", ["limits", service]:
                if self._count(path) == 1:
                    return 503, {"error": "the limits gateway is busy, try again"}
                return 200, {"service": service, "requestsPerSecond": body.get("requestsPerSecond")}
            case "POST", ["channels", channel, "messages"]:
                if self.broken:
                    return 500, {"error": "the receiver was told to be broken"}
                return 201, {"messageId": f"MSG-{self._count('messages')}", "channel": channel}
            case "POST", ["notes"]:
                return 201, {"noteId": f"NOTE-{self._count('notes')}"}
            case "POST", ["services", service, "drain" | "restart"]:
                return 200, {"ticketId": f"OPS-{self._count('services')}", "service": service}
            case _:
                return 404, {"error": f"there is nothing at {path}"}

    def _count(self, name: str) -> int:
        self._calls[name] = self._calls.get(name, 0) + 1
        return self._calls[name]


def is_signed(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> bool:
    """Whether the body was signed with our secret lately (Standard Webhooks: `id.timestamp.body`, HMAC-SHA256)."""
    identifier, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not identifier or not re.fullmatch("[0-9]{1,12}", timestamp) or abs(now - int(timestamp)) > _STALE_SECONDS:
        return False
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    signed = f"{identifier}.{timestamp}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
    given = headers.get("webhook-signature", "").encode().split()
    return any(hmac.compare_digest(expected, each) for each in given)


class Receiver:
    """The desk behind a socket: HTTP/1.1 with keep-alive, on this machine only."""

    def __init__(self, desk: Desk, on_request: Callable[[Received], None] = lambda record: None) -> None:
        self.desk = desk
        self.port = 0
        self._on_request = on_request
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in tuple(self._writers):
                writer.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # the caller went away, or does not speak HTTP
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; False when it was the connection's last."""
        head = await reader.readuntil(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        length = int(headers.get("content-length", "0"))
        if not 0 <= length <= _MAX_BODY or "transfer-encoding" in headers:
            raise ValueError("the receiver takes bodies of a stated, moderate length")
        raw = await reader.readexactly(length)
        record = self.desk.handle(method, target.partition("?")[0], headers, raw)
        self._on_request(record)
        keep = headers.get("connection", "").lower() != "close"
        writer.write(_response(record.status, record.answer, keep))
        await writer.drain()
        return keep


def _response(status: int, answer: Any, keep: bool) -> bytes:
    body = json.dumps(answer).encode()
    head = (
        f"HTTP/1.1 {status} {_STATUS_WORDS.get(status, 'Service Unavailable')}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    )
    return head.encode() + body
