"""Asynchronous nodes that others report on, and runs that people cancel."""

import asyncio
from typing import Any

import pytest

from tests.e2e.house import House, line, node_run, on_change, outputs, webhook
from tests.e2e.receiver import Answer, Call

DONE = {"status": "COMPLETED", "result": "SUCCESS"}


async def _waiting(house: House, **config: Any) -> tuple[str, Call]:
    """A run whose asynchronous webhook `job` was accepted, and the call that it made."""
    job = webhook("job", house.receiver.url, synchronized=False, **config)
    after = webhook("after", house.receiver.url, body={"job": "{{ .outputs.job }}"})
    await house.save(line("background", on_change(), job, after))
    run_id = (await house.started_by(await house.send()))[0]
    call = (await house.receiver.called("/job"))[0]
    await house.run_when(run_id, lambda run: node_run(run, "job")["blockedOn"]["kind"] == "report")
    return run_id, call


@pytest.mark.parametrize("path", ["/v1/workflows/nodes/runs/{node}", "/v1/workflows/runs/{run}/nodes/{node}"])
async def test_a_report_completes_an_asynchronous_node_through_either_path(house: House, path: str) -> None:
    house.receiver.on("/job", Answer(202, {"queued": True}))
    run_id, call = await _waiting(house)
    report = {**DONE, "output": {"artifact": "a.zip"}, "logs": [{"logLevel": "INFO", "log": "built"}]}

    await house.call("PATCH", path.format(run=run_id, node=call.webhook_id), report)
    run = await house.finished(run_id)

    job = node_run(run, "job")
    assert (run["result"], job["result"]) == ("SUCCESS", "SUCCESS")
    assert outputs(run)["job"] == {"response": {"status": 202, "data": {"queued": True}}, "artifact": "a.zip"}
    assert house.receiver.at("/after")[0].json == {"job": outputs(run)["job"]}
    assert [line["message"] for line in job["nodeRunLogs"]][1:] == ["built"]


async def test_several_reports_come_before_the_last_one_and_the_last_value_of_a_key_wins(house: House) -> None:
    run_id, call = await _waiting(house, retry={"maxAttempts": 3})
    path = f"/v1/workflows/nodes/runs/{call.webhook_id}"

    await house.call(
        "PATCH", path, {"status": "IN_PROGRESS", "output": {"step": 1, "kept": 1}, "externalRunId": "ci-7"}
    )
    await house.call("POST", f"{path}/logs", {"logs": [{"level": "WARN", "message": "slow"}]}, 201)
    await house.call("PATCH", path, {"output": {"step": 2}, "links": ["https://ci.example.com/7"]})
    await house.call("PATCH", path, {**DONE, "output": {"step": 3}})
    job = node_run(await house.finished(run_id), "job")

    assert job["output"] == {"response": {"status": 200, "data": {}}, "step": 3, "kept": 1}
    assert (job["externalRunId"], job["links"]) == ("ci-7", ["https://ci.example.com/7"])
    assert [line["message"] for line in job["nodeRunLogs"]][1:] == ["slow"]


async def test_a_late_report_is_refused(house: House) -> None:
    run_id, call = await _waiting(house)
    path = f"/v1/workflows/nodes/runs/{call.webhook_id}"
    await house.call("PATCH", path, DONE)
    before = await house.finished(run_id)

    late = await house.call("PATCH", path, {"status": "COMPLETED", "result": "FAILED"}, 409)

    assert late["error"] == "node_run_completed"
    assert await house.run(run_id) == before


async def test_a_report_of_failure_fails_the_run_with_what_it_says(house: House) -> None:
    run_id, call = await _waiting(house)
    report = {"status": "COMPLETED", "result": "FAILED", "output": {"error": {"message": "no quota", "code": 7}}}

    await house.call("PATCH", f"/v1/workflows/nodes/runs/{call.webhook_id}", report)
    run = await house.finished(run_id)

    assert (run["result"], node_run(run, "job")["error"]) == ("FAILED", "no quota")
    assert outputs(run)["job"]["error"] == {"message": "no quota", "code": 7}
    assert house.receiver.at("/after") == []


async def test_a_report_that_comes_before_the_answer_to_the_call_completes_the_node(house: House) -> None:
    gate = asyncio.Event()
    house.receiver.on("/job", Answer(202, {"late": True}, gate=gate))
    await house.save(line("eager", on_change(), webhook("job", house.receiver.url, synchronized=False)))
    run_id = (await house.started_by(await house.send()))[0]
    call = (await house.receiver.called("/job"))[0]

    await house.call("PATCH", f"/v1/workflows/nodes/runs/{call.webhook_id}", {**DONE, "output": {"early": True}})
    run = await house.finished(run_id)
    gate.set()
    await house.settled("headrace-invoker")
    await house.settled("headrace-orchestrator")

    assert (run["result"], outputs(run)["job"]) == ("SUCCESS", {"early": True})
    assert await house.run(run_id) == run


