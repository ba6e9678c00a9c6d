"""Forms that wait: who sees them, who may respond, and what is taken (spec 5.1)."""

from typing import Any

import pytest

from headrace.core import events, ids
from headrace.core.commands import RespondNode
from headrace.core.run import Run
from tests.api.world import NOW, World, waiting_run, workflow

FORM = {
    "properties": {"reason": {"type": "string"}, "level": {"type": "number", "default": 3}},
    "required": ["reason"],
    "buttons": [{"identifier": "approve"}, {"identifier": "reject"}],
}
FINE = {"button": "approve", "inputs": {"reason": "ok"}}


async def asking(world: World, responders: Any = None, created_by: str = "u_maya") -> tuple[Run, str]:
    """A run with an INPUT node that waits, and the path of its responses."""
    await world.save_workflow(workflow())
    run = waiting_run(created_by=created_by)
    config: Any = {
        "type": "INPUT", "description": "Well?", "userInputs": FORM,
        "outlets": [{"identifier": "approve", "numOfResponders": 2}, {"identifier": "reject"}],
    }  # fmt: skip
    if responders is not None:
        config["responders"] = responders
    node_run = ids.node_run_id(run.id, "ask")
    run = events.apply(run, events.NodeStarted(run.seq + 1, NOW, "ask", node_run, "INPUT", config, "waiting"))
    return await world.save_run(run), f"/v1/workflows/nodes/runs/{node_run}/responses"


async def test_a_response_becomes_a_command_with_the_forms_defaults(world: World) -> None:
    run, path = await asking(world, {"users": ["maya@example.com"]})

    response = await world.call("maya", "POST", path, FINE)

    assert (response.status_code, response.json()) == (201, {"ok": True})
    assert await world.commands() == [
        RespondNode(run.id, NOW, run.nodes["ask"].id, "u_maya", "approve", {"reason": "ok", "level": 3})
    ]


@pytest.mark.parametrize(
    ("responders", "who", "status"),
    [
        (None, "maya", 201),
        (None, "machine", 201),
        (None, "ben", 404),
        ({}, "maya", 201),
        ({"users": [], "teams": []}, "maya", 201),
        ({"users": [], "teams": []}, "ben", 404),
        ({"users": ["MAYA@example.com"]}, "maya", 201),
        ({"users": ["u_ben"]}, "ben", 201),
        ({"users": ["u_ben"]}, "maya", 403),
        ({"users": ["u_ben"]}, "machine", 403),
        ({"users": ["u_ben"]}, "admin", 201),
        ({"teams": ["payments"]}, "maya", 201),
        ({"teams": ["payments"]}, "ben", 404),
        ({"roles": ["Member"]}, "ben", 201),
        ({"usersQuery": {"combinator": "and", "rules": []}}, "maya", 403),
        ({"usersQuery": {"combinator": "and", "rules": []}}, "ben", 404),
    ],
)
async def test_who_may_respond(world: World, responders: Any, who: str, status: int) -> None:
    _, path = await asking(world, responders)

    response = await world.call(who, "POST", path, FINE)
    read = await world.call(who, "GET", path)

    assert response.status_code == status, response.text
    assert len(await world.commands()) == (status == 201)
    assert read.status_code == (404 if status == 404 else 200)
    if status != 404:
        assert read.json()["form"]["mayRespond"] is (status == 201)


async def test_a_refusal_names_what_is_asked_for_and_what_one_has(world: World) -> None:
    _, path = await asking(world, {"teams": ["platform"], "roles": ["Lead"]})

    refused = (await world.call("maya", "POST", path, FINE)).json()

    assert refused["message"] == (
        'You may not respond to "ask". It waits for role Lead; team platform. You have: roles Member; teams payments.'
    )


async def test_a_form_shows_itself_and_how_far_it_is(world: World) -> None:
    run, path = await asking(world, {"roles": ["Member"]})
    given: Any = {"button": "approve", "inputs": {"reason": "x"}, "submitterInfo": {"submittedBy": "u_ben"}}
    run = events.apply(run, events.NodeReported(run.seq + 1, NOW, "ask", output={"responses": [given]}))
    await world.save_run(run)

    form = (await world.call("maya", "GET", path)).json()["form"]

    assert form == {
        "nodeRunIdentifier": run.nodes["ask"].id, "workflowRunIdentifier": run.id, "status": "IN_PROGRESS",
        "description": "Well?", "userInputs": FORM, "responders": {"roles": ["Member"]}, "responses": [given],
        "outlet": None, "mayRespond": True,
        "blockedOn": {
            "kind": "person", "until": None,
            "reason": "people (approve 1 of 2, reject 0 of 1), by roles Member",
            "responders": {"roles": ["Member"]},
            "responses": [
                {"outlet": "approve", "given": 1, "needed": 2}, {"outlet": "reject", "given": 0, "needed": 1},
            ],
        },
    }  # fmt: skip
    again = await world.call("ben", "POST", path, FINE)
    assert (again.status_code, again.json()["error"]) == (409, "already_responded")


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"button": "maybe", "inputs": {"reason": "x"}}, ["/button"]),
        ({"button": "approve"}, ["/inputs/reason"]),
        ({"button": "approve", "inputs": {"reason": "x" * 40_000}}, ["/inputs"]),
        ({"button": "approve", "inputs": {"reason": 5, "more": 1}}, ["/inputs/reason", "/inputs/more"]),
    ],
)
async def test_what_does_not_fit_is_refused_with_every_reason(world: World, body: Any, pointers: list[str]) -> None:
    _, path = await asking(world)

    refused = await world.call("maya", "POST", path, body)

    assert (refused.status_code, refused.json()["error"]) == (422, "invalid_response")
    assert sorted(it["pointer"] for it in refused.json()["errors"]) == sorted(pointers)
    assert await world.commands() == []


async def test_a_node_run_that_is_over_takes_no_response(world: World) -> None:
    run, path = await asking(world)
    node = run.nodes["ask"]
    over = events.NodeCompleted(run.seq + 1, NOW, "ask", node.id, "INPUT", "SUCCESS", {}, {}, outlet="approve")
    await world.save_run(events.apply(run, over))

    refused = await world.call("maya", "POST", path, FINE)

    assert (refused.status_code, refused.json()["error"]) == (409, "node_run_completed")
