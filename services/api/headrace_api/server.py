"""Serving an app inside an event loop that others use too: no signal handlers, no logging set-up, no own loop."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from headrace.core.errors import HeadraceError
from headrace_api.app import stop_streams

_STOP_SECONDS = 5


class PortTakenError(HeadraceError):
    """Raised when the address cannot be listened on. Stop who uses it, or choose another port."""


async def serve(app: FastAPI, host: str, port: int) -> "ApiServer":
    """A server that answers requests for the app already; call `stop` at the end. Raises PortTakenError."""
    server = ApiServer(app, host, port)
    await server.start()
    return server


class ApiServer:
    """One listening server. `start` and `stop` once each."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        self._app = app
        self._host = host
        self._port = port
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="on", ws="none", server_header=False,
            timeout_graceful_shutdown=_STOP_SECONDS,
        )  # fmt: skip
        self._server = _QuietServer(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; after `start` also when 0 was asked for."""
        return self._port

    @property
    def url(self) -> str:
        """Where to send requests."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self._host, self._host)  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{self._port}"

    async def start(self) -> None:
        """Listen, and return when requests are answered. Raises PortTakenError."""
        listener = _listen(self._host, self._port)
        self._port = listener.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="api server")
        up = asyncio.create_task(self._server.up.wait())
        await asyncio.wait((self._task, up), return_when=asyncio.FIRST_COMPLETED)
        if not up.done():
            up.cancel()
            await self._task
            raise HeadraceError("the api server ended before it answered a request")

    async def stop(self) -> None:
        """Take no more requests, let those at work finish for a few seconds, then end. Calling it again is harmless."""
        if self._task is None:
            return
        stop_streams(self._app)
        self._server.should_exit = True
        await self._task

    async def wait(self) -> None:
        """Until the server has ended, whatever ended it."""
        if self._task is not None:
            await asyncio.shield(self._task)


class _QuietServer(uvicorn.Server):
    """uvicorn's server, minus the signal handlers, plus a signal when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol must be named: only then asyncio switches Nagle's algorithm off, which costs 40 ms an answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        reason = "another process uses it" if error.errno == errno.EADDRINUSE else (error.strerror or str(error))
        raise PortTakenError(f"cannot listen on {host}:{port}: {reason}. Choose another port.") from None
    listener.setblocking(False)
    return listener
