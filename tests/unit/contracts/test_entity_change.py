"""Entity changes: every way in leads to the same shape, and whatever is no entity change says where and why."""

import copy
from typing import Any

import orjson
import pytest

from headrace.contracts.entity_change import (
    BadEventError,
    EntityChange,
    decode_entity_change,
    encode_entity_change,
    event_id,
    read_entity_change,
)
from headrace.contracts.topics import TopicNames
from headrace.core.json import JsonObject
from headrace.core.run import Causation
from headrace.ports.log import Headers, Record, TopicPartition

NAMES = TopicNames()
TOPIC = NAMES.entity_changes
AT = 1_795_338_000_123
ENTITY: JsonObject = {
    "identifier": "billing",
    "title": "Billing",
    "blueprint": "service",
    "properties": {"tier": "gold"},
    "relations": {"domain": "money"},
}
UPDATE: JsonObject = {
    "action": "UPDATE",
    "resourceType": "entity",
    "status": "SUCCESS",
    "trigger": {"by": {"userId": "u_7"}, "origin": "UI", "at": "2026-11-22T08:59:58.477Z"},
    "context": {"blueprintIdentifier": "service", "entityIdentifier": "billing", "propertyIdentifier": None},
    "diff": {"before": {**ENTITY, "properties": {"tier": "silver"}}, "after": ENTITY},
}
CREATE: JsonObject = {"action": "CREATE", "diff": {"before": None, "after": ENTITY}}
DELETE: JsonObject = {"action": "DELETE", "diff": {"before": ENTITY, "after": None}}
TIMER: JsonObject = {
    "action": "TIMER_EXPIRED",
    "context": {"propertyIdentifier": "ttl"},
    "diff": {"before": None, "after": ENTITY},
}
CLOUD: JsonObject = {"specversion": "1.0", "id": "7", "source": "/catalog", "type": "entity.updated"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER_TRACE = "00-11111111111111111111111111111111-2222222222222222-00"
BINARY: dict[str, str] = {f"ce_{name}": str(value) for name, value in CLOUD.items()}


def record(
    value: bytes | None, headers: dict[str, str] | Headers = (), offset: int = 17, timestamp: int = AT
) -> Record:
    if isinstance(headers, dict):
        headers = tuple((name, text.encode()) for name, text in headers.items())
    return Record(TopicPartition(TOPIC, 3), offset, "key", value, headers, timestamp)


def decode(event: Any, headers: dict[str, str] | Headers = (), offset: int = 17) -> EntityChange:
    return decode_entity_change(record(orjson.dumps(event), headers, offset))


def changed(event: JsonObject, path: str, value: Any) -> JsonObject:
    """A copy of the event with one value replaced; a missing parent is made."""
    event = copy.deepcopy(event)
    *parents, last = path.split("/")
    part: Any = event
    for name in parents:
        part = part.setdefault(name, {})
    part[last] = value
    return event


def refusal(value: Any, headers: dict[str, str] | Headers = ()) -> BadEventError:
    raw = value if isinstance(value, bytes) else orjson.dumps(value)
    with pytest.raises(BadEventError) as refused:
        decode_entity_change(record(raw, headers))
    return refused.value


def test_a_complete_event_is_passed_on_as_it_came() -> None:
    change = decode(UPDATE)

    assert change.event == UPDATE
    assert (change.action, change.blueprint, change.entity, change.property) == ("UPDATE", "service", "billing", None)
    assert change.at == 1_795_337_998_477


def test_an_event_reads_the_same_bare_binary_and_structured() -> None:
    bare = decode(UPDATE)
    binary = decode(UPDATE, {**BINARY, "content-type": "application/json"})
    structured = decode({**CLOUD, "data": UPDATE}, {"content-type": "Application/CloudEvents+JSON; charset=utf-8"})

    assert bare.event == binary.event == structured.event
    assert binary == structured
    assert binary.event_id == event_id("/catalog", "7")
    assert binary.source == "/catalog"


def test_header_names_are_read_in_any_case() -> None:
    assert decode(UPDATE, {name.upper(): text for name, text in BINARY.items()}).event_id == event_id("/catalog", "7")


def test_a_second_delivery_of_a_bare_event_has_the_same_id_and_another_record_has_not() -> None:
    first, again, other = decode(UPDATE, offset=1), decode(UPDATE, offset=1), decode(UPDATE, offset=2)

    assert first.event_id == again.event_id != other.event_id
    assert first.source == TOPIC


def test_a_record_of_a_topic_made_anew_is_another_event() -> None:
    """Offsets begin at 0 again when a topic is deleted and made anew; its events are not those of the old one."""
    value = orjson.dumps(UPDATE)

    old = decode_entity_change(record(value, offset=0, timestamp=AT))
    new = decode_entity_change(record(value, offset=0, timestamp=AT + 1))

    assert old.event_id != new.event_id


@pytest.mark.parametrize(
    ("event", "headers"), [({**UPDATE, "eventId": "e-1"}, {}), (UPDATE, {"event-id": "e-1"})], ids=["field", "header"]
)
def test_a_bare_event_may_bring_its_own_id(event: JsonObject, headers: dict[str, str]) -> None:
    assert decode(event, headers, offset=1).event_id == decode(event, headers, offset=2).event_id
    assert decode(event, headers).event_id == event_id(TOPIC, "e-1")


def test_a_minimal_event_is_completed() -> None:
    change = decode(CREATE)

    assert change.event == {
        "action": "CREATE",
        "diff": {"before": None, "after": ENTITY},
        "context": {"blueprintIdentifier": "service", "entityIdentifier": "billing", "propertyIdentifier": None},
        "resourceType": "entity",
        "status": "SUCCESS",
        "trigger": {"by": {}, "origin": "API", "at": "2026-11-22T09:00:00.123Z"},
    }
    assert change.at == AT


def test_missing_names_of_the_entity_are_taken_from_the_context() -> None:
    event: JsonObject = {
        "action": "UPDATE",
        "context": {"blueprintIdentifier": "service", "entityIdentifier": "billing"},
        "diff": {"before": {"properties": {}}, "after": {"properties": {"tier": "gold"}}},
    }

    diff = decode(event).event["diff"]

    names = {"identifier": "billing", "blueprint": "service"}
    assert diff == {"before": {"properties": {}, **names}, "after": {"properties": {"tier": "gold"}, **names}}


def test_a_deleted_entity_is_found_in_the_diff_before() -> None:
    change = decode(DELETE)

    assert (change.action, change.blueprint, change.entity) == ("DELETE", "service", "billing")


@pytest.mark.parametrize("name", ["TIMER_EXPIRED", "TIMER_PROPERTY_EXPIRED", "TIMER"])
def test_a_timer_has_several_names_and_comes_out_as_one(name: str) -> None:
    change = decode({**TIMER, "action": name})

    assert (change.action, change.event["action"], change.property) == ("TIMER_EXPIRED", "TIMER_EXPIRED", "ttl")


def test_a_timer_may_come_as_the_change_log_of_port_writes_it() -> None:
    event = {"action": "TIMER_EXPIRED", "context": {"blueprint": "service", "entity": "billing", "property": "ttl"}}

    change = decode(event)

    assert (change.blueprint, change.entity, change.property) == ("service", "billing", "ttl")
    assert change.event["diff"] == {"before": None, "after": None}


def test_the_time_is_that_of_the_change_else_of_the_cloud_event_else_of_the_record() -> None:
    timed = {**BINARY, "ce_time": "2026-11-22T10:00:00+01:00"}

    assert decode(UPDATE, timed).at == 1_795_337_998_477
    assert decode(CREATE, timed).at == 1_795_338_000_000
    assert decode(CREATE, BINARY).at == AT


@pytest.mark.parametrize("timestamp", [-1, 1_795_338_000_123_000, 2**63 - 1])
def test_a_time_stamp_that_is_no_time_only_matters_when_there_is_no_other(timestamp: int) -> None:
    """Producers set time stamps as they like: microseconds lie in the year 58862, which no calendar of ours holds."""
    timed, untimed = orjson.dumps(UPDATE), orjson.dumps(CREATE)

    assert decode_entity_change(record(timed, timestamp=timestamp)).at == 1_795_337_998_477
    with pytest.raises(BadEventError, match="is no time in milliseconds"):
        decode_entity_change(record(untimed, timestamp=timestamp))


def test_unknown_fields_are_passed_on() -> None:
    event = changed(changed(UPDATE, "mine", [1]), "diff/after/scorecards", {"x": 1})

    assert decode(event).event == event


def test_the_object_that_is_read_is_not_touched() -> None:
    before = copy.deepcopy(CREATE)

    read_entity_change(CREATE, "evt_1", "/x", AT)

    assert before == CREATE


@pytest.mark.parametrize(
    ("event", "pointer", "reason"),
    [
        ([], "", "must be a JSON object"),
        ({}, "/action", "must be one of"),
        ({**UPDATE, "action": "update"}, "/action", "must be one of"),
        ({**UPDATE, "action": ["UPDATE"]}, "/action", "must be one of"),
        ({**UPDATE, "diff": []}, "/diff", "must be an object"),
        ({**UPDATE, "context": "service"}, "/context", "must be an object"),
        (changed(UPDATE, "diff/before", None), "/diff/before", "must be the entity, since the action is UPDATE"),
        (changed(UPDATE, "diff/after", None), "/diff/after", "must be the entity, since the action is UPDATE"),
        (changed(UPDATE, "diff/after", "billing"), "/diff/after", "must be the entity"),
        (changed(CREATE, "diff/before", ENTITY), "/diff/before", "must be null or missing, since the action is CREATE"),
        (changed(DELETE, "diff/after", ENTITY), "/diff/after", "must be null or missing, since the action is DELETE"),
        (changed(TIMER, "diff/before", ENTITY), "/diff/before", "must be null or missing"),
        (changed(TIMER, "diff/after", 1), "/diff/after", "must be the entity"),
        (changed(TIMER, "context/propertyIdentifier", None), "/context/propertyIdentifier", "must name the property"),
        (changed(UPDATE, "context/blueprintIdentifier", "team"), "/context/blueprintIdentifier", "is 'team', but"),
        (changed(UPDATE, "context/entityIdentifier", "pay"), "/context/entityIdentifier", "is 'pay', but"),
        (changed(UPDATE, "context/entityIdentifier", ""), "/context/entityIdentifier", "1 to 1000 characters"),
        (changed(UPDATE, "context/entityIdentifier", "x" * 1001), "/context/entityIdentifier", "1 to 1000 characters"),
        (changed(CREATE, "diff/after/identifier", 7), "/diff/after/identifier", "must be a string"),
        (changed(CREATE, "diff/after/identifier", None), "/context/entityIdentifier", "is missing, and so is"),
        (changed(UPDATE, "diff/after/properties", []), "/diff/after/properties", "must be an object"),
        (changed(UPDATE, "diff/before/relations", "x"), "/diff/before/relations", "must be an object"),
        (changed(UPDATE, "resourceType", "blueprint"), "/resourceType", "must be entity"),
        (changed(UPDATE, "status", 200), "/status", "must be a string"),
        (changed(UPDATE, "trigger", "UI"), "/trigger", "must be an object"),
        (changed(UPDATE, "trigger/by", "me"), "/trigger/by", "must be an object"),
        (changed(UPDATE, "trigger/origin", 1), "/trigger/origin", "must be a string"),
        (changed(UPDATE, "trigger/at", "yesterday"), "/trigger/at", "ISO 8601"),
        (changed(UPDATE, "trigger/at", "2026-11-22T08:59:58.477"), "/trigger/at", "with a time zone"),
        (changed(UPDATE, "trigger/at", 1_795_338_000), "/trigger/at", "ISO 8601"),
        (changed(UPDATE, "trigger/at", "0001-01-01T00:00:00+23:59"), "/trigger/at", "ISO 8601"),
        (changed(UPDATE, "trigger/at", "9999-12-31T23:59:59-23:59"), "/trigger/at", "ISO 8601"),
        ({**UPDATE, "eventId": 7}, "/eventId", "must be a string"),
    ],
)
def test_what_is_no_entity_change_says_where_and_why(event: Any, pointer: str, reason: str) -> None:
    refused = refusal(event)

    assert refused.pointer == pointer
    assert reason in refused.reason


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b'{"action":"CREATE","diff":{"after":{"identifier":"a","blueprint":"b"}},}',
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        orjson.dumps(changed(UPDATE, "diff/after/properties", {"big": "x" * 2**21})),
        orjson.dumps(changed(UPDATE, "diff/after/title", "a\0b")),
        orjson.dumps(changed(UPDATE, "diff/after/title", "TITLE")).replace(b"TITLE", b"\\ud800"),
        orjson.dumps(changed(UPDATE, "diff/after/title", "TITLE")).replace(b"TITLE", b"\xed\xa0\x80"),
        orjson.dumps(changed(UPDATE, "diff/after/properties", {"n": 2**53 + 1})),
        orjson.dumps(changed(UPDATE, "diff/after/properties", {"n": 0})).replace(b'"n":0', b'"n":1' + b"0" * 400),
        orjson.dumps(UPDATE).replace(b'"UPDATE"', b"NaN"),
        b"\xff\xfe" + orjson.dumps(UPDATE),
    ],
    ids=[
        "empty", "cut", "trailing comma", "deep arrays", "deep objects", "2 MiB", "NUL", "lone surrogate",
        "surrogate in UTF-8", "beyond 2^53", "400 digits", "NaN", "byte order mark",
    ],
)  # fmt: skip
def test_bytes_that_are_not_our_kind_of_json_are_refused(value: bytes) -> None:
    assert refusal(value).pointer == ""


