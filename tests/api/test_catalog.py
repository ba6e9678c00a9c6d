"""Blueprints and entities over HTTP: written, read, looked for, and who may."""

from typing import Any

import httpx
import pytest

from headrace.contracts.entity_change import EntityChange, decode_entity_change
from tests.api.world import World

SERVICE: dict[str, Any] = {
    "identifier": "service",
    "title": "Service",
    "schema": {
        "properties": {
            "tier": {"type": "string", "enum": ["silver", "gold"], "default": "silver"},
            "replicas": {"type": "number"},
            "ttl": {"type": "string", "format": "timer"},
        },
        "required": ["replicas"],
    },
    "relations": {"parent": {"target": "service"}},
}
BILLING: dict[str, Any] = {"identifier": "billing", "title": "Billing", "properties": {"replicas": 2}}
ENTITIES = "/v1/blueprints/service/entities"


async def ok(world: World, method: str, path: str, body: Any = None, **more: Any) -> dict[str, Any]:
    response = await world.call("machine", method, path, body, **more)
    assert response.status_code in (200, 201), response.text
    found: dict[str, Any] = response.json()
    return found


@pytest.fixture
async def service(world: World) -> World:
    """A world with a blueprint."""
    await ok(world, "POST", "/v1/blueprints", SERVICE)
    return world


def errors(response: httpx.Response, code: str, status: int = 422) -> list[tuple[str, str]]:
    body = response.json()
    assert (response.status_code, body["error"]) == (status, code), response.text
    return [(it["code"], it["pointer"]) for it in body["errors"]]


async def changes(world: World) -> list[EntityChange]:
    return [decode_entity_change(it) for it in await world.published(world.topics.entity_changes)]


# blueprints


async def test_a_blueprint_comes_back_as_its_author_wrote_it_with_the_servers_fields(world: World) -> None:
    response = await world.call("admin", "POST", "/v1/blueprints", {**SERVICE, "colour": "red"})

    assert response.status_code == 201
    assert (response.headers["etag"], response.headers["location"]) == ('"v1"', "/v1/blueprints/service")
    assert [it["code"] for it in response.json()["warnings"]] == ["unknown-field"]
    shown = response.json()["blueprint"]
    assert shown | SERVICE | {"colour": "red"} == shown
    assert shown["createdBy"] == "u_admin"
    assert (await ok(world, "GET", "/v1/blueprints/service"))["blueprint"] == shown
    assert (await ok(world, "GET", "/v1/blueprints"))["blueprints"] == [shown]
    again = await world.call("admin", "PUT", "/v1/blueprints/service", shown)
    assert again.headers["etag"] == '"v1"', "what was read may be sent back, and changes nothing"


async def test_a_blueprint_is_replaced_and_changed_in_parts(service: World) -> None:
    put = await service.call("machine", "PUT", "/v1/blueprints/service", {"title": "Only a title"})
    assert put.json()["blueprint"]["schema"] == {"properties": {}, "required": []}
    assert put.headers["etag"] == '"v2"'

    patched = await ok(service, "PATCH", "/v1/blueprints/service", {"schema": SERVICE["schema"], "title": None})

    assert patched["blueprint"]["schema"] == SERVICE["schema"]
    assert patched["blueprint"]["title"] is None


async def test_a_blueprint_with_problems_is_refused_with_all_of_them_and_their_places(service: World) -> None:
    response = await service.call("admin", "POST", "/v1/blueprints", {"identifier": "a b", "schema": {"required": [1]}})
    assert errors(response, "invalid_blueprint") == [
        ("bad-identifier", "/identifier"), ("unknown-property", "/schema/required/0"),
    ]  # fmt: skip
    assert response.json()["errors"][0]["line"] == 1

    unknown = {"identifier": "x", "relations": {"r": {"target": "none"}}}
    response = await service.call("admin", "POST", "/v1/blueprints", unknown)
    assert errors(response, "invalid_blueprint") == [("unknown-blueprint", "/relations/r/target")]
    response = await service.call("admin", "PUT", "/v1/blueprints/service", {**SERVICE, "identifier": "x"})
    assert errors(response, "invalid_blueprint") == [("identifier-mismatch", "/identifier")]


async def test_a_blueprint_that_is_there_is_not_created_again(service: World) -> None:
    errors(await service.call("admin", "POST", "/v1/blueprints", SERVICE), "blueprint_exists", 409)


