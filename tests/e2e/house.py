"""A real engine with a real receiver, and a client that speaks to it as users do: over HTTP."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from headrace.contracts.topics import TopicNames
from headrace.ports.log import Headers, Message, Record
from headrace_dev.app import Engine
from headrace_dev.settings import DevSettings, Egress
from tests.e2e.receiver import Receiver

T = TypeVar("T")
LOOPBACK = Egress(allowed_networks=("127.0.0.0/8",))
PATIENCE_SECONDS = 15.0


async def until(look: Callable[[], Awaitable[T | None]], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Look again and again until there is something to see."""
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        seen = await look()
        if seen:
            return seen
        await asyncio.sleep(0.02)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


class House:
    """The engine, the receiver and a client with an admin's token."""

    def __init__(self, engine: Engine, receiver: Receiver, client: httpx.AsyncClient) -> None:
        self.engine = engine
        self.receiver = receiver
        self.client = client
        self.topics = TopicNames()
        self._numbers = itertools.count(1)

    async def call(self, method: str, path: str, body: Any = None, status: int = 200, **options: Any) -> Any:
        """One request; its JSON."""
        if body is not None:
            options["json"] = body
        response = await self.client.request(method, path, **options)
        assert response.status_code == status, response.text
        return response.json()

    async def save(self, *documents: dict[str, Any]) -> None:
        """New workflows."""
        for document in documents:
            await self.call("POST", "/v1/workflows", document, 201)

    async def send(self, event: dict[str, Any] | None = None, **more: Any) -> str:
        """Publish an entity change through the API; its event id."""
        answer = await self.call("POST", "/v1/events", {**(event or change()), **more}, 202)
        return str(answer["eventId"])

    async def start(self, workflow: str, inputs: dict[str, Any] | None = None) -> dict[str, Any]:
        """Start a run by hand."""
        answer = await self.call("POST", f"/v1/workflows/{workflow}/runs", {"inputs": inputs or {}}, 201)
        return dict(answer["workflowRun"])

    async def run(self, run_id: str) -> dict[str, Any]:
        return dict((await self.call("GET", f"/v1/workflows/runs/{run_id}"))["workflowRun"])

    async def runs(self, workflow: str, **query: Any) -> list[dict[str, Any]]:
        parameters = {"workflowIdentifiers": workflow, "limit": 1000, **query}
        return list((await self.call("GET", "/v1/workflows/runs", params=parameters))["workflowRuns"])

    async def run_when(self, run_id: str, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The run, once it is there and something holds of it."""

        async def look() -> dict[str, Any] | None:
            response = await self.client.get(f"/v1/workflows/runs/{run_id}")
            run = response.json()["workflowRun"] if response.status_code == 200 else None
            return run if run and holds(run) else None

        return await until(look, f"run {run_id} to change")

    async def finished(self, run_id: str) -> dict[str, Any]:
        """The run, once it is over."""
        return await self.run_when(run_id, lambda run: run["status"] == "COMPLETED")

    async def explained(self, event_id: str) -> dict[str, Any]:
        """What the engine says about an event, once it was judged."""

        async def look() -> dict[str, Any] | None:
            response = await self.client.get(f"/v1/events/{event_id}/explain")
            return response.json()["explanation"] if response.status_code == 200 else None

        return await until(look, f"event {event_id} to be judged")

    async def started_by(self, event_id: str) -> list[str]:
        """The runs that an event started, once it was judged."""
        explanation = await self.explained(event_id)
        return [verdict["runId"] for verdict in explanation["verdicts"] if verdict["runId"] is not None]

    async def only_run(self, event_id: str) -> dict[str, Any]:
        """The finished run that an event started, and no other."""
        run_ids = await self.started_by(event_id)
        assert len(run_ids) == 1
        return await self.finished(run_ids[0])

    async def publish(self, value: bytes | None, headers: Headers = (), topic: str = "", key: str = "") -> None:
        """Bytes straight to the log, as any producer may."""
        name = topic or self.topics.entity_changes
        await self.engine.log.publish([Message(name, key or f"key-{next(self._numbers)}", value, headers)])

    async def records(self, topic: str) -> list[Record]:
        """Everything that a topic holds."""
        found: list[Record] = []
        for partition in range(self.engine.settings.partitions):
            found += await self.engine.log.read(topic, partition, limit=100_000)
        return found

    async def dead_letters(self, topic: str, count: int) -> list[Record]:
        """The topic's dead letters, once there are that many."""

        async def look() -> list[Record] | None:
            letters = await self.records(TopicNames.dead_letters(topic))
            return letters if len(letters) >= count else None

        letters = await until(look, f"{count} dead letters of {topic}")
        assert len(letters) == count
        return letters

    async def settled(self, group: str) -> None:
        """Wait until a group has committed all that it was given."""

        async def look() -> bool:
            return not any((await self.engine.log.lag(group)).values())

        await until(look, f"{group} to commit")


@asynccontextmanager
async def open_house(data: Path | None = None, egress: Egress = LOOPBACK, **settings: Any) -> AsyncIterator[House]:
    """A started engine and receiver; both end with the block. No task of the engine may die."""
    receiver = Receiver()
    await receiver.start()
    engine = Engine(DevSettings(data=data, egress=egress, log_level="ERROR", **{"port": 0, **settings}))
    failure = engine.tasks.failure()
    await engine.start()
    try:
        async with httpx.AsyncClient(base_url=engine.api_url, timeout=15.0) as client:
            await log_in(client, engine.credentials.client_id, engine.credentials.client_secret)
            yield House(engine, receiver, client)
            assert not failure.done(), failure.result()
    finally:
        await receiver.stop()
        await engine.stop()


async def log_in(client: httpx.AsyncClient, client_id: str, client_secret: str) -> None:
    """Let the client's requests carry a token."""
    body = {"clientId": client_id, "clientSecret": client_secret}
    response = await client.post("/v1/auth/access_token", json=body)
    client.headers["authorization"] = f"Bearer {response.json()['accessToken']}"


def change(entity: str = "billing", action: str = "UPDATE", **properties: Any) -> dict[str, Any]:
    """An entity change of blueprint `service` as spec 11.1 has it."""
    before = {"identifier": entity, "blueprint": "service", "properties": {"tier": "silver"}}
    after = {"identifier": entity, "blueprint": "service", "properties": {"tier": "gold", **properties}}
    diff: dict[str, Any] = {
        "before": None if action == "CREATE" else before,
        "after": None if action == "DELETE" else after,
    }
    return {
        "action": action,
        "context": {"blueprintIdentifier": "service", "entityIdentifier": entity},
        "trigger": {"by": {"userId": "u_7"}, "origin": "UI"},
        "diff": diff,
    }


def on_change(*expressions: str, event: str = "ANY_ENTITY_CHANGE", **config: Any) -> dict[str, Any]:
    """An event trigger named `changed` for blueprint `service`."""
    config = {"type": "EVENT_TRIGGER", "event": {"type": event, "blueprintIdentifier": "service"}, **config}
    if expressions:
        config["condition"] = {"type": "JQ", "expressions": list(expressions)}
    return {"identifier": "changed", "config": config}


def webhook(name: str, url: str, **more: Any) -> dict[str, Any]:
    """A WEBHOOK node that calls `url/name`. `variables` go to the node, all else to its config."""
    node: dict[str, Any] = {key: more.pop(key) for key in ("variables", "links") if key in more}
    return {"identifier": name, "config": {"type": "WEBHOOK", "url": f"{url}/{name}", **more}, **node}


def condition(name: str, **outlets: str) -> dict[str, Any]:
    """A CONDITION node in the newest dialect: outlet=expression."""
    listed = [{"identifier": key, "title": key, "expression": text} for key, text in outlets.items()]
    return {"identifier": name, "config": {"type": "CONDITION", "outlets": listed}}


def edge(source: str, target: str, outlet: str | None = None, fallback: bool = False) -> dict[str, Any]:
    more: dict[str, Any] = {"sourceOutletIdentifier": outlet} if outlet else {}
    return {"sourceIdentifier": source, "targetIdentifier": target, **more, **({"fallback": True} if fallback else {})}


def line(identifier: str, *nodes: dict[str, Any]) -> dict[str, Any]:
    """A workflow whose nodes follow each other."""
    names = [node["identifier"] for node in nodes]
    edges = [edge(source, target) for source, target in itertools.pairwise(names)]
    return {"identifier": identifier, "title": identifier, "nodes": list(nodes), "connections": edges}


def node_run(run: dict[str, Any], name: str) -> dict[str, Any]:
    """A node run by its node."""
    return next(dict(it) for it in run["nodeRuns"] if it["node"]["identifier"] == name)


def outputs(run: dict[str, Any]) -> dict[str, Any]:
    return dict(run["variables"]["outputs"])