async def test_a_report_with_the_same_idempotency_key_counts_once(house: House) -> None:
    run_id, call = await _waiting(house)
    path = f"/v1/workflows/nodes/runs/{call.webhook_id}"
    line_ = {"logs": [{"level": "INFO", "message": "once"}]}

    for _ in range(2):
        await house.call("PATCH", path, line_, headers={"Idempotency-Key": "k-1"})
    await house.call("PATCH", path, DONE)

    job = node_run(await house.finished(run_id), "job")
    assert [line["message"] for line in job["nodeRunLogs"]][1:] == ["once"]


async def test_an_asynchronous_call_that_is_not_accepted_fails_the_node_without_waiting(house: House) -> None:
    house.receiver.on("/job", Answer(500, b"no"))
    await house.save(line("background", on_change(), webhook("job", house.receiver.url, synchronized=False)))

    run = await house.only_run(await house.send())

    assert (run["result"], node_run(run, "job")["result"]) == ("FAILED", "FAILED")


async def test_a_report_that_never_comes_ends_the_node_at_its_deadline(house: House) -> None:
    run_id, _ = await _waiting(house, timeoutSeconds=1)

    run = await house.finished(run_id)

    assert (run["result"], node_run(run, "job")["result"]) == ("FAILED", "FAILED")
    assert "1 s" in node_run(run, "job")["error"]


async def _in_flight(house: House) -> tuple[str, asyncio.Event]:
    """A run whose first call is in flight, and what lets the receiver answer it."""
    gate = asyncio.Event()
    house.receiver.on("/first", Answer(data={"done": True}, gate=gate))
    await house.save(
        line("long", on_change(), webhook("first", house.receiver.url), webhook("second", house.receiver.url))
    )
    run_id = (await house.started_by(await house.send()))[0]
    await house.receiver.called("/first")
    return run_id, gate


async def test_cancelling_gracefully_lets_the_call_in_flight_end_and_calls_nothing_more(house: House) -> None:
    run_id, gate = await _in_flight(house)

    await house.call("POST", f"/v1/workflows/runs/{run_id}/cancel")
    run = await house.run_when(run_id, lambda run: run["status"] == "CANCELLING")
    assert node_run(run, "first")["status"] == "IN_PROGRESS"
    gate.set()
    run = await house.finished(run_id)

    assert (run["result"], run["cancelledBy"]) == ("CANCELLED", "dev")
    assert (node_run(run, "first")["result"], outputs(run)["first"]["response"]["data"]) == ("SUCCESS", {"done": True})
    assert [call.path for call in house.receiver.calls] == ["/first"]


async def test_cancelling_by_force_ends_the_run_at_once_and_the_late_answer_changes_nothing(house: House) -> None:
    run_id, gate = await _in_flight(house)

    await house.call("POST", f"/v1/workflows/runs/{run_id}/cancel", {"force": True})
    run = await house.finished(run_id)
    gate.set()
    await house.settled("headrace-invoker")
    await house.settled("headrace-orchestrator")

    assert (run["result"], node_run(run, "first")["result"]) == ("CANCELLED", "FAILED")
    assert "cancelled by force" in node_run(run, "first")["error"]
    assert await house.run(run_id) == run
    assert [call.path for call in house.receiver.calls] == ["/first"]
    again = await house.call("POST", f"/v1/workflows/runs/{run_id}/cancel", status=409)
    assert again["error"] == "run_completed"


async def test_cancelling_while_a_retry_is_planned_ends_the_run_without_another_attempt(house: House) -> None:
    house.receiver.on("/first", Answer(503))
    retry = {"maxAttempts": 5, "backoffSeconds": 60}
    await house.save(line("long", on_change(), webhook("first", house.receiver.url, retry=retry)))
    run_id = (await house.started_by(await house.send()))[0]
    await house.run_when(run_id, lambda run: node_run(run, "first")["blockedOn"]["kind"] == "retry")

    await house.call("POST", f"/v1/workflows/runs/{run_id}/cancel")
    run = await house.finished(run_id)

    assert (run["result"], node_run(run, "first")["result"], len(house.receiver.calls)) == ("CANCELLED", "CANCELLED", 1)
