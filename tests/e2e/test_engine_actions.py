"""Every action beyond webhooks, through the whole engine: third parties on loopback, runs that wait for them."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from headrace.adapters.http.signature import verify
from headrace_api.settings import Integrations
from headrace_invoker.actions.settings import AzureDevops, Github, Gitlab
from tests.e2e.house import House, line, node_run, on_change, open_house, outputs, until, webhook
from tests.thirdparty import azure, github, gitlab
from tests.thirdparty.base import ThirdParty, closing

SECRET = "the-secret-of-the-webhooks"
PartyT = TypeVar("PartyT", bound=ThirdParty)


@asynccontextmanager
async def running(party: PartyT) -> AsyncIterator[PartyT]:
    await party.start()
    try:
        yield party
    finally:
        await party.stop()


def action(kind: str, **config: Any) -> dict[str, Any]:
    return {"identifier": "job", "config": {"type": kind, **config}}


async def _started(house: House, job: dict[str, Any]) -> str:
    """A run that comes to the job at once, and calls the receiver after it."""
    saved = await house.call("POST", "/v1/workflows", line("w", on_change(), job, _after(house)), 201)
    assert saved.get("warnings", []) == []
    return (await house.started_by(await house.send()))[0]


def _after(house: House) -> dict[str, Any]:
    return webhook("after", house.receiver.url, body={"job": "{{ .outputs.job }}"})


async def _followed(house: House, run_id: str) -> dict[str, Any]:
    """The job's node run, once the pipeline is known."""
    run = await house.run_when(run_id, lambda run: _has_job(run) and node_run(run, "job")["externalRunId"])
    return node_run(run, "job")


def _has_job(run: dict[str, Any]) -> bool:
    return any(it["node"]["identifier"] == "job" for it in run["nodeRuns"])


async def test_kafka_publishes_and_goes_on_when_the_log_has_it(house: House) -> None:
    run_id = await _started(house, action("KAFKA", payload={"service": "{{ .outputs.changed.action }}"}))
    run = await house.finished(run_id)

    (record,) = await house.records("headrace.runs")
    value = json.loads(record.value or b"")
    assert (value["payload"], value["context"]["workflowRunId"]) == ({"service": "UPDATE"}, run_id)
    assert value["context"]["nodeRunId"] == node_run(run, "job")["identifier"]
    headers = {name: text.decode() for name, text in record.headers}
    assert verify(headers, record.value or b"", house.engine.signing_secret, house.engine.clock.now() / 1000)
    assert (run["result"], outputs(run)["job"]["topic"]) == ("SUCCESS", "headrace.runs")


async def test_kafka_that_waits_goes_on_when_the_consumer_reports(house: House) -> None:
    run_id = await _started(house, action("KAFKA", payload=[1, 2], synchronized=False))
    run = await house.run_when(run_id, lambda run: _has_job(run) and node_run(run, "job")["output"])
    value = json.loads((await house.records("headrace.runs"))[0].value or b"")

    report = {"status": "COMPLETED", "result": "SUCCESS", "output": {"done": value["payload"]}}
    await house.call("PATCH", f"/v1/workflows/nodes/runs/{value['context']['runId']}", report)
    run = await house.finished(run_id)

    assert (run["result"], outputs(run)["job"]["done"]) == ("SUCCESS", [1, 2])


@asynccontextmanager
async def at_github(data: Path, **more: Any) -> AsyncIterator[tuple[House, github.Github]]:
    async with running(github.Github()) as server:
        settings = Github(url=server.url, token=github.TOKEN, poll_seconds=0.1, max_poll_seconds=0.5)
        chosen = {"github": settings, "integrations": Integrations(github_secret=SECRET), **more}
        async with open_house(data, **chosen) as house:
            yield house, server


def deploy() -> dict[str, Any]:
    inputs = {"env": "{{ .outputs.changed.action }}"}
    return action("GITHUB", org="acme", repo="shop", workflow="deploy.yml", workflowInputs=inputs)


async def test_github_is_dispatched_and_followed_to_its_end(tmp_path: Path) -> None:
    async with at_github(tmp_path / "data") as (house, server):
        run_id = await _started(house, deploy())
        job = await _followed(house, run_id)
        (number,) = server.runs
        assert job["externalRunId"] == f"gh_11_22_{number}"
        assert job["links"] == [f"https://github.test/acme/shop/actions/runs/{number}"]
        assert job["blockedOn"]["kind"] == "report"
        server.work(number, "build", ("compile", "success"), ended="success")
        server.finish(number)
        run = await house.finished(run_id)

        assert run["result"] == "SUCCESS"
        assert outputs(run)["job"]["status"] == "success"
        assert house.receiver.at("/after")[0].json == {"job": outputs(run)["job"]}
        assert "build: success" in [line["message"] for line in node_run(run, "job")["nodeRunLogs"]]
        assert server.at("POST", "/dispatches$")[0].json["inputs"] == {
            "env": "UPDATE", "headrace_node_run": job["identifier"],
        }  # fmt: skip


async def test_github_that_fails_fails_the_run(tmp_path: Path) -> None:
    async with at_github(tmp_path / "data") as (house, server):
        run_id = await _started(house, deploy())
        await _followed(house, run_id)
        server.finish(next(iter(server.runs)), "failure")
        run = await house.finished(run_id)

        assert (run["result"], node_run(run, "job")["result"]) == ("FAILED", "FAILED")
        assert "failure" in node_run(run, "job")["error"]


