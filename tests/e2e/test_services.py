"""The production shape: four processes on real Kafka and MongoDB, and what they do when these are not well.

Whatever is killed here is a server of this module's own; the session's servers only get topics and a database.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from headrace.adapters.mongo import MongoDatabase, MongoDefinitionStore, MongoSettings
from headrace.contracts.topics import TopicNames
from headrace_cli import examples
from tests.e2e.house import change, line, log_in, on_change, until, webhook
from tests.e2e.receiver import Answer, Receiver
from tests.e2e.service_processes import (
    ADMIN,
    SECRET,
    SERVICES,
    Installation,
    ServiceProcess,
    environment,
    headrace,
    installed,
    one,
)
from tools.servers import Kafka
from tools.servers.mongo import find_mongod
from tools.servers.process import HOST, free_port

pytestmark = pytest.mark.xdist_group("servers")

NOBODY = f"{HOST}:{1}"
"""A port where no broker will ever listen."""


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    opened = Receiver()
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
def shared(kafka_bootstrap_servers: str, mongodb_uri: str) -> dict[str, str]:
    """Settings for an installation of its own on the session's servers."""
    return environment(kafka_bootstrap_servers, mongodb_uri, f"services-{secrets.token_hex(4)}")


async def test_an_event_on_the_topic_becomes_a_webhook_and_a_finished_run(
    shared: dict[str, str], receiver: Receiver
) -> None:
    receiver.on("/changes", Answer(201, {"ticketId": "CHG-1", "status": "open"}))
    async with installed(shared) as installation:
        workflow = orjson.loads(examples.with_receiver(examples.workflow("tier-change").read_text(), receiver.port))
        await installation.call("POST", "/v1/workflows", workflow, 201)
        event = orjson.loads(examples.events("service-changes").read_bytes())[0]
        await publish(shared, event)

        (call, *_) = await receiver.called("/changes", 1, seconds=30.0)
        (begun,) = (await installation.call("GET", "/v1/workflows/runs"))["workflowRuns"]
        run = await installation.run_of(begun["trigger"]["eventId"])

        assert call.is_signed(SECRET)
        assert (run["identifier"], run["result"]) == (begun["identifier"], "SUCCESS")
        assert {node["node"]["identifier"] for node in run["nodeRuns"]} >= {"became-gold", "open-change", "tell-team"}
        assert (await asyncio.gather(*(it.terminate() for it in installation.services.values()))) == [0, 0, 0, 0]
        for service in installation.services.values():
            ours = [entry for entry in service.log if "library" not in entry]
            assert {entry["level"] for entry in ours} == {"info"}, service.lines
            assert service.log[-1]["event"] == "service ended"


async def test_events_of_one_entity_are_done_one_after_the_other_by_two_trigger_services(
    shared: dict[str, str], receiver: Receiver
) -> None:
    on_change = {
        "type": "EVENT_TRIGGER", "perEntity": "serial",
        "event": {"type": "ANY_ENTITY_CHANGE", "blueprintIdentifier": "service"},
    }  # fmt: skip
    call = webhook("call", receiver.url, body={"n": "{{ .outputs.changed.diff.after.properties.n }}"})
    async with installed(shared) as installation, one("trigger", shared):
        document = line("w", {"identifier": "changed", "config": on_change}, call)
        await installation.call("POST", "/v1/workflows", document, 201)
        for number in range(20):
            event = change("one", n=number)
            await installation.call("POST", "/v1/events", event, 202)

        await receiver.called("/call", 20, seconds=60.0)

    assert [one.json["n"] for one in receiver.calls] == list(range(20))


