"""Webhooks of GitHub and GitLab: who may send them, what they complete, and what has no effect."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest

from headrace.contracts import codec
from headrace.core import events
from headrace.core.commands import ReportNode
from headrace.core.run import Causation, Run
from headrace.ports.stores import StoredRun
from headrace_api.settings import Integrations
from tests.api.world import NOW, World

SECRET = "the-secret-of-the-webhooks"
GITHUB, GITLAB = "/v1/integrations/github/webhook", "/v1/integrations/gitlab/webhook"
Change = Callable[[dict[str, Any]], object]


def github_event() -> dict[str, Any]:
    return {
        "action": "completed",
        "workflow_run": {"id": 4711, "conclusion": "success", "html_url": "https://github.test/runs/4711"},
        "repository": {"id": 22, "owner": {"id": 11}},
    }


def gitlab_event(status: str = "success") -> dict[str, Any]:
    attributes = {"id": 501, "status": status, "url": "https://gitlab.test/501"}
    return {"object_kind": "pipeline", "object_attributes": attributes, "project": {"id": 77}}


def waiting_run(kind: str, external_id: str, **config: Any) -> Run:
    """A run whose node `job` follows a pipeline."""
    cause = Causation("e", "e")
    run = events.fold(
        None,
        [
            events.RunStarted(1, NOW, "wfr_0000000000000001", "w", 1, "start", "SELF_SERVE_TRIGGER", "ann", cause),
            events.NodeStarted(2, NOW, "job", "wfnr_0000000000000001", kind, {"type": kind, **config}),
            events.NodeAccepted(3, NOW, "job", {}, external_run_id=external_id),
        ],
    )
    assert run is not None
    return run


@pytest.fixture
async def world(world: World) -> World:
    world.app.state.context.settings = world.app.state.context.settings.model_copy(
        update={"integrations": Integrations(github_secret=SECRET, gitlab_token=SECRET)}
    )
    return world


async def keep(world: World, run: Run) -> None:
    assert await world.runs.save([StoredRun(run, 0)]) == [True]


async def send(world: World, path: str, event: Any, secret: str = SECRET) -> Any:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": signature} if path == GITHUB else {"X-Gitlab-Token": secret}
    return await world.client.post(path, content=body, headers={**headers, "Content-Type": "application/json"})


async def reports(world: World) -> list[ReportNode]:
    found = []
    for partition in range(4):
        for record in await world.log.read(world.topics.run_commands, partition):
            command = codec.decode_command(record)
            assert isinstance(command, ReportNode)
            found.append(command)
    return found


async def test_a_workflow_run_that_is_over_completes_its_node_run(world: World) -> None:
    await keep(world, waiting_run("GITHUB", "gh_11_22_4711"))

    response = await send(world, GITHUB, github_event())

    assert (response.status_code, response.json()) == (200, {"ok": True, "reported": 1})
    (report,) = await reports(world)
    assert (report.node_run_id, report.status, report.result) == ("wfnr_0000000000000001", "COMPLETED", "SUCCESS")
    assert (report.output, report.links) == ({"status": "success"}, ("https://github.test/runs/4711",))


async def test_a_pipeline_that_failed_fails_its_node_run(world: World) -> None:
    await keep(world, waiting_run("GITLAB", "gl_77_501"))

    await send(world, GITLAB, gitlab_event("failed"))

    (report,) = await reports(world)
    assert report.result == "FAILED"
    assert report.output == {"status": "failed", "error": {"message": "The pipeline ended with failed."}}


async def test_a_webhook_that_comes_twice_makes_the_same_report_twice(world: World) -> None:
    await keep(world, waiting_run("GITHUB", "gh_11_22_4711"))

    for _ in range(2):
        await send(world, GITHUB, github_event())

    first, second = await reports(world)
    assert first.report_id == second.report_id != ""


@pytest.mark.parametrize("path", [GITHUB, GITLAB])
@pytest.mark.parametrize("secret", ["another-secret", "", SECRET[:-1], "ключ"])
async def test_strangers_are_refused(world: World, path: str, secret: str) -> None:
    await keep(world, waiting_run("GITHUB", "gh_11_22_4711"))
    body = json.dumps(github_event()).encode()
    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {b"X-Hub-Signature-256": signature.encode(), b"X-Gitlab-Token": secret.encode()}

    response = await world.client.post(path, content=body, headers=headers)

    assert (response.status_code, response.json()["error"]) == (403, "forbidden")
    assert await reports(world) == []


@pytest.mark.parametrize("path", [GITHUB, GITLAB])
async def test_without_a_proof_nothing_is_read(world: World, path: str) -> None:
    response = await world.client.post(path, content=b"{")

    assert response.status_code == 403


@pytest.mark.parametrize("path", [GITHUB, GITLAB])
async def test_what_is_not_set_up_does_not_exist(world: World, path: str) -> None:
    context = world.app.state.context
    context.settings = context.settings.model_copy(update={"integrations": Integrations()})

    response = await send(world, path, github_event())

    assert response.status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        lambda event: event.update(action="in_progress"),
        lambda event: event["workflow_run"].update(conclusion=None),
        lambda event: event["workflow_run"].update(id="4711"),
        lambda event: event["workflow_run"].update(id=4712),
        lambda event: event.pop("repository"),
        lambda event: event.update(repository=[]),
        lambda event: event.update(workflow_run="x"),
        lambda event: event.clear(),
    ],
)
async def test_an_event_that_tells_of_no_end_of_ours_has_no_effect(world: World, change: Change) -> None:
    await keep(world, waiting_run("GITHUB", "gh_11_22_4711"))
    event = github_event()
    change(event)

    response = await send(world, GITHUB, event)

    assert (response.status_code, response.json()["reported"]) == (200, 0)
    assert await reports(world) == []


@pytest.mark.parametrize("status", ["running", "manual", "", None, ["success"]])
async def test_a_pipeline_at_work_has_no_effect(world: World, status: Any) -> None:
    await keep(world, waiting_run("GITLAB", "gl_77_501"))

    response = await send(world, GITLAB, gitlab_event(status))

    assert (response.status_code, response.json()["reported"]) == (200, 0)


@pytest.mark.parametrize("asked", [False, "false"])
async def test_a_node_run_that_the_workflow_reports_itself_is_left_to_it(world: World, asked: Any) -> None:
    await keep(world, waiting_run("GITHUB", "gh_11_22_4711", reportWorkflowStatus=asked))

    assert (await send(world, GITHUB, github_event())).json()["reported"] == 0


async def test_one_third_party_completes_nothing_of_another(world: World) -> None:
    await keep(world, waiting_run("WEBHOOK", "gh_11_22_4711"))

    assert (await send(world, GITHUB, github_event())).json()["reported"] == 0


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"null", b"[]"])
@pytest.mark.parametrize("path", [GITHUB, GITLAB])
async def test_a_body_that_is_no_event_is_answered_and_harmless(world: World, path: str, body: bytes) -> None:
    response = await send(world, path, body)

    assert response.status_code == (200 if body in (b"null", b"[]") else 400)
    assert await reports(world) == []
