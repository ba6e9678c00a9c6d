"""What comes back: answers, good and broken, and how each failure is told apart."""

import asyncio
import gzip
import json
import socket
import time
import zlib
from collections.abc import Callable

import pytest
import uvloop

from headrace.adapters.http import transport
from headrace.adapters.http.caller import HttpCaller
from headrace.adapters.http.deadline import Deadline
from headrace.adapters.http.headers import write_head
from headrace.adapters.http.policy import EgressPolicy
from headrace.adapters.http.resolver import ResolveError, SystemResolver
from headrace.ports.caller import Caller
from tests.unit.adapters.egress_servers import (
    LOOPBACK,
    FakeResolver,
    Handler,
    Received,
    Receiver,
    answering,
    calling,
    fail,
    read_request,
    receiving,
    request,
    respond,
    response,
)

NAME = "receiver.example.test"


ADAPTER: type[Caller] = HttpCaller
"""For the type checker: the adapter keeps the port's promise."""


@pytest.mark.parametrize("status", [200, 201, 301, 302, 307, 400, 401, 404, 409, 410, 429, 500, 503, 599])
async def test_any_status_is_a_response(status: int) -> None:
    answer = response(status, b'{"ok": 1}', {"Content-Type": "application/json", "Retry-After": "7", "Location": "/x"})
    async with receiving(answering(answer)) as receiver, calling() as caller:
        answered = await respond(caller, request(receiver.url()))

    assert (answered.status, json.loads(answered.body), answered.truncated) == (status, {"ok": 1}, False)
    assert answered.headers["content-type"] == "application/json"
    assert answered.headers["retry-after"] == "7"
    assert 0 < answered.elapsed_seconds < 10
    assert len(receiver.requests) == 1  # no redirect was followed


