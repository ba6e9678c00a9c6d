"""Records that nobody can understand, straight to the log: each a dead letter with its reason, and life goes on."""

from collections.abc import Sequence
from typing import Any

import orjson

from headrace.contracts.codec import encode_command, encode_request
from headrace.contracts.topics import TopicNames
from headrace.core import ids
from headrace.core.commands import InvokeNode, ReportAttempt, StartRun, Succeeded
from headrace.core.json import JsonObject
from headrace.core.run import Causation
from headrace.ports.log import Headers, Record
from tests.e2e.house import House, change, line, on_change, outputs, webhook

TOPICS = TopicNames()
CE: Headers = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"1"),
    ("ce_source", b"urn:x"),
    ("ce_type", b"t"),
    ("content-type", b"application/json"),
)
STRUCTURED: Headers = (("content-type", b"application/cloudevents+json"),)
GOOD = orjson.dumps(change())


def _without(headers: Headers, name: str) -> Headers:
    return tuple(header for header in headers if header[0] != name)


def _with(headers: Headers, name: str, value: bytes) -> Headers:
    return (*_without(headers, name), (name, value))


def _event(**changes: Any) -> bytes:
    return orjson.dumps({**change(), **changes})


def _cloud(**changes: Any) -> bytes:
    event = {"specversion": "1.0", "id": "1", "source": "urn:x", "type": "t", "data": change(), **changes}
    return orjson.dumps({name: value for name, value in event.items() if value is not None})


MALFORMED: list[tuple[bytes | None, Headers]] = [
    (None, ()),
    (b"", ()),
    (b" ", ()),
    (b"{", ()),
    (b'{"action": "UPDATE",}', ()),
    (b"\xff\xfe\x00", ()),
    (b"\xef\xbb\xbf" + GOOD, ()),
    (b"null", ()),
    (b"[]", ()),
    (b'"text"', ()),
    (b"1e999", ()),
    (b"NaN", ()),
    (GOOD + GOOD, ()),
    (b'{"pad": "' + b"x" * (2 << 20) + b'"}', ()),
    (b"x" * (2 << 20), ()),
    (b"[" * 10_000 + b"]" * 10_000, ()),
    (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, ()),
    (_event(deep=orjson.loads(b"[" * 100 + b"]" * 100)), ()),
    (_event(text="a\0b"), ()),
    (_event(**{"a\0b": 1}), ()),
    (GOOD[:-1] + b',"x":"\\ud800"}', ()),
    (GOOD[:-1] + b',"x":9007199254740993}', ()),
    (GOOD[:-1] + b',"x":123456789012345678901234567890}', ()),
    (_event(many=list(range(60_000))), ()),
    (_event(**{"k" * 300: 1}), ()),
    (_event(action="EXPLODE"), ()),
    (_event(action=["UPDATE"]), ()),
    (_event(diff=7), ()),
    (_event(diff={"before": None, "after": None}), ()),
    (_event(context=[]), ()),
    (_event(context={"blueprintIdentifier": 7}), ()),
    (_event(context={"blueprintIdentifier": "team", "entityIdentifier": "billing"}), ()),
    (_event(trigger={"at": "yesterday"}), ()),
    (_event(trigger="UI"), ()),
    (_event(eventId=7), ()),
    (_event(eventId=""), ()),
    (GOOD, _without(CE, "ce_source")),
    (GOOD, _without(CE, "ce_specversion")),
    (GOOD, _with(CE, "ce_specversion", b"0.3")),
    (GOOD, _with(CE, "ce_id", b"\xff")),
    (GOOD, _with(CE, "ce_time", b"noon")),
    (GOOD, _with(CE, "content-type", b"text/plain")),
    (GOOD, (*CE, ("ce_causationdepth", b"-1"))),
    (GOOD, (*CE, ("ce_causationdepth", b"99999"))),
    (GOOD, (*CE, ("ce_causationdepth", b"1"), ("ce_causationchain", b"{"))),
    (b"{}", CE),
    (b"", CE),
    (GOOD, STRUCTURED),
    (_cloud(id=None), STRUCTURED),
    (_cloud(data="text"), STRUCTURED),
    (_cloud(data=None), STRUCTURED),
    (_cloud(source=7), STRUCTURED),
    (_cloud(datacontenttype="text/xml"), STRUCTURED),
    (_cloud(), (("content-type", b"application/cloudevents+avro"),)),
    (b"[" + _cloud() + b"]", STRUCTURED),
]


def _shown(records: Sequence[Record]) -> list[tuple[bytes | None, Headers]]:
    """Values and own headers of dead letters, in an order of their own."""
    own = [
        (record.value, tuple(header for header in record.headers if not header[0].startswith("dl-")))
        for record in records
    ]
    return sorted(own, key=repr)