async def test_a_blueprint_that_something_needs_is_not_deleted(service: World) -> None:
    await ok(service, "POST", ENTITIES, BILLING)
    await ok(service, "POST", "/v1/blueprints", {"identifier": "x", "relations": {"r": {"target": "service"}}})

    response = await service.call("admin", "DELETE", "/v1/blueprints/service")
    errors(response, "blueprint_in_use", 409)
    assert "has entities" in response.json()["message"]
    await ok(service, "DELETE", ENTITIES + "/billing")
    response = await service.call("admin", "DELETE", "/v1/blueprints/service")
    assert 'Relations of "x"' in response.json()["message"]
    await ok(service, "DELETE", "/v1/blueprints/x")
    await ok(service, "DELETE", "/v1/blueprints/service")

    errors(await service.call("admin", "GET", "/v1/blueprints/service"), "not_found", 404)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_if_match_guards_blueprints_and_entities(service: World, method: str) -> None:
    await ok(service, "POST", ENTITIES, BILLING)
    await ok(service, "PATCH", ENTITIES + "/billing", {"title": "New"})
    body = None if method == "DELETE" else {"title": "Newer", "properties": {"replicas": 1}}

    for path, tag in ((ENTITIES + "/billing", '"v2"'), ("/v1/blueprints/service", '"v1"')):
        for wrong in ('"v9"', "rubbish", 'W/"v1"'):
            response = await service.call("admin", method, path, body, {"if-match": wrong})
            errors(response, "version_mismatch", 412)
        body = body and {"title": "Newer", **({} if "entities" not in path else {"properties": {"replicas": 1}})}
        response = await service.call("admin", method, path, body, {"if-match": f'"v7", {tag}'})
        assert response.status_code == 200, response.text


# entities


async def test_an_entity_is_created_read_and_its_event_published(service: World) -> None:
    response = await service.call("maya", "GET", ENTITIES + "/billing")
    assert response.status_code == 404

    response = await service.call("admin", "POST", ENTITIES, BILLING)

    assert response.status_code == 201
    assert response.headers["location"] == ENTITIES + "/billing"
    shown = response.json()["entity"]
    assert shown == {
        "identifier": "billing", "title": "Billing", "icon": None, "blueprint": "service", "team": [],
        "properties": {"tier": "silver", "replicas": 2}, "relations": {}, "createdBy": "u_admin",
        "updatedBy": "u_admin", "createdAt": "2026-11-22T09:00:00.000Z", "updatedAt": "2026-11-22T09:00:00.000Z",
    }  # fmt: skip
    read = await service.call("maya", "GET", ENTITIES + "/billing")
    assert read.json()["entity"] == shown
    assert read.headers["etag"] == response.headers["etag"]
    (change,) = await changes(service)
    event: Any = change.event
    assert (change.action, event["diff"]["before"], event["diff"]["after"]) == ("CREATE", None, shown)
    assert event["trigger"]["by"] == {"userId": "u_admin", "orgId": "headrace"}
    assert event["context"]["blueprintIdentifier"] == "service"


async def test_upsert_creates_then_replaces_or_merges(service: World) -> None:
    errors(await service.call("admin", "POST", ENTITIES, {"identifier": "a"}), "invalid_entity")
    first = await service.call("admin", "POST", ENTITIES + "?upsert=true&merge=true", {**BILLING, "team": "pay"})
    merged = await service.call(
        "admin", "POST", ENTITIES + "?upsert=true&merge=true", {"identifier": "billing", "properties": {"tier": "gold"}}
    )
    response = await service.call("admin", "POST", ENTITIES, BILLING)
    errors(response, "entity_exists", 409)
    assert response.json()["message"] == 'There is an entity "billing" of blueprint "service" already.'
    replaced = await service.call("admin", "POST", ENTITIES + "?upsert=true", BILLING)

    assert (first.status_code, merged.status_code, replaced.status_code) == (201, 200, 200)
    assert merged.json()["entity"]["properties"] == {"tier": "gold", "replicas": 2}
    assert merged.json()["entity"]["team"] == ["pay"]
    assert replaced.json()["entity"]["properties"] == {"tier": "silver", "replicas": 2}
    assert replaced.json()["entity"]["team"] == []
    assert [it.action for it in await changes(service)] == ["CREATE", "UPDATE", "UPDATE"]


async def test_put_replaces_patch_merges_and_neither_creates(service: World) -> None:
    for method in ("PUT", "PATCH", "DELETE"):
        body = None if method == "DELETE" else {"properties": {"replicas": 1}}
        errors(await service.call("admin", method, ENTITIES + "/billing", body), "not_found", 404)
    await ok(service, "POST", ENTITIES, {**BILLING, "properties": {"replicas": 2, "tier": "gold"}})

    patched = await ok(service, "PATCH", ENTITIES + "/billing", {"properties": {"replicas": 3}, "title": None})
    assert (patched["entity"]["title"], patched["entity"]["properties"]) == (None, {"replicas": 3, "tier": "gold"})
    put = await ok(service, "PUT", ENTITIES + "/billing", {"properties": {"replicas": 3}})
    assert put["entity"]["properties"] == {"replicas": 3, "tier": "silver"}
    gone = await ok(service, "DELETE", ENTITIES + "/billing")
    assert gone["entity"] == put["entity"]

    errors(await service.call("admin", "GET", ENTITIES + "/billing"), "not_found", 404)
    assert (await ok(service, "GET", ENTITIES))["entities"] == []
    assert [it.action for it in await changes(service)] == ["CREATE", "UPDATE", "UPDATE", "DELETE"]


async def test_an_entity_without_an_identifier_gets_one(service: World) -> None:
    made = await ok(service, "POST", ENTITIES, {"properties": {"replicas": 1}})

    assert len(made["entity"]["identifier"]) == 32


