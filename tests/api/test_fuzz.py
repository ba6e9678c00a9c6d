"""Whatever is sent to whatever route: an answer below 500, with a code from the table."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.core.json import Json
from headrace_api import openapi
from headrace_api.parameters import RUN_FILTERS
from headrace_api.problems import CODES
from tests.api.world import World, make_settings, make_world, waiting_run, workflow

DOCUMENT = openapi.document()
ROUTES = sorted(
    (method.upper(), path)
    for path, methods in DOCUMENT["paths"].items()
    for method in methods
    if not path.endswith("/stream")
)
NAMES = st.sampled_from(
    [
        "identifier",
        "nodes",
        "connections",
        "config",
        "type",
        "variables",
        "inputs",
        "nodeIdentifier",
        "status",
        "result",
        "output",
        "logs",
        "level",
        "links",
        "force",
        "action",
        "diff",
        "after",
        "before",
        "context",
        "trigger",
        "specversion",
        "id",
        "source",
        "data",
        "permissions",
        "userInputs",
        "properties",
        "required",
        "outlets",
        "expression",
        "fallback",
        "sourceIdentifier",
        "targetIdentifier",
        "clientId",
        "clientSecret",
        "eventId",
        "title",
        "published",
        "condition",
    ]
)
WORDS = st.sampled_from(
    [
        *[
            "start",
            "call",
            "restart",
            "SELF_SERVE_TRIGGER",
            "EVENT_TRIGGER",
            "WEBHOOK",
            "CONDITION",
            "INPUT",
            "KAFKA",
            "CREATE",
            "COMPLETED",
        ],
        *["SUCCESS", "string", "array", "{{.outputs.start}}", "{{.a|.b", ".diff.after", "1.0", "jqQuery"],
    ]
)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20) | WORDS
)  # fmt: skip
VALUES: st.SearchStrategy[Json] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=8), inner, max_size=5),
    max_leaves=25,
)
SEEDS = st.sampled_from([workflow(), openapi.EXAMPLE_WORKFLOW, openapi.EXAMPLE_EVENT, {"inputs": {"service": "a"}}])


@st.composite
def damaged(draw: st.DrawFn) -> Json:
    """A good document with a few of its values replaced or removed: it gets further in than noise does."""
    document: Any = json.loads(json.dumps(draw(SEEDS)))
    for _ in range(draw(st.integers(1, 3))):
        place = document
        while isinstance(place, dict | list) and place:
            key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            if draw(st.booleans()) or not isinstance(place[key], dict | list):
                if draw(st.booleans()):
                    place[key] = draw(VALUES)
                else:
                    del place[key]
                break
            place = place[key]
    return document  # type: ignore[no-any-return]


BODIES = (VALUES | damaged()).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=50)
PARAMETERS = [*(it.name for it in RUN_FILTERS), "force", "isDeleted", "external_run_id", "include"]
ARGUMENTS = ["1", "true", "restart", "COMPLETED", "-1", "nodeConfig"]
QUERIES = st.lists(
    st.tuples(st.sampled_from(PARAMETERS) | st.text(max_size=5), st.sampled_from(ARGUMENTS) | st.text(max_size=10)),
    max_size=4,
)
SEGMENTS = st.sampled_from(["restart", "start", "1", "RUN", "NODE"]) | st.text(
    st.characters(codec="utf-8"), min_size=1, max_size=10
)


class Service:
    """One world for all examples, in a loop of its own."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.world = self.runner.run(self._open())

    async def _open(self) -> World:
        world = make_world(make_settings(start_wait_seconds=0, login={"burst": 1_000_000}))
        self.run_id = (await world.save_run(waiting_run())).id
        self.node_run_id = waiting_run().nodes["call"].id
        return world

    def call(self, method: str, path: str, **options: Any) -> Any:
        return self.runner.run(self._call(method, path, **options))

    async def _call(self, method: str, path: str, **options: Any) -> Any:
        if await self.world.definitions.latest("restart") is None:
            await self.world.save_workflow(workflow())
        return await self.world.call("admin", method, path, headers={"content-type": "application/json"}, **options)

    def close(self) -> None:
        async def shut() -> None:
            await self.world.client.aclose()
            await self.world.app.state.context.watch.close()
            await self.world.log.close()

        self.runner.run(shut())
        self.runner.close()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.close()


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), route=st.sampled_from(ROUTES), body=BODIES, query=QUERIES)
def test_nothing_that_is_sent_gives_a_500(
    service: Service, data: st.DataObject, route: tuple[str, str], body: bytes, query: list[tuple[str, str]]
) -> None:
    method, template = route
    parts = []
    for part in template.split("/"):
        if part.startswith("{"):
            part = data.draw(SEGMENTS)
            part = {"RUN": service.run_id, "NODE": service.node_run_id}.get(part, quote(part, safe=""))
        parts.append(part)
    asked = data.draw(st.sampled_from([query, []]))
    path = "/".join(parts) + "?" + urlencode(asked, quote_via=quote)

    response = service.call(method, path, content=body if method != "GET" else None)

    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        answer = response.json()
        assert answer["ok"] is False
        assert CODES[answer["error"]].status == response.status_code
        assert answer["message"]
