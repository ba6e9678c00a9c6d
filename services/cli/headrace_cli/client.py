"""The API as the commands see it: one method per question, every expected failure as a CommandError."""

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from headrace_cli.credentials import Credentials
from headrace_cli.errors import (
    CommandError,
    ConflictError,
    Finding,
    NotAllowedError,
    NotFoundError,
    RejectedError,
    UnreachableError,
)

JsonDict = dict[str, Any]
Query = Mapping[str, Any]

SIGN_IN = (
    "Set HEADRACE_CLIENT_ID and HEADRACE_CLIENT_SECRET, or start the server with `headrace dev`, "
    "which writes ~/.headrace/credentials.json."
)

_TIMEOUT = httpx.Timeout(30.0, connect=5.0)


class Client:
    """A signed-in client of one server. Not shared between threads."""

    def __init__(
        self, url: str, credentials: Credentials | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.url = url.rstrip("/")
        self._credentials = credentials
        self._token: str | None = None
        self._http = httpx.Client(transport=transport, timeout=_TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.close()

    # Workflows

    def workflows(self) -> list[JsonDict]:
        return _list(self.get("/v1/workflows"), "workflows")

    def workflow(self, identifier: str) -> JsonDict:
        """The newest version. Raises NotFoundError."""
        return _dict(self.get(f"/v1/workflows/{_part(identifier)}"), "workflow")

    def versions(self, identifier: str) -> list[JsonDict]:
        """All versions, newest first."""
        return _list(self.get(f"/v1/workflows/{_part(identifier)}/versions"), "versions", "workflows")

    def create_workflow(self, text: bytes) -> tuple[JsonDict, list[Finding]]:
        """Version 1 and its warnings, from exactly these bytes: the server's line numbers are those of the file."""
        return _saved(self.send("POST", "/v1/workflows", text))

    def update_workflow(self, identifier: str, text: bytes) -> tuple[JsonDict, list[Finding]]:
        """The next version and its warnings; the newest one when the text says what that says."""
        return _saved(self.send("PUT", f"/v1/workflows/{_part(identifier)}", text))

    # Runs

    def start_run(
        self, workflow: str, inputs: JsonDict, trigger: str | None = None, idempotency_key: str | None = None
    ) -> JsonDict:
        body: JsonDict = {"inputs": inputs}
        if trigger is not None:
            body["nodeIdentifier"] = trigger
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        answer = self.send("POST", f"/v1/workflows/{_part(workflow)}/runs", _encode(body), headers)
        return _dict(answer, "workflowRun")

    def runs(self, query: Query) -> list[JsonDict]:
        return _list(self.get("/v1/workflows/runs", query), "workflowRuns")

    def run(self, run_id: str) -> JsonDict:
        return _dict(self.get(f"/v1/workflows/runs/{_part(run_id)}"), "workflowRun")

    def run_logs(self, run_id: str) -> list[JsonDict]:
        return _list(self.get(f"/v1/workflows/runs/{_part(run_id)}/logs"), "logs")

    def node_run_logs(self, node_run_id: str) -> list[JsonDict]:
        return _list(self.get(f"/v1/workflows/nodes/runs/{_part(node_run_id)}/logs"), "logs")

    def rerun(self, run_id: str, first: str, inputs: JsonDict | None, version: str) -> JsonDict:
        """The new run. `first` is start, failed, or a node."""
        body: JsonDict = {"from": first if first in ("start", "failed") else {"node": first}, "version": version}
        if inputs:
            body["inputs"] = inputs
        return _dict(self.send("POST", f"/v1/workflows/runs/{_part(run_id)}/rerun", _encode(body), {}), "workflowRun")

    def respond(self, node_run_id: str, button: str, inputs: JsonDict) -> JsonDict:
        """Press a button of an INPUT node's form. Raises NotFoundError, ConflictError when it is too late."""
        body = _encode({"button": button, "inputs": inputs})
        return self.send("POST", f"/v1/workflows/nodes/runs/{_part(node_run_id)}/responses", body)

    def cancel_run(self, run_id: str, force: bool) -> JsonDict:
        path = f"/v1/workflows/runs/{_part(run_id)}/cancel"
        return self.request("POST", path, params={"force": "true"} if force else None)

    # The catalog

    def blueprints(self) -> list[JsonDict]:
        return _list(self.get("/v1/blueprints"), "blueprints")

    def blueprint(self, identifier: str) -> JsonDict:
        """Raises NotFoundError."""
        return _dict(self.get(f"/v1/blueprints/{_part(identifier)}"), "blueprint")

    def save_blueprint(self, text: bytes) -> JsonDict:
        """The blueprint as it is now: created, or replaced when it was there."""
        try:
            answer = self.send("POST", "/v1/blueprints", text)
        except ConflictError:
            identifier = _part(str(json.loads(text)["identifier"]))
            answer = self.send("PUT", f"/v1/blueprints/{identifier}", text)
        return _dict(answer, "blueprint")

    def entities(self, blueprint: str, limit: int) -> list[JsonDict]:
        """The first entities, by identifier. Raises NotFoundError when there is no such blueprint."""
        return _list(self.get(f"/v1/blueprints/{_part(blueprint)}/entities", {"limit": limit}), "entities")

    def entity(self, blueprint: str, identifier: str) -> JsonDict:
        """Raises NotFoundError."""
        return _dict(self.get(f"/v1/blueprints/{_part(blueprint)}/entities/{_part(identifier)}"), "entity")

    def save_entity(self, blueprint: str, text: bytes, merge: bool) -> JsonDict:
        """The entity as it is now: created, or replaced, or merged when it was there."""
        query = "?upsert=true&merge=true" if merge else "?upsert=true"
        return _dict(self.send("POST", f"/v1/blueprints/{_part(blueprint)}/entities{query}", text), "entity")

    # Events

    def send_event(self, event: JsonDict) -> str:
        """The id under which the event is known from now on."""
        answer = self.send("POST", "/v1/events", _encode(event))
        return str(answer.get("eventId", ""))

    def try_event(self, event: JsonDict) -> list[JsonDict]:
        """What every trigger would say to an event that is not published."""
        return _list(self.send("POST", "/v1/events/explain", _encode(event)), "triggers")

    def explain(self, event_id: str, workflow: str | None = None) -> JsonDict:
        """What became of an event, at one workflow or at all. Raises NotFoundError while nobody has judged it."""
        query = {} if workflow is None else {"workflow": workflow}
        return self.get(f"/v1/events/{_part(event_id)}/explain", query)

    def decisions(self, run_id: str) -> list[JsonDict]:
        """How the condition nodes of a run were decided. Raises NotFoundError."""
        return _list(self.get(f"/v1/workflows/runs/{_part(run_id)}/decisions"), "decisions")

    # The way there and back

    def get(self, path: str, query: Query | None = None) -> JsonDict:
        return self.request("GET", path, params=query)

    def send(self, method: str, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> JsonDict:
        return self.request(method, path, content=body, headers={"Content-Type": "application/json", **(headers or {})})

    def request(self, method: str, path: str, **options: Any) -> JsonDict:
        """The answer's JSON object. Raises CommandError for everything that is no success."""
        given = options.pop("headers", {})
        response = self._exchange(method, path, headers={**self.authorization(), **given}, **options)
        if response.status_code == 401 and self.forget_token():
            response = self._exchange(method, path, headers={**self.authorization(), **given}, **options)
        return self.checked(response)

    def stream(self, path: str, headers: Mapping[str, str], quiet_seconds: float) -> Any:
        """A context manager over a streamed response; the caller checks and reads it (`headrace_cli.following`)."""
        timeout = httpx.Timeout(5.0, read=quiet_seconds)
        return self._http.stream("GET", self.url + path, headers={**self.authorization(), **headers}, timeout=timeout)

    def authorization(self) -> dict[str, str]:
        """The header that says who we are. Empty without credentials."""
        token = self.access_token()
        return {} if token is None else {"Authorization": f"Bearer {token}"}

    def access_token(self) -> str | None:
        """The token of this client; signs in at the first call. None without credentials."""
        if self._credentials is None:
            return None
        if self._token is None:
            body = {"clientId": self._credentials.client_id, "clientSecret": self._credentials.client_secret}
            answer = self.checked(self._exchange("POST", "/v1/auth/access_token", json=body))
            self._token = str(answer.get("accessToken", ""))
        return self._token

    def forget_token(self) -> bool:
        """Sign in anew with the next request, because tokens end. Whether there was one to forget."""
        had, self._token = self._token is not None, None
        return had

    def _exchange(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._http.request(method, self.url + path, **options)
        except httpx.InvalidURL as error:
            raise self.unreachable(str(error)) from None
        except httpx.TransportError as error:
            raise self.unreachable(str(error) or type(error).__name__) from None

    def unreachable(self, reason: str) -> UnreachableError:
        message = f"Cannot reach Headrace at {self.url} ({_plain(reason)})."
        return UnreachableError(message, "Start it with `headrace dev`, or name another server with --url.")

    def checked(self, response: httpx.Response) -> JsonDict:
        """The JSON object of a response. Raises the CommandError that fits its status."""
        try:
            answer = json.loads(response.content) if response.content else {}
        except ValueError:
            answer = None
        if response.is_success and isinstance(answer, dict):
            return answer
        if response.is_success:
            raise CommandError(f"{self.url} does not speak Headrace's API: its answer is no JSON object.", "See --url.")
        raise _failure(response, answer if isinstance(answer, dict) else {}, signed_in=self._token is not None)


def _failure(response: httpx.Response, answer: JsonDict, signed_in: bool) -> CommandError:
    """The error for a status of 300 and more."""
    status = response.status_code
    message = str(answer.get("message") or f"{response.url} answered HTTP {status}.")
    hint = str(answer.get("hint") or "")
    if status == 401:
        return NotAllowedError(message, hint if signed_in else SIGN_IN)
    if status == 403:
        return NotAllowedError(message, hint or "You are signed in, but your rights do not cover this.")
    if status == 404:
        return NotFoundError(message, hint)
    if status in (409, 412):
        return ConflictError(message, hint)
    if status in (502, 503, 504):
        return UnreachableError(message, hint or "The server is there but not ready; try again in a moment.")
    return RejectedError(message, _findings(answer.get("errors")), hint)


def _saved(answer: JsonDict) -> tuple[JsonDict, list[Finding]]:
    return _dict(answer, "workflow"), _findings(answer.get("warnings"))


def _findings(entries: object) -> list[Finding]:
    return [finding(entry) for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def finding(entry: JsonDict) -> Finding:
    """One entry of the API's `errors` or `warnings`."""
    return Finding(
        code=str(entry.get("code") or "invalid"),
        message=str(entry.get("message") or ""),
        hint=str(entry.get("hint") or ""),
        severity="warning" if entry.get("severity") == "warning" else "error",
        line=_count(entry.get("line")),
        column=_count(entry.get("column")),
        pointer=str(entry.get("pointer") or entry.get("parameter") or ""),
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _plain(reason: str) -> str:
    """The system's words without its error numbers."""
    return reason.split("] ")[-1].rstrip(".").strip() or "no answer"


def _part(value: str) -> str:
    return quote(value, safe="@:")


def _encode(value: JsonDict) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _dict(answer: JsonDict, key: str) -> JsonDict:
    value = answer.get(key)
    if not isinstance(value, dict):
        raise CommandError(f'The server\'s answer has no "{key}".', "Is it a Headrace of this version?")
    return value


def _list(answer: JsonDict, *keys: str) -> list[JsonDict]:
    for key in keys:
        value = answer.get(key)
        if isinstance(value, list):
            return [item for item in value if isinstance(item, dict)]
    raise CommandError(f'The server\'s answer has no "{keys[0]}".', "Is it a Headrace of this version?")
