from typing import Any

import pytest

from headrace.contracts.entity_change import decode_entity_change
from headrace.core.json import JsonObject
from headrace.ports.stores import COUNTED, LedgerEntry, TriggerVerdict
from tests.api.world import NOW, World, make_world

EVENT: JsonObject = {
    "action": "UPDATE",
    "resourceType": "entity",
    "trigger": {"by": {"userId": "u_7"}, "origin": "UI", "at": "2026-11-22T08:59:58.477Z"},
    "context": {"blueprintIdentifier": "service", "entityIdentifier": "billing"},
    "diff": {
        "before": {"identifier": "billing", "blueprint": "service", "properties": {"tier": "silver"}},
        "after": {"identifier": "billing", "blueprint": "service", "properties": {"tier": "gold"}},
    },
}
CLOUD_EVENT: JsonObject = {
    "specversion": "1.0", "id": "e-1", "source": "urn:catalog", "type": "com.example.entity", "data": EVENT,
    "causationroot": "evt_root", "causationdepth": "3",
}  # fmt: skip


async def test_a_published_change_is_what_the_trigger_reads(world: World) -> None:
    response = await world.call("machine", "POST", "/v1/events", EVENT)

    assert response.status_code == 202, response.text
    [record] = await world.published(world.topics.entity_changes)
    change = decode_entity_change(record)
    assert record.key == "service/billing"
    assert response.json() == {"ok": True, "eventId": change.event_id}
    assert response.headers["location"] == f"/v1/events/{change.event_id}/explain"
    assert (change.action, change.blueprint, change.entity) == ("UPDATE", "service", "billing")
    assert change.event["diff"] == EVENT["diff"]


async def test_a_change_without_a_time_happened_now(world: World) -> None:
    await world.call("machine", "POST", "/v1/events", {**EVENT, "trigger": {"origin": "UI"}})
    await world.call("machine", "POST", "/v1/events", {name: it for name, it in EVENT.items() if name != "trigger"})

    assert [decode_entity_change(it).at for it in await world.published(world.topics.entity_changes)] == [NOW, NOW]


@pytest.mark.parametrize("content_type", ["application/json", "application/cloudevents+json; charset=utf-8"])
async def test_a_cloud_event_keeps_its_name_and_its_causation(world: World, content_type: str) -> None:
    ids = set()
    for _ in range(2):
        response = await world.call("machine", "POST", "/v1/events", CLOUD_EVENT, {"content-type": content_type})
        assert response.status_code == 202, response.text
        ids.add(response.json()["eventId"])

    assert len(ids) == 1
    for record in await world.published(world.topics.entity_changes):
        change = decode_entity_change(record)
        assert change.event_id in ids
        assert change.source == "urn:catalog"
        assert (change.causation.root_event_id, change.causation.depth) == ("evt_root", 3)


async def test_event_ids_make_publishing_twice_harmless(world: World) -> None:
    def ids(body: JsonObject) -> Any:
        return world.call("machine", "POST", "/v1/events", body)

    first, second, third, fourth = [
        (await ids(body)).json()["eventId"]
        for body in ({**EVENT, "eventId": "x"}, {**EVENT, "eventId": "x"}, {**EVENT, "eventId": "y"}, EVENT)
    ]

    assert first == second
    assert len({first, third, fourth}) == 3


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/action"),
        ([], ""),
        ("x", ""),
        ({**EVENT, "action": "RENAME"}, "/action"),
        ({**EVENT, "diff": {}}, None),
        ({**EVENT, "diff": []}, "/diff"),
        ({**EVENT, "eventId": 7}, "/eventId"),
        ({**EVENT, "eventId": ""}, "/eventId"),
        ({**EVENT, "trigger": {"at": "yesterday"}}, "/trigger/at"),
        ({**CLOUD_EVENT, "data": {}}, "/data/action"),
        ({**CLOUD_EVENT, "id": ""}, "/id"),
        ({**CLOUD_EVENT, "specversion": 2}, "/specversion"),
        ({**CLOUD_EVENT, "causationdepth": "many"}, None),
        ({"specversion": "1.0"}, None),
    ],
)
async def test_bodies_that_are_no_changes_are_refused_with_the_place(
    world: World, body: Any, pointer: str | None
) -> None:
    response = await world.call("machine", "POST", "/v1/events", body)

    assert (response.status_code, response.json()["error"]) == (422, "invalid_event"), response.text
    [error] = response.json()["errors"]
    assert pointer is None or error["pointer"] == pointer
    assert error["line"] == 1
    assert await world.published(world.topics.entity_changes) == []


