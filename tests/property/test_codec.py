"""The wire: what is written can be read, fits its schema, and whatever else comes is refused and never a crash."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.contracts import _fast, _reading, codec, documents, messages
from headrace.contracts._wire import Wire
from headrace.contracts.codec import UndecodableMessageError
from headrace.contracts.entity_change import BadEventError, decode_entity_change, encode_entity_change
from headrace.contracts.topics import TopicNames
from headrace.core.commands import Accepted, Command, Failed, InvokeNode, ReportAttempt, StartRun
from headrace.core.events import Event, apply, fold
from headrace.core.json import JsonObject
from headrace.core.run import Run
from headrace.ports.log import Headers, Message, Record
from tests.contract import strategies
from tests.contract.strategies import raw, record

NAMES = TopicNames()
VALIDATORS = {
    kind: jsonschema_rs.validator_for(message.model.model_json_schema())
    for message in messages.MESSAGES
    if "type" in message.model.model_fields
    for kind in message.model.model_fields["type"].annotation.__args__  # type: ignore[union-attr]
}
DECODERS: list[Callable[[Record], object]] = [
    codec.decode_command,
    codec.decode_result,
    codec.decode_request,
    codec.decode_event,
]


def exact(value: object) -> str:
    """Equality of Python takes True for 1; this does not."""
    return repr(value)


def check_schema(message: Message) -> None:
    assert message.value is not None
    value = orjson.loads(message.value)
    VALIDATORS[value["type"]].validate(value)


@given(strategies.commands, strategies.traceparents)
def test_a_command_comes_back_exactly_and_fits_its_schema(command: Command, traceparent: str | None) -> None:
    message = codec.encode_command(command, NAMES, traceparent)

    assert exact(codec.decode_command(record(message))) == exact(command)
    assert message.key == command.run_id
    check_schema(message)


@given(strategies.requests)
def test_a_request_comes_back_exactly_and_fits_its_schema(request: InvokeNode) -> None:
    message = codec.encode_request(request, NAMES)

    assert exact(codec.decode_request(record(message))) == exact(request)
    check_schema(message)


@given(strategies.attempts)
def test_a_result_comes_back_exactly(report: ReportAttempt) -> None:
    message = codec.encode_result(report, NAMES)

    assert exact(codec.decode_result(record(message))) == exact(report)


@given(strategies.histories())
def test_folding_decoded_events_gives_the_run_to_the_last_byte(history: list[Event]) -> None:
    run = fold(None, history)
    assert run is not None

    published = [codec.encode_event(run, event, NAMES) for event in history]
    decoded = [codec.decode_event(record(message)) for message in published]

    assert exact(decoded) == exact(history)
    again = fold(None, decoded)
    assert again == run
    assert documents.encode_run(again) == documents.encode_run(run)
    for message in published:
        check_schema(message)


@given(strategies.histories())
def test_every_state_of_a_run_comes_back_from_its_document_exactly(history: list[Event]) -> None:
    run: Run | None = None
    for event in history:
        run = apply(run, event)

        document = documents.encode_run(run)

        again = documents.decode_run(document)
        assert exact(again) == exact(run)
        assert documents.encode_run(again) == document


@given(st.lists(strategies.messages, max_size=4))
def test_an_outbox_comes_back_exactly(outbox: list[Message]) -> None:
    assert documents.unpack(documents.pack(outbox)) == tuple(outbox)


def mutations(value: Any) -> st.SearchStrategy[Any]:
    """The value with one thing in it replaced, removed or added."""
    return st.tuples(st.randoms(use_true_random=False), strategies.json_values).map(
        lambda drawn: _mutated(copy.deepcopy(value), *drawn)
    )


def _mutated(value: Any, random: Any, other: Any) -> Any:
    spots: list[tuple[Any, Any]] = []
    open_ = [value]
    while open_:
        container = open_.pop()
        keys = list(container) if isinstance(container, dict) else list(range(len(container)))
        spots.extend((container, key) for key in keys)
        open_.extend(container[key] for key in keys if isinstance(container[key], dict | list))
    if not spots:
        return other
    container, key = random.choice(spots)
    if random.random() < 0.3:
        del container[key]
    else:
        container[key] = other
    return value


mutated_commands = strategies.commands.map(
    lambda command: json.loads(codec.encode_command(command, NAMES).value or b"")
).flatmap(mutations)
mutated_requests = strategies.requests.map(
    lambda request: json.loads(codec.encode_request(request, NAMES).value or b"")
).flatmap(mutations)


@st.composite
def mutated_events(draw: st.DrawFn) -> Any:
    history = draw(strategies.histories())
    run = fold(None, history)
    assert run is not None
    return draw(mutations(json.loads(codec.encode_event(run, draw(st.sampled_from(history)), NAMES).value or b"")))


@settings(max_examples=300)
@given(mutated_commands | mutated_requests | mutated_events())
def test_a_mutated_message_is_read_or_refused_and_never_a_crash(value: Any) -> None:
    for decode in DECODERS:
        try:
            decode(raw(orjson.dumps(value)))
        except UndecodableMessageError:
            continue


@settings(max_examples=300)
@given(mutated_commands | mutated_requests)
def test_the_fast_readers_accept_nothing_that_the_models_refuse_and_read_the_same(value: Any) -> None:
    if not isinstance(value, dict):
        return
    readers: list[tuple[Callable[[Any], Any], Callable[[Any], Any], type[Wire]]] = [
        (_fast.read_start, _reading.read_start, messages.StartRunMessage),
        (_fast.read_result, _reading.read_result, messages.AttemptResultMessage),
        (_fast.read_request, _reading.read_request, messages.InvokeNodeMessage),
    ]
    for fast, slow, model in readers:
        usual = fast(value)
        if usual is not None and value.get("v") == 1 and value.get("type") in _type_names(model):
            assert exact(slow(value)) == exact(usual)


def _type_names(model: type[Wire]) -> tuple[str, ...]:
    names: tuple[str, ...] = model.model_fields["type"].annotation.__args__  # type: ignore[union-attr]
    return names


@given(st.binary(max_size=200) | strategies.json_values.map(orjson.dumps))
@example(b"[" * 10_000 + b"]" * 10_000)
@example(b'{"v":1,"type":"startRun","output":' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}")
@example(b'{"v":1,"type":{}}')
@example(b'{"v":true,"type":"cancelRun"}')
@example(b"\xff\xfe{}")
@example(b'{"v":1,"type":"cancelRun","runId":"\\ud800"}')
@example(b'{"v":1e400}')
def test_random_bytes_are_refused_by_every_decoder(value: bytes) -> None:
    for decode in DECODERS:
        with pytest.raises(UndecodableMessageError):
            decode(raw(value))


@given(st.binary(max_size=200) | strategies.json_values.map(orjson.dumps))
def test_random_bytes_are_no_document(value: bytes) -> None:
    with pytest.raises(documents.UndecodableDocumentError):
        documents.decode_run(value)
    if value:
        with pytest.raises(documents.UndecodableDocumentError):
            documents.unpack(value)


ENTITY: JsonObject = {"identifier": "billing", "blueprint": "service", "properties": {"tier": "gold"}, "relations": {}}
EVENT: JsonObject = {
    "action": "UPDATE",
    "resourceType": "entity",
    "status": "SUCCESS",
    "trigger": {"by": {"userId": "u_7"}, "origin": "UI", "at": "2026-11-22T08:59:58.477Z"},
    "context": {"blueprintIdentifier": "service", "entityIdentifier": "billing", "propertyIdentifier": None},
    "diff": {"before": ENTITY, "after": ENTITY},
}
STRUCTURED: JsonObject = {
    "specversion": "1.0",
    "id": "1",
    "source": "/x",
    "type": "t",
    "time": "2026-11-22T09:00:00Z",
    "data": EVENT,
}
STRUCTURED_HEADERS = (("content-type", b"application/cloudevents+json"),)
BINARY_HEADERS = encode_entity_change(EVENT, "1", "/x", 0, NAMES).headers

header_mutations: st.SearchStrategy[Headers] = st.lists(
    st.tuples(
        st.sampled_from([name for name, _ in BINARY_HEADERS] + ["event-id", "ce_causationdepth", "ce_causationchain"]),
        st.binary(max_size=12) | st.just(b"1"),
    ),
    max_size=4,
).map(lambda extra: tuple({**dict(BINARY_HEADERS), **dict(extra)}.items()))


@settings(max_examples=400)
@given(
    st.tuples(mutations(EVENT), st.just(()) | st.just(BINARY_HEADERS) | header_mutations)
    | st.tuples(mutations(STRUCTURED), st.just(STRUCTURED_HEADERS))
)
def test_a_mutated_entity_change_is_read_or_refused_and_never_a_crash(mutated: tuple[Any, Headers]) -> None:
    value, headers = mutated
    try:
        change = decode_entity_change(raw(orjson.dumps(value), headers))
    except BadEventError:
        pass
    else:
        assert change.event["action"] == change.action
        assert change.event["context"]["entityIdentifier"] == change.entity  # type: ignore[index,call-overload]


@given(st.binary(max_size=200) | strategies.json_values.map(orjson.dumps), st.just(()) | header_mutations)
def test_random_bytes_are_no_entity_change(value: bytes, headers: Headers) -> None:
    with pytest.raises(BadEventError):
        decode_entity_change(raw(value, headers))


@given(strategies.plain_starts, strategies.attempts, strategies.requests)
def test_what_we_write_ourselves_takes_the_fast_readers(
    start: StartRun, report: ReportAttempt, request: InvokeNode
) -> None:
    def value(message: Message) -> Any:
        return orjson.loads(message.value or b"")

    assert _fast.read_start(value(codec.encode_command(start, NAMES))) == start
    webhook = replace(request, poll=0, poll_state=None, origin=None)
    assert _fast.read_request(value(codec.encode_request(webhook, NAMES))) == webhook
    report = replace(report, poll=0)
    if isinstance(report.outcome, Accepted):
        report = replace(report, outcome=Accepted(report.outcome.output))
    if not isinstance(report.outcome, Failed):
        assert _fast.read_result(value(codec.encode_result(report, NAMES))) == report
