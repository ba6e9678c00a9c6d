"""What leaves: URLs, methods and headers that are sent, and those that are not."""

from collections.abc import Mapping

import pytest

from headrace.adapters.http.policy import EgressPolicy
from tests.unit.adapters.egress_servers import (
    LOOPBACK,
    FakeResolver,
    answering,
    calling,
    fail,
    receiving,
    request,
    respond,
    response,
)


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("", "must begin with http"),
        ("ftp://h/", "must begin with http"),
        ("file:///etc/passwd", "must begin with http"),
        ("gopher://h/", "must begin with http"),
        ("//h/x", "must begin with http"),
        ("/x", "must begin with http"),
        (" http://h/", "must begin with http"),
        ("http:h", "must begin with http"),
        ("http://", "cannot be read"),
        ("http:///x", "cannot be read"),
        ("http://user:canary@h/", "user name or password"),
        ("http://@h/", "user name or password"),
        ("http://canary@127.0.0.1@h/", "user name or password"),
        ("http://h\\@evil/", "cannot be read"),
        ("http://h\\.evil/", "cannot be read"),
        ("http://h/\r\nX-A: canary", "line break"),
        ("http://h/?a=\ncanary", "line break"),
        ("http://h/\x00", "control character"),
        ("http://h\t/", "control character"),
        ("http://a b/", "cannot be read"),
        ("http://h:99999/", "cannot be read"),
        ("http://h:0/", "missing"),
        ("http://h:+80/", "cannot be read"),
        ("http://h:８0/", "cannot be read"),
        ("http://h:8_0/", "cannot be read"),
        ("http://h:80:80/", "cannot be read"),
        ("http://[::1/", "cannot be read"),
        ("http://[::1]x/", "cannot be read"),
        ("http://[fe80::1%25eth0]/", "cannot be read"),
        ("http://[fe80::1%eth0]/", "cannot be read"),
        ("http://[v1.x]/", "cannot be read"),
        ("http://[::ffff:127.1]/", "not an IPv6 address"),
        ("http://127%2e0.0.1/", "not a host name"),
        ("http://%31/", "not a host name"),
        ("http://a..b/", "not a host name"),
        ("http://h../", "not a host name"),
        ("http://-h/", "not a host name"),
        ("http://a,b/", "not a host name"),
        ("http://" + "a" * 64 + "/", "not a host name"),
        ("http://" + "a." * 127 + "a/", "not a host name"),
        ("http://a\u00adb.test/", "cannot be read"),
    ],
)
async def test_a_url_that_could_be_read_in_two_ways_is_invalid(url: str, hint: str) -> None:
    resolver = FakeResolver()

    async with calling(resolver=resolver) as caller:
        failure = await fail(caller, request(url))

    assert (failure.kind, failure.sent, resolver.asked) == ("invalid", False, [])
    assert hint in failure.message
    assert "canary" not in failure.message


async def test_a_url_of_absurd_length_is_too_large() -> None:
    async with calling() as caller:
        failure = await fail(caller, request("http://h/" + "a" * 9000))

    assert (failure.kind, failure.sent) == ("too-large", False)


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/a/b?x=1&y=%26#fragment", "/a/b?x=1&y=%26"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a b/ü?q=ö", "/a%20b/%C3%BC?q=%C3%B6"),
        ("/%0d%0aX:1", "/%0D%0AX:1"),
        ("", "/"),
        ("?x", "/?x"),
        ("/a/../b", "/b"),
    ],
)
async def test_a_path_is_sent_encoded_and_without_its_fragment(path: str, sent: str) -> None:
    async with receiving(answering(response())) as receiver, calling() as caller:
        await respond(caller, request(receiver.url(path)))

    assert receiver.requests[0].line == f"POST {sent} HTTP/1.1"


@pytest.mark.parametrize(
    ("headers", "hint"),
    [
        ({"X-A": "a\r\nHost: canary"}, "line break"),
        ({"X-A": "a\ncanary"}, "line break"),
        ({"X-A": "a\rcanary"}, "line break"),
        ({"X-A": "a\x00"}, "NUL"),
        ({"X-A": "a\x0b"}, "U+000B"),
        ({"X-A": "a\x7f"}, "U+007F"),
        ({"X-A": "caf\u00e9 canary"}, "ASCII"),
        ({"X-A": "\U0001f600"}, "ASCII"),
        ({"X-A": "\ud800"}, "ASCII"),
        ({"X-A\r\nX-B": "b"}, "not a header name"),
        ({"X A": "b"}, "not a header name"),
        ({"X-A:": "b"}, "not a header name"),
        ({"": "b"}, "not a header name"),
        ({"X" * 257: "b"}, "not a header name"),
        ({"X-\u00dc": "b"}, "not a header name"),
        ({"host": "evil"}, "remove it"),
        ({"Connection": "close, X-Api-Key"}, "remove it"),
        ({"Keep-Alive": "1"}, "remove it"),
        ({"TRANSFER-ENCODING": "chunked"}, "remove it"),
        ({"Content-Length": "5"}, "remove it"),
        ({"Upgrade": "h2c"}, "remove it"),
        ({"HTTP2-Settings": "x"}, "remove it"),
        ({"TE": "trailers"}, "remove it"),
        ({"Trailer": "X"}, "remove it"),
        ({"Expect": "100-continue"}, "remove it"),
        ({"Proxy-Authorization": "canary"}, "remove it"),
        ({"proxy-connection": "close"}, "remove it"),
    ],
)
async def test_a_header_that_frames_or_injects_is_invalid(headers: Mapping[str, str], hint: str) -> None:
    async with receiving(answering(response())) as receiver, calling() as caller:
        failure = await fail(caller, request(receiver.url(), headers=headers))

    assert (failure.kind, failure.sent, receiver.connections) == ("invalid", False, 0)
    assert hint in failure.message
    assert "canary" not in failure.message


