"""Workflows that run workflows, and runs that are repeated, through the real engine."""

import asyncio
import json
import re
from typing import Any

from tests.e2e.house import House, edge, line, node_run, outputs, webhook
from tests.e2e.receiver import Answer
from tools import sources

FORM: dict[str, Any] = {"properties": {"n": {"type": "number"}}, "required": ["n"]}


def start(**user_inputs: Any) -> dict[str, Any]:
    return {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER", "userInputs": user_inputs}}


def child(url: str, **more: Any) -> dict[str, Any]:
    """A workflow that takes a number and calls `url/do` with it."""
    return line("child", start(**FORM), webhook("do", url, body={"n": "{{ .outputs.start.n }}"}, **more))


def each(items: Any, **config: Any) -> dict[str, Any]:
    config = {"type": "FOR_EACH", "workflowIdentifier": "child", "items": items, **config}
    return {"identifier": "each", "config": {"inputs": {"n": "{{ .item }}"}, **config}}


def calling(**config: Any) -> dict[str, Any]:
    return {"identifier": "call", "config": {"type": "WORKFLOW", "workflowIdentifier": "child", **config}}


async def test_a_workflow_runs_another_and_reads_what_it_left(house: House) -> None:
    house.receiver.on("/do", Answer(data={"ticket": "T-9"}))
    after = webhook("after", house.receiver.url, body={"was": "{{ .outputs.call.outputs.do.response.data.ticket }}"})
    await house.save(child(house.receiver.url), line("parent", start(), calling(inputs={"n": 3}), after))

    run = await house.finished((await house.start("parent"))["identifier"])

    assert run["result"] == "SUCCESS"
    called = await house.run(outputs(run)["call"]["runIdentifier"])
    assert (called["result"], outputs(called)["start"]) == ("SUCCESS", {"n": 3})
    assert called["parent"]["runIdentifier"] == run["identifier"]
    assert [one.json for one in house.receiver.calls] == [{"n": 3}, {"was": "T-9"}]
    assert node_run(run, "call")["children"] == {
        "total": 1, "started": 1, "succeeded": 1, "failed": 0, "running": [], "failures": [],
    }  # fmt: skip


async def test_the_child_run_follows_the_latest_version_at_its_start(house: House) -> None:
    url = house.receiver.url
    await house.save(child(url), line("parent", start(), calling(inputs={"n": 1})))
    await house.call("PUT", "/v1/workflows/child", line("child", start(**FORM), webhook("other", url)))

    run = await house.finished((await house.start("parent"))["identifier"])

    assert (await house.run(outputs(run)["call"]["runIdentifier"]))["workflow"]["version"] == 2
    assert list(outputs(run)["call"]["outputs"]) == ["other"]


async def test_a_for_each_runs_a_child_per_item_within_its_limit(house: House) -> None:
    await house.save(child(house.receiver.url), line("parent", start(), each(list(range(25)), concurrency=4)))

    run = await house.finished((await house.start("parent"))["identifier"])

    assert run["result"] == "SUCCESS"
    done = outputs(run)["each"]
    assert (done["total"], done["succeeded"], len(done["results"])) == (25, 25, 25)
    assert sorted(one.json["n"] for one in house.receiver.calls) == list(range(25))
    assert len(await house.runs("child")) == 25


async def test_a_workflow_that_is_not_there_fails_the_node_and_says_so_and_was_warned_of(house: House) -> None:
    document = line("parent", start(), calling())
    saved = await house.call("POST", "/v1/workflows", document, 201)
    assert [(it["code"], it["pointer"]) for it in saved["warnings"]] == [
        ("unknown-workflow", "/nodes/1/config/workflowIdentifier")
    ]

    run = await house.finished((await house.start("parent"))["identifier"])

    assert node_run(run, "call")["error"] == 'The child run failed. There is no workflow "child".'
    await house.save(child(house.receiver.url))
    await house.call("DELETE", "/v1/workflows/child")
    run = await house.finished((await house.start("parent"))["identifier"])
    assert node_run(run, "call")["error"] == 'The child run failed. The workflow "child" was deleted.'
    assert await house.records(house.topics.dead_letters(house.topics.run_commands)) == []


async def test_inputs_that_do_not_fit_the_form_fail_the_node(house: House) -> None:
    await house.save(child(house.receiver.url), line("parent", start(), calling(inputs={"n": "text"})))
    run = await house.finished((await house.start("parent"))["identifier"])
    assert "Its inputs do not fit. /n:" in node_run(run, "call")["error"]


async def test_a_workflow_that_runs_itself_ends_with_a_clear_failure(house: House) -> None:
    again = {"identifier": "call", "config": {"type": "WORKFLOW", "workflowIdentifier": "self"}}
    saved = await house.call("POST", "/v1/workflows", line("self", start(), again), 201)
    assert [it["code"] for it in saved["warnings"]] == ["recursive-workflow"]

    run = await house.finished((await house.start("self"))["identifier"])

    assert run["result"] == "FAILED"
    assert "10 runs led to this one; it may start no more." in node_run(run, "call")["error"]
    assert len(await house.runs("self")) == 11


async def test_cancelling_the_parent_cancels_its_child_runs(house: House) -> None:
    await house.save(
        child(house.receiver.url, synchronized=False), line("parent", start(), each([1, 2, 3], concurrency=2))
    )
    started = (await house.start("parent"))["identifier"]
    parent = await house.run_when(started, lambda run: len(node_run(run, "each")["children"]["running"]) == 2)
    running = [one["runIdentifier"] for one in node_run(parent, "each")["children"]["running"]]
    assert node_run(parent, "each")["blockedOn"]["kind"] == "children"
    for one in running:
        await house.run_when(one, lambda run: len(run["nodeRuns"]) == 2)

    await house.call("POST", f"/v1/workflows/runs/{started}/cancel", {"force": True})

    for one in (started, *running):
        assert (await house.finished(one))["result"] == "CANCELLED"
    assert len(await house.runs("child")) == 2


async def test_cancelled_gracefully_the_parent_ends_when_its_child_runs_have(house: House) -> None:
    await house.save(child(house.receiver.url, synchronized=False), line("parent", start(), calling(inputs={"n": 1})))
    started = (await house.start("parent"))["identifier"]
    parent = await house.run_when(started, lambda run: len(run["nodeRuns"]) == 2)
    one = node_run(parent, "call")["children"]["running"][0]["runIdentifier"]
    waiting = await house.run_when(one, lambda run: len(run["nodeRuns"]) == 2)

    await house.call("POST", f"/v1/workflows/runs/{started}/cancel")
    await house.run_when(one, lambda run: run["status"] == "CANCELLING")
    assert (await house.run(started))["status"] == "CANCELLING"
    await house.call(
        "PATCH", f"/v1/workflows/nodes/runs/{node_run(waiting, 'do')['identifier']}",
        {"status": "COMPLETED", "result": "SUCCESS"},
    )  # fmt: skip

    assert (await house.finished(started))["result"] == "CANCELLED"
    assert (await house.run(one))["result"] == "CANCELLED"


async def test_a_failed_run_is_repeated_from_where_it_failed(house: House) -> None:
    house.receiver.on("/second", Answer(status=500), Answer(data={"ok": True}))
    url = house.receiver.url
    await house.save(
        line("flow", start(**FORM), webhook("first", url), webhook("second", url, body="{{ .outputs.start }}"))
    )
    failed = await house.finished((await house.start("flow", {"n": 1}))["identifier"])
    assert failed["result"] == "FAILED"

    answer = await house.call(
        "POST", f"/v1/workflows/runs/{failed['identifier']}/rerun", {"from": "failed", "inputs": {"n": 2}}, 201
    )
    new = await house.finished(answer["workflowRun"]["identifier"])

    assert (new["result"], new["rerunOf"]) == ("SUCCESS", failed["identifier"])
    assert node_run(new, "first")["carried"] is True
    assert "carried" not in node_run(new, "second")
    assert [one.path for one in house.receiver.calls] == ["/first", "/second", "/second"]
    assert house.receiver.calls[-1].json == {"n": 2}
    assert (await house.run(failed["identifier"]))["result"] == "FAILED"


async def test_a_re_run_that_cannot_be_is_refused_with_its_reason(house: House) -> None:
    url = house.receiver.url
    house.receiver.on("/slow", Answer(delay=0.3))
    await house.save(line("flow", start(**FORM), webhook("slow", url), webhook("after", url)))
    run = (await house.start("flow", {"n": 1}))["identifier"]
    path = f"/v1/workflows/runs/{run}/rerun"
    assert (await house.call("POST", path, {}, 409))["error"] == "run_not_over"
    await house.finished(run)
    for body, error in (
        ({"from": "failed"}, "rerun_refused"),
        ({"from": {"node": "nobody"}}, "rerun_refused"),
        ({"from": {"node": "after"}, "version": "latest"}, "rerun_refused"),
        ({"inputs": {"n": "text"}}, "invalid_inputs"),
        ({"from": "middle"}, "invalid_request"),
    ):
        assert (await house.call("POST", path, body, 422))["error"] == error
    await house.call("POST", "/v1/workflows/runs/wfr_nobody/rerun", {}, 404)
    assert len(await house.runs("flow")) == 1


async def test_the_same_key_repeats_a_run_once(house: House) -> None:
    await house.save(line("flow", start(), webhook("a", house.receiver.url)))
    run = await house.finished((await house.start("flow"))["identifier"])
    path = f"/v1/workflows/runs/{run['identifier']}/rerun"
    answers = [await house.call("POST", path, {}, 201, headers={"Idempotency-Key": "k1"}) for _ in range(2)]
    assert len({answer["workflowRun"]["identifier"] for answer in answers}) == 1
    other = await house.call("POST", path, {"from": {"node": "a"}}, 422, headers={"Idempotency-Key": "k1"})
    assert other["error"] == "idempotency_key_reused"
    await asyncio.sleep(0.1)
    assert len(await house.runs("flow")) == 2


PAGE = (sources.ROOT / "docs/children.md").read_text(encoding="utf-8")


async def test_the_workflows_of_the_page_are_saved_without_a_warning_and_run(house: House) -> None:
    house.receiver.on("/services", Answer(data={"names": ["billing", "shop", "search"]}))
    house.receiver.on("/deploy", Answer(data={"release": 7}))
    documents = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    for text in documents:
        document = json.loads(text.replace("https://deploy.example.com", house.receiver.url))
        assert (await house.call("POST", "/v1/workflows", document, 201))["warnings"] == []

    told = await house.finished((await house.start("deploy_and_tell"))["identifier"])
    all_ = await house.finished((await house.start("deploy_all"))["identifier"])

    assert (told["result"], all_["result"], len(documents)) == ("SUCCESS", "SUCCESS", 3)
    assert outputs(all_)["each"]["results"] == [{"deploy": {"release": 7}}] * 3
    tells = [one.json for one in house.receiver.calls if one.path == "/tell"]
    assert tells == [{"release": 7}, {"failed": 0}]


async def test_runs_in_parallel_branches_join(house: House) -> None:
    url = house.receiver.url
    nodes = [start(), calling(inputs={"n": 1}), each([1, 2]), webhook("join", url)]
    edges = [edge("start", "call"), edge("start", "each"), edge("call", "join"), edge("each", "join")]
    await house.save(child(url), {"identifier": "parent", "nodes": nodes, "connections": edges})
    run = await house.finished((await house.start("parent"))["identifier"])
    assert run["result"] == "SUCCESS"
    assert [one.path for one in house.receiver.calls].count("/do") == 3
    assert house.receiver.calls[-1].path == "/join"
