"""GITLAB actions against a server that speaks GitLab's API: triggered once, found again, followed to the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from headrace.core.commands import InvokeNode
from headrace_invoker.actions.settings import Gitlab as Settings
from tests.thirdparty.base import GARBAGE, Mishap, answering, closing, truncating
from tests.thirdparty.gitlab import PROJECT, TOKEN, TRIGGER_TOKEN, Gitlab
from tests.unit.services.invoker.desk import NODE_RUN, Desk, node_request

TRIGGER = "/trigger/pipeline$"


def deploy(**changes: Any) -> InvokeNode:
    config = {"groupName": "acme/platform", "projectName": "shop", **changes.pop("config", {})}
    return node_request("GITLAB", config, **changes)


@pytest.fixture
async def gitlab() -> AsyncIterator[Gitlab]:
    server = Gitlab()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def desk(gitlab: Gitlab) -> AsyncIterator[Desk]:
    opened = Desk.at(gitlab.url)
    gitlab._now = opened.clock.now
    yield opened
    await opened.close()


def only_pipeline(gitlab: Gitlab) -> int:
    (number,) = gitlab.pipelines
    return number


async def test_a_pipeline_is_triggered_followed_and_its_end_is_the_nodes(gitlab: Gitlab, desk: Desk) -> None:
    request = deploy(config={"defaultRef": "release", "pipelineVariables": {"ENV": "prod", "COUNT": 3}})
    await desk.ask(request)
    number = only_pipeline(gitlab)

    assert desk.waiting.external_run_id == f"gl_77_{number}"
    assert desk.waiting.links == (f"https://gitlab.test/{PROJECT}/-/pipelines/{number}",)
    assert gitlab.at("POST", TRIGGER)[0].json == {
        "token": TRIGGER_TOKEN, "ref": "release",
        "variables": {"ENV": "prod", "COUNT": "3", "HEADRACE_NODE_RUN": NODE_RUN},
    }  # fmt: skip

    gitlab.work(number, "compile", "success")
    await desk.poll(request)
    assert desk.waiting.output["status"] == "running"
    gitlab.finish(number)
    await desk.poll(request)

    assert desk.done.output["status"] == "success"
    assert [line for line in desk.lines if "compile" in line] == [
        "build: compile: success", "build: compile | $ make", f"build: compile | trace of {number * 100}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "ref"),
    [({}, "main"), ({"defaultRef": "release"}, "release"),
     ({"defaultRef": "release", "pipelineVariables": {"ref": "v1"}}, "v1")],
)  # fmt: skip
async def test_the_ref_is_the_given_one_else_the_default(
    gitlab: Gitlab, desk: Desk, config: dict[str, Any], ref: str
) -> None:
    await desk.ask(deploy(config=config))

    assert gitlab.at("POST", TRIGGER)[0].json["ref"] == ref
    assert "ref" not in gitlab.at("POST", TRIGGER)[0].json["variables"]


@pytest.mark.parametrize(
    ("status", "ends"), [("failed", False), ("canceled", False), ("skipped", True), ("manual", None)]
)
async def test_the_status_decides(gitlab: Gitlab, desk: Desk, status: str, ends: bool | None) -> None:
    request = deploy()
    await desk.ask(request)
    gitlab.finish(only_pipeline(gitlab), status)
    await desk.poll(request)

    if ends is None:
        assert desk.waiting.output["status"] == status
    elif ends:
        assert desk.done.output["status"] == status
    else:
        assert status in desk.failed.message


@pytest.mark.parametrize("mishap", [closing, truncating, GARBAGE, answering(502, {"message": "Bad gateway"})])
@pytest.mark.parametrize("after", [True, False])
async def test_a_doubtful_trigger_is_asked_about_by_its_variable(
    gitlab: Gitlab, desk: Desk, mishap: Mishap, after: bool
) -> None:
    gitlab.begin(HEADRACE_NODE_RUN="wfnr_AAAAAAAAAAAAAAAA")
    gitlab.begin()
    gitlab.go_wrong("POST", TRIGGER, mishap, after=after)
    await desk.run(deploy(), until="follow")

    assert len(gitlab.pipelines) == (3 if after else 2)
    if after:
        assert desk.waiting.external_run_id == f"gl_77_{max(gitlab.pipelines)}"
    else:
        assert desk.failed.retryable


async def test_pipelines_are_asked_for_on_every_page(gitlab: Gitlab, desk: Desk) -> None:
    mine = gitlab.begin(HEADRACE_NODE_RUN=NODE_RUN)
    for _ in range(3):
        gitlab.begin()
    gitlab.most_per_page = 1
    await desk.ask(deploy(), doubtful=True)

    assert desk.waiting.external_run_id == f"gl_77_{mine}"
    assert gitlab.at("POST", TRIGGER) == []


async def test_a_token_that_may_not_read_variables_leaves_the_answer_open(gitlab: Gitlab, desk: Desk) -> None:
    gitlab.is_maintainer = False
    gitlab.begin()
    await desk.ask(deploy(), doubtful=True)

    assert desk.failed.kind == "unknown-outcome"
    assert "variables" in desk.failed.message


class TestWithoutAnAccessToken:
    """Then there is nobody to ask: only a report ends the node run."""

    @pytest.fixture
    async def desk(self, gitlab: Gitlab) -> AsyncIterator[Desk]:
        opened = Desk.at(gitlab.url, gitlab=Settings(url=gitlab.url, trigger_tokens={PROJECT: TRIGGER_TOKEN}))
        yield opened
        await opened.close()

    async def test_the_node_waits_for_a_report(self, gitlab: Gitlab, desk: Desk) -> None:
        await desk.ask(deploy())

        assert desk.waiting.poll_after_seconds is None
        assert desk.waiting.external_run_id == f"gl_77_{only_pipeline(gitlab)}"

    @pytest.mark.parametrize(
        ("delivery", "kind", "again"),
        [("at_least_once", "connection", True), ("at_most_once", "unknown-outcome", False)],
    )
    async def test_a_lost_answer_is_treated_as_a_webhooks(
        self, gitlab: Gitlab, desk: Desk, delivery: Any, kind: str, again: bool
    ) -> None:
        gitlab.go_wrong("POST", TRIGGER, closing, after=True)
        await desk.ask(deploy(delivery=delivery))

        assert (desk.failed.kind, desk.failed.retryable) == (kind, again)

    @pytest.mark.parametrize(("delivery", "begun"), [("at_least_once", 1), ("at_most_once", 0)])
    async def test_a_doubtful_attempt_too(self, gitlab: Gitlab, desk: Desk, delivery: Any, begun: int) -> None:
        await desk.ask(deploy(delivery=delivery), doubtful=True)

        assert len(gitlab.pipelines) == begun


async def test_a_rate_limit_says_when_to_try_again(gitlab: Gitlab, desk: Desk) -> None:
    limit = answering(429, b"Retry later\n", RateLimit_Remaining="0", RateLimit_Reset="1750000031")
    gitlab.go_wrong("POST", TRIGGER, limit)
    await desk.ask(deploy())

    assert (desk.failed.retryable, desk.failed.retry_after_seconds) == (True, 31.0)


@pytest.mark.parametrize(
    ("config", "message"),
    [({"projectName": "nothing"}, "HEADRACE_GITLAB__TRIGGER_TOKENS"), ({"groupName": "a/../b"}, "`groupName`"),
     ({"defaultRef": "gone"}, "Reference not found")],
)  # fmt: skip
async def test_what_cannot_be_triggered_fails_at_once(
    gitlab: Gitlab, desk: Desk, config: dict[str, Any], message: str
) -> None:
    await desk.ask(deploy(config=config))

    assert not desk.failed.retryable
    assert message in desk.failed.message
    assert gitlab.pipelines == {}


async def test_no_credential_shows_anywhere(gitlab: Gitlab, desk: Desk) -> None:
    gitlab.go_wrong("POST", TRIGGER, answering(401, {"message": "401 Unauthorized"}))
    await desk.ask(deploy())

    told = repr((desk.outcomes, desk.lines, desk.settings))
    assert TOKEN not in told
    assert TRIGGER_TOKEN not in told