async def test_headers_come_in_lower_case_joined_and_as_plain_text() -> None:
    raw = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nX-Broken: caf\xe9\r\nX-Utf: caf\xc3\xa9\r\nContent-Length: 0\r\n\r\n"
    async with receiving(answering(raw)) as receiver, calling() as caller:
        answered = await respond(caller, request(receiver.url()))

    assert answered.headers == {"x-a": "1, 2", "x-broken": "caf\ufffd", "x-utf": "caf\u00e9", "content-length": "0"}
    json.dumps(answered.headers, ensure_ascii=False).encode()  # no lone surrogates


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
    ],
)
async def test_a_body_in_pieces_is_put_together(answer: bytes) -> None:
    async with receiving(answering(answer)) as receiver, calling() as caller:
        assert (await respond(caller, request(receiver.url()))).body == b"abcde"


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("gzip", lambda data: gzip.compress(data[:3]) + gzip.compress(data[3:])),
        ("gzip", lambda data: gzip.compress(data) + b"\0\0\0"),
    ],
)
async def test_a_compressed_body_is_unpacked(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    answer = response(200, pack(b"hello there"), {"Content-Encoding": encoding})
    async with receiving(answering(answer)) as receiver, calling() as caller:
        answered = await respond(caller, request(receiver.url()))

    assert (answered.body, answered.truncated) == (b"hello there", False)
    assert "content-encoding" not in answered.headers
    assert "content-length" not in answered.headers


async def test_a_body_in_an_encoding_we_did_not_ask_for_is_left_as_it_is() -> None:
    answer = response(200, b"\x0b\x02", {"Content-Encoding": "br"})
    async with receiving(answering(answer)) as receiver, calling() as caller:
        answered = await respond(caller, request(receiver.url()))

    assert (answered.body, answered.headers["content-encoding"]) == (b"\x0b\x02", "br")


@pytest.mark.parametrize("body", [b"not gzip", gzip.compress(b"x" * 1000)[:-12]], ids=["nonsense", "cut"])
async def test_a_body_that_is_not_what_its_encoding_says_is_a_protocol_failure(body: bytes) -> None:
    async with receiving(answering(response(200, body, {"Content-Encoding": "gzip"}))) as receiver, calling() as caller:
        failure = await fail(caller, request(receiver.url()))

    assert (failure.kind, failure.sent) == ("protocol", True)
    assert "gzip" in failure.message


async def test_connections_are_kept_between_calls() -> None:
    async with receiving(answering(response(200, b"x" * 5000))) as receiver, calling() as caller:
        for _ in range(5):
            await respond(caller, request(receiver.url()))

    assert (len(receiver.requests), receiver.connections) == (5, 1)


def writing(*pieces: bytes, then: str = "close") -> Handler:
    """Answer with these bytes, then close, reset the connection, or leave it open and silent."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receiver: Receiver) -> None:
        await read_request(reader, receiver)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if then == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        elif then == "silence":
            await reader.read()
        else:
            writer.close()
            await reader.read()

    return handle


CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        (writing(), "reset"),
        (writing(then="reset"), "reset"),
        (writing(b"HTTP/1.1 200 O"), "reset"),
        (writing(CUT), "reset"),
        (writing(CUT, then="reset"), "reset"),
        (writing(CHUNKED + b"3\r\nabc\r\n"), "reset"),
        (writing(CHUNKED + b"3\r\nabc\r\n", then="reset"), "reset"),
        (writing(CHUNKED + b"zz\r\nabc\r\n"), "protocol"),
        (writing(b"SSH-2.0-OpenSSH_9.6\r\n"), "protocol"),
        (writing(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), "protocol"),
        (writing(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), "protocol"),
        (writing(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), "protocol"),
        (writing(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", then="silence"), "protocol"),
        (writing(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20_000 + b"\r\n\r\n"), "too-large"),
        (writing(b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 500 + b"\r\n"), "too-large"),
    ],
)
async def test_a_broken_answer_is_a_failure_after_sending(handler: Handler, kind: str) -> None:
    async with receiving(handler) as receiver, calling() as caller:
        failure = await fail(caller, request(receiver.url("/secret?token=canary")))

    assert (failure.kind, failure.sent) == (kind, True), failure.message
    assert f"127.0.0.1:{receiver.port}" in failure.message
    assert "unknown" in failure.message or "unasked" in failure.message
    assert "canary" not in failure.message
    assert "secret" not in failure.message


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
async def test_a_request_into_a_closing_connection_is_never_sent_again(method: str) -> None:
    # Other clients send idempotent requests again when a kept connection was closed. A retry is the engine's decision.
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receiver: Receiver) -> None:
        await read_request(reader, receiver)
        writer.write(response())
        await read_request(reader, receiver)

    async with receiving(handle) as receiver, calling() as caller:
        await respond(caller, request(receiver.url(), method))
        failure = await fail(caller, request(receiver.url(), method))

    assert (failure.kind, failure.sent, len(receiver.requests)) == ("reset", True, 2)


async def test_nobody_listening_is_a_connect_failure_and_nothing_was_sent() -> None:
    async with receiving(answering(response())) as receiver:
        url = receiver.url()
    async with calling() as caller:
        failure = await fail(caller, request(url))

    assert (failure.kind, failure.sent) == ("connect", False)
    assert (
        failure.message
        == f"no connection to 127.0.0.1:{receiver.port} (connection refused): check that the receiver is up"
    )


async def test_a_name_without_an_address_is_a_dns_failure() -> None:
    resolver = FakeResolver({"empty.example.test": [()]})
    async with calling(resolver=resolver) as caller:
        unknown = await fail(caller, request(f"http://{NAME}/"))
        empty = await fail(caller, request("http://empty.example.test/"))

    assert (unknown.kind, unknown.sent, empty.kind, empty.sent) == ("dns", False, "dns", False)
    assert f"{NAME} could not be looked up" in unknown.message


class SilentResolver(FakeResolver):
    """Never answers."""

    async def resolve(self, host: str) -> tuple[str, ...]:
        self.asked.append(host)
        never: asyncio.Future[tuple[str, ...]] = asyncio.get_running_loop().create_future()
        return await never


@pytest.mark.parametrize(("connect_timeout_seconds", "timeout_seconds"), [(0.05, 10.0), (10.0, 0.05)])
async def test_a_silent_name_server_is_cut_off_and_nothing_was_sent(
    connect_timeout_seconds: float, timeout_seconds: float
) -> None:
    policy = EgressPolicy(connect_timeout_seconds=connect_timeout_seconds)
    async with calling(policy, resolver=SilentResolver()) as caller:
        failure = await fail(caller, request(f"http://{NAME}/", timeout_seconds=timeout_seconds))

    assert (failure.kind, failure.sent) == ("timeout", False)
    assert failure.message.startswith(f"{NAME} was not looked up within")
    assert failure.elapsed_seconds < 5


@pytest.mark.parametrize(("connect_timeout_seconds", "timeout_seconds"), [(0.05, 10.0), (10.0, 0.05)])
async def test_a_handshake_that_never_ends_is_cut_off_and_nothing_was_sent(
    connect_timeout_seconds: float, timeout_seconds: float
) -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receiver: Receiver) -> None:
        await reader.read()

    policy = EgressPolicy(allowed_networks=LOOPBACK, connect_timeout_seconds=connect_timeout_seconds)
    async with receiving(swallow) as receiver, calling(policy) as caller:
        failure = await fail(caller, request(receiver.url(scheme="https"), timeout_seconds=timeout_seconds))

    assert (failure.kind, failure.sent) == ("timeout", False)
    assert failure.message.startswith(f"no connection to 127.0.0.1:{receiver.port} within")


def trickling(start: bytes, piece: bytes) -> Handler:
    """Begin, then add a piece every 10 ms for ever."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receiver: Receiver) -> None:
        await read_request(reader, receiver)
        writer.write(start)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)

    return handle


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        (writing(then="silence"), "did not answer"),
        (writing(b"HTTP/1.1 200 OK\r\n", then="silence"), "did not answer"),
        (writing(CUT, then="silence"), "did not finish"),
        (trickling(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"x"), "did not finish"),
        (trickling(CHUNKED, b"1\r\nx\r\n"), "did not finish"),
        (trickling(b"HTTP/1.1 200 OK\r\nX-Endless: ", b"x"), "did not answer"),
        (trickling(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "did not answer"),
    ],
)
async def test_a_receiver_that_takes_its_time_is_cut_at_the_deadline(handler: Handler, told: str) -> None:
    async with receiving(handler) as receiver, calling() as caller:
        failure = await fail(caller, request(receiver.url(), timeout_seconds=0.2))

    assert (failure.kind, failure.sent) == ("timeout", True)
    assert told in failure.message
    assert 0.19 <= failure.elapsed_seconds < 2


