"""Who gets in, and who may do what: hostile tokens, and a matrix of routes and people."""

import base64
import hashlib
import hmac
import json
import re
from typing import Any

import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import ValidationError

from headrace.core.catalog.entity import Entity
from headrace.ports.catalog import StoredBlueprint, StoredEntity
from headrace_api.openapi import operations_of
from headrace_api.settings import ApiSettings, Client
from tests.api.world import NOW, SECRET, World, completed, make_settings, make_world, waiting_run, workflow

SECONDS = NOW // 1000


def b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def forge(header: Any = None, key: bytes = SECRET.encode(), digest: str = "sha256", **changes: Any) -> str:
    """A token that is right in everything that is not said otherwise. A claim of ... is left out."""
    given = {"alg": "HS256", "typ": "at+jwt", **(header or {})}
    kept = {
        "iss": "headrace", "aud": "headrace-api", "sub": "admin", "iat": SECONDS, "nbf": SECONDS, "exp": SECONDS + 600,
        **changes,
    }  # fmt: skip
    head = b64(json.dumps({name: value for name, value in given.items() if value is not ...}).encode())
    body = b64(json.dumps({name: value for name, value in kept.items() if value is not ...}).encode())
    signature = hmac.new(key, f"{head}.{body}".encode(), digest).digest()
    return f"{head}.{body}.{b64(signature)}"


GOOD = forge()
_HEAD, _BODY, _SIGNATURE = GOOD.split(".")
_JWK = {"kty": "oct", "k": b64(b"attacker" * 4)}

HOSTILE = {
    "alg none": forge({"alg": "none"}).rsplit(".", 1)[0] + ".",
    "alg None": forge({"alg": "None"}),
    "alg nOnE without signature": forge({"alg": "nOnE"}).rsplit(".", 1)[0] + ".",
    "no alg": forge({"alg": ...}),
    "alg of a number": forge({"alg": 256}),
    "alg of a list": forge({"alg": ["HS256"]}),
    "alg in lower case": forge({"alg": "hs256"}),
    "HS384": forge({"alg": "HS384"}, digest="sha384"),
    "HS512": forge({"alg": "HS512"}, digest="sha512"),
    "RS256 over our secret": forge({"alg": "RS256"}),
    "ES256": forge({"alg": "ES256"}),
    "EdDSA": forge({"alg": "EdDSA"}),
    "wrong key": forge(key=b"another key of thirty-two bytes!"),
    "empty key": forge(key=b""),
    "no signature": f"{_HEAD}.{_BODY}.",
    "no signature part": f"{_HEAD}.{_BODY}",
    "signature cut": f"{_HEAD}.{_BODY}.{_SIGNATURE[:-4]}",
    "signature of another body": f"{_HEAD}.{b64(json.dumps({'sub': 'admin'}).encode())}.{_SIGNATURE}",
    "signature padded": f"{GOOD}==",
    "four parts": f"{GOOD}.x",
    "five parts, as encrypted ones have": f"{GOOD}.x.y",
    "JSON instead of compact": json.dumps({"protected": _HEAD, "payload": _BODY, "signature": _SIGNATURE}),
    "crit unknown": forge({"crit": ["x-policy"], "x-policy": "allow"}),
    "crit empty": forge({"crit": []}),
    "crit of b64": forge({"crit": ["b64"], "b64": False}),
    "jku": forge({"jku": "https://attacker.example.com/keys"}),
    "jwk": forge({"jwk": _JWK}, key=b"attacker" * 4),
    "jwk over our key": forge({"jwk": _JWK}),
    "x5u": forge({"x5u": "https://attacker.example.com/cert"}),
    "x5c": forge({"x5c": ["MIIB"]}),
    "kid of a path": forge({"kid": "../../dev/null"}),
    "kid of SQL": forge({"kid": "' OR 1=1 --"}),
    "typ of an ordinary JWT": forge({"typ": "JWT"}),
    "no typ": forge({"typ": ...}),
    "cty": forge({"cty": "JWT"}),
    "zip": forge({"zip": "DEF"}),
    "header of a list": f"{b64(b'[]')}.{_BODY}.{_SIGNATURE}",
    "header of garbage": f"{b64(b'{')}.{_BODY}.{_SIGNATURE}",
    "claims of a list": f"{_HEAD}.{b64(b'[]')}.{_SIGNATURE}",
    "expired": forge(exp=SECONDS - 31),
    "expired long ago": forge(exp=1),
    "no exp": forge(exp=...),
    "exp of null": forge(exp=None),
    "exp of text": forge(exp="tomorrow"),
    "exp of true": forge(exp=True),
    "exp of a list": forge(exp=[SECONDS + 600]),
    "exp of Infinity": forge(exp=float("inf")),
    "exp of NaN": forge(exp=float("nan")),
    "nbf in the future": forge(nbf=SECONDS + 31),
    "no nbf": forge(nbf=...),
    "nbf of text": forge(nbf="0"),
    "iat in the future": forge(iat=SECONDS + 31),
    "no iat": forge(iat=...),
    "wrong iss": forge(iss="https://attacker.example.com"),
    "no iss": forge(iss=...),
    "iss of a list": forge(iss=["headrace"]),
    "wrong aud": forge(aud="another-api"),
    "no aud": forge(aud=...),
    "aud of null": forge(aud=None),
    "aud of an object": forge(aud={"headrace-api": True}),
    "no sub": forge(sub=...),
    "sub of nobody": forge(sub="nobody"),
    "sub of a number": forge(sub=1),
    "sub of a list": forge(sub=["admin"]),
    "sub empty": forge(sub=""),
    "too long": forge(padding="x" * 9_000),
    "garbage": "garbage",
    "dots": "..",
    "one dot": ".",
    "not ASCII": "é.é.é",
    "very nested claims": f"{_HEAD}.{b64(b'[' * 3_000)}.{_SIGNATURE}",
}


