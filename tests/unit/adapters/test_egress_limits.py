"""What a receiver, or a crowd of calls, can cost us at most."""

import asyncio
import gzip
import io
import zlib

import pytest

from headrace.adapters.http.policy import EgressPolicy
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
KEPT = EgressPolicy().max_response_bytes
GIB = 1 << 30


def flooding(head: bytes, piece: bytes, times: int, sent: list[int]) -> Handler:
    """Send a body that is far too long, counting how much of it the caller let through."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receiver: Receiver) -> None:
        await read_request(reader, receiver)
        writer.write(head)
        for _ in range(times):
            writer.write(piece)
            await writer.drain()
            sent[0] += len(piece)

    return handle


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIB, b"x" * 65536),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"x" * 65536),
        (b"HTTP/1.1 500 Oh no\r\nContent-Length: %d\r\n\r\n" % GIB, b"x" * 65536),
    ],
)
async def test_a_body_of_a_gibibyte_is_cut_and_not_read_on(head: bytes, piece: bytes) -> None:
    sent = [0]
    async with receiving(flooding(head, piece, GIB // 65536, sent)) as receiver, calling() as caller:
        answered = await respond(caller, request(receiver.url()))
        again = await respond(caller, request(receiver.url()))

    assert answered.truncated
    assert again.truncated
    assert answered.body == b"x" * KEPT
    assert receiver.connections == 2  # a cut body's connection is not used again
    assert sent[0] < 32 << 20  # what the sockets' buffers hold, twice


@pytest.mark.parametrize(("size", "truncated"), [(KEPT - 1, False), (KEPT, False), (KEPT + 1, True)])
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_the_limit_is_exact(size: int, truncated: bool, encoding: str) -> None:
    body = b"x" * size if encoding == "identity" else gzip.compress(b"x" * size)
    async with (
        receiving(answering(response(200, body, {"Content-Encoding": encoding}))) as receiver,
        calling() as caller,
    ):
        answered = await respond(caller, request(receiver.url()))

    assert (len(answered.body), answered.truncated) == (min(size, KEPT), truncated)


def bomb(size: int, wbits: int) -> bytes:
    packer = zlib.compressobj(9, wbits=wbits)
    zeros = bytes(1 << 20)
    return b"".join(packer.compress(zeros) for _ in range(size >> 20)) + packer.flush()


@pytest.mark.parametrize(("encoding", "wbits"), [("gzip", 31), ("deflate", 15), ("deflate", -15)])
async def test_a_bomb_is_unpacked_no_further_than_the_limit(encoding: str, wbits: int) -> None:
    packed = bomb(100 << 20, wbits)
    async with (
        receiving(answering(response(200, packed, {"Content-Encoding": encoding}))) as receiver,
        calling() as caller,
    ):
        answered = await respond(caller, request(receiver.url()))

    assert len(packed) < KEPT
    assert answered.truncated
    assert answered.body == bytes(KEPT)


async def test_a_compressed_body_that_never_ends_and_never_yields_anything_is_cut() -> None:
    # Empty stored blocks: five bytes in, none out.
    packer = zlib.compressobj(wbits=31)
    head = packer.compress(b"start") + packer.flush(zlib.Z_SYNC_FLUSH)
    sent = [0]
    start = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % GIB + head
    empty = b"\x00\x00\x00\xff\xff" * 13_000
    async with receiving(flooding(start, empty, GIB // len(empty), sent)) as receiver, calling() as caller:
        answered = await respond(caller, request(receiver.url()))

    assert (answered.body, answered.truncated) == (b"start", True)
    assert sent[0] < 32 << 20


async def test_thousands_of_empty_compressed_members_are_not_unpacked_one_by_one() -> None:
    packed = gzip.compress(b"a") + gzip.compress(b"") * 10_000
    async with (
        receiving(answering(response(200, packed, {"Content-Encoding": "gzip"}))) as receiver,
        calling() as caller,
    ):
        answered = await respond(caller, request(receiver.url()))

    assert (answered.body, answered.truncated) == (b"a", True)


def holding(full: asyncio.Event, release: asyncio.Event, at_once: list[int], expected: int) -> Handler:
    """Hold every request until released, and note how many are held at once."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receiver: Receiver) -> None:
        while await read_request(reader, receiver) is not None:
            at_once.append(at_once[-1] + 1)
            if at_once[-1] == expected:
                full.set()
            await release.wait()
            at_once.append(at_once[-1] - 1)
            writer.write(response())
            await writer.drain()

    return handle


async def test_calls_to_one_host_are_limited_and_other_hosts_do_not_wait_for_it() -> None:
    full, release, at_once = asyncio.Event(), asyncio.Event(), [0]
    policy = EgressPolicy(allowed_networks=LOOPBACK, per_host_concurrency=3)
    async with (
        receiving(holding(full, release, at_once, 3)) as slow,
        receiving(answering(response())) as other,
        calling(policy) as caller,
    ):
        tasks = [asyncio.create_task(respond(caller, request(slow.url()))) for _ in range(10)]
        await full.wait()
        await respond(caller, request(other.url()))
        impatient = await fail(caller, request(slow.url(), timeout_seconds=0.05))
        release.set()
        await asyncio.gather(*tasks)

    assert max(at_once) == 3
    assert (impatient.kind, impatient.sent) == ("timeout", False)
    assert "no turn" in impatient.message
    assert len(slow.requests) == 10
    assert caller._gates.held() == 0