async def test_a_receiver_that_does_not_read_its_request_is_cut_at_the_deadline() -> None:
    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receiver: Receiver) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.get_running_loop().create_future()

    policy = EgressPolicy(allowed_networks=LOOPBACK, max_request_bytes=1 << 26)
    async with receiving(ignore) as receiver, calling(policy) as caller:
        failure = await fail(caller, request(receiver.url(), body=bytes(1 << 20) * 16, timeout_seconds=0.3))

    assert (failure.kind, failure.sent) == ("timeout", True)


async def test_cancelling_a_call_raises_and_the_next_call_works() -> None:
    arrived = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receiver: Receiver) -> None:
        await read_request(reader, receiver)
        arrived.set()
        if len(receiver.requests) == 1:
            await reader.read()
        writer.write(response())
        await reader.read()

    async with receiving(handle) as receiver, calling() as caller:
        task = asyncio.create_task(caller.call(request(receiver.url())))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await respond(caller, request(receiver.url()))


async def test_closing_ends_calls_in_flight_and_refuses_further_ones() -> None:
    arrived = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receiver: Receiver) -> None:
        await read_request(reader, receiver)
        arrived.set()
        await reader.read()

    async with receiving(handle) as receiver, calling() as caller:
        task = asyncio.create_task(fail(caller, request(receiver.url())))
        await arrived.wait()
        await caller.close()
        ended = await task
        late = await fail(caller, request(receiver.url()))

    assert (ended.kind, ended.sent) == ("reset", True)
    assert (late.kind, late.sent) == ("connect", False)
    assert "closed" in late.message


async def test_a_call_that_waits_for_its_turn_when_the_caller_is_closed_is_not_made() -> None:
    arrived = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receiver: Receiver) -> None:
        await read_request(reader, receiver)
        arrived.set()
        await reader.read()

    policy = EgressPolicy(allowed_networks=LOOPBACK, per_host_concurrency=1)
    async with receiving(handle) as receiver, calling(policy) as caller:
        first = asyncio.create_task(fail(caller, request(receiver.url())))
        second = asyncio.create_task(fail(caller, request(receiver.url())))
        await arrived.wait()
        await caller.close()
        failures = [await first, await second]

    assert [(each.kind, each.sent) for each in failures] == [("reset", True), ("connect", False)]
    assert len(receiver.requests) == 1


