import asyncio
from typing import Any

import pytest

from tests.api.world import World, workflow


async def test_a_created_workflow_comes_back_as_its_author_wrote_it_with_the_servers_fields(world: World) -> None:
    document = workflow(category="ops")

    response = await world.call("machine", "POST", "/v1/workflows", document)

    assert response.status_code == 201, response.text
    assert response.headers["etag"] == '"v1"'
    assert response.headers["location"] == "/v1/workflows/restart"
    body = response.json()
    assert body["ok"] is True
    shown = body["workflow"]
    assert shown["nodes"] == document["nodes"]
    assert shown["connections"] == document["connections"]
    assert shown["category"] == "ops"
    assert shown["allowAnyoneToViewRuns"] is False
    assert shown["version"] == 1
    assert shown["versionIdentifier"].startswith("wfv_")
    assert shown["createdBy"] == shown["updatedBy"] == "machine"
    assert shown["createdAt"] == shown["updatedAt"] == "2026-11-22T09:00:00.000Z"
    assert shown["orgId"] == "headrace"
    assert shown["isDeleted"] is False
    got = await world.call("admin", "GET", "/v1/workflows/restart")
    assert got.json()["workflow"] == shown
    assert got.headers["etag"] == '"v1"'
    assert (await world.call("admin", "GET", "/v1/workflows")).json()["workflows"] == [shown]


async def test_creating_a_workflow_twice_is_a_conflict_that_says_what_to_do(world: World) -> None:
    await world.call("admin", "POST", "/v1/workflows", workflow())

    response = await world.call("admin", "POST", "/v1/workflows", workflow())

    assert response.status_code == 409
    assert response.json()["error"] == "workflow_exists"
    assert "PUT /v1/workflows/restart" in response.json()["message"]


async def test_put_makes_the_next_version_and_leaves_the_old_one_readable(world: World) -> None:
    await world.call("admin", "POST", "/v1/workflows", workflow())

    response = await world.call("machine", "PUT", "/v1/workflows/restart", workflow(title="Restart it"))

    assert response.status_code == 200
    assert response.headers["etag"] == '"v2"'
    shown = response.json()["workflow"]
    assert (shown["version"], shown["title"], shown["createdBy"], shown["updatedBy"]) == (
        2,
        "Restart it",
        "u_admin",
        "machine",
    )
    versions = (await world.call("admin", "GET", "/v1/workflows/restart/versions")).json()["versions"]
    assert [version["version"] for version in versions] == [2, 1]
    first = await world.call("admin", "GET", "/v1/workflows/restart/versions/1")
    assert first.json()["workflow"]["title"] == "Restart a service"
    assert first.headers["etag"] == '"v1"'


async def test_put_of_the_same_definition_makes_no_version(world: World) -> None:
    created = (await world.call("admin", "POST", "/v1/workflows", workflow())).json()["workflow"]

    for same in (workflow(), created, {**workflow(), "icon": None}, dict(reversed(workflow().items()))):
        response = await world.call("admin", "PUT", "/v1/workflows/restart", same)
        assert response.status_code == 200, response.text
        assert response.json()["workflow"] == created


@pytest.mark.parametrize("change", [{"allowAnyoneToViewRuns": True}, {"title": "Other"}, {"description": "New"}])
async def test_put_of_anything_else_makes_a_version(world: World, change: dict[str, Any]) -> None:
    await world.call("admin", "POST", "/v1/workflows", workflow())

    response = await world.call("admin", "PUT", "/v1/workflows/restart", workflow(**change))

    assert response.json()["workflow"]["version"] == 2


async def test_put_may_leave_out_the_identifier_but_not_change_it(world: World) -> None:
    await world.call("admin", "POST", "/v1/workflows", workflow())
    without = {name: value for name, value in workflow(title="New").items() if name != "identifier"}

    assert (await world.call("admin", "PUT", "/v1/workflows/restart", without)).status_code == 200
    renamed = await world.call("admin", "PUT", "/v1/workflows/restart", workflow("other"))

    assert renamed.status_code == 422
    assert renamed.json()["errors"][0]["code"] == "identifier-mismatch"


async def test_patch_replaces_top_level_fields_and_null_removes_them(world: World) -> None:
    await world.call("admin", "POST", "/v1/workflows", workflow(description="old", category="ops"))

    response = await world.call("admin", "PATCH", "/v1/workflows/restart", {"title": "New", "description": None})

    shown = response.json()["workflow"]
    assert (shown["title"], shown["description"], shown["category"], shown["version"]) == ("New", None, "ops", 2)
    assert shown["nodes"] == workflow()["nodes"]