async def test_calls_that_wait_for_a_host_are_made_in_the_order_they_came() -> None:
    policy = EgressPolicy(allowed_networks=LOOPBACK, per_host_concurrency=1)
    async with receiving(answering(response())) as receiver, calling(policy) as caller:
        await asyncio.gather(*(respond(caller, request(receiver.url(f"/{number}"))) for number in range(20)))

    assert [each.line.split()[1] for each in receiver.requests] == [f"/{number}" for number in range(20)]
    assert receiver.connections == 1


async def test_calls_cancelled_while_they_wait_leave_the_queue_in_order() -> None:
    full, release, at_once = asyncio.Event(), asyncio.Event(), [0]
    policy = EgressPolicy(allowed_networks=LOOPBACK, per_host_concurrency=1)
    async with receiving(holding(full, release, at_once, 1)) as receiver, calling(policy) as caller:
        tasks = [asyncio.create_task(caller.call(request(receiver.url(f"/{number}")))) for number in range(9)]
        await full.wait()
        for task in tasks[1::2]:
            task.cancel()
        release.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert caller._gates.held() == 0
        await respond(caller, request(receiver.url("/last")))

    assert [each.line.split()[1] for each in receiver.requests] == ["/0", "/2", "/4", "/6", "/8", "/last"]


async def test_a_place_handed_over_in_the_moment_of_cancellation_is_passed_on() -> None:
    policy = EgressPolicy(allowed_networks=LOOPBACK, per_host_concurrency=1)
    async with calling(policy) as caller:
        gates = caller._gates
        await gates.enter("h")
        first, second = asyncio.create_task(gates.enter("h")), asyncio.create_task(gates.enter("h"))
        await asyncio.sleep(0)
        gates.leave("h")
        first.cancel()

        with pytest.raises(asyncio.CancelledError):
            await first
        await second
        gates.leave("h")

    assert gates.held() == 0


class Stuck(FakeResolver):
    """Answers only once it is told to, and says when enough have asked."""

    def __init__(self, enough: int) -> None:
        super().__init__()
        self.enough = enough
        self.full = asyncio.Event()
        self.free = asyncio.Event()

    async def resolve(self, host: str) -> tuple[str, ...]:
        self.asked.append(host)
        if len(self.asked) == self.enough:
            self.full.set()
        await self.free.wait()
        return ("127.0.0.1",)


@pytest.mark.parametrize("per_host_concurrency", [32, 1000])
async def test_a_thousand_calls_cancelled_during_lookup_leave_no_place_taken(per_host_concurrency: int) -> None:
    resolver = Stuck(per_host_concurrency)
    policy = EgressPolicy(allowed_networks=LOOPBACK, per_host_concurrency=per_host_concurrency)
    async with receiving(answering(response())) as receiver, calling(policy, resolver=resolver) as caller:
        url = receiver.url(host=NAME)
        tasks = [asyncio.create_task(caller.call(request(url))) for _ in range(1000)]
        await resolver.full.wait()
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(each) for each in ended} == {asyncio.CancelledError}
        assert caller._gates.held() == 0
        assert caller._connections.busy() == 0

        resolver.free.set()
        await asyncio.gather(*(respond(caller, request(url)) for _ in range(200)))

    assert len(receiver.requests) == 200


async def test_a_thousand_calls_cancelled_in_the_handshake_leave_no_place_taken() -> None:
    # httpx's pool loses a slot for each such call (httpcore#1093), until every call ends in PoolTimeout.
    arrived: asyncio.Queue[None] = asyncio.Queue()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receiver: Receiver) -> None:
        await reader.read(1)
        arrived.put_nowait(None)
        await reader.read()

    policy = EgressPolicy(allowed_networks=LOOPBACK, per_host_concurrency=100, connect_timeout_seconds=30)
    async with (
        receiving(swallow) as silent,
        receiving(answering(response())) as receiver,
        calling(policy) as caller,
    ):
        for _ in range(10):
            tasks = [asyncio.create_task(caller.call(request(silent.url(scheme="https")))) for _ in range(100)]
            for _ in tasks:
                await arrived.get()
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(each) for each in ended} == {asyncio.CancelledError}
        assert silent.connections == 1000
        assert caller._gates.held() == 0
        assert caller._connections.busy() == 0

        await asyncio.gather(*(respond(caller, request(receiver.url())) for _ in range(200)))
        assert (await fail(caller, request(silent.url(scheme="https"), timeout_seconds=0.05))).kind == "timeout"


async def test_a_crowd_of_calls_each_get_their_own_answer() -> None:
    def echo(received: Received) -> bytes:
        return response(200, received.body)

    async with receiving(answering(echo)) as receiver, calling() as caller:
        bodies = [f'{{"number": {number}}}'.encode() for number in range(500)]
        outcomes = await asyncio.gather(*(respond(caller, request(receiver.url(), body=body)) for body in bodies))

    assert [each.body for each in outcomes] == bodies
    assert receiver.connections <= 32


async def test_a_large_body_that_the_operator_allows_arrives_whole() -> None:
    policy = EgressPolicy(allowed_networks=LOOPBACK, max_request_bytes=8 << 20)
    body = io.BytesIO(b"0123456789abcdef" * (3 << 16)).getvalue()
    async with receiving(answering(response())) as receiver, calling(policy) as caller:
        await respond(caller, request(receiver.url(), body=body))

    assert receiver.requests[0].body == body