class BrokenResolver(FakeResolver):
    """Fails in a way nobody foresaw."""

    async def resolve(self, host: str) -> tuple[str, ...]:
        raise RuntimeError("canary")


async def test_even_an_unforeseen_error_is_an_outcome_and_its_text_stays_inside() -> None:
    async with calling(resolver=BrokenResolver()) as caller:
        failure = await fail(caller, request(f"http://{NAME}/"))

    assert (failure.kind, failure.sent) == ("protocol", False)
    assert "RuntimeError" in failure.message
    assert "canary" not in failure.message


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_it_works_on_either_event_loop(run: Callable[..., None]) -> None:
    async def scene() -> None:
        def by_path(received: Received) -> bytes:
            return response(200, received.body) if "/echo" in received.line else CUT

        async with receiving(answering(by_path)) as receiver, calling() as caller:
            outcomes = await asyncio.gather(*(respond(caller, request(receiver.url("/echo"))) for _ in range(100)))
            assert {each.body for each in outcomes} == {b"{}"}
            assert (await fail(caller, request(receiver.url("/cut"), timeout_seconds=0.1))).kind == "timeout"
            assert (await fail(caller, request("http://127.0.0.1:1/"))).kind == "connect"
        async with receiving(writing(then="reset")) as receiver, calling() as caller:
            assert (await fail(caller, request(receiver.url()))).kind == "reset"

    run(scene())


