"""What the simulated engine is given to do: workflows, events, and actions that answer as real receivers do."""

import asyncio
from collections import defaultdict
from typing import Any

import orjson

from headrace.contracts.codec import encode_command
from headrace.contracts.topics import TopicNames
from headrace.core.commands import Accepted, Failed, InvokeNode, ReportNode, Succeeded
from headrace.core.json import JsonObject
from headrace.ports.log import Message
from headrace_invoker.performance import Performance
from tests.simulation.process import Process

TOPICS = TopicNames()
SOURCES = (
    TOPICS.entity_changes, TOPICS.run_commands, TOPICS.run_gates, TOPICS.node_requests, TOPICS.node_results,
)  # fmt: skip
"""What the services read."""


def _webhook(name: str, **config: Any) -> JsonObject:
    return {"identifier": name, "config": {"type": "WEBHOOK", "url": f"http://receiver.test/{name}", **config}}


def _edge(source: str, target: str, **more: Any) -> JsonObject:
    return {"sourceIdentifier": source, "targetIdentifier": target, **more}


LINE: JsonObject = {
    "identifier": "line",
    "nodes": [
        {
            "identifier": "changed",
            "config": {
                "type": "EVENT_TRIGGER",
                "event": {"type": "ENTITY_UPDATED", "blueprintIdentifier": "service"},
                "condition": {"type": "JQ", "expressions": ['.diff.after.properties.tier == "gold"']},
            },
        },
        {
            "identifier": "first-question",
            "config": {
                "type": "CONDITION",
                "outlets": [{"identifier": "yes", "title": "yes", "expression": '.outputs.changed.action == "UPDATE"'}],
            },
        },
        _webhook("open", body={"entity": "{{ .outputs.changed.context.entityIdentifier }}"}),
        {
            "identifier": "second-question",
            "config": {
                "type": "CONDITION",
                "outlets": [
                    {"identifier": "foreign", "title": "asked elsewhere", "expression": "[range(2)] | length == 2"}
                ],
            },
        },
        _webhook("flaky", retry={"maxAttempts": 3, "backoffSeconds": 0.5}),
    ],
    "connections": [
        _edge("changed", "first-question"),
        _edge("first-question", "open", sourceOutletIdentifier="yes"),
        _edge("open", "second-question"),
        _edge("second-question", "flaky", sourceOutletIdentifier="foreign"),
    ],
}

FAN: JsonObject = {
    "identifier": "fan",
    "nodes": [
        {
            "identifier": "any",
            "config": {
                "type": "EVENT_TRIGGER",
                "event": {"type": "ANY_ENTITY_CHANGE", "blueprintIdentifier": "service"},
            },
        },
        _webhook("left"),
        _webhook("reported", synchronized=False),
        _webhook("join"),
    ],
    "connections": [_edge("any", "left"), _edge("any", "reported"), _edge("left", "join"), _edge("reported", "join")],
}

ONCE: JsonObject = {
    "identifier": "once",
    "nodes": [
        {
            "identifier": "updated",
            "config": {
                "type": "EVENT_TRIGGER",
                "event": {"type": "ENTITY_UPDATED", "blueprintIdentifier": "service"},
            },
        },
        _webhook("charge", delivery="at_most_once"),
    ],
    "connections": [_edge("updated", "charge")],
}

QUEUE: JsonObject = {
    "identifier": "queue",
    "nodes": [
        {
            "identifier": "shared",
            "config": {
                "type": "EVENT_TRIGGER",
                "event": {"type": "ENTITY_UPDATED", "blueprintIdentifier": "shared"},
                "perEntity": "serial",
            },
        },
        _webhook("one-by-one"),
    ],
    "connections": [_edge("shared", "one-by-one")],
}

WORKFLOWS = (LINE, FAN, ONCE, QUEUE)
TRIGGERS = {"line": "changed", "fan": "any", "once": "updated"}
"""Those that hear of every event's own entity."""
EXPECTED_NODES = {
    "queue": {"shared", "one-by-one"},
    "once": {"updated", "charge"},
    "line": {"changed", "first-question", "open", "second-question", "flaky"},
    "fan": {"any", "left", "reported", "join"},
}


