"""An api service on embedded stores, people to call it, and runs made by folding events instead of an orchestrator."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI

from headrace.adapters.embedded.catalog import EmbeddedCatalog
from headrace.adapters.embedded.definitions import EmbeddedDefinitionStore
from headrace.adapters.embedded.gates import EmbeddedGateStore
from headrace.adapters.embedded.ledger import EmbeddedLedger
from headrace.adapters.embedded.log import EmbeddedLog
from headrace.adapters.embedded.pending import EmbeddedPendingStore
from headrace.adapters.embedded.runs import EmbeddedRunStore
from headrace.contracts import codec
from headrace.contracts.topics import TopicNames
from headrace.core import events, ids
from headrace.core.commands import Command
from headrace.core.expression import Answer, Evaluation, Failure
from headrace.core.json import JsonObject
from headrace.core.run import Causation, LogLine, Result, Run, Timer
from headrace.ports.log import Message, Record
from headrace.ports.stores import StoredRun
from headrace_api.app import create_app
from headrace_api.ports import ApiPorts, Explainer
from headrace_api.settings import ApiSettings, Client

NOW = 1_795_338_000_000
SECRET = "0123456789abcdef0123456789abcdef"

CLIENTS = (
    Client(client_id="admin", client_secret="admin-secret", kind="user", user_id="u_admin", roles=("Admin",)),
    Client(client_id="machine", client_secret="machine-secret", kind="machine"),
    Client(
        client_id="maya", client_secret="maya-secret", kind="user", user_id="u_maya", email="maya@example.com",
        roles=("Member",), teams=("payments",),
    ),
    Client(client_id="ben", client_secret="ben-secret", kind="user", user_id="u_ben", roles=("Member",)),
)  # fmt: skip
"""`maya` is in the team payments, `ben` in none."""


class TestClock:
    """Wall time that stands still until it is moved; real time for spans, moved along."""

    __test__ = False

    def __init__(self) -> None:
        self.moved_seconds = 0.0

    def now(self) -> int:
        return NOW + int(self.moved_seconds * 1000)

    def monotonic(self) -> float:
        return time.monotonic() + self.moved_seconds

    def move(self, seconds: float) -> None:
        self.moved_seconds += seconds


class TestEvaluator:
    """Compiles everything but programs that say `broken`."""

    __test__ = False

    async def evaluate(self, evaluations: Sequence[Evaluation]) -> list[list[Answer]]:
        raise AssertionError("the api evaluates nothing")

    async def check(self, programs: Sequence[str]) -> list[Failure | None]:
        return [Failure("compile", "broken/0 is not defined") if "broken" in text else None for text in programs]

    async def close(self) -> None:
        pass


@dataclass
class World:
    app: FastAPI
    client: httpx.AsyncClient
    log: EmbeddedLog
    runs: EmbeddedRunStore
    definitions: EmbeddedDefinitionStore
    ledger: EmbeddedLedger
    catalog: EmbeddedCatalog
    pending: EmbeddedPendingStore
    gates: EmbeddedGateStore
    clock: TestClock
    topics: TopicNames
    tokens: dict[str, str] = field(default_factory=dict)

    async def call(
        self,
        who: str | None,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """One request. `body` is sent as JSON; raw bytes go as `content=`."""
        if body is not None:
            options["json"] = body
        return await self.client.request(
            method, path, headers={**await self.authorization(who), **(headers or {})}, **options
        )

    async def authorization(self, who: str | None) -> dict[str, str]:
        if who is None:
            return {}
        if who not in self.tokens:
            body = {"clientId": who, "clientSecret": f"{who}-secret"}
            response = await self.client.post("/v1/auth/access_token", json=body)
            self.tokens[who] = response.json()["accessToken"]
        return {"authorization": f"Bearer {self.tokens[who]}"}

    async def save_workflow(self, document: JsonObject) -> None:
        """A workflow as if an admin had made it."""
        await self.definitions.create(str(document["identifier"]), document, "u_admin", NOW)

    async def save_run(self, run: Run) -> Run:
        """The run in the store, whatever was there before; its events wake who follows it."""
        stored = (await self.runs.load([run.id])).get(run.id)
        assert await self.runs.save([StoredRun(run, 0 if stored is None else stored.rev + 1)]) == [True]
        await self.log.publish([Message(self.topics.run_events, run.id, b"{}")])
        return run

    async def until_followed(self, run_id: str) -> None:
        """Wait until somebody follows the run's changes."""
        while not self.app.state.context.watch.follows(run_id):
            await asyncio.sleep(0.005)

    async def published(self, topic: str) -> list[Record]:
        """Everything in a topic."""
        return [record for partition in range(4) for record in await self.log.read(topic, partition)]

    async def commands(self) -> list[Command]:
        return [codec.decode_command(record) for record in await self.published(self.topics.run_commands)]