async def test_headers_of_a_workflow_arrive_once_and_ours_are_added() -> None:
    given = {
        "x-custom": "a b\tc",
        "ACCEPT": "text/plain",
        "user-agent": "mine",
        "Accept-Encoding": "br",
        "Cookie": "a=b",
    }
    async with receiving(answering(response())) as receiver, calling() as caller:
        await respond(caller, request(receiver.url(), headers=given, body=b"hello"))

    received = receiver.requests[0]
    assert received.body == b"hello"
    assert received.values("x-custom") == ["a b\tc"]
    assert received.values("accept") == ["text/plain"]
    assert received.values("user-agent") == ["mine"]
    assert received.values("accept-encoding") == ["gzip, deflate"]
    assert received.values("cookie") == ["a=b"]
    assert received.values("content-length") == ["5"]
    assert received.values("webhook-id") == ["wfnr_0123456789abcdef"]
    assert len(received.headers) == len({name.lower() for name, _ in received.headers})


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("body", [None, b"", b'{"a":1}'])
async def test_a_method_is_sent_with_and_without_a_body(method: str, body: bytes | None) -> None:
    async with receiving(answering(response(204))) as receiver, calling() as caller:
        answered = await respond(caller, request(receiver.url(), method, headers={}, body=body))

    received = receiver.requests[0]
    assert (answered.status, answered.body, received.body) == (204, b"", body or b"")
    assert received.line.startswith(method)
    assert received.values("content-type") == ([] if not body else ["application/octet-stream"])


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "post", "GET\r\nX: y", "", "BREW"])
async def test_a_method_we_do_not_know_is_invalid(method: str) -> None:
    async with calling() as caller:
        failure = await fail(caller, request("http://127.0.0.1/", method))

    assert (failure.kind, failure.sent) == ("invalid", False)


@pytest.mark.parametrize("webhook_id", ["", "a.b", "a b", "ü", "a\n", "x" * 257])
async def test_a_webhook_id_that_cannot_be_signed_without_doubt_is_invalid(webhook_id: str) -> None:
    async with calling() as caller:
        failure = await fail(caller, request("http://127.0.0.1/", webhook_id=webhook_id))

    assert (failure.kind, failure.sent) == ("invalid", False)


@pytest.mark.parametrize("timeout_seconds", [0.0, -1.0, float("nan")])
async def test_a_call_without_time_is_invalid(timeout_seconds: float) -> None:
    async with calling() as caller:
        failure = await fail(caller, request("http://127.0.0.1/", timeout_seconds=timeout_seconds))

    assert (failure.kind, failure.sent) == ("invalid", False)


async def test_a_body_of_the_largest_size_is_sent_and_one_byte_more_is_not() -> None:
    policy = EgressPolicy(allowed_networks=LOOPBACK)
    async with receiving(answering(response())) as receiver, calling(policy) as caller:
        await respond(caller, request(receiver.url(), body=b"x" * policy.max_request_bytes))
        failure = await fail(caller, request(receiver.url(), body=b"x" * (policy.max_request_bytes + 1)))

    assert (failure.kind, failure.sent) == ("too-large", False)
    assert [len(each.body) for each in receiver.requests] == [policy.max_request_bytes]


async def test_headers_of_absurd_size_are_too_large() -> None:
    async with calling() as caller:
        failure = await fail(caller, request("http://127.0.0.1/", headers={"X-A": "a" * 40_000}))

    assert (failure.kind, failure.sent) == ("too-large", False)


async def test_cookies_are_not_kept_and_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NETRC", "/nonexistent")
    async with (
        receiving(answering(response(headers={"Set-Cookie": "session=canary"}))) as receiver,
        calling() as caller,
    ):
        await respond(caller, request(receiver.url()))
        await respond(caller, request(receiver.url()))

    assert receiver.requests[1].values("cookie") == []