async def test_a_for_each_runs_its_children_and_a_failed_run_is_repeated(
    shared: dict[str, str], receiver: Receiver
) -> None:
    form = {"properties": {"n": {"type": "number"}}}
    start = {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER", "userInputs": form}}
    config = {"type": "FOR_EACH", "workflowIdentifier": "one", "items": [*range(20)], "inputs": {"n": "{{ .item }}"}}
    do = webhook("do", receiver.url, body="{{ .outputs.start }}")
    last = webhook("last", receiver.url)
    receiver.on("/last", Answer(500), Answer(200))
    async with installed(shared) as installation:
        await installation.call("POST", "/v1/workflows", line("one", start, do), 201)
        each = {"identifier": "each", "config": config}
        await installation.call("POST", "/v1/workflows", line("all", start, each, last), 201)
        begun = (await installation.call("POST", "/v1/workflows/all/runs", {}, 201))["workflowRun"]
        run = await installation.finished_run(begun["identifier"])
        path = f"/v1/workflows/runs/{run['identifier']}/rerun"
        again = (await installation.call("POST", path, {"from": "failed"}, 201))["workflowRun"]
        again = await installation.finished_run(again["identifier"])

    assert (run["result"], again["result"], again["rerunOf"]) == ("FAILED", "SUCCESS", run["identifier"])
    assert run["variables"]["outputs"]["each"]["succeeded"] == 20
    assert sorted(one.json["n"] for one in receiver.calls if one.path == "/do") == [*range(20)]


async def test_a_schedule_starts_one_run_however_many_trigger_services_there_are(
    shared: dict[str, str], receiver: Receiver
) -> None:
    clock = {"identifier": "clock", "config": {"type": "SCHEDULE_TRIGGER", "cron": "@hourly"}}
    async with installed(shared) as installation, one("trigger", shared):
        uri, name = shared["MONGODB_URI"], shared["HEADRACE_MONGODB__DATABASE"]
        database = MongoDatabase(MongoSettings(uri=uri, database=name))
        await database.connect()
        hour_ago = int(time.time() * 1000) - 3_600_000
        document = line("report", clock, webhook("call", receiver.url))
        await MongoDefinitionStore(database).create("report", document, "me", hour_ago)
        await database.close()

        await receiver.called("/call", 1, seconds=30.0)
        await asyncio.sleep(2.0)
        runs = (await installation.call("GET", "/v1/workflows/runs"))["workflowRuns"]

    assert [run["createdBy"] for run in runs] == ["headrace:schedule-trigger"]
    assert len(receiver.calls) == 1


async def test_entities_installations_people_and_delays_go_through_the_services(
    shared: dict[str, str], receiver: Receiver
) -> None:
    topics = {**shared, "HEADRACE_INSTALLATION_TOPICS": '["ops"]'}
    form = {"properties": {}, "buttons": [{"identifier": "yes"}]}
    mapping = {"identifier": "x", "properties": {"tier": "gold"}}
    start = {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}}
    pause = {"identifier": "pause", "config": {"type": "DELAY", "seconds": 0.1}}
    write = {"type": "UPSERT_ENTITY", "blueprintIdentifier": "service", "mapping": mapping}
    work = {
        "type": "INTEGRATION_ACTION", "installationId": "ops", "integrationProvider": "ours",
        "integrationInvocationType": "greet", "integrationActionExecutionProperties": {},
    }  # fmt: skip
    ask = {"type": "INPUT", "userInputs": form, "outlets": [{"identifier": "yes"}]}
    nodes = [start, pause, *({"identifier": name, "config": it} for name, it in (("write", write), ("do", work)))]
    async with installed(topics) as installation:
        blueprint = {"identifier": "service", "schema": {"properties": {"tier": {"type": "string"}}}}
        await installation.call("POST", "/v1/blueprints", blueprint, 201)
        document = line("w", *nodes, {"identifier": "ask", "config": ask})
        await installation.call("POST", "/v1/workflows", document, 201)
        begun = (await installation.call("POST", "/v1/workflows/w/runs", {}, 201))["workflowRun"]

        async def claimed() -> dict[str, Any] | None:
            found = await installation.call("POST", "/v1/workflows/runs/claim-pending", {"installationId": "ops"})
            return found["nodeRuns"][0] if found["nodeRuns"] else None

        item = await until(claimed, "the work of the installation", 30.0)
        await installation.call("PATCH", "/v1/workflows/runs/ack", {"nodeRunIdentifier": item["identifier"]})
        report = {"status": "COMPLETED", "result": "SUCCESS", "output": {"n": 1}}
        await installation.call("PATCH", f"/v1/workflows/nodes/runs/{item['identifier']}", report)

        async def asked() -> str | None:
            run = (await installation.call("GET", f"/v1/workflows/runs/{begun['identifier']}"))["workflowRun"]
            names = {node["node"]["identifier"]: node["identifier"] for node in run["nodeRuns"]}
            return names.get("ask")

        form_of = await until(asked, "the question", 30.0)
        await installation.call("POST", f"/v1/workflows/nodes/runs/{form_of}/responses", {"button": "yes"}, 201)
        run = await installation.finished_run(begun["identifier"])
        entity = await installation.call("GET", "/v1/blueprints/service/entities/x")

    assert run["result"] == "SUCCESS"
    assert entity["entity"]["properties"] == {"tier": "gold"}
    assert run["variables"]["outputs"]["ask"]["selectedOutlet"]["identifier"] == "yes"


