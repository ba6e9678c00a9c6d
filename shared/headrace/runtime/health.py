"""The door of a service that has no API: three pages over HTTP, for the machines that look after this one.

* `/healthz/live`: 200 as long as the process works, whatever is down around it;
* `/healthz/ready`: 200, or 503 with a sentence that says why not;
* `/metrics`: Prometheus' text format.

It answers these and nothing else, one request per connection, so it needs no library: a request is read up to a limit
of size and time, and only its first line is looked at.
"""

import asyncio
import errno
import json
import socket
from http import HTTPStatus

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from headrace.core.errors import HeadraceError
from headrace.runtime.readiness import Readiness

_REQUEST_SECONDS = 5.0
_REQUEST_BYTES = 16 * 1024
_CONNECTIONS = 64
_JSON = "application/json"
_METHODS = ("GET", "HEAD")


class AddressTakenError(HeadraceError):
    """Raised when the address cannot be listened on. Stop who uses it, or choose another port."""


class HealthServer:
    """One listening server. `start` and `stop` once each."""

    def __init__(self, host: str, port: int, readiness: Readiness, registry: CollectorRegistry) -> None:
        self._host = host
        self._port = port
        self._readiness = readiness
        self._registry = registry
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """Where it listens; after `start` also when port 0 was asked for."""
        return f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{self._port}"

    async def start(self) -> None:
        """Listen. Raises AddressTakenError."""
        try:
            self._server = await asyncio.start_server(self._serve, self._host, self._port, limit=_REQUEST_BYTES)
        except (OSError, socket.gaierror) as error:
            taken = error.errno == errno.EADDRINUSE
            reason = "another process uses it" if taken else (error.strerror or str(error))
            raise AddressTakenError(
                f"cannot listen on {self._host}:{self._port}: {reason}. HEADRACE_PORT chooses another port."
            ) from None
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End, together with the connections that are open. Calling it again is harmless."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for writer in list(self._open):
            writer.close()
        await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= _CONNECTIONS:
            writer.close()
            return
        self._open.add(writer)
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await self._answer(head.split(b"\r\n", 1)[0]))
                await writer.drain()
        except asyncio.LimitOverrunError:
            writer.write(_response(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, b"", _JSON))
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            pass  # whoever asked is gone or does not speak HTTP; the next probe is a new connection
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, line: bytes) -> bytes:
        parts = line.decode("latin-1").split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            return _response(HTTPStatus.BAD_REQUEST, b"", _JSON)
        method, target, _ = parts
        if method not in _METHODS:
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, b"", _JSON, ("Allow: GET, HEAD",))
        status, body, kind = await self._page(target.partition("?")[0])
        return _response(status, body, kind, with_body=method != "HEAD")

    async def _page(self, path: str) -> tuple[HTTPStatus, bytes, str]:
        if path == "/metrics":
            return HTTPStatus.OK, generate_latest(self._registry), CONTENT_TYPE_LATEST
        if path == "/healthz/live":
            return HTTPStatus.OK, _body(ok=True), _JSON
        if path == "/healthz/ready":
            complaint = await self._readiness.complaint()
            if complaint is None:
                return HTTPStatus.OK, _body(ok=True), _JSON
            return HTTPStatus.SERVICE_UNAVAILABLE, _body(ok=False, message=f"Not ready: {complaint}."), _JSON
        message = "There is nothing at this path; /healthz/live, /healthz/ready and /metrics are all."
        return HTTPStatus.NOT_FOUND, _body(ok=False, message=message), _JSON


def _body(**content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")


def _response(
    status: HTTPStatus, body: bytes, kind: str, headers: tuple[str, ...] = (), with_body: bool = True
) -> bytes:
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        "X-Content-Type-Options: nosniff",
        *headers,
    )
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body if with_body else b"")
