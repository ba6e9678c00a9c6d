"""What the embedded benchmark gives the engine to do: the workflow W1, its events, and triggers that match nothing.

W1 is an entity event, a condition, a webhook with variables, a condition, a webhook. All conditions and templates are
in the total subset: nothing needs a jq process. An event has 1.7 kB, as events of entities with a dozen properties do.
"""

import asyncio

import orjson

from headrace.adapters.clock import SystemClock
from headrace.contracts.entity_change import event_id
from headrace.contracts.topics import TopicNames
from headrace.core import ids
from headrace.core.json import Json, JsonObject
from headrace.ports.log import Message
from headrace.ports.stores import DefinitionStore

TOPICS = TopicNames()
BLUEPRINT = "service"
W1 = "tier-change"
TRIGGER = "became-gold"
ENTITIES = 500
"""As many entities take turns."""
_HOUR = 3_600_000


def _entity(tier: str, updated_at: str, updated_by: str) -> JsonObject:
    return {
        "identifier": "@entity@", "title": "Billing and invoices", "icon": "Microservice", "blueprint": BLUEPRINT,
        "team": ["payments", "platform"],
        "properties": {
            "tier": tier, "lifecycle": "production", "language": "Go", "url": "https://git.example.com/payments/billing",
            "description": "Invoices customers, takes their payments, and reminds those who have not paid yet.",
            "onCall": "amira@example.com", "requestsPerSecond": 1200, "slo": 99.9, "replicas": 6,
            "costCenter": "cc-4711", "tags": ["pci", "external", "java-free"],
        },
        "relations": {"domain": "money", "dependsOn": ["ledger", "customer-directory", "mail"]},
        "createdAt": "2024-03-11T09:14:02.118Z", "createdBy": "u_ines", "updatedAt": updated_at,
        "updatedBy": updated_by,
    }  # fmt: skip


_EVENT = orjson.dumps(
    {
        "eventId": "@event@", "action": "UPDATE", "resourceType": "entity", "status": "SUCCESS",
        "trigger": {"by": {"orgId": "org_acme", "userId": "u_amira"}, "origin": "UI", "at": "2026-11-23T09:00:00.184Z"},
        "context": {"blueprintIdentifier": BLUEPRINT, "entityIdentifier": "@entity@", "propertyIdentifier": None},
        "diff": {
            "before": _entity("silver", "2026-10-02T15:40:11.002Z", "u_ines"),
            "after": _entity("gold", "2026-11-23T09:00:00.120Z", "u_amira"),
        },
    }
).replace(b"%", b"%%").replace(b"@event@", b"%(event)b").replace(b"@entity@", b"%(entity)b")  # fmt: skip


def event(number: int) -> Message:
    """The event with this number, as anybody publishes it: a bare object."""
    entity = f"billing-{number % ENTITIES}"
    value = _EVENT % {b"event": f"change-{number}".encode(), b"entity": entity.encode()}
    return Message(TOPICS.entity_changes, f"{BLUEPRINT}/{entity}", value)


def run_of(number: int) -> str:
    """The run that W1 starts for that event."""
    return ids.run_id(W1, TRIGGER, event_id(TOPICS.entity_changes, f"change-{number}"))


def _trigger(name: str, expression: str) -> JsonObject:
    heard: JsonObject = {"type": "ENTITY_UPDATED", "blueprintIdentifier": BLUEPRINT}
    test: JsonObject = {"type": "JQ", "expressions": [expression]}
    return {"identifier": name, "config": {"type": "EVENT_TRIGGER", "event": heard, "condition": test}}


def _condition(name: str, outlet: str, expression: str) -> JsonObject:
    outlets: list[Json] = [{"identifier": outlet, "title": outlet, "expression": expression}]
    return {"identifier": name, "config": {"type": "CONDITION", "outlets": outlets}}


def _edge(source: str, target: str, outlet: str | None = None) -> JsonObject:
    through: JsonObject = {"sourceOutletIdentifier": outlet} if outlet else {}
    return {"sourceIdentifier": source, "targetIdentifier": target, **through}


def w1(receiver: str) -> JsonObject:
    """The workflow W1, calling the receiver at this URL."""
    open_change: JsonObject = {
        "type": "WEBHOOK", "url": f"{receiver}/changes",
        "body": {
            "service": "{{ .outputs.trigger.diff.after.identifier }}", "kind": "tier",
            "reason": "became gold, was {{ .outputs.trigger.diff.before.properties.tier }}", "urgent": False,
        },
    }  # fmt: skip
    tell: JsonObject = {
        "type": "WEBHOOK", "url": f"{receiver}/messages",
        "body": {
            "channel": "{{ .outputs.trigger.diff.after.team[0] }}",
            "text": "Change {{ .outputs.open.change }} is open.", "silent": True,
        },
    }  # fmt: skip
    return {
        "identifier": W1, "title": "A service became gold",
        "nodes": [
            _trigger(TRIGGER, '.diff.after.properties.tier == "gold"'),
            _condition("live", "yes", '.outputs.trigger.diff.after.properties.lifecycle == "production"'),
            {
                "identifier": "open", "config": open_change,
                "variables": {"change": "{{ .response.data.changeId }}", "approved": "{{ .response.data.approved }}"},
            },
            _condition("approved", "yes", ".outputs.open.approved"),
            {"identifier": "tell", "config": tell},
        ],
        "connections": [
            _edge(TRIGGER, "live"), _edge("live", "open", "yes"), _edge("open", "approved"),
            _edge("approved", "tell", "yes"),
        ],
    }  # fmt: skip


BODIES = (
    b'{"service":"billing-123","kind":"tier","reason":"became gold, was silver","urgent":false}',
    b'{"channel":"payments","text":"Change CHG-20481 is open.","silent":true}',
)
"""What the two webhooks of W1 send."""


async def save_w1(definitions: DefinitionStore, receiver: str) -> None:
    """Save W1 as if an hour ago: triggers hear no event that is older than they are."""
    await definitions.create(W1, w1(receiver), "bench", SystemClock().now() - _HOUR)


def other_tier(number: int) -> JsonObject:
    """A workflow that waits for a tier that no event has."""
    name = f"tier-{number}"
    call: JsonObject = {"identifier": "call", "config": {"type": "WEBHOOK", "url": "http://127.0.0.1:9/"}}
    trigger = _trigger("changed", f'.diff.after.properties.tier == "{name}"')
    return {"identifier": name, "nodes": [trigger, call], "connections": [_edge("changed", "call")]}


async def save_other_tiers(definitions: DefinitionStore, count: int, at_once: int = 1) -> None:
    """Save workflows each of which waits for a tier that no event has, so many at one time."""
    at = SystemClock().now() - _HOUR
    for first in range(0, count, at_once):
        some = map(other_tier, range(first, min(first + at_once, count)))
        await asyncio.gather(*(definitions.create(f"{it['identifier']}", it, "bench", at) for it in some))
