"""`headrace blueprints` and `headrace entities`, against a real engine's API."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.world import World, make_world
from tests.cli.conftest import Shell

SANDBOX: dict[str, Any] = {
    "identifier": "sandbox",
    "title": "Sandbox",
    "schema": {"properties": {"ttl": {"type": "string", "format": "timer"}, "size": {"type": "number"}}},
}


@pytest.fixture
def catalog(shell: Shell) -> Shell:
    """A shell whose server is the api service, on stores in memory."""
    world = make_world()

    def answer(request: httpx.Request) -> httpx.Response:
        return asyncio.run(_ask(world, request))

    shell.answered_by(answer)
    return shell


async def _ask(world: World, request: httpx.Request) -> httpx.Response:
    headers = {**dict(request.headers), **await world.authorization("admin")}
    path = request.url.raw_path.decode()
    answer = await world.client.request(request.method, path, content=request.content, headers=headers)
    return httpx.Response(answer.status_code, content=answer.content)


def saved(folder: Path, document: Any) -> str:
    file = folder / "document.json"
    file.write_text(json.dumps(document, indent=1))
    return str(file)


def test_blueprints_and_entities_go_in_from_files_and_are_listed_and_shown(catalog: Shell, tmp_path: Path) -> None:
    assert "headrace blueprints -f" in catalog("blueprints").out
    for _ in range(2):
        assert catalog("blueprints", "-f", saved(tmp_path, SANDBOX)).out == "✓ sandbox saved\n"
    assert "has no entities" in catalog("entities", "sandbox").out
    demo = {"identifier": "demo/1", "title": "Demo", "properties": {"size": 2}}
    assert catalog("entities", "sandbox", "-f", saved(tmp_path, demo)).code == 0
    more = {"identifier": "demo/1", "properties": {"ttl": "2030-01-01T00:00:00Z"}}
    assert catalog("entities", "sandbox", "-f", saved(tmp_path, more), "--merge").out == "✓ demo/1 saved\n"

    assert catalog("blueprints").out.splitlines()[1].split() == [
        "sandbox", "2", "0", "2026-11-22", "09:00:00", "Sandbox",
    ]  # fmt: skip
    assert catalog("entities", "sandbox").out.splitlines()[1].split() == [
        "demo/1", "2026-11-22", "09:00:00", "u_admin", "Demo",
    ]  # fmt: skip
    assert json.loads(catalog("blueprints", "sandbox").out)["title"] == "Sandbox"
    shown = json.loads(catalog("entities", "sandbox", "demo/1").out)
    assert shown["properties"] == {"size": 2, "ttl": "2030-01-01T00:00:00Z"}
    assert [it["identifier"] for it in json.loads(catalog("entities", "sandbox", "-o", "json").out)] == ["demo/1"]


def test_what_the_server_refuses_is_shown_in_its_place(catalog: Shell, tmp_path: Path) -> None:
    catalog("blueprints", "-f", saved(tmp_path, SANDBOX))

    ended = catalog("entities", "sandbox", "-f", saved(tmp_path, {"identifier": "a", "properties": {"sizw": 1}}))

    assert ended.code == 1
    assert "document.json:4:11: error[unknown-property]" in ended.out
    assert 'Did you mean "size"?' in ended.out
    assert catalog("entities", "none").code == 5