def test_a_record_without_a_value_is_refused() -> None:
    with pytest.raises(BadEventError, match="no value"):
        decode_entity_change(record(None, BINARY))


@pytest.mark.parametrize(
    ("headers", "place"),
    [
        ((("ce_id", b"\xff"),), "header ce_id"),
        ((("ce_id", b"a\0"),), "header ce_id"),
        ({"ce_id": "7"}, "ce_specversion"),
        ({**BINARY, "ce_source": ""}, "ce_source"),
        ({**BINARY, "ce_specversion": "0.3"}, "ce_specversion"),
        ({**BINARY, "content-type": "application/avro"}, "content-type"),
        ({**BINARY, "ce_time": "now"}, "header ce_time"),
        ({**BINARY, "ce_causationdepth": "-1"}, "header ce_causationdepth"),
        ({**BINARY, "ce_causationdepth": "9999"}, "header ce_causationdepth"),
        ({**BINARY, "ce_causationroot": "e"}, "header ce_causationdepth"),
        ({**BINARY, "ce_causationdepth": "1", "ce_causationchain": "a,b"}, "header ce_causationchain"),
    ],
)
def test_headers_that_cannot_be_read_are_named(headers: dict[str, str] | Headers, place: str) -> None:
    assert refusal(UPDATE, headers).pointer == place