def _assert_reasons(letters: Sequence[Record], topic: str, group: str) -> None:
    for letter in letters:
        reason = {name: value.decode() for name, value in letter.headers if name.startswith("dl-")}
        assert (reason["dl-topic"], reason["dl-group"]) == (topic, group)
        assert int(reason["dl-offset"]) >= 0
        assert int(reason["dl-partition"]) in range(4)
        assert reason["dl-error"]
        assert len(reason["dl-message"]) > 5, reason


async def test_every_malformed_event_becomes_a_dead_letter_untouched_and_the_next_good_one_starts_its_run(
    house: House,
) -> None:
    await house.save(line("sturdy", on_change(), webhook("call", house.receiver.url)))

    for value, headers in MALFORMED:
        await house.publish(value, headers, key="service/billing")
    await house.publish(GOOD, (*CE, ("x-own", b"\xff\x00")), key="service/billing")
    await house.publish(_cloud(id="2"), STRUCTURED, key="service/billing")
    await house.publish(GOOD, key="service/billing")
    letters = await house.dead_letters(house.topics.entity_changes, len(MALFORMED))
    await house.settled("headrace-trigger")

    assert _shown(letters) == sorted(MALFORMED, key=repr)
    assert {letter.key for letter in letters} == {"service/billing"}
    _assert_reasons(letters, house.topics.entity_changes, "headrace-trigger")
    runs = await house.runs("sturdy")
    assert len(runs) == 3
    for run in runs:
        assert (await house.finished(run["identifier"]))["result"] == "SUCCESS"
    entries = (await house.call("GET", "/v1/ledger"))["entries"]
    assert len(entries) == 3


CAUSE = Causation("evt_1", "evt_1")
BEGIN = 1_795_338_000_000


def _changed(message: bytes | None, **changes: Any) -> bytes:
    assert message is not None
    return orjson.dumps({**orjson.loads(message), **changes})


def _poison(good: bytes) -> list[bytes | None]:
    """What is no command, request or result."""
    return [
        None, b"", b"{", b"[]", b"\xff", b"[" * 10_000, b"x" * (2 << 20), b'{"v": 1}', b"{}", b'{"v": 1, "type": []}',
        _changed(good, v=2), _changed(good, v="1"), _changed(good, v=True), _changed(good, type="explode"),
        _changed(good, runId=7), _changed(good, runId=None), _changed(good, at="now"), _changed(good, at=1.5),
        _changed(good, at=None), good[:-1], good[:-1] + b',"x":"\\ud800"}',
        good[:-1] + b',"x":' + b"[" * 300 + b"]" * 300 + b"}",
    ]  # fmt: skip


async def test_malformed_commands_become_dead_letters_and_the_next_good_one_starts_its_run(house: House) -> None:
    await house.save(line("sturdy", on_change(), webhook("call", house.receiver.url)))
    start = StartRun(ids.run_id("sturdy", "changed", "1"), BEGIN, "sturdy", 1, "changed", {}, "tester", CAUSE)
    good = encode_command(start, TOPICS)
    assert good.value is not None
    poison = [
        *_poison(good.value),
        _changed(good.value, output=[]),
        _changed(good.value, version="1"),
        _changed(good.value, causation={"depth": "x"}),
        _changed(good.value, type="reportNode", nodeRunId=7),
        # well-formed, but nothing that can be done
        _changed(good.value, runId="wfr_1", version=99),
        _changed(good.value, runId="wfr_2", workflow="unknown"),
        _changed(good.value, runId="wfr_3", at=10**17),
        _changed(good.value, at=-(10**17)),
    ]

    for value in poison:
        await house.publish(value, topic=house.topics.run_commands, key=good.key)
    await house.publish(good.value, topic=house.topics.run_commands, key=good.key)
    letters = await house.dead_letters(house.topics.run_commands, len(poison))

    assert _shown(letters) == sorted(((value, ()) for value in poison), key=repr)
    _assert_reasons(letters, house.topics.run_commands, "headrace-orchestrator")
    assert (await house.finished(start.run_id))["result"] == "SUCCESS"
    assert len(house.receiver.calls) == 1


async def test_malformed_requests_become_dead_letters_and_the_next_good_one_is_called(house: House) -> None:
    config: JsonObject = {"type": "WEBHOOK", "url": f"{house.receiver.url}/direct"}
    node_run_id = ids.node_run_id("wfr_unknown", "direct")
    request = InvokeNode(
        ids.attempt_id(node_run_id, 1), "wfr_unknown", "sturdy", 1, "direct", node_run_id, 1, "WEBHOOK", config, True,
        "fail", None, "at_least_once", CAUSE,
    )  # fmt: skip
    good = encode_request(request, TOPICS)
    assert good.value is not None
    poison = [
        *(value for value in _poison(good.value) if value is None or b'"at"' not in value),
        _changed(good.value, attempt="1"),
        _changed(good.value, delivery="twice"),
        _changed(good.value, timeoutSeconds="1"),
    ]

    for value in poison:
        await house.publish(value, topic=house.topics.node_requests, key=good.key)
    await house.publish(good.value, topic=house.topics.node_requests, key=good.key)
    letters = await house.dead_letters(house.topics.node_requests, len(poison))
    await house.receiver.called("/direct")
    await house.settled("headrace-invoker")
    await house.settled("headrace-orchestrator")

    assert _shown(letters) == sorted(((value, ()) for value in poison), key=repr)
    _assert_reasons(letters, house.topics.node_requests, "headrace-invoker")
    assert len(house.receiver.calls) == 1
    assert await house.records(TOPICS.dead_letters(house.topics.node_results)) == []