async def test_a_token_that_is_right_in_everything_gets_in(world: World) -> None:
    response = await world.client.get("/v1/workflows", headers={"authorization": f"Bearer {GOOD}"})

    assert response.status_code == 200, "else the table of hostile tokens proves nothing"


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_tokens_stay_outside(world: World, name: str) -> None:
    header = f"Bearer {HOSTILE[name]}".encode("latin-1")

    response = await world.client.get("/v1/workflows", headers=[(b"authorization", header)])

    assert (response.status_code, response.json()["error"]) == (401, "unauthorized")
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert "secret" not in response.text.lower()


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", f"Basic {GOOD}", f"Token {GOOD}", GOOD, f"Bearer{GOOD}", f"Bearer {GOOD} {GOOD}"],
)
async def test_authorization_headers_of_other_kinds_are_not_tokens(world: World, header: str) -> None:
    response = await world.client.get("/v1/workflows", headers={"authorization": header})

    assert response.status_code == 401


async def test_two_authorization_headers_are_one_too_many(world: World) -> None:
    value = f"Bearer {GOOD}".encode()

    response = await world.client.get("/v1/workflows", headers=[(b"authorization", value), (b"authorization", value)])

    assert response.status_code == 401


async def test_a_token_outlives_neither_its_time_nor_its_client(world: World) -> None:
    token = (await world.authorization("machine"))["authorization"]
    world.clock.move(10_800 + 29)
    assert (await world.client.get("/v1/workflows", headers={"authorization": token})).status_code == 200
    world.clock.move(2)
    late = await world.client.get("/v1/workflows", headers={"authorization": token})
    assert late.status_code == 401
    assert "expired" in late.json()["message"]

    other = make_world(make_settings(clients=()))
    response = await other.client.get("/v1/workflows", headers={"authorization": f"Bearer {GOOD}"})
    assert response.status_code == 401


async def test_every_route_under_v1_is_closed_to_strangers(world: World) -> None:
    described = (await world.client.get("/openapi.json")).json()
    closed = 0
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            if operation.get("security") == []:
                continue
            closed += 1
            response = await world.client.request(method, path.replace("{", "").replace("}", ""))
            assert (response.status_code, response.json()["error"]) == (401, "unauthorized"), f"{method} {path}"
    opened = {
        path for path, methods in described["paths"].items() for it in methods.values() if it.get("security") == []
    }
    webhooks = {"/v1/integrations/github/webhook", "/v1/integrations/gitlab/webhook"}  # closed by secrets of their own
    assert opened == {"/v1/auth/access_token", "/healthz/live", "/healthz/ready", "/metrics", *webhooks}
    assert closed == len(list(operations_of(described))) - 6 > 20


