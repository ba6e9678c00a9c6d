"""The door for probes, and what makes a process ready."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from headrace.adapters.clock import SystemClock
from headrace.adapters.embedded.log import EmbeddedLog
from headrace.contracts.topics import TopicNames
from headrace.ports.errors import UnavailableError
from headrace.ports.log import Consumer, Message, Record, RevokeListener
from headrace.runtime import health
from headrace.runtime.health import AddressTakenError, HealthServer
from headrace.runtime.readiness import Readiness, WatchedLog, group_name


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
async def door(readiness: Readiness) -> AsyncIterator[HealthServer]:
    registry = CollectorRegistry()
    Counter("headrace_sacks", "Sacks of flour", registry=registry).inc(3)
    opened = HealthServer("127.0.0.1", 0, readiness, registry)
    await opened.start()
    yield opened
    await opened.stop()


async def get(door: HealthServer, path: str, method: str = "GET") -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.request(method, door.url + path)


async def raw(door: HealthServer, request: bytes) -> bytes:
    """What comes back for these bytes, until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(door.url.rpartition(":")[2]))
    writer.write(request)
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return answer


async def test_live_is_on_before_ready_is_and_ready_says_why_not(door: HealthServer, readiness: Readiness) -> None:
    assert (await get(door, "/healthz/live")).json() == {"ok": True}
    refused = await get(door, "/healthz/ready")
    assert (refused.status_code, refused.json()["message"]) == (503, "Not ready: it is starting.")

    readiness.reason = None

    assert (await get(door, "/healthz/ready?verbose=1")).status_code == 200


async def test_metrics_come_in_the_text_format(door: HealthServer) -> None:
    answer = await get(door, "/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "headrace_sacks_total 3.0" in answer.text


async def test_other_paths_methods_and_protocols_are_turned_away(door: HealthServer) -> None:
    assert (await get(door, "/v1/workflows")).status_code == 404
    assert (await get(door, "/metrics", "POST")).headers["allow"] == "GET, HEAD"
    assert (await get(door, "/healthz/live", "HEAD")).content == b""
    assert (await raw(door, b"hello there\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    assert (await raw(door, b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000 + b"\r\n\r\n")).startswith(b"HTTP/1.1 431 ")


async def test_who_says_nothing_is_not_waited_for(door: HealthServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_REQUEST_SECONDS", 0.05)

    assert await raw(door, b"GET /healthz/li") == b""
    assert (await get(door, "/healthz/live")).status_code == 200


async def test_a_taken_port_is_named_with_the_setting_that_changes_it(readiness: Readiness) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(AddressTakenError, match=rf"127.0.0.1:{port}: another process uses it. HEADRACE_PORT"):
            await HealthServer("127.0.0.1", port, readiness, CollectorRegistry()).start()


async def test_every_check_that_fails_is_named(readiness: Readiness) -> None:
    async def fail() -> None:
        raise UnavailableError("it does not answer")

    async def succeed() -> None:
        pass

    readiness.reason = None
    for name, check in (("Kafka", fail), ("MongoDB", succeed), ("the oracle", fail)):
        readiness.add(name, check)

    assert await readiness.complaint() == "Kafka: it does not answer; the oracle: it does not answer"


async def test_a_check_that_does_not_come_back_is_given_up(
    readiness: Readiness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.runtime.readiness._CHECK_SECONDS", 0.05)
    readiness.reason = None
    readiness.add("MongoDB", asyncio.Event().wait)

    assert await readiness.complaint() == "MongoDB does not answer within 0.05 s"


class Fragile:
    """A member whose fetches can be made to fail."""

    def __init__(self, consumer: Consumer, is_broken: Callable[[], bool]) -> None:
        self._consumer = consumer
        self._is_broken = is_broken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    async def fetch(self, max_records: int, wait_seconds: float) -> list[Record]:
        if self._is_broken():
            raise UnavailableError("the broker is away")
        return await self._consumer.fetch(max_records, wait_seconds)


class FragileLog(EmbeddedLog):
    """An embedded log with such members."""

    is_broken = False

    async def subscribe(self, group: str, topics: Sequence[str], on_revoke: RevokeListener | None = None) -> Any:
        return Fragile(await super().subscribe(group, topics, on_revoke), lambda: self.is_broken)


async def test_a_watched_log_is_well_once_its_group_is_joined_and_while_fetches_succeed() -> None:
    log = FragileLog(SystemClock(), partitions=1)
    watched = WatchedLog(log, "headrace-trigger", TopicNames())
    with pytest.raises(UnavailableError, match="not yet a member of group headrace-trigger"):
        await watched.check()

    consumer = await watched.subscribe("headrace-trigger", ["grain"])
    await watched.publish([Message("grain", "k", b"1")])
    assert [record.value for record in await consumer.fetch(10, 0.1)] == [b"1"]
    await watched.check()

    log.is_broken = True
    with pytest.raises(UnavailableError):
        await consumer.fetch(10, 0.1)
    with pytest.raises(UnavailableError, match="the broker is away"):
        await watched.check()

    log.is_broken = False
    await consumer.fetch(10, 0.0)
    await watched.check()
    await watched.close()


@pytest.mark.parametrize(
    ("prefix", "name"),
    [("headrace.", "headrace-trigger"), ("staging.", "staging-trigger"), ("a.b-", "a.b-trigger"), ("", "-trigger")],
)
def test_installations_on_one_broker_have_groups_of_their_own(prefix: str, name: str) -> None:
    assert group_name("headrace-trigger", TopicNames(prefix)) == name
