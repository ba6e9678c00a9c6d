"""The receiver of the examples' calls: it writes every request down before it answers, and takes its time.

It is no part of the engine, nor made from one: it checks signatures by itself. Each life of an invoker signs with a
secret of its own, so that a signature tells who called.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TextIO
from zlib import crc32

from aiohttp import web

from tests.faults.checker import NOBODY
from tests.faults.history import Call

Callback = Callable[[str, int], Coroutine[Any, Any, None]]
"""Reports on a node run that was accepted: the webhook-id, and the number of the call."""

ONE_SLOW_IN = 12
SLOW_SECONDS, SLOW_SPREAD_SECONDS = 1.0, 1.0
QUICK_SECONDS, QUICK_SPREAD_SECONDS = 0.005, 0.045


def delay_of(webhook_id: str) -> float:
    """How long a call is answered for: 5 to 50 ms, and one in twelve 1 to 2 s; the same for repetitions."""
    chance = crc32(webhook_id.encode()) / 2**32
    if chance < 1 / ONE_SLOW_IN:
        return SLOW_SECONDS + SLOW_SPREAD_SECONDS * chance * ONE_SLOW_IN
    return QUICK_SECONDS + QUICK_SPREAD_SECONDS * chance


class Receiver:
    """An HTTP server on loopback with a log in a file. `signers` are the secrets of the lives of invokers."""

    def __init__(self, log: Path, callback: Callback) -> None:
        self.port = 0
        self.signers: dict[str, str] = {}
        self.open: Counter[str] = Counter()
        """How many calls of each life wait for their answer."""
        self.log = log
        self._callback = callback
        self._number = 0
        self._visits: Counter[str] = Counter()
        self._reports: set[asyncio.Task[None]] = set()
        self._runner: web.ServerRunner | None = None
        self._file: TextIO | None = None

    @property
    def calls(self) -> int:
        """How many came so far."""
        return self._number

    async def start(self) -> None:
        self._file = self.log.open("a")
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        for task in self._reports:
            task.cancel()
        await asyncio.gather(*self._reports, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
        if self._file is not None:
            self._file.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        self._number += 1
        number, webhook_id = self._number, request.headers.get("webhook-id", "")
        life = self._signer(request.headers, body)
        digest = hashlib.sha256(f"{request.method} {request.path}\n".encode() + body).hexdigest()
        self._note(number=number, at=time.time(), id=webhook_id, life=life, body=digest, path=request.path)
        status, answer = self._answer(request.method, request.path, number)
        self.open[life] += 1
        try:
            await asyncio.sleep(delay_of(webhook_id))
            response = web.json_response(answer, status=status)
            await response.prepare(request)
            await response.write_eof()
        finally:
            self.open[life] -= 1
        self._note(number=number, answered=time.time(), status=status, answer=answer)
        if status == 202:
            self._report(webhook_id, number)
        return response

    def _answer(self, method: str, path: str, number: int) -> tuple[int, Any]:
        """As examples/README.md says; every answer carries the number of its call."""
        self._visits[f"{method} {path}"] += 1
        match method, path.strip("/").split("/"):
            case "POST", ["changes"]:
                return 201, {"ticketId": f"CHG-{number}", "status": "open"}
            case "PATCH", ["changes", ticket]:
                return 200, {"ticketId": ticket, "status": "done", "call": number}
            case "PUT", ["limits", _]:
                if self._visits[f"{method} {path}"] == 1:
                    return 503, {"error": "the limits gateway is busy, try again"}
                return 200, {"requestsPerSecond": 5000, "call": number}
            case "POST", ["channels", _, "messages"]:
                return 201, {"messageId": f"MSG-{number}"}
            case "POST", ["notes"]:
                return 201, {"noteId": f"NOTE-{number}"}
            case "POST", ["services", _, "drain" | "restart"]:
                return 200, {"ticketId": f"OPS-{number}"}
            case "DELETE", ["sandboxes", _]:
                return 202, {"accepted": number}
        return 404, {"error": f"there is nothing at {path}"}

    def _report(self, webhook_id: str, number: int) -> None:
        task = asyncio.create_task(self._callback(webhook_id, number))
        self._reports.add(task)
        task.add_done_callback(self._reports.discard)

    def _signer(self, headers: Mapping[str, str], body: bytes) -> str:
        """The life whose secret made the signature; NOBODY when none did."""
        told = f"{headers.get('webhook-id')}.{headers.get('webhook-timestamp')}.".encode() + body
        signature = headers.get("webhook-signature", "")
        for life, secret in reversed(self.signers.items()):
            made = base64.b64encode(hmac.digest(secret.encode(), told, "sha256")).decode()
            if hmac.compare_digest(signature, f"v1,{made}"):
                return life
        return NOBODY

    def _note(self, **fields: Any) -> None:
        assert self._file is not None
        self._file.write(json.dumps(fields) + "\n")
        self._file.flush()


def read_log(log: Path) -> list[Call]:
    """The calls that the file tells of."""
    calls: dict[int, Call] = {}
    for line in log.read_text().splitlines():
        fields = json.loads(line)
        if "id" in fields:
            calls[fields["number"]] = Call(fields["number"], fields["at"], fields["id"], fields["life"], fields["body"])
        else:
            calls[fields["number"]].answered = fields["answered"]
            calls[fields["number"]].status = fields["status"]
            calls[fields["number"]].answer = fields["answer"]
    return list(calls.values())