def test_a_mistake_in_a_structured_event_is_found_below_its_data() -> None:
    wrong = {**CLOUD, "data": changed(UPDATE, "trigger/at", "yesterday")}

    assert refusal(wrong, {"content-type": "application/cloudevents+json"}).pointer == "/data/trigger/at"


def test_an_event_from_outside_is_its_own_root() -> None:
    change = decode(UPDATE)

    assert change.causation == Causation(change.event_id, change.event_id, 0, ())


def test_our_own_event_comes_back_with_the_causation_one_deeper() -> None:
    cause = Causation("evt_cause", "evt_root", 2, ("first", "second"))

    message = encode_entity_change(CREATE, "up-1", "/headrace/catalog", AT, NAMES, cause, "third", "00-trace")

    change = decode_entity_change(record(message.value, message.headers))
    assert change == read_entity_change(
        CREATE,
        event_id("/headrace/catalog", "up-1"),
        "/headrace/catalog",
        AT,
        Causation(event_id("/headrace/catalog", "up-1"), "evt_root", 3, ("first", "second", "third")),
    )
    assert (message.topic, message.key) == (TOPIC, "service/billing")
    headers = dict(message.headers)
    assert headers["ce_type"] == b"io.headrace.entity.created"
    assert headers["ce_subject"] == b"service/billing"
    assert headers["traceparent"] == b"00-trace"


