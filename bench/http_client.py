"""What one POST costs our process: httpx, bare aiohttp, and the caller, side by side.

    python -m bench.http_client [--loop asyncio] [--calls 1000]

An echo server runs in a process of its own; only the CPU time of this process is counted. The clients take turns, round
by round, so that a change in the machine's speed meets them all; the median round of each is printed. Takes 15-20 s.
"""

import argparse
import asyncio
import multiprocessing
import platform
import statistics
import time
from collections.abc import Awaitable, Callable, Coroutine
from importlib.metadata import version
from multiprocessing.connection import Connection
from typing import Any, cast

import aiohttp
import httpx
import uvloop

from headrace.adapters.http.caller import HttpCaller
from headrace.adapters.http.policy import EgressPolicy
from headrace.ports.caller import CallRequest, CallResponse, SigningSecrets

IN_FLIGHT = 64
ROUNDS = 20
BODY = b'{"workflow":"create_database","size":"small","tags":["env:dev","team:platform"],"count":3}'
HEADERS = {"Content-Type": "application/json", "X-Port-Run-Id": "wfr_0123456789abcdef"}
SIGNED = HEADERS | {
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": "Headrace",
    "webhook-id": "wfnr_0123456789abcdef",
    "webhook-timestamp": "1700000000",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    "X-Port-Timestamp": "1700000000",
    "X-Port-Signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
"""The headers that the caller sends, for aiohttp alone to send as well."""
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: echo\r\n"
    b"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: %d\r\n\r\n%s"
) % (len(BODY), BODY)

Post = Callable[[], Awaitable[None]]


class Echo(asyncio.Protocol):
    """Answers every complete request with the benchmark's own body; it knows the length of what it gets."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.received.endswith(BODY):
            self.received = b""
            self.transport.write(ANSWER)


def serve(pipe: Connection) -> None:
    """Run the echo server until the process is ended."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=512)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(run())


async def measure(post: Post, calls: int) -> tuple[float, float]:
    """CPU and wall seconds per call, with IN_FLIGHT of them under way."""
    left = iter(range(calls))

    async def work() -> None:
        for _ in left:
            await post()

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    return (time.process_time() - cpu) / calls, (time.perf_counter() - wall) / calls


async def compare(url: str, calls: int) -> dict[str, list[tuple[float, float]]]:
    """Rounds of measurements for each client."""
    slow = httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_connections=IN_FLIGHT))
    session = aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar())
    policy = EgressPolicy(allowed_networks=("127.0.0.0/8",), per_host_concurrency=IN_FLIGHT)
    plain = HttpCaller(policy, now=time.time)
    signing = HttpCaller(policy, now=time.time, secrets=SigningSecrets(("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",)))
    request = CallRequest("POST", url, HEADERS, BODY, "wfnr_0123456789abcdef", timeout_seconds=30)

    async def by_httpx() -> None:
        response = await slow.post(url, content=BODY, headers=HEADERS)
        assert response.content == BODY

    async def by_aiohttp(headers: dict[str, str]) -> None:
        async with session.post(url, data=BODY, headers=headers) as response:
            assert await response.read() == BODY

    async def by(caller: HttpCaller) -> None:
        outcome = await caller.call(request)
        assert isinstance(outcome, CallResponse), outcome
        assert outcome.body == BODY

    clients: dict[str, tuple[Post, int]] = {
        f"httpx {version('httpx')}": (by_httpx, max(IN_FLIGHT, calls // 8)),
        f"aiohttp {version('aiohttp')}": (lambda: by_aiohttp(HEADERS), calls),
        "aiohttp, as signed": (lambda: by_aiohttp(SIGNED), calls),
        "caller, unsigned": (lambda: by(plain), calls),
        "caller, signed": (lambda: by(signing), calls),
    }
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in clients}
    try:
        for number in range(ROUNDS + 1):
            for name, (post, count) in clients.items():
                measured = await measure(post, count if number else IN_FLIGHT * 2)
                if number:  # the first round only opens connections
                    rounds[name].append(measured)
    finally:
        await slow.aclose()
        await session.close()
        await plain.close()
        await signing.close()
    return rounds


def show(rounds: dict[str, list[tuple[float, float]]], loop: str) -> None:
    """Print the table."""
    print(
        f"Python {platform.python_version()}, {loop}, {IN_FLIGHT} in flight, POST of {len(BODY)} bytes, {ROUNDS} rounds"
    )
    print(f"{'client':<20}{'CPU ms/call':>12}{'wall ms/call':>14}{'CPU / aiohttp':>15}")
    base = next(
        statistics.median(cpu for cpu, _ in each) for name, each in rounds.items() if name.startswith("aiohttp")
    )
    for name, each in rounds.items():
        cpu = statistics.median(cpu for cpu, _ in each)
        wall = statistics.median(wall for _, wall in each)
        print(f"{name:<20}{cpu * 1e3:>12.3f}{wall * 1e3:>14.3f}{cpu / base:>15.2f}")


def main() -> None:
    """Start the server, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    parser.add_argument("--calls", type=int, default=1000, help="per round; httpx makes an eighth of them")
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    try:
        work: Coroutine[Any, Any, dict[str, list[tuple[float, float]]]]
        work = compare(f"http://127.0.0.1:{here.recv()}/hook?x=1", options.calls)
        rounds = uvloop.run(work) if options.loop == "uvloop" else asyncio.run(work)
    finally:
        server.terminate()
        server.join()
    show(rounds, options.loop)


if __name__ == "__main__":
    main()