def entity_event(identifier: str) -> Message:
    """A change that every workflow waits for."""
    entity: JsonObject = {"identifier": f"svc-{identifier}", "title": None, "blueprint": "service", "relations": {}}
    event = {
        "eventId": identifier,
        "action": "UPDATE",
        "resourceType": "entity",
        "status": "SUCCESS",
        "trigger": {"by": {"userId": "u_1"}, "origin": "API", "at": "2026-11-22T08:59:58.477Z"},
        "context": {"blueprintIdentifier": "service", "entityIdentifier": f"svc-{identifier}"},
        "diff": {
            "before": {**entity, "properties": {"tier": "silver"}},
            "after": {**entity, "properties": {"tier": "gold"}},
        },
    }
    return Message(TOPICS.entity_changes, f"service/svc-{identifier}", orjson.dumps(event))


def shared_event(identifier: str) -> Message:
    """A change of the one entity whose runs follow one another."""
    entity: JsonObject = {"identifier": "one", "title": None, "blueprint": "shared", "relations": {}}
    event = {
        "eventId": shared_id(identifier),
        "action": "UPDATE",
        "context": {"blueprintIdentifier": "shared", "entityIdentifier": "one"},
        "diff": {"before": entity, "after": {**entity, "properties": {"by": identifier}}},
    }
    return Message(TOPICS.entity_changes, "shared/one", orjson.dumps(event))


def shared_id(identifier: str) -> str:
    return f"shared-{identifier}"


class Receiver:
    """Everything outside that actions reach. Remembers which process called for which attempt, and which of the calls
    began although the process could have read the attempt's DONE."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self.calls: dict[str, list[str]] = defaultdict(list)
        self.late: list[str] = []
        self.reported: set[str] = set()

    def performer(self, process: Process) -> "SimulatedAction":
        return SimulatedAction(self, process)

    async def answer(self, process: Process, request: InvokeNode) -> Performance:
        chance = self._world.chance
        self._begin(process, request)
        await process.hop()
        draw = chance.random()
        await asyncio.sleep(draw * 0.05 if draw < (0.97 if self._world.zombies else 0.9) else draw * 8)
        await process.hop()
        if request.node == "flaky" and request.attempt == 1:
            return Performance(Failed("status", "The receiver answered 503.", retryable=True))
        output: JsonObject = {"response": {"status": 200, "data": {"node": request.node}}}
        if request.node != "reported":
            return Performance(Succeeded(output))
        asyncio.get_running_loop().create_task(self._report(request), context=self._world.context)
        return Performance(Accepted(output))

    def _begin(self, process: Process, request: InvokeNode) -> None:
        """The call begins here, with the process's last look at its heartbeat."""
        world = self._world
        self.calls[request.id].append(process.name)
        now = asyncio.get_running_loop().time()
        looked = world.looked.get((process.name, request.id), now)
        done = world.claims.done_at.get(request.id)
        if done is not None and done < looked:
            self.late.append(f"{process.name} called {request.id}, looked at {looked}, DONE since {done}")

    async def _report(self, request: InvokeNode) -> None:
        """The receiver does its work and reports, once or twice, as receivers do."""
        world = self._world
        await asyncio.sleep(world.chance.random() * 0.5)
        report = ReportNode(
            run_id=request.run_id, at=world.clock.now(), node_run_id=request.node_run_id, by="receiver",
            status="COMPLETED", result="SUCCESS", output={"done": True}, report_id=request.node_run_id,
        )  # fmt: skip
        for _ in range(world.chance.choice((1, 1, 2))):
            await world.log.publish([encode_command(report, TOPICS)])


class SimulatedAction:
    """The performer of WEBHOOK actions in one process."""

    def __init__(self, receiver: Receiver, process: Process) -> None:
        self._receiver = receiver
        self._process = process

    async def perform(self, request: InvokeNode, doubtful: bool) -> Performance:
        return await self._receiver.answer(self._process, request)