async def test_everything_wrong_with_an_entity_is_said_at_once_with_its_place(service: World) -> None:
    body = b'{"identifier": "a",\n "properties": {"tier": "lead"},\n "relations": {"parent": "none"}}'
    headers = {**await service.authorization("admin"), "content-type": "application/json"}

    response = await service.client.post(ENTITIES, content=body, headers=headers)

    assert errors(response, "invalid_entity") == [
        ("not-in-enum", "/properties/tier"), ("missing-property", "/properties/replicas"),
        ("unknown-entity", "/relations/parent"),
    ]  # fmt: skip
    assert [it["line"] for it in response.json()["errors"]] == [2, 2, 3]
    assert await changes(service) == []
    errors(await service.call("admin", "POST", "/v1/blueprints/none/entities", BILLING), "not_found", 404)


async def test_identifiers_with_slashes_stand_in_paths(service: World) -> None:
    made = await service.call("admin", "POST", ENTITIES, {**BILLING, "identifier": "team/a:b"})
    where = made.headers["location"]

    assert where == ENTITIES + "/team%2Fa%3Ab"
    for path in (where, ENTITIES + "/team/a:b"):
        assert (await ok(service, "GET", path))["entity"]["identifier"] == "team/a:b"


async def test_members_read_the_catalog_and_do_not_change_it(service: World) -> None:
    await ok(service, "POST", ENTITIES, BILLING)
    for method, path in (("POST", ENTITIES), ("PUT", ENTITIES + "/billing"), ("PATCH", ENTITIES + "/billing"),
                         ("POST", "/v1/blueprints"), ("PUT", "/v1/blueprints/service"),
                         ("PATCH", "/v1/blueprints/service")):  # fmt: skip
        errors(await service.call("maya", method, path, {}), "forbidden", 403)
    for path in (ENTITIES + "/billing", "/v1/blueprints/service"):
        errors(await service.call("maya", "DELETE", path), "forbidden", 403)
        assert (await service.call("maya", "GET", path)).status_code == 200
    search = await service.call("maya", "POST", "/v1/entities/search", {"combinator": "and", "rules": []})
    assert search.status_code == 200
    assert (await service.call(None, "GET", ENTITIES)).status_code == 401


async def test_lists_go_on_where_the_page_before_ended(service: World) -> None:
    for name in "edcba":
        await ok(service, "POST", ENTITIES, {**BILLING, "identifier": name})
    await ok(service, "POST", "/v1/blueprints", {"identifier": "other"})
    await ok(service, "POST", "/v1/blueprints/other/entities", {"identifier": "x"})

    pages, after = [], ""
    while True:
        page = await ok(service, "GET", f"{ENTITIES}?limit=2{after}")
        pages.append("".join(it["identifier"] for it in page["entities"]))
        if page["next"] is None:
            break
        after = f"&from={page['next']}"

    assert pages == ["ab", "cd", "e"]
    assert (await ok(service, "GET", f"{ENTITIES}?limit=5"))["next"] is None
    errors_of_none = await service.call("admin", "GET", "/v1/blueprints/none/entities")
    assert errors_of_none.status_code == 404


async def test_a_search_finds_what_fits_and_goes_on_where_it_ended(service: World) -> None:
    await ok(service, "POST", ENTITIES, {"identifier": "root", "title": "Root", "properties": {"replicas": 0}})
    for i in range(6):
        document = {"properties": {"replicas": i}, "relations": {"parent": "root"} if i % 2 else {}}
        await ok(service, "POST", ENTITIES, {"identifier": f"e{i}", **document})

    async def found(*rules: Any, more: str = "") -> tuple[list[str], str | None]:
        body = {"combinator": "and", "rules": list(rules)}
        answer = await ok(service, "POST", f"/v1/entities/search{more}", body)
        return [it["identifier"] for it in answer["entities"]], answer["next"]

    of_service = {"property": "$blueprint", "operator": "=", "value": "service"}
    large = {"property": "replicas", "operator": ">=", "value": 2}
    assert await found(of_service, large) == (["e2", "e3", "e4", "e5"], None)
    assert await found(large, more="?limit=3") == (["e2", "e3", "e4"], "service/e4")
    assert await found(large, more="?limit=3&from=service/e4") == (["e5"], None)
    titled = {"relation": "parent", "targetProperty": "$title", "operator": "=", "value": "Root"}
    assert await found(titled) == (["e1", "e3", "e5"], None)
    related = {"operator": "relatedTo", "blueprint": "service", "value": "e3"}
    assert await found(related) == (["root"], None)
    assert await found({**of_service, "value": "none"}) == ([], None)

    response = await service.call("admin", "POST", "/v1/entities/search", {"combinator": "xor", "rules": [{}]})
    assert errors(response, "invalid_search") == [("unknown-value", "/combinator"), ("missing-field", "/rules/0")]


async def test_a_timer_that_is_past_fires_with_the_write(service: World) -> None:
    await ok(service, "POST", ENTITIES, {**BILLING, "properties": {"replicas": 1, "ttl": "2020-01-01T00:00:00Z"}})

    assert [(it.action, it.property) for it in await changes(service)] == [("CREATE", None), ("TIMER_EXPIRED", "ttl")]