async def test_a_service_that_is_told_to_end_finishes_the_call_that_it_makes(
    shared: dict[str, str], receiver: Receiver
) -> None:
    gate = asyncio.Event()
    receiver.on("/slow", Answer(gate=gate))
    async with installed(shared) as installation:
        await installation.call("POST", "/v1/workflows", line("slow", on_change(), webhook("slow", receiver.url)), 201)
        event_id = (await installation.call("POST", "/v1/events", change(), 202))["eventId"]
        await receiver.called("/slow", 1)
        invoker = installation.services["invoker"]
        ending = asyncio.create_task(invoker.terminate())
        await invoker.not_ready("it is stopping")
        gate.set()

        assert await ending == 0
        run = await installation.run_of(event_id)
        assert run["result"] == "SUCCESS"
        assert len(receiver.at("/slow")) == 1


async def test_services_wait_for_a_broker_and_lose_nothing_when_it_is_killed(
    tmp_path: Path, mongodb_uri: str, receiver: Receiver
) -> None:
    broker = Kafka(tmp_path)
    await asyncio.to_thread(broker.start)
    settings = environment(broker.bootstrap_servers, mongodb_uri, f"services-{secrets.token_hex(4)}")
    installation = Installation(settings)
    try:
        assert (await headrace(settings, "init"))[0] == 0
        await asyncio.to_thread(broker.stop)
        await wait_while_it_is_down(installation, broker)
        await work_while_it_is_killed(installation, broker, receiver)
        # once more, and for good: what is away keeps nobody from ending
        broker.kill()
        assert await asyncio.gather(*(it.terminate() for it in installation.services.values())) == [0, 0, 0, 0]
    except BaseException:
        installation.print_logs()
        raise
    finally:
        await installation.close()
        await asyncio.to_thread(broker.stop)


async def wait_while_it_is_down(installation: Installation, broker: Kafka) -> None:
    await installation.start()
    for service in installation.services.values():
        await service.not_ready("it is waiting for Kafka")
        assert service.said("waiting for Kafka", "is it running", broker.bootstrap_servers)
    refused = await installation.client.get("/v1/workflows")
    assert (refused.status_code, refused.json()["error"]) == (503, "unavailable")
    await asyncio.to_thread(broker.start)
    await installation.ready()


async def work_while_it_is_killed(installation: Installation, broker: Kafka, receiver: Receiver) -> None:
    pids = {name: service.pid for name, service in installation.services.items()}
    workflow = line("busy", on_change(), webhook("first", receiver.url), webhook("second", receiver.url))
    await installation.call("POST", "/v1/workflows", workflow, 201)
    accepted: list[str] = []
    sending = asyncio.create_task(keep_sending(installation, accepted))
    await receiver.called("/second", 5)

    broker.kill()
    await installation.services["orchestrator"].not_ready("Kafka")
    assert (await installation.client.get("/v1/workflows")).status_code == 200
    await asyncio.to_thread(broker.start)
    back = len(accepted)
    await until(lambda: answered(len(accepted) > back + 5), "events to be accepted again", 40.0)
    sending.cancel()

    runs = [await installation.run_of(event_id, 40.0) for event_id in accepted]
    assert {run["result"] for run in runs} == {"SUCCESS"}
    assert len({run["identifier"] for run in runs}) == len(accepted)
    assert {call.webhook_id for call in receiver.at("/second")} >= {
        node["identifier"] for run in runs for node in run["nodeRuns"] if node["node"]["identifier"] == "second"
    }
    await asyncio.gather(*(service.ready() for service in installation.services.values()))
    assert {name: service.pid for name, service in installation.services.items()} == pids