def entry(event_id: str = "evt_1", blueprint: str = "service", workflow: str = "restart") -> LedgerEntry:
    verdicts = (TriggerVerdict(workflow, 2, "on_change", "filtered", "`.x` gave false", detail={"x": 1}),)
    return LedgerEntry(
        event_id, NOW, "UPDATE", blueprint, "billing", 3, verdicts, b"{}", "headrace.entity.changes.v1/0/7"
    )


async def test_an_event_is_explained_from_the_ledger_when_nobody_knows_better(world: World) -> None:
    await world.ledger.record([entry()])

    response = await world.call("admin", "GET", "/v1/events/evt_1/explain")

    assert response.json()["explanation"] == {
        "eventId": "evt_1", "at": "2026-11-22T09:00:00.000Z", "action": "UPDATE", "blueprint": "service",
        "entity": "billing", "considered": 3, "source": "headrace.entity.changes.v1/0/7",
        "verdicts": [
            {
                "workflow": "restart", "version": 2, "trigger": "on_change", "verdict": "filtered",
                "reason": "`.x` gave false", "runId": None, "detail": {"x": 1},
            }
        ],
    }  # fmt: skip


class FakeExplainer:
    async def explain(self, event_id: str) -> JsonObject | None:
        return {"eventId": event_id, "verdicts": []} if event_id == "evt_known" else None

    async def would_match(self, event: JsonObject) -> list[JsonObject]:
        return [{"trigger": "on_change", "saw": event["action"]}]


async def test_the_explainer_speaks_first() -> None:
    world = make_world(explainer=FakeExplainer())
    timer = {
        "action": "TIMER_PROPERTY_EXPIRED",
        "context": {"blueprintIdentifier": "service", "entityIdentifier": "billing", "propertyIdentifier": "ttl"},
    }

    known = await world.call("admin", "GET", "/v1/events/evt_known/explain")
    tried = await world.call("admin", "POST", "/v1/events/explain", timer)

    assert known.json()["explanation"]["eventId"] == "evt_known"
    assert tried.json() == {"ok": True, "triggers": [{"trigger": "on_change", "saw": "TIMER_EXPIRED"}]}
    assert await world.published(world.topics.entity_changes) == [], "trying publishes nothing"
    unknown = await world.call("admin", "GET", "/v1/events/evt_other/explain")
    assert (unknown.status_code, unknown.json()["error"]) == (404, "not_found")


async def test_an_event_without_an_entry_may_have_been_counted_only(world: World) -> None:
    reason = "1,000 events UPDATE of service that started nothing were counted, not kept"
    before = await world.call("admin", "GET", "/v1/events/evt_other/explain")
    counted = TriggerVerdict(COUNTED, 0, "", "counted", reason, detail={"events": 1_000})
    await world.ledger.record([LedgerEntry("counted:evt_1", NOW, "UPDATE", "service", "", 0, (counted,), b"{}", "")])
    after = await world.call("admin", "GET", "/v1/events/evt_other/explain")

    assert "counted" not in before.json()["message"]
    assert (after.status_code, after.json()["error"]) == (404, "not_found")
    assert after.json()["message"].endswith(f"or was counted only. {reason}.")


async def test_the_ledger_is_listed_newest_first_and_filtered(world: World) -> None:
    await world.ledger.record([entry("evt_1"), entry("evt_2", "team"), entry("evt_3", workflow="other")])

    async def ids(query: str) -> list[str]:
        response = await world.call("admin", "GET", f"/v1/ledger?{query}")
        return [it["eventId"] for it in response.json()["entries"]]

    assert await ids("") == ["evt_3", "evt_2", "evt_1"]
    assert await ids("limit=1") == ["evt_3"]
    assert await ids("blueprint=team") == ["evt_2"]
    assert await ids("workflow=restart&blueprint=service") == ["evt_1"]
    assert await ids("entity=other") == []
