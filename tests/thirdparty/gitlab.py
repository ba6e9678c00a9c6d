"""GitLab's REST API v4, as far as a triggered pipeline needs it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from aiohttp import web

from tests.thirdparty.base import Json, Received, ThirdParty, answer, page_of

PROJECT = "acme/platform/shop"
TRIGGER_TOKEN = "glptt-0123456789abcdef"
TOKEN = "glpat-0123456789abcdef"


class Gitlab(ThirdParty):
    """`is_maintainer`: whether the token may read variables of pipelines."""

    def __init__(self, now: Callable[[], int] | None = None) -> None:
        super().__init__()
        self.pipelines: dict[int, dict[str, Any]] = {}
        self.jobs: dict[int, list[dict[str, Any]]] = {}
        self.is_maintainer = True
        self.most_per_page = 100
        self._now = now or (lambda: int(time.time() * 1000))
        self._numbers = itertools.count(501)

    def routes(self) -> list[Any]:
        place = f"/api/v4/projects/{quote(PROJECT, safe='')}"
        return [
            ("POST", f"{place}/trigger/pipeline", self._trigger),
            ("GET", f"{place}/pipelines", self._list),
            ("GET", f"{place}/pipelines/([0-9]+)", self._pipeline),
            ("GET", f"{place}/pipelines/([0-9]+)/variables", self._variables),
            ("GET", f"{place}/pipelines/([0-9]+)/jobs", self._jobs),
            ("GET", f"{place}/jobs/([0-9]+)/trace", self._trace),
        ]

    def begin(self, ref: str = "main", **variables: str) -> int:
        number = next(self._numbers)
        self.pipelines[number] = {
            "id": number,
            "iid": number - 500,
            "project_id": 77,
            "ref": ref,
            "status": "created",
            "source": "trigger",
            "web_url": f"https://gitlab.test/{PROJECT}/-/pipelines/{number}",
            "updated_at": _iso(self._now()),
            "variables": [{"key": key, "value": value, "variable_type": "env_var"} for key, value in variables.items()],
        }
        self.jobs[number] = []
        return number

    def work(self, pipeline: int, name: str, status: str) -> None:
        self.pipelines[pipeline]["status"] = "running"
        jobs = [job for job in self.jobs[pipeline] if job["name"] != name]
        jobs.append({"id": pipeline * 100 + len(jobs), "name": name, "stage": "build", "status": status})
        self.jobs[pipeline] = jobs

    def finish(self, pipeline: int, status: str = "success") -> None:
        self.pipelines[pipeline]["status"] = status

    def event(self, pipeline: int) -> Json:
        """The pipeline webhook."""
        it = self.pipelines[pipeline]
        attributes = {"id": it["id"], "status": it["status"], "url": it["web_url"], "source": "trigger"}
        return {"object_kind": "pipeline", "object_attributes": attributes, "project": {"id": 77, "name": "shop"}}

    async def _answer(self, received: Received) -> web.StreamResponse:
        if received.method == "GET" and received.headers.get("private-token") != TOKEN:
            return answer({"message": "401 Unauthorized"}, 401)
        response = await super()._answer(received)
        response.headers.update({"RateLimit-Limit": "2000", "RateLimit-Remaining": "1999"})
        return response

    async def _trigger(self, received: Received) -> web.StreamResponse:
        body = received.json
        if body.get("token") != TRIGGER_TOKEN:
            return answer({"message": "404 Not Found"}, 404)
        if body["ref"] == "gone":
            return answer({"message": {"base": ["Reference not found"]}}, 400)
        assert all(isinstance(value, str) for value in body["variables"].values())
        return answer(self._shown(self.begin(body["ref"], **body["variables"])), 201)

    async def _list(self, received: Received) -> web.StreamResponse:
        since = received.query.get("updated_after", "")
        found = [it for it in self.pipelines.values() if it["source"] == received.query.get("source")]
        found = [it for it in sorted(found, key=lambda it: -it["id"]) if it["updated_at"] >= since]
        page = page_of([self._shown(it["id"]) for it in found], received.query, self.most_per_page)
        return answer(page.items, headers={"X-Next-Page": str(page.number + 1) if page.has_next else ""})

    async def _pipeline(self, received: Received, number: str) -> web.StreamResponse:
        if int(number) not in self.pipelines:
            return answer({"message": "404 Not found"}, 404)
        return answer(self._shown(int(number)))

    async def _variables(self, received: Received, number: str) -> web.StreamResponse:
        if not self.is_maintainer:
            return answer({"message": "403 Forbidden"}, 403)
        return answer(self.pipelines[int(number)]["variables"])

    async def _jobs(self, received: Received, number: str) -> web.StreamResponse:
        page = page_of(self.jobs[int(number)], received.query, self.most_per_page)
        return answer(page.items, headers={"X-Next-Page": str(page.number + 1) if page.has_next else ""})

    async def _trace(self, received: Received, job: str) -> web.StreamResponse:
        return web.Response(body=f"$ make\ntrace of {job}\n".encode(), content_type="text/plain")

    def _shown(self, number: int) -> Json:
        return {key: value for key, value in self.pipelines[number].items() if key != "variables"}


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
