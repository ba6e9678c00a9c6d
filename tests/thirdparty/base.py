"""What the servers have in common: requests remembered, pages, and mishaps before or after a request takes effect."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Json = Any


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came. Header names are lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        return json.loads(self.body)


Mishap = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass
class _Planned:
    method: str
    pattern: str
    mishap: Mishap
    times: int
    after: bool


def answering(status: int, body: Json = None, **headers: str) -> Mishap:
    """An answer instead of the right one; names of headers are written with underscores."""

    async def mishap(request: web.BaseRequest) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(status=status, body=raw, headers=named)

    return mishap


async def closing(request: web.BaseRequest) -> web.StreamResponse:
    """The connection ends without an answer."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def truncating(request: web.BaseRequest) -> web.StreamResponse:
    """The connection ends in the middle of the answer."""
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"id": 4')
    assert request.transport is not None
    request.transport.close()
    return response


async def flooding(request: web.BaseRequest) -> web.StreamResponse:
    """Ten MiB of JSON."""
    return web.Response(body=b'{"padding": "' + b"x" * (10 * 1024 * 1024) + b'"}', content_type="application/json")


async def stalling(request: web.BaseRequest) -> web.StreamResponse:
    """No answer until the caller gives up."""
    await asyncio.sleep(3_600)
    return web.Response()


GARBAGE = answering(200, b"<html>Have you tried turning it off and on again?</html>", Content_Type="text/html")


class ThirdParty:
    """A running server. Subclasses give routes as (method, pattern of the path, handler)."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.port = 0
        self._mishaps: list[_Planned] = []
        self._runner: web.ServerRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def routes(self) -> list[tuple[str, str, Callable[..., Awaitable[web.StreamResponse]]]]:
        raise NotImplementedError

    def at(self, method: str, pattern: str) -> list[Received]:
        """The requests whose path the pattern finds."""
        return [it for it in self.received if it.method == method and re.search(pattern, it.path)]

    def go_wrong(self, method: str, pattern: str, mishap: Mishap, times: int = 1, after: bool = False) -> None:
        """Let the next requests go wrong; `after` they took effect."""
        self._mishaps.append(_Planned(method, pattern, mishap, times, after))

    async def start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        path = request.rel_url.raw_path
        received = Received(request.method, path, dict(request.query), headers, await request.read())
        self.received.append(received)
        planned = self._next_mishap(received)
        if planned is not None and not planned.after:
            return await planned.mishap(request)
        response = await self._answer(received)
        return response if planned is None else await planned.mishap(request)

    async def _answer(self, received: Received) -> web.StreamResponse:
        for method, pattern, handler in self.routes():
            match = re.fullmatch(pattern, received.path)
            if match and method == received.method:
                return await handler(received, *match.groups())
        return answer({"message": "Not Found"}, 404)

    def _next_mishap(self, received: Received) -> _Planned | None:
        for planned in self._mishaps:
            if planned.times and planned.method == received.method and re.search(planned.pattern, received.path):
                planned.times -= 1
                return planned
        return None


def answer(data: Json, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(data, status=status, headers=headers)


@dataclass
class Page:
    """One page of a list, and whether there is another."""

    items: list[Json]
    number: int
    has_next: bool
    total: int = field(default=0)


def page_of(items: list[Json], query: dict[str, str], most: int) -> Page:
    """The page that was asked for; a page has `most` items at most, as with the real ones."""
    size, number = min(int(query.get("per_page", "30")), most), int(query.get("page", "1"))
    start = (number - 1) * size
    return Page(items[start : start + size], number, start + size < len(items), len(items))