async def test_every_route_of_the_app_is_described(world: World) -> None:
    """A route left out of the document would be left out of the test above."""
    described = (await world.client.get("/openapi.json")).json()["paths"]
    hidden = set()
    for context in iter_route_contexts(world.app.routes):
        assert isinstance(context.original_route, APIRoute)
        path = re.sub(r":\w+}", "}", context.path or "")  # the document does not say how a parameter is read
        if path not in described:
            hidden.add(path)
    assert hidden == {"/", "/swagger-ui/{name}", "/openapi.json"}


class TestLogin:
    async def login(self, world: World, client_id: str = "admin", secret: Any = "admin-secret") -> tuple[int, Any]:
        response = await world.client.post(
            "/v1/auth/access_token", json={"clientId": client_id, "clientSecret": secret}
        )
        return response.status_code, response.json()

    async def test_the_right_secret_gets_a_token_for_three_hours(self, world: World) -> None:
        status, body = await self.login(world)

        assert status == 200
        assert body["ok"] is True
        assert (body["expiresIn"], body["tokenType"]) == (10_800, "Bearer")

    @pytest.mark.parametrize(
        ("client_id", "secret"),
        [
            ("admin", "wrong"),
            ("nobody", "admin-secret"),
            ("admin", "admin-secre"),
            ("Admin", "admin-secret"),
            ("admin", "é"),
        ],
    )
    async def test_wrong_credentials_are_refused_alike(self, world: World, client_id: str, secret: str) -> None:
        status, body = await self.login(world, client_id, secret)

        assert (status, body["error"]) == (401, "invalid_credentials")
        assert body["message"] == "The client id or the client secret is wrong."

    async def test_a_secret_may_be_kept_as_a_hash(self) -> None:
        kept = "sha256:" + hashlib.sha256(b"s3cret").hexdigest()
        world = make_world(make_settings(clients=(Client(client_id="ci", client_secret=kept),)))

        assert (await self.login(world, "ci", "s3cret"))[0] == 200
        assert (await self.login(world, "ci", kept))[0] == 401

    async def test_guessing_is_slowed_down_and_forgiven_after_a_while(self, world: World) -> None:
        for _ in range(10):
            assert (await self.login(world, secret="wrong"))[0] == 401
        response = await world.client.post(
            "/v1/auth/access_token", json={"clientId": "admin", "clientSecret": "admin-secret"}
        )
        assert (response.status_code, response.json()["error"]) == (429, "too_many_requests")
        assert 1 <= int(response.headers["retry-after"]) <= 7
        assert (await self.login(world, "machine", "machine-secret"))[0] == 200, "others may go on"

        world.clock.move(6.1)

        assert (await self.login(world))[0] == 200

    async def test_what_is_remembered_of_guessers_is_bounded(self) -> None:
        world = make_world(make_settings(login={"remembered": 5}))
        for number in range(20):
            await self.login(world, f"guess-{number}", "wrong")
        assert len(world.app.state.context.throttle._buckets) == 5

    @pytest.mark.parametrize(
        "body",
        [{}, {"clientId": "admin"}, {"clientId": 1, "clientSecret": "x"}, [], {"clientId": "", "clientSecret": "x"}],
    )
    async def test_bodies_that_are_no_credentials_are_refused(self, world: World, body: Any) -> None:
        response = await world.client.post("/v1/auth/access_token", json=body)

        assert (response.status_code, response.json()["error"]) == (422, "invalid_request")


GRANTED = {"roles": [], "users": ["MAYA@example.com"], "teams": []}
WHO = (None, "ben", "maya", "admin", "machine")
EVENT = {"action": "CREATE", "diff": {"after": {"identifier": "a", "blueprint": "b"}}}

