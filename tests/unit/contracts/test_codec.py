"""Messages: what they say when they are wrong, where they go, and what travels in headers."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from headrace.contracts import codec, envelope
from headrace.contracts.codec import UndecodableMessageError, UnencodableMessageError
from headrace.contracts.topics import TopicNames
from headrace.core.commands import CancelRun, FireTimer, InvokeNode, ReportAttempt, StartRun, Succeeded
from headrace.core.events import NodeAccepted, NodeCompleted, RunCompleted, RunStarted, fold
from headrace.core.json import JsonObject
from headrace.core.run import Causation
from headrace.ports.log import Message, Record, TopicPartition

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NAMES = TopicNames("acme.")
START = StartRun("wfr_1", 1, "deploy", 3, "start", {"a": 1}, "me", Causation("evt_1", "evt_1"))
RESULT = ReportAttempt("wfr_1", 1, "ask", "wfnr_1", 1, Succeeded({"a": 1}))
RUN = fold(
    None, [RunStarted(1, 1_795_338_000_123, "wfr_1", "deploy", 3, "start", "EVENT_TRIGGER", "me", START.causation)]
)
assert RUN is not None
RUN_NOW = RUN


def record(message: Message) -> Record:
    return Record(TopicPartition(message.topic, 0), 0, message.key, message.value, message.headers, 0)


def value_of(message: Message) -> Any:
    return orjson.loads(message.value or b"")


def refusal(message: Message, **changes: Any) -> UndecodableMessageError:
    """Why the message is refused after the changes; None takes a field away."""
    value = {key: item for key, item in {**value_of(message), **changes}.items() if item is not None}
    with pytest.raises(UndecodableMessageError) as refused:
        codec.decode_command(record(replace(message, value=orjson.dumps(value))))
    return refused.value


def test_commands_go_to_the_topic_of_commands_and_results_to_that_of_results_by_run() -> None:
    command, result = codec.encode_command(START, NAMES), codec.encode_command(RESULT, NAMES)

    assert (command.topic, command.key) == ("acme.run.commands.v1", "wfr_1")
    assert (result.topic, result.key) == ("acme.node.results.v1", "wfr_1")
    assert result == codec.encode_result(RESULT, NAMES)


@pytest.mark.parametrize(
    ("changes", "pointer", "reason"),
    [
        ({"v": 2}, "/v", "version 2 is newer than this release reads"),
        ({"v": None}, "/v", "must be 1"),
        ({"v": "1"}, "/v", "must be 1"),
        ({"type": "stopRun"}, "/type", "no command is of type 'stopRun'"),
        ({"type": None}, "/type", "no command is of type"),
        ({"runId": None}, "/runId", "Field required"),
        ({"runId": 7}, "/runId", "valid string"),
        ({"at": "now"}, "/at", "valid integer"),
        ({"version": True}, "/version", "valid integer"),
        ({"output": []}, "/output", "valid dictionary"),
        ({"causation": {"eventId": "e"}}, "/causation/rootEventId", "Field required"),
        ({"causation": {"eventId": "e", "rootEventId": "e", "chain": ["a", 1]}}, "/causation/chain/1", "valid string"),
    ],
)
def test_a_wrong_command_says_where_and_why(changes: dict[str, Any], pointer: str, reason: str) -> None:
    refused = refusal(codec.encode_command(START, NAMES), **changes)

    assert refused.pointer == pointer
    assert reason in refused.reason


def test_a_wrong_outcome_says_where_and_why() -> None:
    message = codec.encode_command(RESULT, NAMES)

    assert refusal(message, outcome={"type": "exploded"}).pointer == "/outcome"
    assert refusal(message, outcome={"type": "succeeded"}).pointer == "/outcome/output"
    assert refusal(message, logs=[{"at": 1, "level": "LOUD", "message": "x"}]).pointer == "/logs/0/level"


def test_fields_that_may_be_missing_have_their_defaults() -> None:
    value = {"v": 1, "type": "cancelRun", "runId": "wfr_1", "at": 5, "by": "me"}

    assert codec.decode_command(record(Message("t", "k", orjson.dumps(value)))) == CancelRun("wfr_1", 5, "me")


def test_a_result_is_not_taken_for_another_command() -> None:
    with pytest.raises(UndecodableMessageError):
        codec.decode_result(record(codec.encode_command(START, NAMES)))


def test_a_record_without_a_value_is_refused() -> None:
    with pytest.raises(UndecodableMessageError, match="no value"):
        codec.decode_request(record(Message("t", "k", None)))


def test_depth_that_could_not_be_written_again_is_refused_when_it_is_read() -> None:
    message = codec.encode_command(RESULT, NAMES)

    deep: Any = {}
    for _ in range(envelope.MAX_DEPTH):
        deep = {"a": deep}

    assert "nested deeper" in refusal(message, outcome={"type": "succeeded", "output": deep}).reason


def test_many_brackets_that_are_not_deep_are_read() -> None:
    wide = replace(RESULT, outcome=Succeeded({"rows": [[] for _ in range(1_000)]}))

    assert codec.decode_result(record(codec.encode_result(wide, NAMES))) == wide


@pytest.mark.parametrize("output", [{"a": "\ud800"}, {"a": 2**64}, {"\udfff": 1}], ids=["text", "integer", "key"])
def test_a_value_that_json_cannot_hold_is_refused_when_it_is_written(output: Any) -> None:
    with pytest.raises(UnencodableMessageError):
        codec.encode_result(replace(RESULT, outcome=Succeeded(output)), NAMES)


def test_the_trace_context_travels_in_its_own_header() -> None:
    traced = codec.encode_command(FireTimer("wfr_1", 1, "t"), NAMES, TRACE)

    assert envelope.traceparent_of(record(traced)) == TRACE
    assert envelope.traceparent_of(record(codec.encode_command(START, NAMES))) is None


def test_what_belongs_to_a_traced_run_carries_its_trace_without_being_told() -> None:
    cause = replace(START.causation, traceparent=TRACE)
    request = InvokeNode(
        "n:1", "wfr_1", "deploy", 3, "ask", "n", 1, "WEBHOOK", {}, True, "fail", 30.0, "at_least_once", cause,
    )  # fmt: skip
    messages = [
        codec.encode_command(replace(START, causation=cause), NAMES),
        codec.encode_request(request, NAMES),
        codec.encode_event(replace(RUN_NOW, causation=cause), RunCompleted(2, 1, "SUCCESS"), NAMES),
    ]

    assert [envelope.traceparent_of(record(message)) for message in messages] == [TRACE] * 3


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (TRACE, TRACE),
        ("01" + TRACE[2:], TRACE),
        ("cc" + TRACE[2:] + "-what-comes-later", TRACE),
        (TRACE + "-more", None),
        ("01" + TRACE[2:] + "more", None),
        ("ff" + TRACE[2:], None),
        (TRACE.upper(), None),
        (TRACE[:-1], None),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", None),
        (f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01", None),
        (TRACE + "\n", None),
        (" " + TRACE, None),
        ("", None),
        (None, None),
    ],
)
def test_a_trace_context_that_is_none_counts_as_none(text: str | None, read: str | None) -> None:
    assert envelope.read_traceparent(text) == read


def test_a_header_of_odd_bytes_is_no_trace_context() -> None:
    message = codec.encode_command(START, NAMES)

    assert envelope.traceparent_of(record(replace(message, headers=(("traceparent", b"\xff\x00"),)))) is None


def test_a_message_that_may_come_again_is_marked_once() -> None:
    message = codec.encode_command(START, NAMES, "00-abc-def-01")

    marked = envelope.mark_redelivered(envelope.mark_redelivered(message))

    assert not envelope.is_redelivered(record(message))
    assert envelope.is_redelivered(record(marked))
    assert len(marked.headers) == len(message.headers) + 1
    assert marked.value == message.value


def test_a_run_event_is_a_cloud_event_in_binary_mode() -> None:
    event = RunCompleted(2, 1_795_338_001_000, "SUCCESS")

    message = codec.encode_event(RUN_NOW, event, NAMES, "00-abc-def-01")

    assert (message.topic, message.key) == ("acme.run.events.v1", "wfr_1")
    assert dict(message.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"wfr_1/2",
        "ce_source": b"/headrace/runs",
        "ce_type": b"io.headrace.run.completed",
        "ce_time": b"2026-11-22T09:00:01.000Z",
        "ce_subject": b"wfr_1",
        "content-type": b"application/json",
        "traceparent": b"00-abc-def-01",
    }
    assert value_of(message) == {
        "v": 1,
        "type": "io.headrace.run.completed",
        "runId": "wfr_1",
        "seq": 2,
        "at": "2026-11-22T09:00:01.000Z",
        "workflow": "deploy",
        "version": 3,
        "result": "SUCCESS",
    }


def test_an_output_that_is_stored_as_it_is_travels_once() -> None:
    output: JsonObject = {"service": "billing"}
    same = NodeCompleted(2, 1, "start", "wfnr_1", "EVENT_TRIGGER", "SUCCESS", output, output)
    equal = replace(same, stored=dict(output))

    assert "stored" not in value_of(codec.encode_event(RUN_NOW, same, NAMES))
    assert value_of(codec.encode_event(RUN_NOW, equal, NAMES))["stored"] == output
    decoded = codec.decode_event(record(codec.encode_event(RUN_NOW, same, NAMES)))
    assert isinstance(decoded, NodeCompleted)
    assert decoded.stored is decoded.output


def test_a_nothing_that_is_stored_is_not_taken_for_the_output() -> None:
    event = NodeCompleted(2, 1, "start", "wfnr_1", "EVENT_TRIGGER", "FAILED", {"a": 1}, None)

    assert codec.decode_event(record(codec.encode_event(RUN_NOW, event, NAMES))) == event


@pytest.mark.parametrize("at", ["2026-11-22T09:00:00.000Z", "2026-11-22T09:00:00Z", "2026-11-22T10:00:00.000+01:00"])
def test_the_time_of_an_event_may_be_written_in_any_zone(at: str) -> None:
    message = codec.encode_event(RUN_NOW, RunCompleted(2, 0, "SUCCESS"), NAMES)
    value = orjson.dumps({**value_of(message), "at": at})

    assert codec.decode_event(record(replace(message, value=value))) == RunCompleted(2, 1_795_338_000_000, "SUCCESS")


@pytest.mark.parametrize(
    "at",
    [
        5,
        "",
        "2026-11-22T09:00:00.000",
        "2026-11-22T09:00:00.١٢٣Z",
        "2026-99-22T09:00:00.000Z",
        "0001-01-01T00:00:00+23:59",
    ],
)
def test_a_time_that_cannot_be_read_is_refused_with_its_place(at: Any) -> None:
    message = codec.encode_event(RUN_NOW, RunCompleted(2, 0, "SUCCESS"), NAMES)
    value = orjson.dumps({**value_of(message), "at": at})

    with pytest.raises(UndecodableMessageError) as refused:
        codec.decode_event(record(replace(message, value=value)))

    assert refused.value.pointer == "/at"


def test_an_event_of_a_node_names_its_node_run() -> None:
    run = fold(RUN_NOW, [])
    assert run is not None
    started = NodeCompleted(2, 1, "ask", "wfnr_9", "WEBHOOK", "SUCCESS", {})
    run = fold(run, [started])
    assert run is not None

    message = codec.encode_event(run, NodeAccepted(3, 1, "ask", {}), NAMES)

    assert value_of(message)["nodeRunId"] == "wfnr_9"