async def test_the_system_resolver_looks_a_name_up_once_for_all_who_ask_and_keeps_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def look_up(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        time.sleep(0.02)  # long enough for the others to ask meanwhile; this is a resolver's thread
        return [(2, 1, 6, "", ("127.0.0.1", 0)), (2, 1, 6, "", ("127.0.0.1", 0)), (10, 1, 6, "", ("::1", 0, 0, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    resolver = SystemResolver()
    try:
        first = asyncio.create_task(resolver.resolve(NAME))
        others = [asyncio.create_task(resolver.resolve(NAME)) for _ in range(10)]
        await asyncio.sleep(0)
        first.cancel()  # who asked first goes away; the others still get their answer

        answers = {*await asyncio.gather(*others), await resolver.resolve(NAME)}
    finally:
        await resolver.close()

    assert answers == {("127.0.0.1", "::1")}
    assert asked == [NAME]


async def test_the_system_resolver_does_not_keep_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[list[tuple[object, ...]]] = [[(2, 1, 6, "", ("127.0.0.1", 0))]]
    failures = [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")]

    def look_up(*_: object, **__: object) -> list[tuple[object, ...]]:
        if failures:
            raise failures.pop(0)
        return answers[0]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    resolver = SystemResolver()
    with pytest.raises(ResolveError, match="Name or service not known"):
        await resolver.resolve(NAME)
    with pytest.raises(ResolveError, match="not a valid name"):
        await resolver.resolve(NAME)
    assert await resolver.resolve(NAME) == ("127.0.0.1",)
    await resolver.close()
    with pytest.raises(ResolveError, match="closed"):
        await resolver.resolve("another.example.test")


async def test_a_deadline_leaves_no_cancellation_behind() -> None:
    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(TimeoutError), Deadline(0.01):
        await asyncio.get_running_loop().create_future()

    assert task.cancelling() == 0
    with Deadline(10):
        await asyncio.sleep(0)


async def test_a_cancellation_from_outside_goes_before_a_deadline_that_passes_with_it() -> None:
    async def wait() -> None:
        with Deadline(0):
            # Both happen before this is resumed.
            asyncio.get_running_loop().call_soon(task.cancel)
            await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(wait())
    await asyncio.wait([task])

    assert task.cancelled()
    assert task.cancelling() == 1


async def test_a_deadline_inside_another_does_not_take_its_cancellation() -> None:
    async def wait() -> None:
        with Deadline(10):
            await asyncio.get_running_loop().create_future()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wait(), 0.01)


@pytest.mark.parametrize(
    ("answer", "method", "body"),
    [
        (b"HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n", "POST", b""),
        (b"HTTP/1.1 304 Same\r\n\r\n", "GET", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD", b""),
        (CHUNKED + b"3;name=x\r\nabc\r\n0\r\nX-Trailer: y\r\n\r\n", "POST", b"abc"),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc", "POST", b"abc"),
    ],
)
async def test_an_answer_that_ends_where_it_should_leaves_its_connection_to_the_next_call(
    answer: bytes, method: str, body: bytes
) -> None:
    async with receiving(answering(answer)) as receiver, calling() as caller:
        answered = [await respond(caller, request(receiver.url(), method)) for _ in range(3)]

    assert [each.body for each in answered] == [body] * 3
    assert receiver.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
        b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ncanary",
    ],
)
async def test_a_connection_that_ends_or_says_more_than_it_was_asked_is_not_used_again(answer: bytes) -> None:
    async with receiving(answering(answer)) as receiver, calling() as caller:
        answered = [await respond(caller, request(receiver.url())) for _ in range(2)]

    assert [each.body for each in answered] == [b"abc"] * 2
    assert receiver.connections == 2


async def test_an_answer_that_nobody_asked_for_is_no_answer_to_the_next_call() -> None:
    told = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receiver: Receiver) -> None:
        await read_request(reader, receiver)
        writer.write(response(200, b"asked"))
        if len(receiver.requests) == 1:
            await asyncio.sleep(0.02)
            writer.write(response(200, b"unasked"))
            await writer.drain()
            told.set()
        await reader.read()

    async with receiving(handle) as receiver, calling() as caller:
        first = await respond(caller, request(receiver.url()))
        await told.wait()
        await asyncio.sleep(0.02)
        second = await respond(caller, request(receiver.url()))

    assert (first.body, second.body, receiver.connections) == (b"asked", b"asked", 2)


async def test_a_body_without_a_length_ends_with_its_connection() -> None:
    handler = writing(b"HTTP/1.1 200 OK\r\n\r\nto the ", b"end")
    async with receiving(handler) as receiver, calling() as caller:
        answered = await respond(caller, request(receiver.url()))

    assert (answered.body, answered.truncated) == (b"to the end", False)


async def test_a_chunk_that_breaks_off_later_is_found_at_once() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receiver: Receiver) -> None:
        await read_request(reader, receiver)
        writer.write(CHUNKED + b"3\r\nabc\r\n")
        await asyncio.sleep(0.02)
        writer.write(b"zz\r\n")
        await reader.read()

    async with receiving(handle) as receiver, calling() as caller:
        failure = await fail(caller, request(receiver.url()))

    assert (failure.kind, failure.sent) == ("protocol", True)
    assert failure.elapsed_seconds < 5


async def test_connections_that_nobody_uses_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_KEEP_ALIVE_SECONDS", 0.05)
    ended = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receiver: Receiver) -> None:
        while await read_request(reader, receiver) is not None:
            writer.write(response())
        ended.set()

    async with receiving(handle) as receiver, calling() as caller:
        await respond(caller, request(receiver.url()))
        await asyncio.wait_for(ended.wait(), 5)
        await respond(caller, request(receiver.url()))

    assert receiver.connections == 2


async def test_the_next_address_of_a_name_is_called_when_nobody_listens_at_the_first() -> None:
    resolver = FakeResolver({NAME: [("::1", "127.0.0.9", "127.0.0.1")]})
    async with receiving(answering(response(200, b"here"))) as receiver, calling(resolver=resolver) as caller:
        assert (await respond(caller, request(receiver.url(host=NAME)))).body == b"here"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: b", "a\nb", "a\rb", "a\0b"])
def test_a_request_that_would_fall_into_two_is_never_written(value: str) -> None:
    # Headers of workflows are refused with a sentence long before; here even a mistake of ours would be caught.
    with pytest.raises(ValueError, match="line break"):
        write_head("POST / HTTP/1.1", {"Host": "h"}, {"X-A": value})
    with pytest.raises(ValueError, match="line break"):
        write_head(f"POST /{value} HTTP/1.1", {"Host": "h"})