async def test_a_standalone_mongodb_is_refused_with_the_reason(tmp_path: Path) -> None:
    port = free_port()
    mongod = await asyncio.create_subprocess_exec(
        await asyncio.to_thread(find_mongod), "--dbpath", str(tmp_path), "--port", str(port), "--bind_ip", HOST,
        "--nounixsocket", stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        settings = environment(NOBODY, f"mongodb://{HOST}:{port}", "alone")
        async with one("trigger", settings) as service:
            assert await service.ended(30.0) == 2
            assert service.said("service cannot start", "standalone server", "--replSet", "rs.initiate()")
        code, output = await headrace({**settings, "KAFKA_BOOTSTRAP_SERVERS": NOBODY}, "init", "--wait", "1")
        assert (code, "did not answer within 1 s" in output) == (3, True)
    finally:
        mongod.terminate()
        await mongod.wait()


async def test_wrong_credentials_are_refused_and_never_shown(mongodb_uri: str) -> None:
    uri = mongodb_uri.replace("mongodb://", "mongodb://somebody:pass-w0rd@")
    async with one("orchestrator", environment(NOBODY, uri, "closed")) as service:
        assert await service.ended(30.0) == 2
        assert service.said("service cannot start", "AuthenticationFailed", "HEADRACE_MONGODB__URI")
        assert not service.said("pass-w0rd")


async def test_a_missing_topic_or_index_ends_the_start_and_names_the_remedy(shared: dict[str, str]) -> None:
    async with one("invoker", shared) as service:
        assert await service.ended(30.0) == 2
        assert service.said("service cannot start", "lacks indexes", "headrace init")
    assert (await headrace(shared, "init"))[0] == 0
    names = TopicNames(shared["HEADRACE_TOPIC_PREFIX"])
    admin = AIOKafkaAdminClient(bootstrap_servers=shared["KAFKA_BOOTSTRAP_SERVERS"])
    await admin.start()
    await admin.delete_topics([names.node_requests])
    await admin.close()

    async with one("invoker", shared) as service:
        assert await service.ended(30.0) == 2
        assert service.said("service cannot start", f"missing: {names.node_requests}", "headrace init")


async def test_init_may_be_repeated_and_reports_what_differs(shared: dict[str, str]) -> None:
    first = await headrace(shared, "--output", "json", "init")
    second = await headrace(shared, "--output", "json", "init")
    other = await headrace(shared, "init", "--partitions", "3")

    assert (first[0], second[0]) == (0, 0)
    made, again = orjson.loads(first[1]), orjson.loads(second[1])
    assert len(made["topics"]["created"]) == 12
    assert (again["topics"]["created"], again["topics"]["existing"]) == ([], made["topics"]["created"])
    assert (again["indexes"]["created"], again["topics"]["differing"]) == ([], [])
    assert other[0] == 6
    assert "run.commands.v1: 2 partitions, not 3" in other[1]
    assert "hint: " in other[1]


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("trigger", ["HEADRACE_KAFKA__BOOTSTRAP_SERVERS", "HEADRACE_MONGODB__URI"]),
        ("invoker", ["HEADRACE_SIGNING_SECRET"]),
        ("api", ["HEADRACE_TOKEN_SECRET", "HEADRACE_ADMIN__CLIENT_SECRET"]),
    ],
)
async def test_a_service_refuses_to_start_without_what_it_must_be_told(name: str, variables: list[str]) -> None:
    settings = {key: value for key, value in os.environ.items() if not key.startswith(("HEADRACE_", "KAFKA_", "MONG"))}
    async with one(name, settings) as service:
        assert await service.ended() == 2
        for variable in variables:
            assert service.said(variable)
        assert service.said("docs/configuration.md")


