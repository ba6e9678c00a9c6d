"""Errors as a whole: one table, one shape, and nothing about our insides."""

import re
from pathlib import Path
from typing import Any

import pytest

from headrace_api.problems import CODES
from tests.api.world import World, workflow

ROOT = Path(__file__).parents[2]


async def test_an_error_is_a_problem_document_in_ports_shape(world: World) -> None:
    response = await world.call("admin", "GET", "/v1/workflows/nope", headers={"x-request-id": "abc-1"})

    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"] == "abc-1"
    assert response.json() == {
        "ok": False,
        "error": "not_found",
        "message": 'There is no workflow "nope", or you may not see it.',
        "type": "urn:headrace:problem:not_found",
        "title": "Not found",
        "status": 404,
        "detail": 'There is no workflow "nope", or you may not see it.',
        "instance": "/v1/workflows/nope",
        "hint": CODES["not_found"].remedy,
        "requestId": "abc-1",
        "errors": [],
    }


@pytest.mark.parametrize("given", ["a b", "x" * 129, "<script>", ""])
async def test_request_ids_that_could_do_harm_are_replaced(world: World, given: str) -> None:
    response = await world.call("admin", "GET", "/v1/workflows/nope", headers={"x-request-id": given})

    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


async def test_a_bug_answers_500_with_an_id_and_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch, logged: list[Any]
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the password is hunter2")

    await world.authorization("admin")
    monkeypatch.setattr(world.definitions, "all", fail)

    response = await world.call("admin", "GET", "/v1/workflows")

    assert (response.status_code, response.json()["error"]) == (500, "internal_error")
    assert "hunter2" not in response.text
    assert "Traceback" not in response.text
    [entry] = [entry for entry in logged if entry["log_level"] == "error"]
    assert entry["request_id"] == response.json()["requestId"] == response.headers["x-request-id"]
    assert entry["path"] == "/v1/workflows"


def test_the_guide_shows_every_code_as_the_table_has_it() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    rows = {name: (int(status), title, remedy) for status, name, title, remedy in
            re.findall(r"^\| (\d{3}) \| `(\w+)` \| (.+?) \| (.+?) \|$", text, re.MULTILINE)}  # fmt: skip
    assert rows == {name: (code.status, code.title, code.remedy) for name, code in CODES.items()}


async def test_answers_carry_headers_that_protect_browsers(world: World) -> None:
    for path in ("/", "/openapi.json", "/v1/workflows", "/nope", "/healthz/live"):
        response = await world.call("admin", "GET", path)
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["x-frame-options"] == "DENY"


async def test_metrics_count_by_route_and_never_by_path(world: World) -> None:
    await world.save_workflow(workflow())
    for path in ("/v1/workflows/restart", "/v1/workflows/nope", "/v1/secret/path"):
        await world.call("admin", "GET", path)
    await world.call("admin", "BREW", "/v1/workflows")

    text = (await world.call(None, "GET", "/metrics")).text

    assert 'headrace_api_requests_total{method="GET",route="/v1/workflows/{identifier}",status="200"} 1.0' in text
    assert 'headrace_api_requests_total{method="GET",route="/v1/workflows/{identifier}",status="404"} 1.0' in text
    assert 'headrace_api_requests_total{method="GET",route="other",status="404"} 1.0' in text
    assert 'method="OTHER"' in text
    for hidden in ("restart", "nope", "secret", "BREW"):
        assert hidden not in text
