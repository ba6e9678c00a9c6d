"""Work for installations outside: the reference integration, as its readers run it, against a running engine."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.e2e.house import House, line, node_run, open_house, outputs, webhook
from tests.e2e.receiver import Answer, Receiver

EXAMPLE = Path(__file__).parents[2] / "examples" / "integration.py"
START = {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}}
AGENT = "_PORT_EXEC_AGENT"


def action(name: str = "greet", properties: dict[str, Any] | None = None) -> dict[str, Any]:
    config = {
        "type": "INTEGRATION_ACTION", "installationId": "ops", "integrationProvider": "ours",
        "integrationInvocationType": name, "integrationActionExecutionProperties": properties or {},
    }  # fmt: skip
    return {"identifier": "do", "config": config}


def greeting(name: str) -> dict[str, Any]:
    return action("greet", {"name": name})


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def integration(house: House, installation: str = "ops") -> AsyncIterator[asyncio.subprocess.Process]:
    """The program of examples/, in a process of its own; it is ended with the block."""
    credentials = house.engine.credentials
    pair = (credentials.client_id, credentials.client_secret)
    async with program(house.engine.api_url, pair, installation) as process:
        yield process


@asynccontextmanager
async def program(url: str, pair: tuple[str, str], installation: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {**os.environ, "HEADRACE_CLIENT_ID": pair[0], "HEADRACE_CLIENT_SECRET": pair[1]}
    arguments = ("--url", url, "--installation", installation, "--pause", "0.1")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE), *arguments, env=environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def claim(house: House, installation: str = "ops", **more: Any) -> list[dict[str, Any]]:
    body = {"installationId": installation, "visibilityTimeoutMs": 1_000, **more}
    found: list[dict[str, Any]] = (await house.call("POST", "/v1/workflows/runs/claim-pending", body))["nodeRuns"]
    return found


async def offered(house: House, installation: str = "ops", **more: Any) -> dict[str, Any]:
    """The first piece of work, as soon as there is one."""
    for _ in range(500):
        if found := await claim(house, installation, **more):
            return found[0]
        await asyncio.sleep(0.02)
    raise AssertionError("no work came")


async def test_an_integration_does_the_work_of_its_action(house: House) -> None:
    do = greeting("{{ .workflowRun.createdBy }}")
    await house.save(line("w", START, do, webhook("then", house.receiver.url)))

    async with integration(house):
        run = await house.finished((await house.start("w"))["identifier"])

    assert run["result"] == "SUCCESS"
    assert outputs(run)["do"] == {"greeting": "Hello dev!"}
    assert [it["message"] for it in node_run(run, "do")["nodeRunLogs"]] == [
        "offered to the installation ops", "doing greet",
    ]  # fmt: skip


async def test_an_action_that_the_integration_does_not_have_fails_with_its_words(house: House) -> None:
    await house.save(line("w", START, action("dance")))

    async with integration(house):
        run = await house.finished((await house.start("w"))["identifier"])

    assert run["result"] == "FAILED"
    assert node_run(run, "do")["error"] == "this integration has no action dance"


@pytest.mark.parametrize(("status", "result"), [(201, "SUCCESS"), (500, "FAILED")])
async def test_an_agent_makes_the_calls_that_the_engine_must_not(house: House, status: int, result: str) -> None:
    house.receiver.on("/inside", Answer(status, {"ticket": "T-1"}))
    inside = webhook("inside", house.receiver.url, agent=True, body={"by": "{{ .workflowRun.createdBy }}"})
    await house.save(line("w", START, inside))

    async with integration(house, AGENT):
        run = await house.finished((await house.start("w"))["identifier"])

    assert run["result"] == result
    (call,) = house.receiver.calls
    assert call.json == {"by": "dev"}
    assert "webhook-signature" not in call.headers  # the agent called, not we
    if status == 201:
        assert outputs(run)["inside"] == {"response": {"status": 201, "data": {"ticket": "T-1"}}}


async def test_what_is_too_large_to_be_reported_fails_and_says_so(house: House) -> None:
    house.receiver.on("/inside", Answer(200, {"text": "x" * 2_000_000}))
    await house.save(line("w", START, webhook("inside", house.receiver.url, agent=True)))

    async with integration(house, AGENT):
        run = await house.finished((await house.start("w"))["identifier"])

    assert run["result"] == "FAILED"
    assert "413" in node_run(run, "inside")["error"]


async def test_an_integration_outlives_the_engine_and_its_token(free_port: int) -> None:
    clients: Any = ({"client_id": "ops", "client_secret": "ops-secret-0123456789", "kind": "machine"},)
    url = f"http://127.0.0.1:{free_port}"
    async with program(url, ("ops", "ops-secret-0123456789"), "ops") as process:
        assert process.stderr is not None
        assert b"again in 1 s" in await process.stderr.readline()  # nobody is there yet
        for _ in range(2):  # the second engine knows nothing of the tokens of the first
            async with open_house(clients=clients, port=free_port) as house:
                await house.save(line("w", START, greeting("Ann")))
                run = await house.finished((await house.start("w"))["identifier"])
                assert outputs(run)["do"] == {"greeting": "Hello Ann!"}


async def test_what_an_integration_did_is_reported_when_the_engine_is_back(tmp_path: Path, free_port: int) -> None:
    receiver, answered = Receiver(), asyncio.Event()
    receiver.on("/inside", Answer(201, {"ticket": "T-1"}, gate=answered))
    async with AsyncExitStack() as stack:
        await receiver.start()
        stack.push_async_callback(receiver.stop)
        async with open_house(tmp_path, port=free_port) as house:
            await house.save(line("w", START, webhook("inside", receiver.url, agent=True)))
            run = await house.start("w")
            process = await stack.enter_async_context(integration(house, AGENT))
            await receiver.called("/inside")
        answered.set()
        assert process.stderr is not None
        assert b"again in 1 s" in await process.stderr.readline()
        async with open_house(tmp_path, port=free_port) as house:
            ended = await house.finished(run["identifier"])

    assert outputs(ended)["inside"] == {"response": {"status": 201, "data": {"ticket": "T-1"}}}
    assert len(receiver.calls) == 1


async def test_an_integration_with_wrong_credentials_says_so_and_ends(house: House) -> None:
    async with program(house.engine.api_url, ("nobody", "nothing"), "ops") as process:
        _, said = await asyncio.wait_for(process.communicate(), 15)

    assert said.decode().strip() == "Headrace refuses HEADRACE_CLIENT_ID and HEADRACE_CLIENT_SECRET."
    assert process.returncode == 1


async def test_what_is_claimed_is_nobody_elses_until_its_time_is_over_and_acknowledged_by_one(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.save(line("w", START, action()))
        run = await house.start("w")
        first = await offered(house)
        assert await claim(house) == []
    async with open_house(tmp_path) as house:
        again = await offered(house)
        ack = {"nodeRunIdentifier": again["identifier"]}
        assert (await house.call("PATCH", "/v1/workflows/runs/ack", ack))["acked"] is True
        refused = await house.call("PATCH", "/v1/workflows/runs/ack", ack, 409)
        await asyncio.sleep(1.1)
        assert await claim(house) == []

    assert refused["error"] == "already_acknowledged"
    assert first["identifier"] == again["identifier"]
    assert first["workflowRun"]["identifier"] == run["identifier"]
    assert (first["pendingExecution"], first["installationId"], first["nodeUid"]) == (True, "ops", "w:1:do")
    assert first["config"]["integrationInvocationType"] == "greet"
    assert first["status"] == "IN_PROGRESS"


async def test_work_is_not_offered_to_others_nor_when_excluded_nor_when_its_run_was_cancelled(house: House) -> None:
    await house.save(line("w", START, action()))
    run = await house.start("w")
    await offered(house, visibilityTimeoutMs=1_000)
    await asyncio.sleep(1.1)

    assert await claim(house, "other") == []
    assert await claim(house, exclude=["w:1:do"]) == []
    await house.call("POST", f"/v1/workflows/runs/{run['identifier']}/cancel?force=true")
    await house.finished(run["identifier"])
    assert await claim(house) == []


async def test_the_next_attempt_is_offered_anew(house: House) -> None:
    do = action()
    do["config"] |= {"timeoutSeconds": 1, "retry": {"maxAttempts": 2, "backoffSeconds": 0}}
    await house.save(line("w", START, do))
    run = await house.start("w")
    first = await offered(house)
    await house.call("PATCH", "/v1/workflows/runs/ack", {"nodeRunIdentifier": first["identifier"]})

    second = await offered(house)

    assert (first["attempt"], second["attempt"]) == (1, 2)
    body = {"status": "COMPLETED", "result": "SUCCESS", "output": {"n": 1}}
    await house.call("PATCH", f"/v1/workflows/nodes/runs/{second['identifier']}", body)
    assert (await house.finished(run["identifier"]))["result"] == "SUCCESS"


async def test_installations_with_a_topic_are_told_there_too_and_signed(tmp_path: Path) -> None:
    async with open_house(tmp_path, installation_topics=("ops", AGENT)) as house:
        await house.save(line("w", START, action(name="greet")))
        await house.save(line("inside", START, webhook("call", house.receiver.url, agent=True)))
        run = await house.start("w")
        await house.start("inside")
        await offered(house)
        await offered(house, AGENT)
        (told,) = await house.records("headrace.runs.ops")
        (asked,) = await house.records(f"headrace.runs.{AGENT}")

    message, call = orjson.loads(told.value or b""), orjson.loads(asked.value or b"")
    assert message["context"]["workflowRunId"] == run["identifier"]
    assert message["payload"]["integrationInvocationType"] == "greet"
    assert call["payload"]["action"]["invocationMethod"]["agent"] is True
    assert call["context"]["runId"].startswith("wfnr_")
    assert set(call["headers"]) == {"X-Port-Signature", "X-Port-Timestamp"}
    assert dict(told.headers)["webhook-id"].decode() == message["context"]["runId"]