async def test_services_start_without_the_command_line_too_and_wait_for_mongodb() -> None:
    settings = environment(NOBODY, f"mongodb://{NOBODY}/?directConnection=true", "nowhere")
    services = [ServiceProcess(name, settings) for name in SERVICES]
    try:
        for service in services:
            await service.start(sys.executable, "-m", f"headrace_{service.name}")
        await asyncio.gather(*(service.not_ready("it is waiting for MongoDB", 30.0) for service in services))
        assert await asyncio.gather(*(service.terminate(10.0) for service in services)) == [0, 0, 0, 0]
    finally:
        await asyncio.gather(*(service.close() for service in services))


async def test_make_up_keeps_the_house_and_clears_it_away(shared: dict[str, str], tmp_path: Path) -> None:
    settings = {**shared, "HOME": str(tmp_path)}
    up = ServiceProcess("up", settings)
    data = tmp_path / "data"
    port = free_port()
    await up.start(sys.executable, "-m", "tools.up", "--port", str(port), "--data", str(data))
    try:
        await until(lambda: answered(up.said("Headrace is running")), "make up", 60.0)
        (pid,) = [int(it) for it in children_of(up.pid) if "headrace_invoker" in command_of(int(it))]
        os.kill(pid, signal.SIGKILL)
        await until(lambda: answered(up.said("invoker", "starting it again")), "the invoker to be restarted")
        async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=30.0) as client:
            await log_in(client, "dev", ADMIN[1])
            begun = await client.post(
                "/v1/workflows/restart-service/runs", json={"inputs": {"service": "billing", "reason": "a test"}}
            )
            run_id = begun.json()["workflowRun"]["identifier"]
            await until(lambda: is_over(client, run_id), "the run to end", 30.0)
        left = children_of(up.pid)
        assert len(left) == 5
        assert await up.terminate(40.0) == 0
        assert [pid for pid in left if is_there(pid)] == []
    finally:
        await up.close()


async def publish(settings: dict[str, str], event: dict[str, Any]) -> None:
    """An entity change straight to the topic, as any producer may: a CloudEvent in structured mode."""
    cloud = {
        "specversion": "1.0", "id": "by-hand", "source": "urn:test", "type": "entity.changed", "data": event,
        "datacontenttype": "application/json",
    }  # fmt: skip
    producer = AIOKafkaProducer(bootstrap_servers=settings["KAFKA_BOOTSTRAP_SERVERS"])
    await producer.start()
    topic = TopicNames(settings["HEADRACE_TOPIC_PREFIX"]).entity_changes
    headers = [("content-type", b"application/cloudevents+json")]
    await producer.send_and_wait(topic, orjson.dumps(cloud), key=b"service/billing", headers=headers)
    await producer.stop()


async def keep_sending(installation: Installation, accepted: list[str]) -> None:
    """Send events as long as one lets it; those that were accepted count, the others are sent anew."""
    number = 0
    while True:
        number += 1
        event = {**change(f"service-{number}"), "eventId": f"evt-{number}"}
        while True:
            answer = await installation.client.post("/v1/events", json=event)
            if answer.status_code == 202:
                break
            assert answer.status_code == 503, answer.text
            await asyncio.sleep(0.2)
        accepted.append(answer.json()["eventId"])
        await asyncio.sleep(0.05)


async def answered(value: bool) -> bool:
    return value


async def is_over(client: httpx.AsyncClient, run_id: str) -> bool:
    answer = await client.get(f"/v1/workflows/runs/{run_id}")
    return answer.status_code == 200 and answer.json()["workflowRun"]["status"] == "COMPLETED"


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def is_there(pid: str) -> bool:
    return Path(f"/proc/{pid}").exists()
