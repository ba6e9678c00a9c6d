"""A topic that is deleted under running services: they say so, end, and go on once it is made again."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from headrace.contracts.topics import TopicNames
from tests.e2e.house import change, line, on_change, webhook
from tests.e2e.receiver import Answer, Receiver
from tests.e2e.service_processes import Installation, environment, headrace, installed, one

pytestmark = pytest.mark.xdist_group("servers")

DIED, REFUSED = 1, 2


async def delete_topic(servers: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.delete_topics([topic])
    finally:
        await admin.close()


async def send(installation: Installation, event_id: str) -> str:
    answer = await installation.call("POST", "/v1/events", {**change(event_id), "eventId": event_id}, 202)
    return str(answer["eventId"])


async def test_a_deleted_topic_ends_who_needs_it_and_costs_only_what_was_in_it(
    kafka_bootstrap_servers: str, mongodb_uri: str
) -> None:
    """The requests to call something are gone; what was called before, and what is only decided, is not lost."""
    settings = environment(kafka_bootstrap_servers, mongodb_uri, f"deleted-{secrets.token_hex(4)}")
    topic = TopicNames(settings["HEADRACE_TOPIC_PREFIX"]).node_requests
    receiver, gate = Receiver(), asyncio.Event()
    receiver.on("/called", Answer(gate=gate))
    await receiver.start()
    try:
        async with installed(settings) as installation:
            workflow = line("called", on_change(), webhook("called", receiver.url), webhook("then", receiver.url))
            await installation.call("POST", "/v1/workflows", workflow, 201)
            called = await send(installation, "called")
            await receiver.called("/called", 1)

            await delete_topic(kafka_bootstrap_servers, topic)

            await installation.services["invoker"].not_ready(f"the brokers do not know {topic}")
            gate.set()  # the call that was out comes back, and its run wants the next request published
            decided = await send(installation, "decided")
            await both_end(installation, topic)
            async with one("invoker", settings) as again:
                assert await again.ended() == REFUSED
                assert again.said("service cannot start", f"missing: {topic}", "headrace init")

            code, output = await headrace(settings, "init")
            assert (code, "1 topic made" in output) == (0, True), output
            for name in ("orchestrator", "invoker"):
                await installation.services[name].start()
            await asyncio.gather(*(service.ready() for service in installation.services.values()))
            runs = [await installation.run_of(event_id) for event_id in (called, decided)]

            assert [run["result"] for run in runs] == ["SUCCESS", "SUCCESS"]
            assert len(receiver.at("/called")) == 2
            assert len(receiver.at("/then")) == 2
    finally:
        await receiver.stop()


async def both_end(installation: Installation, topic: str) -> None:
    """Who reads the topic, and who writes to it; the others go on."""
    for name in ("invoker", "orchestrator"):
        service = installation.services[name]
        assert await service.ended(30.0) == DIED, service.lines
        assert service.said("service cannot go on", topic, "headrace init"), service.lines
    for name in ("trigger", "api"):
        await installation.services[name].ready(1.0)