async def test_a_webhook_of_github_completes_the_node_run_before_anybody_looks(tmp_path: Path) -> None:
    rarely = Github(url="http://127.0.0.1:1", token=github.TOKEN, poll_seconds=600, max_poll_seconds=600)
    async with running(github.Github()) as server:
        settings = rarely.model_copy(update={"url": server.url})
        async with open_house(
            tmp_path / "data", github=settings, integrations=Integrations(github_secret=SECRET)
        ) as house:
            run_id = await _started(house, deploy())
            await _followed(house, run_id)
            number = next(iter(server.runs))
            server.finish(number, "success")
            body = json.dumps(server.event(number)).encode()
            signature = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
            headers = {"X-Hub-Signature-256": signature, "Content-Type": "application/json"}
            path = "/v1/integrations/github/webhook"
            answers = [await house.call("POST", path, content=body, headers=headers) for _ in range(2)]
            run = await house.finished(run_id)
            again = await house.call("POST", path, content=body, headers=headers)

            assert answers[0] == {"ok": True, "reported": 1}
            assert again == {"ok": True, "reported": 0}
            assert (run["result"], outputs(run)["job"]["status"]) == ("SUCCESS", "success")


async def test_a_dispatch_whose_answer_was_lost_is_found_again_and_not_repeated(tmp_path: Path) -> None:
    async with at_github(tmp_path / "data") as (house, server):
        server.go_wrong("POST", "/dispatches$", closing, after=True)
        run_id = await _started(house, deploy())
        await until(lambda: _one_run(server), "the dispatch")
        server.finish(next(iter(server.runs)))
        run = await until(lambda: _completed(house, run_id), "the run to end", 25.0)

        assert (run["result"], len(server.runs)) == ("SUCCESS", 1)


async def _one_run(server: github.Github) -> bool:
    return len(server.runs) == 1


async def _completed(house: House, run_id: str) -> dict[str, Any] | None:
    run = await house.run(run_id)
    return run if run["status"] == "COMPLETED" else None


async def test_an_engine_that_stops_while_it_follows_goes_on_where_it_was(tmp_path: Path) -> None:
    async with running(github.Github()) as server:
        settings = Github(url=server.url, token=github.TOKEN, poll_seconds=0.2, max_poll_seconds=0.5)
        async with open_house(tmp_path / "data", github=settings) as house:
            run_id = await _started(house, deploy())
            await _followed(house, run_id)
        server.finish(next(iter(server.runs)))
        async with open_house(tmp_path / "data", github=settings) as house:
            run = await house.run_when(run_id, lambda run: node_run(run, "job")["result"])

        assert node_run(run, "job")["result"] == "SUCCESS"
        assert len(server.runs) == 1


@pytest.mark.parametrize("by_webhook", [False, True], ids=["polled", "by webhook"])
async def test_gitlab_is_triggered_and_followed_to_its_end(tmp_path: Path, by_webhook: bool) -> None:
    async with running(gitlab.Gitlab()) as server:
        pause = 600.0 if by_webhook else 0.1
        settings = Gitlab(
            url=server.url, token=gitlab.TOKEN, trigger_tokens={gitlab.PROJECT: gitlab.TRIGGER_TOKEN},
            poll_seconds=pause, max_poll_seconds=pause,
        )  # fmt: skip
        async with open_house(
            tmp_path / "data", gitlab=settings, integrations=Integrations(gitlab_token=SECRET)
        ) as house:
            run_id = await _started(house, action("GITLAB", groupName="acme/platform", projectName="shop"))
            job = await _followed(house, run_id)
            (number,) = server.pipelines
            assert job["externalRunId"] == f"gl_77_{number}"
            server.finish(number)
            if by_webhook:
                path, headers = "/v1/integrations/gitlab/webhook", {"X-Gitlab-Token": SECRET}
                told = await house.call("POST", path, server.event(number), headers=headers)
                assert told["reported"] == 1
            run = await house.finished(run_id)

            assert (run["result"], outputs(run)["job"]["status"]) == ("SUCCESS", "success")


async def test_azure_devops_runs_a_pipeline_and_follows_it(tmp_path: Path) -> None:
    async with running(azure.Azure()) as server:
        settings = AzureDevops(url=server.url, token=azure.TOKEN, poll_seconds=0.1)
        async with open_house(tmp_path / "data", azure_devops=settings) as house:
            run_id = await _started(house, action("AZURE_DEVOPS", org="acme", project="shop", pipelineId=7))
            await _followed(house, run_id)
            server.finish(next(iter(server.runs)))
            run = await house.finished(run_id)

            assert (run["result"], outputs(run)["job"]["status"]) == ("SUCCESS", "succeeded")


async def test_azure_devops_calls_an_incoming_webhook_and_waits_for_a_report(tmp_path: Path) -> None:
    async with running(azure.Azure()) as server:
        settings = AzureDevops(url=server.url, webhook_secret=azure.SECRET)
        async with open_house(tmp_path / "data", azure_devops=settings) as house:
            payload = {"node": "{{ .workflowNodeRun.identifier }}"}
            run_id = await _started(house, action("AZURE_DEVOPS", org="acme", webhook="deploy", payload=payload))
            run = await house.run_when(run_id, lambda run: _has_job(run) and node_run(run, "job")["output"])
            assert server.hooks == [{"node": node_run(run, "job")["identifier"]}]
            report = {"status": "COMPLETED", "result": "SUCCESS"}
            await house.call("PATCH", f"/v1/workflows/nodes/runs/{server.hooks[0]['node']}", report)

            assert (await house.finished(run_id))["result"] == "SUCCESS"
