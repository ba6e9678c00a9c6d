"""What the api service needs of the world."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from headrace.contracts.topics import TopicNames
from headrace.core.json import JsonObject
from headrace.ports.catalog import CatalogStore
from headrace.ports.clock import Clock
from headrace.ports.evaluator import Evaluator
from headrace.ports.gates import GateStore
from headrace.ports.log import Log
from headrace.ports.pending import PendingStore
from headrace.ports.stores import DefinitionStore, LedgerStore, RunStore


class Explainer(Protocol):
    """Answers why triggers did or did not fire. `headrace_dev` gives the trigger service's own reasoning."""

    async def explain(self, event_id: str) -> JsonObject | None:
        """Every trigger that was considered for a past event and why it did or did not fire; None if unknown."""
        ...

    async def would_match(self, event: JsonObject) -> list[JsonObject]:
        """What every listening trigger would say to an event (spec 11.1) that is not published."""
        ...


@dataclass(frozen=True, slots=True)
class ApiPorts:
    log: Log
    runs: RunStore
    definitions: DefinitionStore
    ledger: LedgerStore
    catalog: CatalogStore
    pending: PendingStore
    gates: GateStore
    evaluator: Evaluator
    clock: Clock
    topics: TopicNames
    explainer: Explainer | None = None
    complaint: Callable[[], Awaitable[str | None]] | None = None
    """Why the process is not ready, if it is not; without this, the workflows' store is asked."""
