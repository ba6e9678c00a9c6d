"""The demo's receiver and its verdict: right when all is right, and wrong when one thing is."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from headrace.adapters.http.signature import sign
from headrace.ports.caller import SigningSecrets
from headrace_cli import demo_checks, events_file, examples
from headrace_cli.demo_checks import Outcome
from headrace_cli.demo_receiver import Desk, Received, Receiver, is_signed

NOW = 1_790_000_000
SECRET = "a secret of the demo"
EVENTS = events_file.read(str(examples.events("service-changes")))


def signed(body: bytes, identifier: str = "wfnr_1", at: int = NOW) -> dict[str, str]:
    """Headers as the engine's own signer makes them; the receiver's check is written independently of it."""
    return {name.lower(): value for name, value in sign(identifier, at, body, SigningSecrets((SECRET,))).items()}


# The receiver


def test_the_receiver_s_own_check_agrees_with_the_engine_s_signer() -> None:
    assert is_signed(signed(b"{}"), b"{}", SECRET, NOW)
    assert not is_signed(signed(b"{}"), b"{ }", SECRET, NOW)
    assert not is_signed(signed(b"{}"), b"{}", "another secret", NOW)
    assert not is_signed(signed(b"{}") | {"webhook-id": "other"}, b"{}", SECRET, NOW)
    assert not is_signed(signed(b"{}", at=NOW - 301), b"{}", SECRET, NOW)
    assert not is_signed({}, b"{}", SECRET, NOW)


def test_a_secret_in_base64_and_several_signatures_are_understood() -> None:
    secret = "whsec_" + base64.b64encode(b"key").decode()
    good = base64.b64encode(hmac.digest(b"key", f"i.{NOW}.{{}}".encode(), hashlib.sha256)).decode()
    headers = {"webhook-id": "i", "webhook-timestamp": str(NOW), "webhook-signature": f"v1,AAAA v1,{good}"}

    assert is_signed(headers, b"{}", secret, NOW)


async def test_the_receiver_speaks_http_over_connections_that_stay_open() -> None:
    receiver = Receiver(Desk(SECRET, lambda: NOW))
    await receiver.start()
    url = f"http://127.0.0.1:{receiver.port}"
    async with httpx.AsyncClient() as client:
        opened = await client.post(f"{url}/changes", content=b"{}", headers=signed(b"{}"))
        busy = await client.put(f"{url}/limits/billing", json={"requestsPerSecond": 5})
        taken = await client.put(f"{url}/limits/billing", json={"requestsPerSecond": 5})
        nothing = await client.get(f"{url}/nowhere?a=b")
    await receiver.stop()

    assert (opened.status_code, opened.json()["ticketId"]) == (201, "CHG-1001")
    assert (busy.status_code, taken.status_code) == (503, 200)
    assert taken.json() == {"service": "billing", "requestsPerSecond": 5}
    assert nothing.status_code == 404
    assert [(each.path, each.signed) for each in receiver.desk.received] == [
        ("/changes", True), ("/limits/billing", False), ("/limits/billing", False), ("/nowhere", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "nonsense", [b"hello\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"\x00" * 70_000]
)
async def test_nonsense_ends_the_connection_and_nothing_else(nonsense: bytes) -> None:
    receiver = Receiver(Desk(SECRET, lambda: NOW))
    await receiver.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    writer.write(nonsense)
    writer.write_eof()

    assert await reader.read() == b""

    writer.close()
    await receiver.stop()
    assert receiver.desk.received == []


# The verdict


def perfect() -> list[Received]:
    """What the receiver gets when the example workflow runs as it should."""
    desk = Desk(SECRET, lambda: NOW)

    def call(method: str, path: str, body: dict[str, Any], identifier: str) -> None:
        raw = json.dumps(body).encode()
        desk.handle(method, path, signed(raw, identifier), raw)

    opened = {
        "summary": "Promote billing to gold", "service": "billing", "from": "silver", "to": "gold",
        "requestedBy": "u_amira",
    }  # fmt: skip
    call("POST", "/changes", opened, "wfnr_1")
    call("PUT", "/limits/billing", {"requestsPerSecond": 5000, "ticket": "CHG-1001"}, "wfnr_2")
    call("POST", "/channels/payments/messages", {"text": "billing becomes gold: CHG-1001"}, "wfnr_3")
    call("POST", "/notes", {"text": "recommendations is gold but experimental: limits unchanged"}, "wfnr_5")
    call("PUT", "/limits/billing", {"requestsPerSecond": 5000, "ticket": "CHG-1001"}, "wfnr_2")
    closed = {"status": "done", "requestsPerSecond": 5000, "announcedIn": "MSG-1"}
    call("PATCH", "/changes/CHG-1001", closed, "wfnr_4")
    return desk.received


def failing(received: list[Received]) -> list[str]:
    checks = demo_checks.receiver_checks(received, promoted=EVENTS[0], noted=EVENTS[1])
    assert all(check.detail for check in checks), "every check can say what it found"
    return [check.claim for check in checks if not check.holds]


def test_a_perfect_record_passes_every_check() -> None:
    assert failing(perfect()) == []


def without(index: int) -> Callable[[list[Received]], list[Received]]:
    return lambda record: record[:index] + record[index + 1 :]


def changed(index: int, **fields: Any) -> Callable[[list[Received]], list[Received]]:
    return lambda record: [
        *record[:index], dataclasses.replace(record[index], **fields), *record[index + 1 :]
    ]  # fmt: skip


def twice(index: int) -> Callable[[list[Received]], list[Received]]:
    return lambda record: [*record, dataclasses.replace(record[index])]


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda record: [], "one change was opened"),
        (without(0), "one change was opened"),
        (twice(0), "one change was opened"),
        (changed(0, body={}), "one change was opened"),
        (without(1), "flaky gateway"),
        (changed(1, status=200), "flaky gateway"),
        (changed(4, headers={"webhook-id": "wfnr_other"}), "flaky gateway"),
        (changed(4, raw=b"other"), "flaky gateway"),
        (twice(4), "flaky gateway"),
        (without(2), "the team was told"),
        (changed(2, body={"text": "billing becomes gold: null"}), "the team was told"),
        (changed(5, body={"status": "done", "requestsPerSecond": 5000, "announcedIn": None}), "closed once"),
        (lambda record: [*record[:4], record[5], record[4]], "after both branches"),
        (without(3), "only written down"),
        (changed(3, path="/elsewhere"), "nothing else was called"),
        (changed(3, headers={"webhook-id": "wfnr_1"}), "nothing else was called"),
        (changed(3, signed=False), "signatures"),
    ],
)  # fmt: skip
def test_each_thing_that_can_be_wrong_is_noticed(damage: Callable[[list[Received]], list[Received]], what: str) -> None:
    assert any(what in claim for claim in failing(damage(perfect())))


def test_outcomes_are_judged_run_by_run() -> None:
    good = [Outcome("a", ("SUCCESS",)), Outcome("b", ())]
    assert demo_checks.outcome_checks(good, fired=1)[0].holds

    for bad in (Outcome("a", ("FAILED",)), Outcome("a", ()), Outcome("a", ("SUCCESS", "SUCCESS"))):
        (check,) = demo_checks.outcome_checks([bad, good[1]], fired=1)
        assert not check.holds
        assert check.detail.startswith("a: ")
    assert not demo_checks.outcome_checks([good[0], Outcome("b", ("SUCCESS",))], fired=1)[0].holds


# The examples


def test_the_events_differ_in_the_ways_that_explain_can_tell_apart() -> None:
    subjects = {event["context"]["entityIdentifier"]: event for event in EVENTS}

    assert len(subjects) == len(EVENTS) == 7
    assert {event["action"] for event in EVENTS} == {"CREATE", "UPDATE", "DELETE"}
    assert {event["context"]["blueprintIdentifier"] for event in EVENTS} == {"service", "cluster"}
    assert all(900 < len(json.dumps(event)) < 2_000 for event in EVENTS)


def test_the_receiver_s_port_is_exchanged_everywhere() -> None:
    text = examples.with_receiver(examples.workflow("tier-change").read_text(encoding="utf-8"), 4711)

    assert "127.0.0.1:8099" not in text
    assert text.count("http://127.0.0.1:4711/") == 5