async def test_odd_requests_are_answered_with_a_failure_instead_of_ending_the_invoker(house: House) -> None:
    node_run_id = ids.node_run_id("wfr_unknown", "direct")
    request = InvokeNode(
        ids.attempt_id(node_run_id, 1), "wfr_unknown", "sturdy", 1, "direct", node_run_id, 1, "WEBHOOK", None, True,
        "fail", None, "at_least_once", CAUSE,
    )  # fmt: skip
    good = encode_request(request, TOPICS).value
    url = f"{house.receiver.url}/direct"
    odd: list[dict[str, Any]] = [
        {"config": None}, {"config": []}, {"config": {}}, {"config": {"url": 7}}, {"config": {"url": url, "method": 7}},
        {"config": {"url": url, "headers": []}}, {"config": {"url": url}, "timeoutSeconds": -5},
        {"config": {"url": url}, "nodeRunId": "a.b\n"}, {"config": {"url": url}, "runId": "line\nbreak"},
        {"config": {"url": url}, "nodeType": "EXPLODE"},
        {"config": {"url": url + "\u0000"}}, {"config": {"url": "http://" + "a" * 70_000}},
    ]  # fmt: skip

    for number, changes in enumerate(odd):
        value = _changed(good, id=f"odd-{number}", **changes)
        await house.publish(value, topic=house.topics.node_requests)
    await house.save(line("sturdy", on_change(), webhook("call", house.receiver.url)))
    run = await house.only_run(await house.send())
    await house.settled("headrace-invoker")

    results = [orjson.loads(record.value or b"") for record in await house.records(house.topics.node_results)]
    failed = [result["outcome"] for result in results if result["outcome"]["type"] == "failed"]
    assert len(failed) == len(odd)
    assert all("could not perform" not in outcome["message"] for outcome in failed)
    assert run["result"] == "SUCCESS"
    assert house.receiver.at("/direct") == []


async def test_malformed_results_become_dead_letters_and_the_good_one_completes_the_run(house: House) -> None:
    await house.save(line("sturdy", on_change(), webhook("job", house.receiver.url, synchronized=False)))
    run_id = (await house.started_by(await house.send()))[0]
    await house.receiver.called("/job")
    node_run_id = ids.node_run_id(run_id, "job")
    report = ReportAttempt(run_id, BEGIN, "job", node_run_id, 1, Succeeded({"done": True}))
    good = encode_command(report, TOPICS)
    assert good.value is not None
    poison = [
        *_poison(good.value),
        _changed(good.value, outcome={"type": "failed", "kind": "boredom", "message": "x"}),
        _changed(good.value, outcome={"type": "succeeded", "output": 7}),
        _changed(good.value, outcome=None),
        _changed(good.value, logs=[{"at": 1, "level": "LOUD", "message": "x"}]),
        _changed(good.value, attempt=1.5),
    ]
    harmless = [
        _changed(good.value, attempt=7),
        _changed(good.value, attempt=-1),
        _changed(good.value, nodeRunId="wfnr_unknown"),
        _changed(good.value, node="unknown"),
        _changed(good.value, runId="wfr_unknown"),
        good.value,  # the call was accepted before: a second answer counts for nothing
    ]
    await house.settled("headrace-orchestrator")

    for value in (*poison, *harmless):
        await house.publish(value, topic=house.topics.node_results, key=good.key)
    letters = await house.dead_letters(house.topics.node_results, len(poison))
    await house.settled("headrace-orchestrator")
    assert (await house.run(run_id))["status"] == "IN_PROGRESS"
    done = {"status": "COMPLETED", "result": "SUCCESS", "output": {"reported": True}}
    await house.call("PATCH", f"/v1/workflows/nodes/runs/{node_run_id}", done)
    run = await house.finished(run_id)

    assert _shown(letters) == sorted(((value, ()) for value in poison), key=repr)
    _assert_reasons(letters, house.topics.node_results, "headrace-orchestrator")
    assert (run["result"], outputs(run)["job"]["reported"]) == ("SUCCESS", True)


async def test_a_thousand_poisonous_records_do_not_keep_a_good_one_waiting(house: House) -> None:
    await house.save(line("sturdy", on_change(), webhook("call", house.receiver.url)))
    for number in range(1_000):
        await house.publish(b"{", key=f"{number}")

    run = await house.only_run(await house.send())

    assert run["result"] == "SUCCESS"
    await house.dead_letters(house.topics.entity_changes, 1_000)