def make_settings(**changes: Any) -> ApiSettings:
    given = {
        "token_secret": SECRET, "clients": CLIENTS, "start_wait_seconds": 0.02,
        "stream": {"keep_alive_seconds": 0.5, "recheck_seconds": 0.2, "poll_seconds": 0.02},
    }  # fmt: skip
    return ApiSettings.model_validate({**given, **changes})


def make_world(settings: ApiSettings | None = None, explainer: Explainer | None = None, log: Any = None) -> World:
    clock, topics = TestClock(), TopicNames()
    log = log or EmbeddedLog(clock)
    runs, definitions, ledger = EmbeddedRunStore(), EmbeddedDefinitionStore(), EmbeddedLedger()
    catalog, pending, gates = EmbeddedCatalog(), EmbeddedPendingStore(), EmbeddedGateStore()
    ports = ApiPorts(log, runs, definitions, ledger, catalog, pending, gates, TestEvaluator(), clock, topics, explainer)
    app = create_app(ports, settings or make_settings())
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://headrace.test")
    return World(app, client, log, runs, definitions, ledger, catalog, pending, gates, clock, topics)


def workflow(identifier: str = "restart", permissions: Any = None, **changes: Any) -> dict[str, Any]:
    """A form that calls a webhook. `changes` go to the top level."""
    config: JsonObject = {
        "type": "SELF_SERVE_TRIGGER",
        "userInputs": {
            "properties": {"service": {"type": "string"}, "tier": {"type": "string", "default": "silver"}},
            "required": ["service"],
        },
    }
    if permissions is not None:
        config["permissions"] = permissions
    webhook: JsonObject = {
        "type": "WEBHOOK", "url": "https://ops.example.com/restart", "synchronized": False,
        "body": {"svc": "{{ .outputs.start.service }}"},
    }  # fmt: skip
    return {
        "identifier": identifier,
        "title": "Restart a service",
        "nodes": [
            {"identifier": "start", "title": "Ask", "config": config},
            {"identifier": "call", "title": "Call", "config": webhook},
        ],
        "connections": [{"sourceIdentifier": "start", "targetIdentifier": "call"}],
        **changes,
    }


def run_events(
    cause: str = "one", workflow: str = "restart", created_by: str = "u_maya", at: int = NOW
) -> list[events.Event]:
    """The events of a run whose webhook was accepted and waits for its report."""
    run_id = ids.run_id(workflow, "start", cause)
    node_run_id = ids.node_run_id(run_id, "call")
    output: JsonObject = {"service": "billing", "tier": "gold"}
    deadline = Timer(ids.timer_id(node_run_id, 1, "deadline"), "call", 1, "deadline", at + 60_000)
    return [
        events.RunStarted(
            1, at, run_id, workflow, 1, "start", "SELF_SERVE_TRIGGER", created_by,
            Causation(f"key:{cause}", f"key:{cause}"),
        ),
        events.NodeCompleted(
            2, at, "start", ids.node_run_id(run_id, "start"), "SELF_SERVE_TRIGGER", "SUCCESS", output, output
        ),
        events.NodeStarted(
            3, at + 10, "call", node_run_id, "WEBHOOK", {"url": "https://ops.example.com"}, timers=(deadline,)
        ),
        events.NodeAccepted(
            4, at + 20, "call", {"response": {"status": 202}}, (LogLine(at + 20, "INFO", "accepted", (("step", "1"),)),)
        ),
    ]  # fmt: skip


def waiting_run(cause: str = "one", workflow: str = "restart", created_by: str = "u_maya", at: int = NOW) -> Run:
    run = events.fold(None, run_events(cause, workflow, created_by, at))
    assert run is not None
    return run


def completed(run: Run, result: Result = "SUCCESS") -> Run:
    """The run after its webhook was reported."""
    node = run.nodes["call"]
    at = run.updated_at + 1_000
    output: JsonObject = {"response": {"data": {"ticket": "T-9"}}}
    error = "It broke." if result == "FAILED" else None
    more: list[events.Event] = [
        events.NodeCompleted(
            run.seq + 1, at, "call", node.id, "WEBHOOK", result, output, output, error,
            external_run_id="job-7", links=("https://ci.example.com/7",),
        ),
        events.RunCompleted(run.seq + 2, at, result),
    ]  # fmt: skip
    folded = events.fold(run, more)
    assert folded is not None
    return folded
