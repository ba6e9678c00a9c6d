"""Azure DevOps' REST API 7.1, as far as incoming webhooks and runs of pipelines need it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tests.thirdparty.base import Received, ThirdParty, answer

TOKEN = "azure-personal-access-token"
SECRET = "azure-webhook-secret"


class Azure(ThirdParty):
    """`settable` are the variables that the pipeline lets others set."""

    def __init__(self, now: Callable[[], int] | None = None) -> None:
        super().__init__()
        self.runs: dict[int, dict[str, Any]] = {}
        self.records: dict[int, list[dict[str, Any]]] = {}
        self.hooks: list[Any] = []
        self.settable = {"env", "HEADRACE_NODE_RUN"}
        self._now = now or (lambda: int(time.time() * 1000))
        self._numbers = itertools.count(301)

    def routes(self) -> list[Any]:
        place = "/acme/shop/_apis"
        return [
            ("POST", "/acme/_apis/public/distributedtask/webhooks/([^/]+)", self._hook),
            ("POST", f"{place}/pipelines/7/runs", self._begin),
            ("GET", f"{place}/pipelines/7/runs/([0-9]+)", self._run),
            ("GET", f"{place}/build/builds", self._builds),
            ("GET", f"{place}/build/builds/([0-9]+)/timeline", self._timeline),
            ("GET", f"{place}/build/builds/([0-9]+)/logs/([0-9]+)", self._log),
        ]

    def begin(self, **variables: str) -> int:
        number = next(self._numbers)
        self.runs[number] = {
            "id": number,
            "name": f"2026.{number}",
            "state": "inProgress",
            "_links": {"web": {"href": f"https://azure.test/acme/shop/_build/results?buildId={number}"}},
            "parameters": json.dumps(variables) if variables else None,
            "queueTime": _iso(self._now()),
        }
        return number

    def work(self, run: int, name: str, *tasks: tuple[str, str], ended: str | None = None) -> None:
        state = "inProgress" if ended is None else "completed"
        job = {"id": f"job-{name}", "parentId": None, "type": "Job", "name": name, "state": state, "result": ended}
        done = [
            {"id": f"{name}-{index}", "parentId": f"job-{name}", "type": "Task", "name": task, "state": "completed",
             "result": how, "order": index}
            for index, (task, how) in enumerate(tasks)
        ]  # fmt: skip
        self.records[run] = [*reversed(done), {**job, "log": {"id": 5}}]

    def finish(self, run: int, result: str = "succeeded") -> None:
        self.runs[run].update(state="completed", result=result)

    async def _hook(self, received: Received, name: str) -> web.StreamResponse:
        digest = hmac.new(SECRET.encode(), received.body, hashlib.sha1).hexdigest()
        if received.headers.get("x-port-signature") != f"sha1={digest}":
            return answer({"message": "The signature does not match"}, 401)
        if name != "deploy":
            return answer({"message": "There is no such webhook"}, 404)
        assert received.query["api-version"] == "6.0-preview"
        self.hooks.append(received.json)
        return web.Response(status=200)

    async def _begin(self, received: Received) -> web.StreamResponse:
        if (refusal := self._refuse(received)) is not None:
            return refusal
        body = received.json
        given = {name: it["value"] for name, it in body["variables"].items()}
        strange = sorted(given.keys() - self.settable)
        if strange:
            return answer({"message": f"You can't set the following variables ({', '.join(strange)})."}, 400)
        return answer(self._shown(self.begin(**given)))

    async def _run(self, received: Received, number: str) -> web.StreamResponse:
        return self._refuse(received) or answer(self._shown(int(number)))

    async def _builds(self, received: Received) -> web.StreamResponse:
        if (refusal := self._refuse(received)) is not None:
            return refusal
        assert received.query["definitions"] == "7"
        found = [it for it in reversed(self.runs.values()) if it["queueTime"] >= received.query["minTime"]]
        return answer({"count": len(found), "value": found})

    async def _timeline(self, received: Received, number: str) -> web.StreamResponse:
        if int(number) not in self.records:
            return web.Response(status=204)
        return self._refuse(received) or answer({"records": self.records[int(number)]})

    async def _log(self, received: Received, number: str, log: str) -> web.StreamResponse:
        return self._refuse(received) or answer({"count": 2, "value": ["##[section]Starting", f"log {log}"]})

    def _refuse(self, received: Received) -> web.StreamResponse | None:
        expected = "Basic " + base64.b64encode(f":{TOKEN}".encode()).decode()
        if received.headers.get("authorization") != expected:
            return web.Response(status=401, text="<html>Access denied</html>", content_type="text/html")
        return None

    def _shown(self, number: int) -> Any:
        return {key: value for key, value in self.runs[number].items() if key not in ("parameters", "queueTime")}


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