MATRIX: list[tuple[str, str, Any, tuple[int, int, int, int, int]]] = [
    # `maya` has a grant on the workflow and started the run; `ben` has neither.
    #                                                    nobody ben  maya admin machine
    ("GET", "/v1/workflows", None, (401, 200, 200, 200, 200)),
    ("GET", "/v1/workflows/restart", None, (401, 404, 200, 200, 200)),
    ("GET", "/v1/workflows/restart/versions", None, (401, 404, 200, 200, 200)),
    ("GET", "/v1/workflows/restart/versions/1", None, (401, 404, 200, 200, 200)),
    ("GET", "/v1/workflows/restart/nodes/start", None, (401, 404, 200, 200, 200)),
    ("GET", "/v1/workflows/self-service-triggers", None, (401, 200, 200, 200, 200)),
    ("POST", "/v1/workflows", workflow("other"), (401, 403, 403, 201, 201)),
    ("POST", "/v1/workflows/validate", workflow(), (401, 403, 403, 200, 200)),
    ("PUT", "/v1/workflows/restart", workflow(title="x"), (401, 403, 403, 200, 200)),
    ("PATCH", "/v1/workflows/restart", {"title": "x"}, (401, 403, 403, 200, 200)),
    ("DELETE", "/v1/workflows/restart", None, (401, 403, 403, 200, 200)),
    ("POST", "/v1/workflows/restart/runs", {"inputs": {"service": "a"}}, (401, 403, 201, 201, 201)),
    ("GET", "/v1/workflows/runs", None, (401, 200, 200, 200, 200)),
    ("GET", "/v1/workflows/runs/{run}", None, (401, 404, 200, 200, 200)),
    ("GET", "/v1/workflows/runs/{run}/logs", None, (401, 404, 200, 200, 200)),
    ("GET", "/v1/workflows/runs/{done}/stream", None, (401, 404, 200, 200, 200)),
    ("POST", "/v1/workflows/runs/{done}/rerun", None, (401, 404, 201, 201, 201)),
    ("POST", "/v1/workflows/runs/{run}/cancel", None, (401, 404, 200, 200, 200)),
    ("PATCH", "/v1/workflows/nodes/runs/{node}", {}, (401, 404, 403, 200, 200)),
    ("PATCH", "/v1/workflows/runs/{run}/nodes/{node}", {}, (401, 404, 403, 200, 200)),
    ("GET", "/v1/workflows/nodes/runs/{node}/logs", None, (401, 404, 200, 200, 200)),
    ("POST", "/v1/workflows/nodes/runs/{node}/logs", {"logs": [{}]}, (401, 404, 403, 201, 201)),
    ("GET", "/v1/workflows/nodes/runs/{node}/responses", None, (401, 404, 409, 409, 409)),
    ("POST", "/v1/workflows/nodes/runs/{node}/responses", {"button": "x"}, (401, 404, 409, 409, 409)),
    ("POST", "/v1/workflows/runs/claim-pending", {"installationId": "x"}, (401, 403, 403, 200, 200)),
    ("POST", "/v1/org/1/workflows/runs/claim-pending", {"installationId": "x"}, (401, 403, 403, 200, 200)),
    ("PATCH", "/v1/workflows/runs/ack", {"nodeRunIdentifier": "x"}, (401, 403, 403, 404, 404)),
    ("PATCH", "/v1/org/1/workflows/runs/ack", {"nodeRunIdentifier": "x"}, (401, 403, 403, 404, 404)),
    ("GET", "/v1/workflows/nodes/runs?external_run_id=job-7", None, (401, 200, 200, 200, 200)),
    ("POST", "/v1/events", EVENT, (401, 403, 403, 202, 202)),
    ("POST", "/v1/events/explain", EVENT, (401, 403, 403, 404, 404)),
    ("GET", "/v1/events/evt_x/explain", None, (401, 403, 403, 404, 404)),
    ("GET", "/v1/events/evt_x/decisions", None, (401, 403, 403, 404, 404)),
    ("GET", "/v1/workflows/runs/{run}/decisions", None, (401, 404, 200, 200, 200)),
    ("GET", "/v1/ledger", None, (401, 403, 403, 200, 200)),
    ("GET", "/v1/blueprints", None, (401, 200, 200, 200, 200)),
    ("GET", "/v1/blueprints/sandbox", None, (401, 200, 200, 200, 200)),
    ("POST", "/v1/blueprints", {"identifier": "other"}, (401, 403, 403, 201, 201)),
    ("PUT", "/v1/blueprints/sandbox", {"title": "x"}, (401, 403, 403, 200, 200)),
    ("PATCH", "/v1/blueprints/sandbox", {"title": "x"}, (401, 403, 403, 200, 200)),
    ("DELETE", "/v1/blueprints/sandbox", None, (401, 403, 403, 409, 409)),
    ("GET", "/v1/blueprints/sandbox/entities", None, (401, 200, 200, 200, 200)),
    ("POST", "/v1/blueprints/sandbox/entities", {}, (401, 403, 403, 201, 201)),
    ("GET", "/v1/blueprints/sandbox/entities/demo", None, (401, 200, 200, 200, 200)),
    ("PUT", "/v1/blueprints/sandbox/entities/demo", {"title": "x"}, (401, 403, 403, 200, 200)),
    ("PATCH", "/v1/blueprints/sandbox/entities/demo", {"title": "x"}, (401, 403, 403, 200, 200)),
    ("DELETE", "/v1/blueprints/sandbox/entities/demo", None, (401, 403, 403, 200, 200)),
    ("POST", "/v1/entities/search", {"combinator": "and", "rules": []}, (401, 200, 200, 200, 200)),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "statuses"), MATRIX, ids=lambda it: it if isinstance(it, str) else ""
)
@pytest.mark.parametrize("who", WHO)
async def test_who_may_do_what(
    world: World, who: str | None, method: str, path: str, body: Any, statuses: tuple[int, ...]
) -> None:
    await world.save_workflow(workflow("restart", GRANTED))
    run = await world.save_run(waiting_run(created_by="u_maya"))
    done = await world.save_run(completed(waiting_run("two", created_by="u_maya")))
    await world.catalog.save_blueprint(StoredBlueprint("sandbox", {"identifier": "sandbox"}, 0, "a", 0, "a", 0))
    await world.catalog.save([StoredEntity(Entity("sandbox", "demo", 0, "a", 0, "a"), 0)])
    path = path.format(run=run.id, node=run.nodes["call"].id, done=done.id)

    response = await world.call(who, method, path, body)

    assert response.status_code == statuses[WHO.index(who)], response.text
    if response.status_code >= 400:
        assert response.json()["error"] in (
            "unauthorized",
            "forbidden",
            "not_found",
            "blueprint_in_use",
            "not_an_input",
        )