async def test_patch_is_judged_as_a_whole(world: World) -> None:
    await world.call("admin", "POST", "/v1/workflows", workflow())

    response = await world.call("admin", "PATCH", "/v1/workflows/restart", {"nodes": [workflow()["nodes"][0]]})

    assert response.status_code == 422
    error = response.json()["errors"][0]
    assert error["code"] == "unknown-node"
    assert error["pointer"] == "/connections/0/targetIdentifier"
    assert "line" not in error, "the connection did not come with this body"


@pytest.mark.parametrize(
    ("if_match", "status"),
    [('"v1"', 200), ('"v7", "v1"', 200), ("*", 200), ('"v2"', 412), ('W/"v1"', 412), ("v1", 412), ('"v01"', 412)],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_if_match_lets_only_changes_of_that_version_through(
    world: World, method: str, if_match: str, status: int
) -> None:
    await world.call("admin", "POST", "/v1/workflows", workflow())
    body = None if method == "DELETE" else workflow(title="New")

    response = await world.call("admin", method, "/v1/workflows/restart", body, {"if-match": if_match})

    assert response.status_code == status, response.text
    if status == 412:
        assert response.json()["error"] == "version_mismatch"
        assert (await world.call("admin", "GET", "/v1/workflows/restart")).json()["workflow"]["version"] == 1


async def test_a_deleted_workflow_is_gone_but_its_versions_and_its_name_are_not(world: World) -> None:
    await world.call("admin", "POST", "/v1/workflows", workflow())

    deleted = await world.call("admin", "DELETE", "/v1/workflows/restart")

    assert deleted.status_code == 200
    assert deleted.json()["workflow"]["isDeleted"] is True
    for method, path, body in (
        ("GET", "", None), ("PUT", "", workflow()), ("PATCH", "", {"title": "x"}), ("DELETE", "", None),
        ("POST", "/runs", {"inputs": {"service": "billing"}}), ("GET", "/nodes/start", None),
    ):  # fmt: skip
        response = await world.call("admin", method, "/v1/workflows/restart" + path, body)
        assert (response.status_code, response.json()["error"]) == (404, "not_found"), method + path
    assert (await world.call("admin", "GET", "/v1/workflows")).json()["workflows"] == []
    listed = (await world.call("admin", "GET", "/v1/workflows?isDeleted=true")).json()["workflows"]
    assert [(it["identifier"], it["isDeleted"]) for it in listed] == [("restart", True)]
    assert (await world.call("admin", "GET", "/v1/workflows/restart/versions/1")).status_code == 200
    again = await world.call("admin", "POST", "/v1/workflows", workflow())
    assert (again.status_code, again.json()["workflow"]["version"]) == (201, 2)


async def test_all_problems_are_listed_at_once_with_pointers_lines_and_columns(world: World) -> None:
    text = """{
  "identifier": "broken one",
  "nodes": [
    {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}},
    {"identifier": "call", "config": {"type": "WEBHOOK", "url": "https://x.example.com/{{ .outputs.start.a "}}
  ],
  "connections": [
    {"sourceIdentifier": "start", "targetIdentifier": "calll"}
  ]
}"""

    response = await world.call(
        "admin", "POST", "/v1/workflows", content=text.encode(), headers={"content-type": "application/json"}
    )

    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["ok"] is False
    assert body["error"] == "invalid_workflow"
    assert body["message"] == body["detail"]
    assert body["status"] == 422
    found = {(error["pointer"], error["line"]) for error in body["errors"] if error["severity"] == "error"}
    assert ("/identifier", 2) in found
    assert ("/nodes/1/config/url", 5) in found
    assert ("/connections/0/targetIdentifier", 8) in found
    hints = " ".join(error["hint"] for error in body["errors"])
    assert 'Did you mean "call"?' in hints


async def test_warnings_come_back_and_do_not_keep_it_from_being_saved(world: World) -> None:
    response = await world.call("admin", "POST", "/v1/workflows", workflow(colour="blue"))

    assert response.status_code == 201
    warning = response.json()["warnings"][0]
    assert (warning["pointer"], warning["code"], warning["severity"]) == ("/colour", "unknown-field", "warning")


async def test_expressions_that_do_not_compile_are_found_before_saving(world: World) -> None:
    document = workflow()
    document["nodes"][1]["variables"] = {"a": "{{ .response | broken }}", "b": "{{ .response | @base64 }}"}

    response = await world.call("admin", "POST", "/v1/workflows", document)

    assert response.status_code == 422
    errors = [error for error in response.json()["errors"] if error["severity"] == "error"]
    assert [(error["pointer"], error["code"]) for error in errors] == [("/nodes/1/variables/a", "bad-expression")]
    assert "broken/0 is not defined" in errors[0]["message"]


@pytest.mark.parametrize("name", ["runs", "nodes", "validate", "self-service-triggers"])
async def test_identifiers_that_would_hide_behind_routes_are_refused(world: World, name: str) -> None:
    response = await world.call("admin", "POST", "/v1/workflows", workflow(name))

    assert response.status_code == 422
    assert response.json()["errors"][0]["code"] == "reserved-identifier"


async def test_validate_says_everything_and_saves_nothing(world: World) -> None:
    good = await world.call("admin", "POST", "/v1/workflows/validate", workflow())
    bad = await world.call("admin", "POST", "/v1/workflows/validate", workflow(nodes=[]))

    assert (good.status_code, good.json()["valid"]) == (200, True)
    assert bad.status_code == 200
    assert bad.json()["valid"] is False
    assert {"no-trigger"} <= {problem["code"] for problem in bad.json()["problems"]}
    assert await world.definitions.all() == []


async def test_a_node_comes_under_both_names(world: World) -> None:
    await world.save_workflow(workflow())

    response = await world.call("admin", "GET", "/v1/workflows/restart/nodes/call")

    assert response.json()["node"] == response.json()["workflow"] == workflow()["nodes"][1]
    assert (await world.call("admin", "GET", "/v1/workflows/restart/nodes/nope")).status_code == 404


@pytest.mark.parametrize("number", ["0", "2", "-1", "x", "99999999999999999999", "1.0", "١"])
async def test_versions_that_are_not_there_are_not_found(world: World, number: str) -> None:
    await world.save_workflow(workflow())

    response = await world.call("admin", "GET", f"/v1/workflows/restart/versions/{number}")

    assert (response.status_code, response.json()["error"]) == (404, "not_found")


async def test_self_service_triggers_lists_what_the_caller_may_start(world: World) -> None:
    unpublished = workflow("hidden", {"teams": ["payments"]})
    unpublished["nodes"][0]["config"]["published"] = False
    for document in (workflow("granted", {"teams": ["payments"]}), workflow("closed"), unpublished):
        await world.save_workflow(document)

    async def names(who: str) -> list[str]:
        triggers = (await world.call(who, "GET", "/v1/workflows/self-service-triggers")).json()["triggers"]
        return [trigger["workflow"]["identifier"] for trigger in triggers]

    assert await names("maya") == ["granted"]
    assert await names("ben") == []
    assert await names("admin") == await names("machine") == ["closed", "granted"]
    trigger = (await world.call("maya", "GET", "/v1/workflows/self-service-triggers")).json()["triggers"][0]
    assert trigger["nodeIdentifier"] == "start"
    assert trigger["userInputs"]["required"] == ["service"]


async def test_a_large_definition_is_judged_without_making_others_wait(world: World) -> None:
    await world.authorization("admin")
    call = workflow()["nodes"][1]
    call["config"]["body"] = {f"k{number}": "{{ .outputs.start.service }}" for number in range(10_000)}
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.create_task(tick())
    response = await world.call("admin", "POST", "/v1/workflows", workflow(nodes=[workflow()["nodes"][0], call]))
    ticking.cancel()

    assert response.status_code == 201
    assert ticks >= 10, "the event loop was held all the while"


@pytest.mark.parametrize("name", ["no such workflow!", "x" * 5_000, 7, None])
async def test_a_document_with_errors_is_judged_without_asking_for_the_workflows_it_calls(
    world: World, name: object
) -> None:
    document = workflow()
    document["nodes"].append({"identifier": "sub", "config": {"type": "WORKFLOW", "workflowIdentifier": name}})
    answer = await world.call("admin", "POST", "/v1/workflows/validate", document)

    assert answer.status_code == 200
    assert answer.json()["valid"] is False
    assert "unknown-workflow" not in {problem["code"] for problem in answer.json()["problems"]}
