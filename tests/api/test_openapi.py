"""The document and the page that shows it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from headrace_api import catalog_schemas, openapi, schemas
from headrace_api.problems import CODES
from tests.api.test_events import entry
from tests.api.world import World, completed, waiting_run, workflow

DOCUMENT = openapi.document()
OPERATIONS = [
    (method, path, operation) for path, methods in DOCUMENT["paths"].items() for method, operation in methods.items()
]
STATIC = Path(openapi.__file__).parent / "static"


def walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item)


def named(reference: str) -> Any:
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_the_document_is_the_same_every_time_and_plain_json() -> None:
    assert openapi.document() == DOCUMENT
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT
    assert DOCUMENT["openapi"].startswith("3.1")


async def test_the_service_serves_the_same_document(world: World) -> None:
    response = await world.client.get("/openapi.json")

    assert response.headers["content-type"] == "application/json"
    assert response.json() == DOCUMENT


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=lambda it: it if isinstance(it, str) else "")
def test_every_operation_says_what_it_does_and_how_it_fails(method: str, path: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"]
    assert operation["operationId"]
    assert any(status.startswith("2") for status in operation["responses"])
    failures = {status: it for status, it in operation["responses"].items() if status.startswith(("4", "5"))}
    assert failures
    assert "500" in failures
    if operation.get("security") != []:
        assert {"401", "422"} <= failures.keys()
    for status, failure in failures.items():
        schema = failure["content"]["application/problem+json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Problem"}
        codes = re.findall(r"^`(\w+)`", failure["description"], re.MULTILINE)
        assert codes
        assert {CODES[code].status for code in codes} == {int(status)}
    for name in re.findall(r"{(\w+)}", path):
        assert {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} in operation["parameters"]
    if method in ("get", "delete"):
        assert "requestBody" not in operation


def test_operation_ids_are_unique_and_every_reference_leads_somewhere() -> None:
    identifiers = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(identifiers) == len(set(identifiers))
    for part in walk(DOCUMENT):
        if isinstance(part.get("$ref"), str):
            assert named(part["$ref"]) is not None
        assert "itemSchema" not in part, "OpenAPI 3.1 does not know it"
        assert "x-headrace" not in part
    assert "HTTPValidationError" not in DOCUMENT["components"]["schemas"]


def test_no_schema_is_left_over() -> None:
    used = {part["$ref"].rpartition("/")[2] for part in walk(DOCUMENT) if isinstance(part.get("$ref"), str)}
    used |= {
        name.rpartition("/")[2] for part in walk(DOCUMENT) if "mapping" in part for name in part["mapping"].values()
    }

    assert set(DOCUMENT["components"]["schemas"]) - used == set()


async def test_the_examples_are_taken_by_the_service(world: World) -> None:
    created = await world.call("admin", "POST", "/v1/workflows", openapi.EXAMPLE_WORKFLOW)
    published = await world.call("admin", "POST", "/v1/events", openapi.EXAMPLE_EVENT)

    assert (created.status_code, created.json()["warnings"]) == (201, [])
    assert published.status_code == 202
    for path, example in (
        ("/v1/blueprints", catalog_schemas.EXAMPLE_BLUEPRINT),
        ("/v1/blueprints/sandbox/entities", catalog_schemas.EXAMPLE_ENTITY),
        ("/v1/entities/search", catalog_schemas.EXAMPLE_SEARCH),
    ):
        response = await world.call("admin", "POST", path, example)
        assert response.status_code in (200, 201), response.text
        assert response.json().get("warnings", []) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "model"),
    [
        ("GET", "/v1/workflows", None, schemas.WorkflowsAnswer),
        ("GET", "/v1/workflows/restart", None, schemas.WorkflowAnswer),
        ("PATCH", "/v1/workflows/restart", {"colour": "x"}, schemas.WorkflowAnswer),
        ("GET", "/v1/workflows/restart/versions", None, schemas.VersionsAnswer),
        ("GET", "/v1/workflows/restart/nodes/call", None, schemas.NodeAnswer),
        ("POST", "/v1/workflows/validate", {}, schemas.ValidationAnswer),
        ("GET", "/v1/workflows/self-service-triggers", None, schemas.TriggersAnswer),
        ("POST", "/v1/workflows/restart/runs", {"inputs": {"service": "a"}}, schemas.RunAnswer),
        ("GET", "/v1/workflows/runs", None, schemas.RunsAnswer),
        ("GET", "/v1/workflows/runs/{run}", None, schemas.RunAnswer),
        ("GET", "/v1/workflows/runs/{done}", None, schemas.RunAnswer),
        ("GET", "/v1/workflows/runs/{run}/logs", None, schemas.RunLogsAnswer),
        ("POST", "/v1/workflows/runs/{run}/cancel", None, schemas.Done),
        ("GET", "/v1/workflows/nodes/runs?external_run_id=job-7&include=nodeConfig", None, schemas.NodeRunsAnswer),
        ("GET", "/v1/workflows/nodes/runs/{node}/logs", None, schemas.LogsAnswer),
        ("POST", "/v1/events", openapi.EXAMPLE_EVENT, schemas.EventAnswer),
        ("GET", "/v1/events/evt_1/explain", None, schemas.ExplainAnswer),
        ("GET", "/v1/ledger", None, schemas.LedgerAnswer),
        ("GET", "/v1/ledger?limit=0", None, schemas.Problem),
        ("GET", "/v1/blueprints", None, catalog_schemas.BlueprintsAnswer),
        ("GET", "/v1/blueprints/sandbox", None, catalog_schemas.BlueprintAnswer),
        ("PATCH", "/v1/blueprints/sandbox", {"colour": "x"}, catalog_schemas.BlueprintAnswer),
        ("GET", "/v1/blueprints/sandbox/entities", None, catalog_schemas.EntitiesAnswer),
        ("GET", "/v1/blueprints/sandbox/entities/demo-1", None, catalog_schemas.EntityAnswer),
        ("DELETE", "/v1/blueprints/sandbox/entities/demo-1", None, catalog_schemas.EntityAnswer),
        ("POST", "/v1/entities/search", catalog_schemas.EXAMPLE_SEARCH, catalog_schemas.EntitiesAnswer),
        ("POST", "/v1/workflows", {}, schemas.Problem),
        ("GET", "/nope", None, schemas.Problem),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
async def test_answers_look_as_they_are_described(
    world: World, method: str, path: str, body: Any, model: type[BaseModel]
) -> None:
    await world.save_workflow(workflow(category="ops"))
    run = await world.save_run(waiting_run())
    done = await world.save_run(completed(waiting_run("two"), "FAILED"))
    await world.ledger.record([entry()])
    await world.call("admin", "POST", "/v1/blueprints", catalog_schemas.EXAMPLE_BLUEPRINT)
    await world.call("admin", "POST", "/v1/blueprints/sandbox/entities", catalog_schemas.EXAMPLE_ENTITY)
    path = path.format(run=run.id, done=done.id, node=run.nodes["call"].id)

    response = await world.call("admin", method, path, body)

    model.model_validate(response.json())
    missing = {field.alias for field in model.model_fields.values() if field.is_required()} - response.json().keys()
    assert not missing


class TestSwaggerUi:
    async def test_the_page_loads_nothing_from_elsewhere(self, world: World) -> None:
        response = await world.client.get("/")

        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/html")
        assert "http" not in response.text
        assert "<script>" not in response.text, "the policy forbids scripts in the page"
        policy = response.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        for name in re.findall(r'(?:src|href)="(swagger-ui/[^"]+)"', response.text):
            assert (await world.client.get(f"/{name}")).status_code == 200, name

    @pytest.mark.parametrize(
        ("name", "media_type"),
        [
            ("swagger-ui-bundle.js", "text/javascript"),
            ("swagger-ui.css", "text/css"),
            ("swagger-init.js", "text/javascript"),
            ("favicon-32x32.png", "image/png"),
        ],
    )
    async def test_its_files_come_with_their_types(self, world: World, name: str, media_type: str) -> None:
        response = await world.client.get(f"/swagger-ui/{name}")

        assert response.status_code == 200
        assert response.headers["content-type"].partition(";")[0] == media_type
        assert len(response.content) > 100

    @pytest.mark.parametrize("name", ["..%2Fapp.py", "%2e%2e/app.py", "VERSION", "LICENSE", "swagger-ui-bundle.js%00"])
    async def test_no_other_file_is_served(self, world: World, name: str) -> None:
        assert (await world.client.get(f"/swagger-ui/{name}")).status_code == 404