def test_causation_survives_structured_mode() -> None:
    extensions = {"causationroot": "evt_root", "causationdepth": 3, "causationchain": '["first"]'}

    change = decode({**CLOUD, **extensions, "data": UPDATE}, {"content-type": "application/cloudevents+json"})

    assert change.causation == Causation(change.event_id, "evt_root", 3, ("first",))


STRUCTURED = {"content-type": "application/cloudevents+json"}


@pytest.mark.parametrize(
    ("event", "headers"),
    [
        (UPDATE, {"traceparent": TRACE}),
        (UPDATE, {**BINARY, "traceparent": TRACE}),
        (UPDATE, {**BINARY, "ce_traceparent": TRACE}),
        (UPDATE, {**BINARY, "ce_traceparent": TRACE, "traceparent": "nonsense"}),
        (UPDATE, {**BINARY, "ce_traceparent": OTHER_TRACE, "traceparent": TRACE}),
        (UPDATE, {**BINARY, "ce_causationdepth": "3", "traceparent": TRACE}),
        ({**CLOUD, "traceparent": TRACE, "data": UPDATE}, STRUCTURED),
        ({**CLOUD, "traceparent": OTHER_TRACE, "data": UPDATE}, {**STRUCTURED, "traceparent": TRACE}),
    ],
)
def test_the_trace_of_an_event_is_that_of_its_record_else_of_the_cloud_event(
    event: JsonObject, headers: dict[str, str]
) -> None:
    assert decode(event, headers).causation.traceparent == TRACE


