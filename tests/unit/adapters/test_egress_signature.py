"""Signatures of webhooks, against values computed here from the specifications alone."""

import base64
import hashlib
import hmac

import pytest

from headrace.adapters.http.signature import sign, verify
from headrace.ports.caller import SigningSecrets, SigningSecretsError
from tests.unit.adapters.egress_servers import NOW, answering, calling, receiving, request, respond, response

WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'


def expected(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def test_the_published_example_of_standard_webhooks_comes_out() -> None:
    headers = sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, BODY, SigningSecrets((WHSEC,)))

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-id"] == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert headers["webhook-timestamp"] == "1614265330"


@pytest.mark.parametrize(
    ("secret", "standard_key"),
    [
        (WHSEC, base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")),
        ("a plain secret: ü", "a plain secret: ü".encode()),
    ],
)
@pytest.mark.parametrize("body", [b"", b"{}", b"\x00\xff", b"x" * 100_000])
def test_both_schemes_sign_the_exact_bytes(secret: str, standard_key: bytes, body: bytes) -> None:
    headers = sign("wfnr_1", 1_700_000_000, body, SigningSecrets((secret,)))

    assert headers["webhook-signature"] == expected(standard_key, b"wfnr_1.1700000000." + body)
    assert headers["X-Port-Signature"] == expected(secret.encode(), b"1700000000." + body)
    assert headers["X-Port-Timestamp"] == "1700000000"


@pytest.mark.parametrize("length", [1, 31, 32, 63, 64, 65, 200])
def test_keys_of_any_length_sign_as_hmac_does(length: int) -> None:
    key = bytes(range(length))
    secret = "whsec_" + base64.b64encode(key).decode()

    headers = sign("wfnr_1", 1_700_000_000, BODY, SigningSecrets((secret,)))

    assert headers["webhook-signature"] == expected(key, b"wfnr_1.1700000000." + BODY)
    assert headers["X-Port-Signature"] == expected(secret.encode(), b"1700000000." + BODY)


def test_while_a_secret_is_replaced_both_sign_and_ports_header_carries_the_newest() -> None:
    headers = sign("wfnr_1", 1_700_000_000, BODY, SigningSecrets(("new", "old")))

    signed = b"wfnr_1.1700000000." + BODY
    assert headers["webhook-signature"] == f"{expected(b'new', signed)} {expected(b'old', signed)}"
    assert headers["X-Port-Signature"] == expected(b"new", b"1700000000." + BODY)
    assert verify(headers, BODY, "old", NOW)
    assert verify(headers, BODY, "new", NOW)


@pytest.mark.parametrize("scheme", ["webhook-", "X-Port-"])
@pytest.mark.parametrize("secret", [WHSEC, "plain"])
def test_a_signed_message_verifies_and_any_change_of_it_does_not(scheme: str, secret: str) -> None:
    signed = sign("wfnr_1", int(NOW), BODY, SigningSecrets((secret,)))
    headers = {name.upper(): value for name, value in signed.items() if name.startswith(scheme)}
    stamp, signature = f"{scheme}timestamp".upper(), f"{scheme}signature".upper()

    assert verify(headers, BODY, secret, NOW)
    assert verify(headers, BODY, secret, NOW + 300)
    assert verify(headers, BODY, secret, NOW - 300)
    assert verify(headers | {signature: f"v1a,xyz v0, {headers[signature]}"}, BODY, secret, NOW)
    assert not verify(headers, BODY, secret, NOW + 301)
    assert not verify(headers, BODY, secret, NOW - 301)
    assert not verify(headers, BODY + b" ", secret, NOW)
    assert not verify(headers, BODY, "another", NOW)
    assert not verify(headers, BODY, "", NOW)
    assert not verify(headers | {stamp: str(int(NOW) + 1)}, BODY, secret, NOW)
    for broken in ("", "v1,", "v1", "v1,ü", "v2," + headers[signature][3:], headers[signature][:-1]):
        assert not verify(headers | {signature: broken}, BODY, secret, NOW)
    for broken in ("", "now", "-1", "1e9", "１７００００００００", "9" * 400):
        assert not verify(headers | {stamp: broken}, BODY, secret, NOW)
    for missing in headers:
        if missing != "WEBHOOK-ID":
            assert not verify({name: value for name, value in headers.items() if name != missing}, BODY, secret, NOW)


def test_an_id_cannot_be_exchanged_nor_the_weaker_scheme_chosen_by_leaving_a_header_out() -> None:
    headers = sign("wfnr_1", int(NOW), BODY, SigningSecrets(("plain",)))

    assert not verify(headers | {"webhook-id": "wfnr_2"}, BODY, "plain", NOW)
    assert not verify({n: v for n, v in headers.items() if n != "webhook-id"}, BODY, "plain", NOW)
    assert not verify({n: v for n, v in headers.items() if n != "webhook-signature"}, BODY, "plain", NOW)


def test_a_broken_secret_verifies_nothing() -> None:
    assert not verify(sign("a", int(NOW), BODY, SigningSecrets(("x",))), BODY, "whsec_***", NOW)


@pytest.mark.parametrize("values", [(), ("",), ("a", "b", "c"), ("whsec_",), ("whsec_not base64",), ("a", "")])
def test_secrets_that_cannot_sign_are_refused(values: tuple[str, ...]) -> None:
    with pytest.raises(SigningSecretsError):
        SigningSecrets(values)


def test_secrets_do_not_show() -> None:
    call = request(
        "http://h/", headers={"Authorization": "canary-a"}, body=b"canary-b", signing=SigningSecrets(("canary-c",))
    )

    assert "canary" not in repr(call)


async def test_every_attempt_is_signed_afresh_over_what_is_sent_and_keeps_its_id() -> None:
    times = iter([NOW, NOW + 60.9])
    async with (
        receiving(answering(response())) as receiver,
        calling(secrets=SigningSecrets(("engine",)), now=lambda: next(times)) as caller,
    ):
        await respond(caller, request(receiver.url(), body=BODY))
        await respond(caller, request(receiver.url(), body=BODY, signing=SigningSecrets((WHSEC,))))

    first, second = receiver.requests
    assert verify(dict(first.headers), first.body, "engine", NOW)
    assert verify(dict(second.headers), second.body, WHSEC, NOW + 60)
    assert [each.values("webhook-timestamp") for each in receiver.requests] == [["1700000000"], ["1700000060"]]
    assert first.values("webhook-id") == second.values("webhook-id") == ["wfnr_0123456789abcdef"]


async def test_signature_headers_of_a_workflow_are_replaced_or_left_out() -> None:
    forged = {
        "X-PORT-Signature": "v1,forged",
        "x-port-timestamp": "1",
        "Webhook-Signature": "v1,forged",
        "webhook-id": "x",
    }
    async with receiving(answering(response())) as receiver, calling() as caller:
        await respond(caller, request(receiver.url(), headers=forged))
        await respond(caller, request(receiver.url(), headers=forged, signing=SigningSecrets(("s",))))

    unsigned, signed = receiver.requests
    assert unsigned.values("webhook-id") == ["wfnr_0123456789abcdef"]
    assert (
        not unsigned.values("webhook-signature")
        + unsigned.values("x-port-signature")
        + unsigned.values("x-port-timestamp")
    )
    assert [len(signed.values(name)) for name in forged] == [1, 1, 1, 1]
    assert "forged" not in str(signed.headers)


async def test_a_call_without_a_body_signs_the_empty_body() -> None:
    async with receiving(answering(response())) as receiver, calling(secrets=SigningSecrets(("s",))) as caller:
        await respond(caller, request(receiver.url(), "GET", body=None))

    assert verify(dict(receiver.requests[0].headers), b"", "s", NOW)
