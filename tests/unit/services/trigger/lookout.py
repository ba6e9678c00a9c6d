"""A trigger handler on stores that fail on demand, with records handed over by hand."""

from __future__ import annotations

from typing import Any

from headrace.adapters.embedded import (
    EmbeddedDefinitionStore,
    EmbeddedGateStore,
    EmbeddedLedger,
    EmbeddedLog,
    EmbeddedRunStore,
)
from headrace.adapters.jq.cage import JqCage
from headrace.contracts.codec import decode_command
from headrace.contracts.entity_change import encode_entity_change
from headrace.contracts.topics import TopicNames
from headrace.core.commands import StartRun
from headrace.core.json import JsonObject
from headrace.core.run import Causation
from headrace.ports.log import Message, Record
from headrace.ports.stores import LedgerEntry
from headrace.runtime.metrics import Metrics
from headrace_trigger.explaining import TriggerExplainer
from headrace_trigger.gatekeeper import Gatekeeper
from headrace_trigger.handler import TriggerHandler, TriggerSettings
from headrace_trigger.listeners import Listeners
from tests.conformance.samples import START, ManualClock
from tests.unit.services.parts import Faulty, record

TOPICS = TopicNames()


def listener(name: str, *expressions: str, blueprint: str = "service", **config: Any) -> dict[str, Any]:
    trigger: dict[str, Any] = {
        "type": "EVENT_TRIGGER", "event": {"type": "ANY_ENTITY_CHANGE", "blueprintIdentifier": blueprint}, **config,
    }  # fmt: skip
    if expressions:
        trigger["condition"] = {"type": "JQ", "expressions": list(expressions)}
    return {"identifier": name, "nodes": [{"identifier": "changed", "config": trigger}], "connections": []}


class Lookout:
    """A trigger handler, its ports, and records handed over by hand."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.log = Faulty(EmbeddedLog(self.clock, partitions=1))
        self.definitions = Faulty(EmbeddedDefinitionStore())
        self.ledger = Faulty(EmbeddedLedger())
        self.evaluator = Faulty(JqCage())
        ports: Any = self
        self.gates = Faulty(EmbeddedGateStore())
        self.runs = EmbeddedRunStore()
        self.gatekeeper = Gatekeeper(ports.gates, self.runs, ports.log, self.clock, TOPICS)
        self.listeners = Listeners(ports.definitions)
        self.handler = TriggerHandler(
            self.listeners,
            ports.evaluator,
            ports.ledger,
            self.gatekeeper,
            ports.log,
            self.clock,
            TOPICS,
            Metrics(),
            TriggerSettings(3),
        )
        self.explainer = TriggerExplainer(self.listeners, ports.evaluator, ports.ledger)
        self.done: list[int] = []
        self._offset = 0

    async def save(self, *documents: dict[str, Any], at: int = START) -> None:
        for document in documents:
            await self.definitions.port.create(document["identifier"], document, "me", at)

    def event(self, name: str = "e", cause: Causation | None = None, at: int = START, **properties: Any) -> Record:
        entity: JsonObject = {"identifier": "x", "blueprint": "service"}
        after: JsonObject = {**entity, "properties": properties}
        event: JsonObject = {"action": "UPDATE", "diff": {"before": entity, "after": after}}
        return self._record(encode_entity_change(event, name, "urn:x", at, TOPICS, cause), at)

    def _record(self, message: Message, at: int = START) -> Record:
        self._offset += 1
        return record(message, self._offset, at)

    def poison(self) -> Record:
        return self._record(Message(TOPICS.entity_changes, "k", b"{"))

    async def handle(self, *records: Record) -> None:
        await self.handler.handle(records, lambda one: self.done.append(one.offset))

    async def started(self) -> list[StartRun]:
        commands = [decode_command(one) for one in await self.log.port.read(TOPICS.run_commands, 0, limit=10_000)]
        return [command for command in commands if isinstance(command, StartRun)]

    async def entries(self) -> list[LedgerEntry]:
        found: list[LedgerEntry] = await self.ledger.port.query()
        return found

    async def verdicts(self) -> dict[str, str]:
        return {verdict.workflow: verdict.verdict for entry in await self.entries() for verdict in entry.verdicts}
