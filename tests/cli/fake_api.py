"""A server that answers as told, for commands whose rendering is under test."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx

Answer = tuple[int, Any]


@dataclass
class FakeApi:
    """Answers by method and path; an unknown one gives the API's 404. Remembers the requests."""

    answers: dict[tuple[str, str], Answer | list[Answer]] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)

    def on(self, method: str, path: str, *answers: Answer) -> None:
        """Answer so from now on; of several answers each comes once, the last one for good."""
        self.answers[method, path] = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        queue = self.answers.get((request.method, request.url.path))
        if not queue:
            return httpx.Response(404, json=error("not_found", f"There is nothing at {request.url.path}."))
        assert isinstance(queue, list)
        status, body = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(body, Exception):
            raise body
        if isinstance(body, str):
            return httpx.Response(status, text=body)
        return httpx.Response(status, json=body)

    def bodies(self, method: str) -> list[Any]:
        return [json.loads(request.content) for request in self.requests if request.method == method]


def error(code: str, message: str, errors: list[dict[str, Any]] | None = None, hint: str = "") -> dict[str, Any]:
    return {"ok": False, "error": code, "message": message, "hint": hint, "errors": errors or []}


def stream(*documents: dict[str, Any]) -> str:
    """A stream of snapshots as the API sends it."""
    return "".join(
        f"id: {number}\nevent: run\ndata: {json.dumps(document)}\n\n" for number, document in enumerate(documents, 1)
    )
