"""Redirects: returned as they are, unless the operator lets them be followed."""

import asyncio
from collections.abc import Callable

import pytest

from headrace.adapters.http.policy import EgressPolicy
from headrace.ports.caller import SigningSecrets
from tests.unit.adapters.egress_servers import (
    LOOPBACK,
    FakeResolver,
    Received,
    answering,
    calling,
    fail,
    receiving,
    request,
    respond,
    response,
)

FOLLOWING = EgressPolicy(allowed_networks=LOOPBACK, max_redirects=3)
NAME = "receiver.example.test"
HEADERS = {
    "Authorization": "Bearer canary",
    "Cookie": "session=canary",
    "X-Api-Key": "canary",
    "Content-Type": "application/json",
    "Accept": "application/json",
}


def sending_on(location: str, status: int = 307) -> Callable[[Received], bytes]:
    """Redirect requests for /start, answer all others."""

    def answer(received: Received) -> bytes:
        if received.line.split()[1].startswith("/start"):
            return response(status, b"" if received.line.startswith("HEAD") else b"moved", {"Location": location})
        return response(200, b"" if received.line.startswith("HEAD") else b"arrived")

    return answer


async def test_a_redirect_is_not_followed_by_default() -> None:
    async with receiving(answering(sending_on("/end"))) as receiver, calling() as caller:
        answered = await respond(caller, request(receiver.url("/start")))

    assert (answered.status, answered.body, answered.headers["location"]) == (307, b"moved", "/end")
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("status", "method", "then", "body"),
    [
        (301, "POST", "GET", b""),
        (302, "POST", "GET", b""),
        (302, "PUT", "PUT", b"{}"),
        (303, "POST", "GET", b""),
        (303, "PUT", "GET", b""),
        (303, "HEAD", "HEAD", b"{}"),
        (307, "POST", "POST", b"{}"),
        (308, "DELETE", "DELETE", b"{}"),
    ],
)
async def test_a_redirect_within_the_origin_keeps_headers_and_is_signed_again(
    status: int, method: str, then: str, body: bytes
) -> None:
    secrets = SigningSecrets(("s",))
    async with (
        receiving(answering(sending_on("/end?x=1", status))) as receiver,
        calling(FOLLOWING, secrets=secrets) as caller,
    ):
        answered = await respond(caller, request(receiver.url("/start"), method, headers=HEADERS))

    assert answered.status == 200
    last = receiver.requests[-1]
    assert (last.line, last.body) == (f"{then} /end?x=1 HTTP/1.1", body)
    assert last.values("authorization") == ["Bearer canary"]
    assert last.values("webhook-id") == ["wfnr_0123456789abcdef"]
    assert len(last.values("webhook-signature")) == 1
    assert (last.values("content-type") != []) is (then == method)


async def test_a_redirect_to_another_origin_carries_no_credentials_and_no_signature() -> None:
    async with (
        receiving(answering(response(200, b"arrived"))) as other,
        receiving(answering(sending_on(other.url("/end")))) as receiver,
        calling(FOLLOWING, secrets=SigningSecrets(("s",))) as caller,
    ):
        answered = await respond(caller, request(receiver.url("/start"), headers=HEADERS))

    assert answered.body == b"arrived"
    names = {name.lower() for name, _ in other.requests[0].headers}
    assert names == {"host", "accept", "accept-encoding", "content-type", "content-length", "user-agent"}
    assert "canary" not in str(other.requests[0].headers)


@pytest.mark.parametrize(
    ("location", "kind", "told"),
    [
        ("http://169.254.169.254/latest/meta-data", "refused", "link-local"),
        ("http://[::ffff:169.254.169.254]/", "refused", "link-local"),
        ("http://2852039166/", "refused", "unusual spelling"),
        ("http://inside.example.test/", "refused", "10.0.0.1, which is a private address"),
        ("http://8.8.8.8:6379/", "refused", "port 6379"),
        ("ftp://h/", "invalid", "must begin with http"),
        ("javascript:alert(1)", "invalid", "must begin with http"),
        ("http://user:canary@h/", "invalid", "user name or password"),
        ("http://[::1", "redirect", "no URL"),
        ("http://h:99999/", "redirect", "no URL"),
    ],
)
async def test_every_hop_is_checked_like_the_first(location: str, kind: str, told: str) -> None:
    resolver = FakeResolver({"inside.example.test": [("10.0.0.1",)]})
    async with (
        receiving(answering(sending_on(location))) as receiver,
        calling(FOLLOWING, resolver=resolver) as caller,
    ):
        failure = await fail(caller, request(receiver.url("/start")))

    assert (failure.kind, failure.sent) == (kind, True)
    assert told in failure.message
    assert "canary" not in failure.message


async def test_a_redirect_that_leaves_the_hosts_of_the_call_is_refused() -> None:
    resolver = FakeResolver({NAME: [("127.0.0.1",)]})
    async with (
        receiving(answering(response())) as other,
        receiving(answering(sending_on(other.url()))) as receiver,
        calling(FOLLOWING, resolver=resolver) as caller,
    ):
        failure = await fail(caller, request(receiver.url("/start", host=NAME), only_hosts=(NAME,)))

    assert (failure.kind, failure.sent, other.connections) == ("refused", True, 0)


async def test_an_endless_redirect_is_given_up() -> None:
    async with receiving(answering(sending_on("/start"))) as receiver, calling(FOLLOWING) as caller:
        failure = await fail(caller, request(receiver.url("/start")))

    assert (failure.kind, failure.sent, len(receiver.requests)) == ("redirect", True, 4)


async def test_a_redirect_without_a_location_is_a_response() -> None:
    async with receiving(answering(response(302))) as receiver, calling(FOLLOWING) as caller:
        assert (await respond(caller, request(receiver.url()))).status == 302


async def test_one_deadline_holds_for_all_hops() -> None:
    async with receiving(answering(sending_on("http://slow.example.test/"))) as receiver:

        class Silent(FakeResolver):
            async def resolve(self, host: str) -> tuple[str, ...]:
                never: asyncio.Future[tuple[str, ...]] = asyncio.get_running_loop().create_future()
                return await never

        async with calling(FOLLOWING, resolver=Silent()) as caller:
            failure = await fail(caller, request(receiver.url("/start"), timeout_seconds=0.1))

    assert (failure.kind, failure.sent) == ("timeout", True)  # the first hop was sent