@pytest.mark.parametrize(
    ("event", "headers"),
    [
        (UPDATE, {}),
        (UPDATE, {"traceparent": "00-1-2-3"}),
        (UPDATE, (("traceparent", b"\xff\x00"),)),
        (UPDATE, {**BINARY, "ce_traceparent": TRACE.upper()}),
        (UPDATE, (("ce_traceparent", b"\xff\x00"),)),
        ({**CLOUD, "traceparent": TRACE + "-", "data": UPDATE}, STRUCTURED),
        ({**CLOUD, "traceparent": {"id": 1.5}, "data": UPDATE}, STRUCTURED),
    ],
)
def test_a_trace_that_is_malformed_is_ignored_like_one_that_is_missing(
    event: JsonObject, headers: dict[str, str] | Headers
) -> None:
    assert decode(event, headers).causation.traceparent is None


def test_an_event_that_a_run_made_belongs_to_the_trace_of_the_run() -> None:
    cause = Causation("evt_cause", "evt_root", traceparent=TRACE)

    message = encode_entity_change(CREATE, "up-1", "/headrace/catalog", AT, NAMES, cause, "third")

    assert decode_entity_change(record(message.value, message.headers)).causation.traceparent == TRACE


def test_what_is_no_entity_change_is_not_published_either() -> None:
    with pytest.raises(BadEventError):
        encode_entity_change({"action": "CREATE"}, "1", "/x", AT, NAMES)
