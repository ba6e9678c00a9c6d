"""A real HTTP receiver on loopback: it remembers every request and answers as a test has written down."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from headrace.adapters.http.signature import verify


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came. Header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def webhook_id(self) -> str:
        return self.headers["webhook-id"]

    def is_signed(self, secret: str) -> bool:
        return verify(self.headers, self.body, secret, time.time())


@dataclass
class Answer:
    """What to answer: after `delay` seconds, and not before `gate` is set. `data` is sent as JSON unless bytes."""

    status: int = 200
    data: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    gate: asyncio.Event | None = None

    def response(self) -> web.Response:
        if isinstance(self.data, bytes):
            return web.Response(status=self.status, body=self.data, headers=self.headers)
        headers = {"Content-Type": "application/json", **self.headers}
        return web.Response(status=self.status, text=json.dumps(self.data), headers=headers)


Script = Answer | Callable[[Call], Answer]


class Receiver:
    """Answers each path by its script, one entry per request, the last one for ever; 200 `{}` where there is none."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.port = 0
        self._scripts: dict[str, list[Script]] = {}
        self._changed = asyncio.Condition()
        self._runner: web.ServerRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def on(self, path: str, *script: Script) -> None:
        """From now on answer requests for the path like this."""
        self._scripts[path] = list(script)

    def at(self, path: str) -> list[Call]:
        """The requests for a path."""
        return [call for call in self.calls if call.path == path]

    async def called(self, path: str, times: int = 1, seconds: float = 10.0) -> list[Call]:
        """Wait until the path was called that often."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: len(self.at(path)) >= times)
        return self.at(path)

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
        call = Call(request.method, request.path, headers, await request.read(), time.monotonic())
        async with self._changed:
            self.calls.append(call)
            self._changed.notify_all()
        script = self._scripts.get(call.path, [])
        entry: Script = Answer(data={})
        if script:
            entry = script.pop(0) if len(script) > 1 else script[0]
        answer = entry if isinstance(entry, Answer) else entry(call)
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.gate is not None:
            await answer.gate.wait()
        return answer.response()
