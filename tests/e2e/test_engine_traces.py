"""W3C trace context goes through: from whoever caused a run to its records, its calls and the log."""

from collections.abc import MutableMapping
from typing import Any

import orjson
import pytest
import structlog

from headrace.contracts.envelope import TRACEPARENT
from headrace.core.commands import InvokeNode
from headrace_invoker.performance import Performance
from headrace_invoker.webhook import WebhookPerformer
from tests.e2e.house import House, change, line, on_change, webhook

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def traces(house: House, run_id: str) -> dict[str, set[bytes | None]]:
    """By topic, the traces of the records that concern a run."""
    topics = house.topics
    names = (topics.run_commands, topics.node_requests, topics.node_results, topics.run_events)
    return {
        name: {it.header(TRACEPARENT) for it in await house.records(name) if run_id.encode() in (it.value or b"")}
        for name in names
    }


def everywhere(house: House, trace: bytes | None) -> dict[str, set[bytes | None]]:
    topics = house.topics
    names = (topics.run_commands, topics.node_requests, topics.node_results, topics.run_events)
    return {name: {trace} for name in names}


async def test_the_trace_of_a_record_is_in_every_record_of_its_run_and_in_its_calls(house: House) -> None:
    await house.save(
        line("traced", on_change(), webhook("one", house.receiver.url), webhook("two", house.receiver.url))
    )

    await house.publish(orjson.dumps({**change(), "eventId": "e-1"}), ((TRACEPARENT, TRACE.encode()),))
    await house.settled("headrace-trigger")
    (listed,) = await house.runs("traced")
    run = await house.finished(listed["identifier"])

    assert await traces(house, run["identifier"]) == everywhere(house, TRACE.encode())
    assert [call.headers[TRACEPARENT] for call in house.receiver.calls] == [TRACE, TRACE]


@pytest.mark.parametrize("structured", [False, True], ids=["bare", "cloud-event"])
async def test_the_trace_of_a_posted_event_goes_through(house: House, structured: bool) -> None:
    await house.save(line("traced", on_change(), webhook("call", house.receiver.url)))
    cloud = {"specversion": "1.0", "id": "c-1", "source": "urn:crm", "type": "changed"}
    event = {**cloud, "data": change()} if structured else change()

    answer = await house.call("POST", "/v1/events", event, 202, headers={TRACEPARENT: TRACE})
    run = await house.only_run(answer["eventId"])

    assert await traces(house, run["identifier"]) == everywhere(house, TRACE.encode())


async def test_the_trace_of_a_posted_start_goes_through(house: House) -> None:
    trigger = {"identifier": "start", "config": {"type": "SELF_SERVE_TRIGGER"}}
    await house.save(line("traced", trigger, webhook("call", house.receiver.url)))

    path = "/v1/workflows/traced/runs"
    answer = await house.call("POST", path, {"inputs": {}}, 201, headers={TRACEPARENT: TRACE})
    run = await house.finished(answer["workflowRun"]["identifier"])

    assert await traces(house, run["identifier"]) == everywhere(house, TRACE.encode())


async def test_a_malformed_trace_is_ignored(house: House) -> None:
    await house.save(line("traced", on_change(), webhook("call", house.receiver.url)))

    headers = {TRACEPARENT: TRACE.upper()}
    answer = await house.call("POST", "/v1/events", change(), 202, headers=headers)
    run = await house.only_run(answer["eventId"])

    assert run["result"] == "SUCCESS"
    assert await traces(house, run["identifier"]) == everywhere(house, None)
    assert TRACEPARENT not in house.receiver.calls[0].headers


async def test_log_lines_about_a_traced_call_or_record_name_the_trace(
    house: House, logged: list[MutableMapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: WebhookPerformer, request: InvokeNode) -> Performance:
        raise RuntimeError("planted")

    monkeypatch.setattr(WebhookPerformer, "perform", broken)
    await house.save(line("traced", on_change(), webhook("call", house.receiver.url)))
    # what the processes' own configuration does first (headrace.runtime.logs); undone with the capture
    structlog.get_config()["processors"].insert(0, structlog.contextvars.merge_contextvars)

    answer = await house.call("POST", "/v1/events", change(), 202, headers={TRACEPARENT: TRACE})
    run = await house.only_run(answer["eventId"])
    await house.publish(b"{", ((TRACEPARENT, TRACE.encode()),), house.topics.run_commands)
    await house.dead_letters(house.topics.run_commands, 1)

    assert run["result"] == "FAILED"
    errors = [entry for entry in logged if entry["log_level"] == "error"]
    assert {entry["event"]: entry["trace_id"] for entry in errors} == {
        "action failed by a bug": TRACE[3:35],
        "record dead-lettered": TRACE[3:35],
    }