async def test_the_matrix_knows_every_route(world: World) -> None:
    described = (await world.client.get("/openapi.json")).json()["paths"]
    known = {
        (method, re.sub("restart|evt_x|start|sandbox|demo", "{}", path.partition("?")[0]))
        for method, path, _, _ in MATRIX
    }
    for path, methods in described.items():
        for method, operation in methods.items():
            if operation.get("security") == []:
                continue
            shape = "/".join("{}" if part.startswith("{") else part for part in path.split("/"))
            shapes = {
                "/".join("{}" if part.startswith("{") or part in ("1",) else part for part in it.split("/"))
                for verb, it in known
                if verb == method.upper()
            }
            assert shape in shapes, f"{method} {path}"


async def test_lists_leave_out_what_the_caller_may_not_see(world: World) -> None:
    await world.save_workflow(workflow("granted", {"teams": ["payments"]}))
    await world.save_workflow(workflow("closed"))
    await world.save_workflow(workflow("open", allowAnyoneToViewRuns=True))
    mine = await world.save_run(waiting_run("a", "closed", "u_maya"))
    hidden = await world.save_run(waiting_run("b", "closed", "u_ben"))
    shared = await world.save_run(waiting_run("c", "open", "u_admin"))

    async def seen(who: str) -> tuple[list[str], set[str]]:
        workflows = (await world.call(who, "GET", "/v1/workflows")).json()["workflows"]
        runs = (await world.call(who, "GET", "/v1/workflows/runs")).json()["workflowRuns"]
        return [it["identifier"] for it in workflows], {it["identifier"] for it in runs}

    assert await seen("maya") == (["granted", "open"], {mine.id, shared.id})
    assert await seen("ben") == (["open"], {hidden.id, shared.id})
    assert await seen("machine") == (["closed", "granted", "open"], {mine.id, hidden.id, shared.id})
    for who, run, status in (("maya", hidden, 404), ("maya", shared, 200), ("ben", mine, 404), ("admin", hidden, 200)):
        assert (await world.call(who, "GET", f"/v1/workflows/runs/{run.id}")).status_code == status


