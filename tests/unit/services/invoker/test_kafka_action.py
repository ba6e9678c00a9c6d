"""KAFKA actions: what is published, how it is signed, and what the broker's silence means."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from headrace.adapters.embedded import EmbeddedLog
from headrace.adapters.http.signature import verify
from headrace.contracts.action_message import ActionMessage
from headrace.core.errors import HeadraceError
from headrace.core.run import Causation
from headrace.ports.errors import RecordTooLargeError, UnavailableError
from headrace.ports.log import Record
from tests.conformance.samples import START, ManualClock
from tests.unit.services.invoker.desk import NODE_RUN, SECRETS, Desk, node_request

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Log:
    """The embedded log, or an error instead of it."""

    def __init__(self) -> None:
        self.real = EmbeddedLog(ManualClock(), partitions=1)
        self.error: HeadraceError | None = None

    async def publish(self, messages: Any) -> None:
        if self.error is not None:
            raise self.error
        await self.real.publish(messages)

    async def records(self, topic: str = "headrace.runs") -> list[Record]:
        return await self.real.read(topic, 0)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def desk(log: Log) -> AsyncIterator[Desk]:
    opened = Desk.at("http://127.0.0.1:1", log)
    yield opened
    await opened.close()


def publish(**changes: Any) -> Any:
    config = {"payload": {"op": "restart", "größe": 1}, **changes.pop("config", {})}
    return node_request("KAFKA", config, **{"synchronized": True, **changes})


async def test_the_message_is_the_wrapper_of_the_spec(desk: Desk, log: Log) -> None:
    await desk.ask(publish())

    (record,) = await log.records()
    value = json.loads(record.value or b"")
    signature = value.pop("headers")
    assert value == {
        "context": {
            "runId": NODE_RUN, "nodeRunId": NODE_RUN, "workflowRunId": "wfr_0123456789abcdef",
            "workflowIdentifier": "flow", "workflowVersion": 3, "nodeIdentifier": "deploy", "orgId": "headrace",
        },
        "resourceType": "workflowNodeRun", "status": "TRIGGERED",
        "trigger": {
            "by": {"orgId": "headrace", "userId": "u_7"}, "origin": "API", "at": "2025-06-15T15:06:39.000Z",
        },
        "payload": {"op": "restart", "größe": 1},
    }  # fmt: skip
    assert signature.keys() == {"X-Port-Signature", "X-Port-Timestamp"}
    assert record.key == NODE_RUN
    assert ActionMessage.model_validate_json(record.value or b"").headers.timestamp == START // 1000
    assert desk.done.output == {"topic": "headrace.runs", "key": NODE_RUN}


async def test_both_signatures_hold(desk: Desk, log: Log) -> None:
    await desk.ask(publish())

    (record,) = await log.records()
    secret, now = SECRETS.values[0], START / 1000
    outer = {name: value.decode() for name, value in record.headers}
    assert verify(outer, record.value or b"", secret, now)
    assert outer["webhook-id"] == NODE_RUN
    value = orjson.loads(record.value or b"")
    inner = {name: str(text) for name, text in value["headers"].items()}
    assert verify(inner, orjson.dumps({**value, "headers": {}}), secret, now)
    assert not verify(inner, orjson.dumps({**value, "headers": {}, "status": "X"}), secret, now)


async def test_an_array_is_one_message(desk: Desk, log: Log) -> None:
    await desk.ask(publish(config={"payload": [{"n": 1}, {"n": 2}]}))

    (record,) = await log.records()
    assert json.loads(record.value or b"")["payload"] == [{"n": 1}, {"n": 2}]


async def test_a_node_that_is_not_synchronized_waits_for_a_report(desk: Desk, log: Log) -> None:
    await desk.ask(publish(synchronized=False))

    assert (desk.waiting.poll_after_seconds, desk.waiting.output["key"]) == (None, NODE_RUN)
    assert len(await log.records()) == 1


async def test_the_trace_of_the_run_goes_along(desk: Desk, log: Log) -> None:
    await desk.ask(publish(causation=Causation("e", "e", traceparent=TRACE)))

    assert (await log.records())[0].header("traceparent") == TRACE.encode()


async def test_the_topic_can_be_another(log: Log) -> None:
    desk = Desk.at("http://127.0.0.1:1", log, runs_topic="org_1.runs", org_id="org_1")
    await desk.ask(publish())
    await desk.close()

    (record,) = await log.records("org_1.runs")
    assert json.loads(record.value or b"")["context"]["orgId"] == "org_1"


@pytest.mark.parametrize(
    ("error", "delivery", "kind", "again"),
    [
        (UnavailableError("no broker answers"), "at_least_once", "connection", True),
        (UnavailableError("no broker answers"), "at_most_once", "unknown-outcome", False),
        (RecordTooLargeError("2 MB"), "at_least_once", "invalid", False),
        (HeadraceError("not allowed"), "at_least_once", "refused", False),
    ],
)
async def test_what_the_log_says_is_the_reason(
    desk: Desk, log: Log, error: HeadraceError, delivery: str, kind: str, again: bool
) -> None:
    log.error = error
    await desk.ask(publish(delivery=delivery))

    assert (desk.failed.kind, desk.failed.retryable) == (kind, again)
    assert str(error) in desk.failed.message


@pytest.mark.parametrize("payload", ["text", 5, True])
async def test_a_payload_that_is_neither_object_nor_array_is_refused(desk: Desk, log: Log, payload: Any) -> None:
    await desk.ask(publish(config={"payload": payload}))

    assert desk.failed.kind == "invalid"
    assert await log.records() == []
