"""Everything that people and fuzzers send: always a precise 4xx, never a 500."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.world import World, waiting_run, workflow

WRITING = [
    ("POST", "/v1/workflows"),
    ("POST", "/v1/workflows/validate"),
    ("PUT", "/v1/workflows/restart"),
    ("PATCH", "/v1/workflows/restart"),
    ("POST", "/v1/workflows/restart/runs"),
    ("POST", "/v1/workflows/runs/{run}/cancel"),
    ("PATCH", "/v1/workflows/nodes/runs/{node}"),
    ("PATCH", "/v1/workflows/runs/{run}/nodes/{node}"),
    ("POST", "/v1/workflows/nodes/runs/{node}/logs"),
    ("POST", "/v1/events"),
    ("POST", "/v1/events/explain"),
    ("POST", "/v1/auth/access_token"),
]
JSON = {"content-type": "application/json"}

MALFORMED: dict[str, tuple[bytes, str]] = {
    "a brace missing": (b'{"a": 1', "line 1"),
    "a comma too many": (b'{\n  "a": 1,\n}', "line 2, column 9"),
    "single quotes": (b"{'a': 1}", "line 1, column 2"),
    "a comment": (b"{} // done", "line 1, column 4"),
    "two documents": (b"{}{}", "line 1, column 3"),
    "text": (b"hello", "line 1, column 1"),
    "blanks": (b" \n ", "empty"),
    "a form": (b"inputs=1&x=2", "line 1"),
    "NaN": (b'{"a": NaN}', "NaN"),
    "Infinity": (b'{"a": -Infinity}', "Infinity"),
    "a number without end": (b'{"a": 1e999}', "too large"),
    "a number beyond 2^53": (b'{"a": 9007199254740993}', "2**53"),
    "a very long number": (b'{"a": ' + b"9" * 5_000 + b"}", "too large"),
    "NUL in a string": (b'{"a": "x\\u0000y"}', "NUL"),
    "NUL in a key": (b'{"a\\u0000": 1}', "NUL"),
    "a raw NUL": (b'{"a": "\x00"}', "line 1"),
    "a lone surrogate": (b'{"a": "\\ud800"}', "surrogate"),
    "a lone surrogate as a key": (b'{"\\udc00": 1}', "surrogate"),
    "bytes that are no UTF-8": (b'{"a": "\xff"}', "UTF-8"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "byte order mark"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "byte order mark"),
    "lists nested 10,000 deep": (b"[" * 10_000 + b"]" * 10_000, "nested deeper"),
    "objects nested 10,000 deep": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested deeper"),
    "lists nested 65 deep": (b"[" * 65 + b"]" * 65, "nested deeper"),
    "60,000 values": (b"[" + b"1," * 60_000 + b"1]", "more than 50000 values"),
    "a key of 300 bytes": (b'{"' + b"k" * 300 + b'": 1}', "key"),
}


@pytest.fixture(autouse=True)
def nothing_unexpected(logged: list[Any]) -> Iterator[None]:
    yield
    assert [entry for entry in logged if entry["log_level"] == "error"] == []


async def places(world: World) -> dict[str, str]:
    await world.save_workflow(workflow())
    run = await world.save_run(waiting_run())
    return {"run": run.id, "node": run.nodes["call"].id}


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed_json_is_400_with_its_place_on_every_route(world: World, name: str) -> None:
    raw, said = MALFORMED[name]
    where = await places(world)

    for method, path in WRITING:
        response = await world.call("admin", method, path.format(**where), content=raw, headers=JSON)
        expected = (
            (413, "body_too_large") if path.endswith("access_token") and len(raw) > 16_384 else (400, "malformed_json")
        )
        assert (response.status_code, response.json()["error"]) == expected, f"{path}: {response.text}"
        if expected[0] == 400:
            assert said in response.json()["message"], response.json()["message"]
            assert len(response.text) < 2_000


async def test_an_empty_body_is_400_unless_nothing_is_needed(world: World) -> None:
    where = await places(world)
    for method, path in WRITING:
        response = await world.call("admin", method, path.format(**where), headers=JSON)
        if path.endswith("cancel"):
            assert response.status_code == 200
        elif path.endswith("restart/runs"):
            assert response.json()["error"] == "invalid_inputs", "an empty body gives no inputs"
        else:
            assert (response.status_code, response.json()["error"]) == (400, "malformed_json"), path


@pytest.mark.parametrize("size", [1_048_577, 2 * 1_048_576])
async def test_a_body_beyond_the_limit_is_413_before_it_is_read(world: World, size: int) -> None:
    where = await places(world)
    sent = 0

    async def chunks() -> Any:
        nonlocal sent
        while sent < size:
            sent += 65_536
            yield b" " * 65_536

    for method, path in WRITING:
        declared = await world.call("admin", method, path.format(**where), content=b" " * size, headers=JSON)
        sent = 0
        streamed = await world.call("admin", method, path.format(**where), content=chunks(), headers=JSON)
        for response in (declared, streamed):
            assert (response.status_code, response.json()["error"]) == (413, "body_too_large"), path


async def test_a_body_of_the_limit_is_read(world: World) -> None:
    text = json.dumps(workflow(description="x" * 2_000)).encode()

    response = await world.call(
        "admin", "POST", "/v1/workflows", content=text + b" " * (1_048_576 - len(text)), headers=JSON
    )

    assert response.status_code == 422
    assert response.json()["errors"][0]["code"] == "too-long"


@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx",
     "text/json", "application/xml", "application/json/x", "*/*"],
)  # fmt: skip
async def test_anything_but_json_is_415(world: World, content_type: str | None) -> None:
    where = await places(world)
    headers = {} if content_type is None else {"content-type": content_type}
    for method, path in WRITING:
        response = await world.call("admin", method, path.format(**where), content=b"{}", headers=headers)
        assert (response.status_code, response.json()["error"]) == (415, "unsupported_media_type"), path


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/merge-patch+json"]
)
async def test_all_kinds_of_json_are_read(world: World, content_type: str) -> None:
    await places(world)

    response = await world.call(
        "admin", "PATCH", "/v1/workflows/restart", content=b'{"title": "x"}', headers={"content-type": content_type}
    )

    assert response.status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, identity"])
async def test_compressed_bodies_are_refused(world: World, encoding: str) -> None:
    response = await world.call(
        "admin", "POST", "/v1/workflows", content=b"\x1f\x8b", headers={**JSON, "content-encoding": encoding}
    )

    assert (response.status_code, response.json()["error"]) == (415, "unsupported_media_type")


def edges(*pairs: str) -> list[Any]:
    named = [pair.split() for pair in pairs]
    return [{"sourceIdentifier": source, "targetIdentifier": target} for source, target in named]


def node(identifier: str = "call", **config: Any) -> dict[str, Any]:
    return {"identifier": identifier, "config": config}


def webhook(identifier: str = "call", **config: Any) -> dict[str, Any]:
    return node(identifier, **{"type": "WEBHOOK", "url": "https://x.example.com", **config})


def steps(*nodes: Any, connections: Any = ()) -> dict[str, Any]:
    return workflow(nodes=[START, *nodes], connections=list(connections))


START: dict[str, Any] = {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}}

BAD_WORKFLOWS: dict[str, tuple[Any, str, str]] = {
    "a list": ([], "wrong-type", ""),
    "null": (None, "wrong-type", ""),
    "a number": (7, "wrong-type", ""),
    "an empty object": ({}, "missing-field", "/identifier"),
    "nodes of text": (workflow(nodes="none"), "wrong-type", "/nodes"),
    "a node of text": (workflow(nodes=["none"]), "wrong-type", "/nodes/0"),
    "an identifier of a number": ({**workflow(), "identifier": 7}, "wrong-type", "/identifier"),
    "an identifier with a space": (workflow("a b"), "bad-identifier", "/identifier"),
    "an identifier of 61": (workflow("a" * 61), "too-long", "/identifier"),
    "an empty identifier": (workflow(""), "bad-identifier", "/identifier"),
    "a title of 101": (workflow(title="x" * 101), "too-long", "/title"),
    "a title of true": (workflow(title=True), "wrong-type", "/title"),
    "a description of 1,101": (workflow(description="x" * 1_101), "too-long", "/description"),
    "a category of 41": (workflow(category="x" * 41), "too-long", "/category"),
    "a flag of text": (workflow(allowAnyoneToViewRuns="yes"), "wrong-type", "/allowAnyoneToViewRuns"),
    "101 nodes": (steps(*(webhook(f"n{i}") for i in range(100))), "too-many-nodes", "/nodes"),
    "no trigger": (workflow(nodes=[webhook()], connections=[]), "no-trigger", "/nodes"),
    "an unknown type": (steps(node(type="MAGIC")), "unknown-node-type", "/nodes/1/config"),
    "two nodes of one name": (steps(webhook(), webhook()), "duplicate-node", "/nodes/2/identifier"),
    "a webhook without url": (steps(node(type="WEBHOOK")), "missing-field", "/nodes/1/config/url"),
    "a url of a number": (steps(webhook(url=7)), "wrong-type", "/nodes/1/config/url"),
    "a method that is none": (steps(webhook(method="YELL")), "unknown-value", "/nodes/1/config/method"),
    "unbalanced braces": (steps(webhook(body={"a": "{{ .x"})), "template-syntax", "/nodes/1/config/body/a"),
    "a cycle": (steps(webhook("a"), webhook("b"), connections=edges("start a", "a b", "b a")), "cycle", ""),
    "a node that leads to itself": (
        workflow(connections=edges("start call", "call call")),
        "self-connection",
        "/connections/1",
    ),
    "a connection from nowhere": (
        workflow(connections=edges("nope call")),
        "unknown-node",
        "/connections/0/sourceIdentifier",
    ),
    "a connection to nowhere": (
        workflow(connections=edges("start nope")),
        "unknown-node",
        "/connections/0/targetIdentifier",
    ),
    "a connection to a trigger": (
        workflow(connections=edges("call start")),
        "trigger-as-target",
        "/connections/0/targetIdentifier",
    ),
    "connections of an object": (workflow(connections={}), "wrong-type", "/connections"),
    "jq that does not compile": (
        steps(webhook(body={"a": "{{ .x | broken(1) }}"})),
        "bad-expression",
        "/nodes/1/config/body/a",
    ),
}


@pytest.mark.parametrize("name", BAD_WORKFLOWS)
async def test_bad_workflows_are_422_with_the_code_and_the_place(world: World, name: str) -> None:
    document, code, pointer = BAD_WORKFLOWS[name]

    raw = json.dumps(document).encode()
    created = await world.call("admin", "POST", "/v1/workflows", content=raw, headers=JSON)
    validated = await world.call("admin", "POST", "/v1/workflows/validate", content=raw, headers=JSON)

    assert (created.status_code, created.json()["error"]) == (422, "invalid_workflow")
    found = {(error["code"], error["pointer"]) for error in created.json()["errors"] if error["severity"] == "error"}
    assert any(it == code and where.startswith(pointer) for it, where in found), found
    assert all(error["line"] == 1 for error in created.json()["errors"])
    assert (validated.status_code, validated.json()["valid"]) == (200, False)
    assert await world.definitions.all() == []


async def test_a_key_that_stands_twice_in_a_definition_is_refused(world: World) -> None:
    response = await world.call(
        "admin", "POST", "/v1/workflows", content=b'{"identifier": "a",\n "identifier": "b"}', headers=JSON
    )

    assert (response.status_code, response.json()["error"]) == (400, "malformed_json")
    assert (response.json()["errors"][0]["line"], response.json()["errors"][0]["column"]) == (2, 2)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"inputs": []}, "/inputs"),
        ({"inputs": None}, "/inputs"),
        ({"inputs": "x"}, "/inputs"),
        ({"nodeIdentifier": 7}, "/nodeIdentifier"),
        ({"input": {}}, "/input"),
        ([], ""),
        (None, ""),
        (7, ""),
    ],
)
async def test_starts_of_the_wrong_shape_are_422(world: World, body: Any, pointer: str) -> None:
    await places(world)
    raw = json.dumps(body).encode()

    response = await world.call("admin", "POST", "/v1/workflows/restart/runs", content=raw, headers=JSON)

    assert (response.status_code, response.json()["error"]) == (422, "invalid_request")
    assert response.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/workflows?dry=1"), ("DELETE", "/v1/workflows/restart?force=1")]
)
async def test_parameters_that_no_route_knows_are_refused_everywhere(world: World, method: str, path: str) -> None:
    await places(world)

    response = await world.call("admin", method, path, workflow() if method == "POST" else None)

    assert (response.status_code, response.json()["error"]) == (422, "invalid_parameter")


@pytest.mark.parametrize(
    "path",
    ["/nope", "/v1", "/v1/", "/v1/nope", "/v2/workflows", "/swagger-ui/../app.py", "/swagger-ui/x", "/v1/workflows/"],
)
async def test_unknown_paths_are_404_as_json(world: World, path: str) -> None:
    response = await world.call("admin", "GET", path, headers={"accept": "text/html"})

    assert (response.status_code, response.json()["error"]) == (404, "not_found")
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/workflows", "GET, POST"),
        ("POST", "/v1/workflows/restart", "DELETE, GET, PATCH, PUT"),
        ("GET", "/v1/auth/access_token", "POST"),
        ("POST", "/healthz/live", "GET"),
        ("TRACE", "/v1/ledger", "GET"),
        ("BREW", "/", "GET"),
    ],
)
async def test_other_methods_are_405_and_say_which_are_allowed(
    world: World, method: str, path: str, allowed: str
) -> None:
    response = await world.call("admin", method, path)

    assert (response.status_code, response.json()["error"]) == (405, "method_not_allowed")
    assert response.headers["allow"] == allowed