async def test_runs_may_be_open_to_all_by_default() -> None:
    world = make_world(make_settings(allow_anyone_to_view_runs_default=True))
    await world.save_workflow(workflow("restart"))
    await world.save_workflow(workflow("private", allowAnyoneToViewRuns=False))
    run = await world.save_run(waiting_run(created_by="u_admin"))
    private = await world.save_run(waiting_run("p", "private", "u_admin"))

    assert (await world.call("ben", "GET", f"/v1/workflows/runs/{run.id}")).status_code == 200
    assert (await world.call("ben", "GET", f"/v1/workflows/runs/{private.id}")).status_code == 404


async def test_a_change_of_the_flag_counts_at_once(world: World) -> None:
    await world.save_workflow(workflow())
    run = await world.save_run(waiting_run(created_by="u_admin"))
    path = f"/v1/workflows/runs/{run.id}"

    assert (await world.call("ben", "GET", path)).status_code == 404
    await world.call("admin", "PATCH", "/v1/workflows/restart", {"allowAnyoneToViewRuns": True})
    assert (await world.call("ben", "GET", path)).status_code == 200


@pytest.mark.parametrize(
    ("permissions", "who", "said"),
    [
        (None, "maya", "no permissions, so only admins and machines"),
        (
            {"roles": ["Deployer"], "teams": ["ops"]},
            "maya",
            "role Deployer; team ops. You have: roles Member; teams payments",
        ),
        ({"policy": {"combinator": "and", "rules": []}}, "maya", "does not evaluate policies"),
        ({"policy": {"combinator": "and", "rules": []}}, "machine", "does not evaluate policies"),
        (
            {"teams": ["payments"], "policy": {"queries": {}, "conditions": [".x"]}},
            "maya",
            "does not evaluate policies",
        ),
    ],
)
async def test_who_may_not_start_a_workflow_learns_what_is_missing(
    world: World, permissions: Any, who: str, said: str
) -> None:
    await world.save_workflow(workflow("restart", permissions))

    response = await world.call(who, "POST", "/v1/workflows/restart/runs", {"inputs": {"service": "a"}})

    assert (response.status_code, response.json()["error"]) == (403, "forbidden")
    assert said in response.json()["message"]
    assert await world.commands() == []


@pytest.mark.parametrize(
    "permissions",
    [
        {"roles": ["Member"]},
        {"teams": ["payments", "ops"]},
        {"users": ["u_maya"]},
        {"users": ["maya@example.com"]},
        {"teams": ["payments"], "policy": {"combinator": "and", "rules": [{}]}},
    ],
)
async def test_any_static_grant_opens_the_trigger(world: World, permissions: Any) -> None:
    await world.save_workflow(workflow("restart", permissions))

    response = await world.call("maya", "POST", "/v1/workflows/restart/runs", {"inputs": {"service": "a"}})

    assert response.status_code == 201, response.text


async def test_triggers_without_permissions_may_be_opened_to_all() -> None:
    world = make_world(make_settings(members_start_unrestricted=True))
    await world.save_workflow(workflow("free"))
    await world.save_workflow(workflow("bound", {"teams": ["ops"]}))

    assert (await world.call("ben", "POST", "/v1/workflows/free/runs", {"inputs": {"service": "a"}})).status_code == 201
    assert (
        await world.call("ben", "POST", "/v1/workflows/bound/runs", {"inputs": {"service": "a"}})
    ).status_code == 403
    assert (await world.call("ben", "GET", "/v1/workflows/free")).status_code == 200


@pytest.mark.parametrize(
    "settings",
    [
        {"token_secret": "x" * 31},
        {"token_secret": SECRET, "clients": [{"client_id": "a", "client_secret": ""}]},
        {"token_secret": SECRET, "clients": [{"client_id": "a", "client_secret": "sha256:xyz"}]},
        {"token_secret": SECRET, "clients": [{"client_id": "a", "client_secret": "b"}] * 2},
        {"token_secret": SECRET, "token_lifetime_seconds": 5},
        {"token_secret": SECRET, "tokenSecret": "x"},
    ],
)
def test_settings_that_are_unsafe_are_refused(settings: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        ApiSettings.model_validate(settings)
    assert SECRET not in repr(ApiSettings(token_secret=SECRET))
    assert caught.value.error_count() == 1
