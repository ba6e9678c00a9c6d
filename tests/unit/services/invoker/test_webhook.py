"""What a rendered WEBHOOK config and an answer mean, whatever is in them."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.codec import decode_result, encode_result
from headrace.contracts.topics import TopicNames
from headrace.core.commands import Accepted, Failed, InvokeNode, ReportAttempt, Succeeded
from headrace.core.json import JsonObject
from headrace.core.run import Causation
from headrace.ports.caller import CallFailure, CallOutcome, CallRequest, CallResponse
from headrace_invoker.webhook import WebhookPerformer, build_call, read_body, read_outcome, retry_after
from tests.conformance.samples import ManualClock
from tests.unit.services.parts import record

NOW = 1_750_000_000_000


def request(**changes: Any) -> InvokeNode:
    config: JsonObject = {"type": "WEBHOOK", "url": "https://example.com/x"}
    made = InvokeNode(
        "wfnr_1:1", "wfr_1", "flow", 1, "call", "wfnr_1", 1, "WEBHOOK", config, True, "fail", None, "at_least_once",
        Causation("e", "e"),
    )  # fmt: skip
    return replace(made, **changes)


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("traceparent", "given", "sent"),
    [
        (None, {}, {}),
        (TRACE, {}, {"traceparent": TRACE}),
        (TRACE, {"Traceparent": "mine"}, {"Traceparent": "mine"}),
    ],
)
def test_a_call_carries_the_trace_of_its_run_unless_the_workflow_sets_another(
    traceparent: str | None, given: JsonObject, sent: dict[str, str]
) -> None:
    config: JsonObject = {"type": "WEBHOOK", "url": "https://example.com/x", "headers": given}
    call = build_call(request(config=config, causation=Causation("e", "e", traceparent=traceparent)))

    assert {name: value for name, value in call.headers.items() if name.lower() == "traceparent"} == sent


def response(status: int = 200, body: bytes = b"{}", headers: dict[str, str] | None = None) -> CallResponse:
    return CallResponse(status, headers or {}, body, False, 0.1)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None), ("", None), ("0", 0.0), ("7", 7.0), (" 120 ", 120.0), ("9" * 30, 999_999_999.0), ("-1", None),
        ("1.5", None), ("\u00b2", None), ("\u0663", None), ("soon", None), ("Sun, 15 Jun 2025 15:06:50 GMT", 10.0),
        ("Sun, 15 Jun 2025 15:06:30 GMT", 0.0), ("Sun, 15 Jun 99999 15:06:30 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_in_both_forms_and_nothing_else(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


@given(st.text(max_size=40) | st.from_regex(r"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{1,6} \d\d:\d\d:\d\d [+-]\d{1,6}"))
def test_no_retry_after_is_too_odd_to_be_read(header: str) -> None:
    seconds = retry_after(header, NOW)
    assert seconds is None or seconds >= 0


@given(st.binary(max_size=60) | st.integers(0, 700).map(lambda depth: b'{"a":' * depth + b"1" + b"}" * depth))
def test_whatever_a_receiver_answers_can_be_reported(body: bytes) -> None:
    output = read_outcome(request(), response(body=body), NOW)
    assert isinstance(output, Succeeded)
    report = ReportAttempt("wfr_1", NOW, "call", "wfnr_1", 1, output)
    assert decode_result(record(encode_result(report, TopicNames()))) == report


def test_json_is_read_up_to_the_depth_that_events_may_have_and_is_text_beyond_it() -> None:
    assert read_body(b"[" * 64 + b"]" * 64) == orjson.loads(b"[" * 64 + b"]" * 64)
    assert read_body(b"[" * 65 + b"]" * 65) == "[" * 65 + "]" * 65


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        (400, False), (404, False), (408, True), (425, True), (429, True), (500, True), (501, False), (502, True),
        (503, True), (504, True), (301, False),
    ],
)  # fmt: skip
def test_a_status_says_whether_another_attempt_can_help(status: int, retryable: bool) -> None:
    outcome = read_outcome(request(), response(status, b"why", {"retry-after": "3"}), NOW)
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.retryable, outcome.retry_after_seconds) == ("status", retryable, 3.0)
    assert outcome.output == {"response": {"status": status, "data": "why"}}
    assert outcome.message == f"The receiver answered {status}: why"


def test_an_asynchronous_node_is_accepted_by_any_success() -> None:
    assert read_outcome(request(synchronized=False), response(204, b""), NOW) == Accepted(
        {"response": {"status": 204, "data": {}}}
    )


@pytest.mark.parametrize(
    ("sent", "delivery", "kind"),
    [
        (True, "at_most_once", "unknown-outcome"),
        (False, "at_most_once", "connection"),
        (True, "at_least_once", "connection"),
    ],
)
def test_a_lost_connection_is_an_unknown_outcome_only_where_it_may_have_been_sent_and_must_not_be_twice(
    sent: bool, delivery: Any, kind: str
) -> None:
    outcome = read_outcome(request(delivery=delivery), CallFailure("reset", "It broke.", sent, 0.1), NOW)
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.retryable) == (kind, kind == "connection")


class OneAnswer:
    """A caller that always gives the same outcome."""

    def __init__(self, outcome: CallOutcome) -> None:
        self.outcome = outcome

    async def call(self, _: CallRequest) -> CallOutcome:
        return self.outcome

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@example.com/x?token=secret#secret", "POST https://example.com/x answered 200 in 100 ms"),
        ("http://[::1/secret", "POST an invalid URL answered 200 in 100 ms"),
        ("http://exa\u2100mple.com/secret", "POST an invalid URL answered 200 in 100 ms"),
    ],
)
async def test_the_log_line_shows_where_the_call_went_without_secrets(url: str, shown: str) -> None:
    performer = WebhookPerformer(OneAnswer(response()), ManualClock())
    performance = await performer.perform(request(config={"url": url}))
    assert [line.message for line in performance.logs] == [shown]


@pytest.mark.parametrize(
    ("limit", "synchronized", "seconds"),
    [(None, True, 30.0), (5, True, 5), (1_000, True, 300.0), (5, False, 5), (86_400, False, 30.0), (None, False, 30.0)],
)
def test_the_time_limit_of_the_call_has_bounds_of_its_own(
    limit: float | None, synchronized: bool, seconds: float
) -> None:
    call = build_call(request(timeout_seconds=limit, synchronized=synchronized))
    assert call.timeout_seconds == seconds


def test_a_get_sends_no_body_and_no_content_type() -> None:
    call = build_call(request(config={"url": "https://example.com", "method": "get", "body": {"a": 1}}))
    assert (call.method, call.body, "Content-Type" in call.headers) == ("GET", None, False)


def test_the_ids_of_run_and_node_run_cannot_be_overwritten_by_the_author() -> None:
    given_headers = {"X-Port-Workflow-Run-Id": "forged", "content-type": "text/plain", "X-N": 7, "X-None": None}
    call = build_call(request(config={"url": "https://example.com", "headers": given_headers, "body": []}))
    assert call.headers == {
        "content-type": "text/plain", "X-N": "7", "X-Port-Workflow-Run-Id": "wfr_1", "X-Port-Node-Run-Id": "wfnr_1",
    }  # fmt: skip
