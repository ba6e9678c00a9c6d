"""A reference integration: takes the work of an installation from Headrace, does it, and reports (docs/actions.md).

    python examples/integration.py --url http://127.0.0.1:8080 --installation my-integration

Credentials come from HEADRACE_CLIENT_ID and HEADRACE_CLIENT_SECRET. It knows two kinds of work: `greet`, an action of
its own, and webhooks with `"agent": true`, when the installation is `_PORT_EXEC_AGENT`. Copy it and put your own
actions into ACTIONS: each gets the node's `integrationActionExecutionProperties` and returns the output.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx

MOST_SECONDS = 60.0

Action = Callable[[dict[str, Any]], dict[str, Any]]


def greet(properties: dict[str, Any]) -> dict[str, Any]:
    return {"greeting": f"Hello {properties['name']}!"}


ACTIONS: dict[str, Action] = {"greet": greet}


class Headrace:
    """The calls that a worker makes. Each may raise httpx.HTTPError."""

    def __init__(self, url: str, client_id: str, client_secret: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=30.0)
        self._pair = {"clientId": client_id, "clientSecret": client_secret}

    def claim(self, installation: str) -> list[dict[str, Any]]:
        """Work that is ours for a minute; what we do not acknowledge in time goes to somebody else."""
        body = {"installationId": installation, "limit": 10, "visibilityTimeoutMs": 60_000}
        found: list[dict[str, Any]] = self._call("POST", "/v1/workflows/runs/claim-pending", body).json()["nodeRuns"]
        return found

    def acknowledge(self, node_run: str) -> bool:
        """Say that we begin. False: somebody else has, or the work is over.

        When no answer comes we do not begin: we cannot know whether it is ours (`timeoutSeconds` of the node tells).
        """
        body = {"nodeRunIdentifier": node_run}
        return self._call("PATCH", "/v1/workflows/runs/ack", body, fine=(404, 409)).is_success

    def log(self, node_run: str, level: str, message: str) -> None:
        """A line for the node run's log; the work goes on without it."""
        body = {"logs": [{"level": level, "message": message}]}
        try:
            self._call("POST", f"/v1/workflows/nodes/runs/{node_run}/logs", body)
        except httpx.HTTPError as error:
            tell(f"a log line is lost: {error}")

    def report(self, node_run: str, result: str, output: dict[str, Any]) -> None:
        """The end of the work, reported until it is heard; by the key it counts once.

        409 and 404: the node run is over already, since it was cancelled or took too long.
        """
        body = {"status": "COMPLETED", "result": result, "output": output}
        path, key = f"/v1/workflows/nodes/runs/{node_run}", {"idempotency-key": f"end-{node_run}"}
        seconds = 1.0
        while True:
            try:
                self._call("PATCH", path, body, fine=(404, 409), headers=key)
            except httpx.HTTPError as error:
                if not is_passing(error):
                    raise
                seconds = wait(seconds, error)
            else:
                return

    def _call(
        self, method: str, path: str, body: dict[str, Any], fine: tuple[int, ...] = (), **more: Any
    ) -> httpx.Response:
        """One request; when the token has ended, a new one is taken."""
        answer = self._http.request(method, path, json=body, **more)
        if answer.status_code == 401:
            self._sign_in()
            answer = self._http.request(method, path, json=body, **more)
        if answer.status_code not in fine:
            answer.raise_for_status()
        return answer

    def _sign_in(self) -> None:
        answer = self._http.post("/v1/auth/access_token", json=self._pair)
        if answer.status_code == 401:
            raise SystemExit("Headrace refuses HEADRACE_CLIENT_ID and HEADRACE_CLIENT_SECRET.")
        answer.raise_for_status()
        self._http.headers["authorization"] = f"Bearer {answer.json()['accessToken']}"


def is_passing(error: httpx.HTTPError) -> bool:
    """Whether the same may go well later: no answer, too many requests, or trouble of the server."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == 429 or error.response.status_code >= 500
    return True


def wait(seconds: float, error: httpx.HTTPError) -> float:
    """Say what is wrong, and wait; how long to wait the next time."""
    tell(f"{error}; again in {seconds:g} s")
    time.sleep(seconds)
    return min(seconds * 2, MOST_SECONDS)


def tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def call_webhook(config: dict[str, Any]) -> dict[str, Any] | None:
    """What an agent does: make the call. None when the receiver reports by itself."""
    method, body = config.get("method", "POST"), config.get("body")
    answer = httpx.request(method, config["url"], headers=config.get("headers"), json=body, timeout=30.0)
    answer.raise_for_status()
    if not config.get("synchronized", True):
        return None
    try:
        data = answer.json()
    except ValueError:
        data = answer.text
    return {"response": {"status": answer.status_code, "data": data}}


def work(headrace: Headrace, item: dict[str, Any]) -> None:
    """Do one piece of work, and report how it ended."""
    node_run, config = item["identifier"], item["config"]
    if not headrace.acknowledge(node_run):
        return
    try:
        if config["type"] == "WEBHOOK":
            output = call_webhook(config)
        else:
            name = config["integrationInvocationType"]
            if name not in ACTIONS:
                raise LookupError(f"this integration has no action {name}")
            headrace.log(node_run, "INFO", f"doing {name}")
            output = ACTIONS[name](config["integrationActionExecutionProperties"])
        if output is not None:
            headrace.report(node_run, "SUCCESS", output)
    except Exception as error:  # of the work, or of a report that is refused, since it is too large for instance
        headrace.log(node_run, "ERROR", str(error))
        headrace.report(node_run, "FAILED", {"error": {"message": str(error)}})
    print(node_run, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--installation", required=True)
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between two looks when there is no work")
    chosen = parser.parse_args()
    headrace = Headrace(chosen.url, os.environ["HEADRACE_CLIENT_ID"], os.environ["HEADRACE_CLIENT_SECRET"])
    seconds = 1.0
    while True:
        try:
            items = headrace.claim(chosen.installation)
            for item in items:
                work(headrace, item)
        except httpx.HTTPError as error:  # what we have not acknowledged goes to somebody, in a minute
            seconds = wait(seconds, error)
            continue
        seconds = 1.0
        if not items:
            time.sleep(chosen.pause)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
