"""Receivers for the tests of outgoing calls: small servers on loopback that behave well or badly, byte by byte."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from headrace.adapters.http.caller import HttpCaller
from headrace.adapters.http.policy import EgressPolicy
from headrace.adapters.http.resolver import ResolveError, Resolver
from headrace.ports.caller import CallFailure, CallRequest, CallResponse, SigningSecrets

LOOPBACK = ("127.0.0.0/8", "::1/128")
NOW = 1_700_000_000.0


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    line: str
    headers: Sequence[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name.lower()]


@dataclass
class Receiver:
    """A running server: where it listens, what arrived, how many connections were opened."""

    port: int = 0
    requests: list[Received] = field(default_factory=list)
    connections: int = 0

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Receiver], Awaitable[None]]


async def read_request(reader: asyncio.StreamReader, receiver: Receiver) -> Received | None:
    """The next request of a connection, noted in the receiver; None at its end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    line, *rest = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (each.partition(":") for each in rest)]
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
    received = Received(line, headers, await reader.readexactly(length))
    receiver.requests.append(received)
    return received


def response(status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """A whole response."""
    lines = {"Content-Length": str(len(body)), **(headers or {})}
    return (
        f"HTTP/1.1 {status} Status\r\n".encode()
        + b"".join(f"{name}: {value}\r\n".encode() for name, value in lines.items())
        + b"\r\n"
        + body
    )


def answering(answer: bytes | Callable[[Received], bytes]) -> Handler:
    """A handler that answers every request of a connection."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receiver: Receiver) -> None:
        while (received := await read_request(reader, receiver)) is not None:
            writer.write(answer(received) if callable(answer) else answer)
            await writer.drain()

    return handle


@asynccontextmanager
async def receiving(
    handler: Handler, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Receiver]:
    """Run a server; on leaving, end its connections and wait for them."""
    receiver = Receiver()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        receiver.connections += 1
        try:
            await handler(reader, writer, receiver)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(serve, host, 0, ssl=tls, backlog=1024)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


class FakeResolver:
    """Answers by a table. A name with several answers gives the next one each time, and stays at the last."""

    def __init__(self, answers: Mapping[str, Sequence[tuple[str, ...]]] | None = None) -> None:
        self._answers = {name: list(each) for name, each in (answers or {}).items()}
        self.asked: list[str] = []

    async def resolve(self, host: str) -> tuple[str, ...]:
        self.asked.append(host)
        answers = self._answers.get(host)
        if not answers:
            raise ResolveError(f"{host} could not be looked up: Name or service not known")
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def close(self) -> None:
        pass


@asynccontextmanager
async def calling(
    policy: EgressPolicy | None = None,
    *,
    resolver: Resolver | None = None,
    secrets: SigningSecrets | None = None,
    tls: ssl.SSLContext | None = None,
    now: Callable[[], float] = lambda: NOW,
) -> AsyncIterator[HttpCaller]:
    """A caller that may call loopback and asks no real name server."""
    chosen = policy if policy is not None else EgressPolicy(allowed_networks=LOOPBACK)
    caller = HttpCaller(chosen, now=now, resolver=resolver or FakeResolver(), secrets=secrets, tls=tls)
    try:
        yield caller
    finally:
        await caller.close()


def request(
    url: str,
    method: str = "POST",
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = b"{}",
    timeout_seconds: float = 10.0,
    webhook_id: str = "wfnr_0123456789abcdef",
    only_hosts: tuple[str, ...] = (),
    signing: SigningSecrets | None = None,
) -> CallRequest:
    """A request with the parts that a test does not care for filled in."""
    given = headers if headers is not None else {"Content-Type": "application/json"}
    return CallRequest(method, url, given, body, webhook_id, timeout_seconds, only_hosts, signing)


async def respond(caller: HttpCaller, call: CallRequest) -> CallResponse:
    """The response to a call that must have one."""
    outcome = await caller.call(call)
    assert isinstance(outcome, CallResponse), outcome
    return outcome


async def fail(caller: HttpCaller, call: CallRequest) -> CallFailure:
    """The failure of a call that must fail."""
    before = time.monotonic()
    outcome = await caller.call(call)
    assert isinstance(outcome, CallFailure), outcome
    assert 0 <= outcome.elapsed_seconds <= time.monotonic() - before + 0.001
    return outcome
