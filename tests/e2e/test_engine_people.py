"""Approvals and delays in a running engine, and the examples of docs/people.md."""

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import orjson

from tests.e2e.house import House, line, node_run, open_house, outputs, webhook
from tools import sources

PAGE = (sources.ROOT / "docs/people.md").read_text(encoding="utf-8")
START = {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}}


def ask(**config: Any) -> dict[str, Any]:
    buttons = [{"identifier": "approve"}, {"identifier": "reject"}]
    form = {"properties": {"reason": {"type": "string"}}, "required": ["reason"], "buttons": buttons}
    outlets = [{"identifier": "approve", "numOfResponders": 1}, {"identifier": "reject"}]
    return {"identifier": "ask", "config": {"type": "INPUT", "userInputs": form, "outlets": outlets, **config}}


def asking(house: House, **config: Any) -> dict[str, Any]:
    document = line("w", START, ask(**config), webhook("then", house.receiver.url))
    document["connections"][1]["sourceOutletIdentifier"] = "approve"
    return document


async def waiting(house: House, workflow: str = "w", node: str = "ask", **inputs: Any) -> tuple[str, str]:
    """The run and the node run that waits."""
    run_id = (await house.start(workflow, inputs))["identifier"]
    run = await house.run_when(run_id, lambda run: node_run(run, node)["blockedOn"])
    return run_id, str(node_run(run, node)["identifier"])


def path_of(node_run_id: str) -> str:
    return f"/v1/workflows/nodes/runs/{node_run_id}/responses"


async def test_a_response_leads_the_run_on_and_survives_a_restart(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.save(asking(house, responders={"users": ["dev"]}))
        run_id, waits = await waiting(house)
        form = (await house.call("GET", path_of(waits)))["form"]
    async with open_house(tmp_path) as house:
        await house.call("POST", path_of(waits), {"button": "approve", "inputs": {"reason": "fine"}}, 201)
        run = await house.run_when(run_id, lambda run: node_run(run, "ask")["status"] == "COMPLETED")
        late = await house.call("POST", path_of(waits), {"button": "reject", "inputs": {"reason": "no"}}, 409)

    assert form["blockedOn"]["responses"] == [
        {"outlet": "approve", "given": 0, "needed": 1}, {"outlet": "reject", "given": 0, "needed": 1},
    ]  # fmt: skip
    assert form["mayRespond"] is True
    assert form["responders"] == {"users": ["dev"]}
    (response,) = outputs(run)["ask"]["responses"]
    assert (response["submitterInfo"], response["inputs"]) == ({"submittedBy": "dev"}, {"reason": "fine"})
    assert node_run(run, "ask")["outlet"] == "approve"
    assert late["error"] == "node_run_completed"


async def test_whoever_is_to_respond_is_told_by_a_webhook(house: House) -> None:
    notice = {"target": "webhook", "url": house.receiver.url + "/notice"}
    await house.save(asking(house, description="Well?", notifications=[notice]))

    run_id, waits = await waiting(house)
    (call,) = await house.receiver.called("/notice", 1)
    run = await house.run_when(run_id, lambda run: node_run(run, "ask")["nodeRunLogs"])

    assert call.json["nodeRunIdentifier"] == waits
    assert (call.json["runIdentifier"], call.json["description"], call.json["buttons"]) == (
        run_id, "Well?", ["approve", "reject"],
    )  # fmt: skip
    assert node_run(run, "ask")["status"] == "IN_PROGRESS"
    assert "answered 200" in node_run(run, "ask")["nodeRunLogs"][0]["message"]


async def test_when_nobody_responds_in_time_the_node_fails(house: House) -> None:
    await house.save(asking(house, timeoutSeconds=1))
    run_id, _ = await waiting(house)

    run = await house.finished(run_id)

    assert run["result"] == "FAILED"
    assert node_run(run, "ask")["error"] == ("Not enough people responded within 1 s (approve 0 of 1, reject 0 of 1).")


async def test_what_does_not_fit_the_form_is_refused_and_not_stored(house: House) -> None:
    await house.save(asking(house))
    run_id, waits = await waiting(house)

    refused = await house.call("POST", path_of(waits), {"button": "maybe", "inputs": {"resaon": "x"}}, 422)

    assert refused["error"] == "invalid_response"
    assert {it["pointer"] for it in refused["errors"]} == {"/button", "/inputs/reason", "/inputs/resaon"}
    assert "responses" not in node_run(await house.run(run_id), "ask")["output"]


async def test_a_delay_goes_on_when_its_time_has_come_and_not_before(house: House) -> None:
    pause = {"identifier": "pause", "config": {"type": "DELAY", "seconds": 1}}
    await house.save(line("w", START, pause, webhook("then", house.receiver.url)))
    began = time.monotonic()
    run_id, _ = await waiting(house, node="pause")

    run = await house.finished(run_id)

    assert 1.0 <= time.monotonic() - began < 5.0
    assert run["result"] == "SUCCESS"
    assert outputs(run)["pause"]["until"].endswith("Z")


async def test_the_examples_of_the_page_are_saved_without_warnings_and_run(house: House) -> None:
    documents = [orjson.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    assert [document["identifier"] for document in documents] == ["delete-cluster", "restart-later"]
    for document in documents:
        saved = await house.call("POST", "/v1/workflows", document, 201)
        assert {it["code"] for it in saved["warnings"]} <= {"branch-without-connection"}
        text = re.sub(r"https://[a-z]+\.example\.com", house.receiver.url, orjson.dumps(document).decode())
        await house.call("PUT", f"/v1/workflows/{document['identifier']}", orjson.loads(text))

    run_id, waits = await waiting(house, "delete-cluster", "approval", cluster="c1")
    (notice,) = await house.receiver.called("/approvals", 1)
    await house.call("POST", path_of(waits), {"button": "reject"}, 201)
    rejected = await house.finished(run_id)
    later = await house.finished((await house.start("restart-later", {"seconds": 0.1}))["identifier"])
    await asyncio.sleep(0)

    assert notice.json["description"] == "May c1 be deleted?"
    assert (rejected["result"], node_run(rejected, "approval")["outlet"]) == ("SUCCESS", "reject")
    assert [call.path for call in house.receiver.calls if call.path != "/approvals"] == ["/restart"]
    assert later["result"] == "SUCCESS"
