"""AZURE_DEVOPS actions against a server that speaks Azure's API: incoming webhooks, and pipelines that are followed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from headrace.core.commands import InvokeNode
from headrace_invoker.actions.settings import AzureDevops
from tests.thirdparty.azure import SECRET, TOKEN, Azure
from tests.thirdparty.base import GARBAGE, Mishap, answering, closing
from tests.unit.services.invoker.desk import NODE_RUN, Desk, node_request

BEGIN = "/pipelines/7/runs$"


def webhook(**changes: Any) -> InvokeNode:
    config = {"org": "acme", "webhook": "deploy", "payload": {"service": "billing"}, **changes.pop("config", {})}
    return node_request("AZURE_DEVOPS", config, **changes)


def pipeline(**changes: Any) -> InvokeNode:
    config = {"org": "acme", "project": "shop", "pipelineId": 7, **changes.pop("config", {})}
    return node_request("AZURE_DEVOPS", config, **changes)


@pytest.fixture
async def azure() -> AsyncIterator[Azure]:
    server = Azure()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def desk(azure: Azure) -> AsyncIterator[Desk]:
    opened = Desk.at(azure.url)
    azure._now = opened.clock.now
    yield opened
    await opened.close()


def only_run(azure: Azure) -> int:
    (number,) = azure.runs
    return number


class TestIncomingWebhook:
    async def test_it_is_called_signed_and_waits_for_a_report(self, azure: Azure, desk: Desk) -> None:
        await desk.ask(webhook())

        assert azure.hooks == [{"service": "billing"}]
        assert desk.waiting.poll_after_seconds is None

    async def test_a_signature_that_does_not_match_fails_the_node(self, azure: Azure) -> None:
        desk = Desk.at(azure.url, azure_devops=AzureDevops(url=azure.url, webhook_secret="another"))
        await desk.ask(webhook())
        await desk.close()

        assert "401" in desk.failed.message
        assert azure.hooks == []

    @pytest.mark.parametrize(
        ("delivery", "kind", "again"),
        [("at_least_once", "connection", True), ("at_most_once", "unknown-outcome", False)],
    )
    async def test_nobody_can_be_asked_what_became_of_it(
        self, azure: Azure, desk: Desk, delivery: Any, kind: str, again: bool
    ) -> None:
        azure.go_wrong("POST", "/webhooks/", closing, after=True)
        await desk.ask(webhook(delivery=delivery))

        assert (desk.failed.kind, desk.failed.retryable) == (kind, again)

    async def test_an_unknown_webhook_fails_the_node(self, desk: Desk) -> None:
        await desk.ask(webhook(config={"webhook": "nothing"}))

        assert "There is no such webhook" in desk.failed.message


class TestPipeline:
    async def test_it_is_run_followed_and_its_end_is_the_nodes(self, azure: Azure, desk: Desk) -> None:
        given = {"branch": "release", "templateParameters": {"deep": True}, "variables": {"env": "prod"}}
        request = pipeline(config=given)
        await desk.ask(request)
        number = only_run(azure)

        assert desk.waiting.external_run_id == f"az_acme_{number}"
        assert azure.at("POST", BEGIN)[0].json == {
            "resources": {"repositories": {"self": {"refName": "refs/heads/release"}}},
            "templateParameters": {"deep": "true"},
            "variables": {"env": {"value": "prod"}, "HEADRACE_NODE_RUN": {"value": NODE_RUN}},
        }

        await desk.poll(request)
        azure.work(number, "Build", ("checkout", "succeeded"), ("compile", "succeeded"), ended="succeeded")
        azure.finish(number)
        await desk.poll(request)

        assert desk.done.output["status"] == "succeeded"
        assert [line for line in desk.lines if line.startswith("Build")] == [
            "Build / checkout: succeeded", "Build / compile: succeeded", "Build: succeeded",
            "Build | ##[section]Starting", "Build | log 5",
        ]  # fmt: skip

    @pytest.mark.parametrize(("result", "ok"), [("succeeded", True), ("failed", False), ("canceled", False)])
    async def test_the_result_decides(self, azure: Azure, desk: Desk, result: str, ok: bool) -> None:
        request = pipeline()
        await desk.ask(request)
        azure.finish(only_run(azure), result)
        await desk.poll(request)

        assert (desk.done.output if ok else desk.failed.output or {})["status"] == result

    @pytest.mark.parametrize("mishap", [closing, GARBAGE, answering(503, {"message": "busy"})])
    @pytest.mark.parametrize("after", [True, False])
    async def test_a_doubtful_run_is_asked_about_by_its_variable(
        self, azure: Azure, desk: Desk, mishap: Mishap, after: bool
    ) -> None:
        azure.begin(HEADRACE_NODE_RUN="wfnr_AAAAAAAAAAAAAAAA")
        azure.go_wrong("POST", BEGIN, mishap, after=after)
        await desk.run(pipeline(), until="follow")

        assert len(azure.runs) == (2 if after else 1)
        if after:
            assert desk.waiting.external_run_id == f"az_acme_{max(azure.runs)}"
        else:
            assert desk.failed.retryable

    async def test_a_pipeline_that_takes_no_such_variable_is_run_without_it(self, azure: Azure, desk: Desk) -> None:
        azure.settable = {"env"}
        await desk.ask(pipeline())

        assert desk.waiting.external_run_id == f"az_acme_{only_run(azure)}"

    async def test_runs_that_do_not_say_for_whom_leave_the_answer_open(self, azure: Azure, desk: Desk) -> None:
        azure.begin()
        await desk.run(pipeline(), doubtful=True)

        assert desk.failed.kind == "unknown-outcome"
        assert azure.at("POST", BEGIN) == []

    async def test_a_variable_that_nobody_may_set_fails_at_once(self, azure: Azure, desk: Desk) -> None:
        await desk.ask(pipeline(config={"variables": {"colour": "red"}}))

        assert "colour" in desk.failed.message
        assert azure.runs == {}

    async def test_one_that_reports_itself_is_not_followed(self, desk: Desk) -> None:
        await desk.ask(pipeline(config={"reportPipelineStatus": False}))

        assert desk.waiting.poll_after_seconds is None

    async def test_a_rate_limit_says_when_to_try_again(self, azure: Azure, desk: Desk) -> None:
        azure.go_wrong("POST", BEGIN, answering(429, {}, Retry_After="30"))
        await desk.ask(pipeline())

        assert (desk.failed.retryable, desk.failed.retry_after_seconds) == (True, 30.0)

    async def test_refused_credentials_say_which_setting_to_look_at(self, azure: Azure) -> None:
        desk = Desk.at(azure.url, azure_devops=AzureDevops(url=azure.url, tokens={"acme": "expired-token"}))
        await desk.ask(pipeline())
        await desk.close()

        assert "HEADRACE_AZURE_DEVOPS__TOKEN" in desk.failed.message
        assert "expired-token" not in repr((desk.outcomes, desk.lines, desk.settings))


@pytest.mark.parametrize("config", [{"org": "a/b"}, {"project": "a/b"}, {"pipelineId": ".."}])
async def test_names_that_would_change_the_path_are_refused(azure: Azure, desk: Desk, config: dict[str, Any]) -> None:
    await desk.ask(pipeline(config=config))

    assert desk.failed.kind == "invalid"
    assert azure.received == []


async def test_no_credential_shows_anywhere(azure: Azure, desk: Desk) -> None:
    await desk.ask(pipeline())
    await desk.ask(webhook())

    told = repr((desk.outcomes, desk.lines, desk.settings))
    assert TOKEN not in told
    assert SECRET not in told
