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

Action = Callable[[dict[str, Any]], dict[str, Any]]


def greet(properties: dict[str, Any]) -> dict[str, Any]:
    return {"greeting": f"Hello {properties['name']}!"}


ACTIONS: dict[str, Action] = {"greet": greet}


class Headrace:
    """The four calls that a worker makes."""

    def __init__(self, url: str, client_id: str, client_secret: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=30.0)
        answer = self._http.post("/v1/auth/access_token", json={"clientId": client_id, "clientSecret": client_secret})
        answer.raise_for_status()
        self._http.headers["authorization"] = f"Bearer {answer.json()['accessToken']}"

    def claim(self, installation: str) -> list[dict[str, Any]]:
        """Work that is ours for a minute; what we do not acknowledge in time goes to somebody else."""
        body = {"installationId": installation, "limit": 10, "visibilityTimeoutMs": 60_000}
        answer = self._http.post("/v1/workflows/runs/claim-pending", json=body)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["nodeRuns"]
        return found

    def acknowledge(self, node_run: str) -> bool:
        """Say that we begin; False when somebody else has."""
        answer = self._http.patch("/v1/workflows/runs/ack", json={"nodeRunIdentifier": node_run})
        if answer.status_code in (404, 409):
            return False
        answer.raise_for_status()
        return True

    def log(self, node_run: str, level: str, message: str) -> None:
        body = {"logs": [{"level": level, "message": message}]}
        self._http.post(f"/v1/workflows/nodes/runs/{node_run}/logs", json=body).raise_for_status()

    def report(self, node_run: str, result: str, output: dict[str, Any]) -> None:
        """The end of the work. The key lets us report again when the answer was lost."""
        body = {"status": "COMPLETED", "result": result, "output": output}
        path = f"/v1/workflows/nodes/runs/{node_run}"
        answer = self._http.patch(path, json=body, headers={"idempotency-key": f"end-{node_run}"})
        if answer.status_code != 409:  # it is over: cancelled, or timed out
            answer.raise_for_status()


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
    except Exception as error:
        headrace.log(node_run, "ERROR", str(error))
        headrace.report(node_run, "FAILED", {"error": {"message": str(error)}})
    else:
        if output is not None:
            headrace.report(node_run, "SUCCESS", output)
    print(node_run, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--installation", required=True)
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between two looks when there is no work")
    chosen = parser.parse_args()
    headrace = Headrace(chosen.url, os.environ["HEADRACE_CLIENT_ID"], os.environ["HEADRACE_CLIENT_SECRET"])
    while True:
        items = headrace.claim(chosen.installation)
        for item in items:
            work(headrace, item)
        if not items:
            time.sleep(chosen.pause)


if __name__ == "__main__":
    sys.exit(main())
