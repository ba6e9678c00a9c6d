"""GitHub's REST API, as far as a dispatched workflow needs it (version 2022-11-28)."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tests.thirdparty.base import Json, Received, ThirdParty, answer, page_of

TOKEN = "ghp_0123456789abcdef"
REPOSITORY = {"id": 22, "name": "shop", "full_name": "acme/shop", "owner": {"id": 11, "login": "acme"}}


@dataclass
class Workflow:
    """A workflow file: the inputs that it declares, and the one that its `run-name` shows."""

    inputs: set[str] = field(default_factory=lambda: {"env", "headrace_node_run"})
    shown: str | None = "headrace_node_run"


class Github(ThirdParty):
    """`knows_details` is false for servers of before February 2026; a run shows in lists after `lag` of them."""

    def __init__(self, now: Callable[[], int] | None = None) -> None:
        super().__init__()
        self.workflows = {"deploy.yml": Workflow()}
        self.runs: dict[int, dict[str, Any]] = {}
        self.jobs: dict[int, list[dict[str, Any]]] = {}
        self.knows_details = True
        self.lag = 0
        self.most_per_page = 100
        self._now = now or (lambda: int(time.time() * 1000))
        self._numbers = itertools.count(9_000_000_001)
        self._asked: dict[int, int] = {}

    def routes(self) -> list[Any]:
        repo = "/repos/acme/shop"
        return [
            ("GET", repo, self._repository),
            ("POST", f"{repo}/actions/workflows/([^/]+)/dispatches", self._dispatch),
            ("GET", f"{repo}/actions/workflows/([^/]+)/runs", self._list),
            ("GET", f"{repo}/actions/runs/([0-9]+)", self._run),
            ("GET", f"{repo}/actions/runs/([0-9]+)/jobs", self._jobs),
            ("GET", f"{repo}/actions/jobs/([0-9]+)/logs", self._log),
            ("GET", "/blob/([0-9]+)", self._blob),
        ]

    def begin(self, workflow: str = "deploy.yml", title: str = "by hand", branch: str = "main", ago_ms: int = 0) -> int:
        """A run as a dispatch begins it."""
        number = next(self._numbers)
        self.runs[number] = {
            "id": number,
            "name": workflow,
            "display_title": title,
            "event": "workflow_dispatch",
            "head_branch": branch,
            "status": "queued",
            "conclusion": None,
            "html_url": f"https://github.test/acme/shop/actions/runs/{number}",
            "created_at": _iso(self._now() - ago_ms),
            "repository": REPOSITORY,
            "workflow": workflow,
        }
        self.jobs[number] = []
        return number

    def work(self, run: int, name: str, *steps: tuple[str, str], ended: str | None = None) -> int:
        """Let a job of the run stand like this: its steps that are over, and how it ended itself."""
        self.runs[run]["status"] = "in_progress"
        jobs = self.jobs[run]
        job = next((it for it in jobs if it["name"] == name), None)
        if job is None:
            job = {"id": run * 100 + len(jobs), "name": name}
            jobs.append(job)
        done = [{"name": step, "status": "completed", "conclusion": how} for step, how in steps]
        status = "in_progress" if ended is None else "completed"
        job.update({"status": status, "conclusion": ended, "steps": [*done, {"name": "next", "status": "queued"}]})
        return int(job["id"])

    def finish(self, run: int, conclusion: str = "success") -> None:
        self.runs[run].update(status="completed", conclusion=conclusion)

    def event(self, run: int) -> Json:
        """The `workflow_run` webhook of a run that is over."""
        return {"action": "completed", "workflow_run": self.runs[run], "repository": REPOSITORY}

    async def _answer(self, received: Received) -> web.StreamResponse:
        if received.path.startswith("/blob/"):
            return await super()._answer(received)
        if received.headers.get("authorization") != f"Bearer {TOKEN}":
            return answer({"message": "Bad credentials"}, 401)
        if received.headers.get("x-github-api-version") != "2022-11-28":
            return answer({"message": "Unsupported version"}, 400)
        response = await super()._answer(received)
        response.headers.update({"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "4999"})
        return response

    async def _repository(self, received: Received) -> web.StreamResponse:
        return answer({**REPOSITORY, "default_branch": "main"})

    async def _dispatch(self, received: Received, name: str) -> web.StreamResponse:
        workflow = self.workflows.get(name)
        if workflow is None:
            return answer({"message": "Not Found"}, 404)
        body = received.json
        details = body.pop("return_run_details", None)
        if details is not None and not self.knows_details:
            return answer({"message": 'Invalid request.\n\n"return_run_details" is not a permitted key.'}, 422)
        inputs = body.get("inputs", {})
        assert all(isinstance(value, str) for value in inputs.values())
        strange = sorted(inputs.keys() - workflow.inputs)
        if strange:
            return answer({"message": f"Unexpected inputs provided: {strange}".replace("'", '"')}, 422)
        if body["ref"] == "gone":
            return answer({"message": "No ref found for: gone"}, 422)
        title = f"Deploy {inputs.get(workflow.shown, '')}" if workflow.shown else "Deploy"
        number = self.begin(name, title, body["ref"])
        if not details:
            return web.Response(status=204)
        run_url = f"{self.url}/repos/acme/shop/actions/runs/{number}"
        return answer({"workflow_run_id": number, "run_url": run_url, "html_url": self.runs[number]["html_url"]})

    async def _list(self, received: Received, name: str) -> web.StreamResponse:
        since = received.query.get("created", ">=").removeprefix(">=")
        found = [
            run
            for run in reversed(self.runs.values())
            if run["workflow"] == name and run["event"] == received.query.get("event") and run["created_at"] >= since
        ]
        for run in found:
            self._asked[run["id"]] = self._asked.get(run["id"], 0) + 1
        page = page_of([run for run in found if self._asked[run["id"]] > self.lag], received.query, self.most_per_page)
        link = {"Link": f'<{self.url}{received.path}?page={page.number + 1}>; rel="next"'} if page.has_next else {}
        return answer({"total_count": page.total, "workflow_runs": page.items}, headers=link)

    async def _run(self, received: Received, number: str) -> web.StreamResponse:
        run = self.runs.get(int(number))
        return answer({"message": "Not Found"}, 404) if run is None else answer(run)

    async def _jobs(self, received: Received, number: str) -> web.StreamResponse:
        page = page_of(self.jobs.get(int(number), []), received.query, self.most_per_page)
        link = {"Link": f'<{self.url}{received.path}?page={page.number + 1}>; rel="next"'} if page.has_next else {}
        return answer({"total_count": page.total, "jobs": page.items}, headers=link)

    async def _log(self, received: Received, job: str) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": f"{self.url}/blob/{job}?sig=secret"})

    async def _blob(self, received: Received, job: str) -> web.StreamResponse:
        """The store of logs refuses a token that is not its own."""
        if "authorization" in received.headers:
            return answer({"message": "InvalidAuthenticationInfo"}, 400)
        text = "".join(f"2026-11-22T09:00:00Z line {index} of {job}\n" for index in range(2_000)).encode()
        wanted = received.headers.get("range", "").removeprefix("bytes=-")
        return web.Response(status=206, body=text[-int(wanted) :]) if wanted else web.Response(body=text)


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
