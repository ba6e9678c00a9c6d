"""The app on a real socket."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from headrace_api.server import ApiServer, PortTakenError, serve
from tests.api.world import World, completed, make_world, waiting_run


@pytest.fixture
async def served() -> AsyncIterator[tuple[World, ApiServer, httpx.AsyncClient]]:
    world = make_world()
    server = await serve(world.app, "127.0.0.1", 0)
    async with httpx.AsyncClient(base_url=server.url, timeout=5) as client:
        yield world, server, client
    await server.stop()


Served = tuple[World, ApiServer, httpx.AsyncClient]


async def test_it_answers_as_soon_as_it_is_up_and_stops_when_told(served: Served) -> None:
    _, server, client = served

    assert (await client.get("/healthz/live")).json() == {"ok": True}
    assert (await client.get("/healthz/ready")).json() == {"ok": True}
    await server.stop()

    with pytest.raises(httpx.ConnectError):
        await client.get("/healthz/live")


async def test_answers_leave_at_once(served: Served) -> None:
    """An answer goes out in two pieces. With Nagle's algorithm the second one waited 40 ms to hear of the first."""
    _, _, client = served
    await client.get("/healthz/live")
    began = time.perf_counter()

    for _ in range(20):
        await client.get("/healthz/live")

    assert time.perf_counter() - began < 20 * 0.04


async def test_a_port_that_is_taken_is_named(served: Served) -> None:
    _, server, _ = served

    with pytest.raises(PortTakenError, match=f"127.0.0.1:{server.port}: another process uses it"):
        await serve(make_world().app, "127.0.0.1", server.port)


async def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(PortTakenError, match=r"cannot listen on 192\.0\.2\.1:80"):
        await serve(make_world().app, "192.0.2.1", 80)


async def test_a_body_of_two_mebibytes_is_refused_while_it_is_still_coming(served: Served) -> None:
    world, _, client = served
    headers = {**(await world.authorization("admin")), "content-type": "application/json"}

    response = await client.post("/v1/workflows", content=b" " * 2 * 1_048_576, headers=headers)

    assert response.status_code == 413
    assert (await client.get("/healthz/live")).status_code == 200


async def test_a_body_that_is_only_announced_is_refused_at_once(served: Served) -> None:
    world, server, _ = served
    token = (await world.authorization("admin"))["authorization"]
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = f"POST /v1/workflows HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: 99999999999\r\n\r\n".encode())

    status = await asyncio.wait_for(reader.readline(), 2)

    assert status == b"HTTP/1.1 413 \r\n" or status.startswith(b"HTTP/1.1 413")
    writer.close()
    await writer.wait_closed()


async def test_a_run_is_followed_over_the_wire_and_resumed(served: Served) -> None:
    world, _, client = served
    run = await world.save_run(waiting_run())
    path = f"/v1/workflows/runs/{run.id}/stream"
    headers = await world.authorization("admin")

    async with client.stream("GET", path, headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.aiter_lines()
        assert await anext(lines) == "retry: 1000"
        assert [await anext(lines) for _ in range(3)] == ["", f"id: {run.seq}", "event: run"]
        assert json.loads((await anext(lines)).removeprefix("data: "))["status"] == "IN_PROGRESS"
    for _ in range(100):
        if world.app.state.context.streams == 0:
            break
        await asyncio.sleep(0.02)
    assert world.app.state.context.streams == 0, "the client has gone, so has the stream"

    done = await world.save_run(completed(run))
    resumed = await client.get(path, headers={**headers, "last-event-id": str(run.seq)})
    assert f"id: {done.seq}\n" in resumed.text
    assert f"id: {run.seq}\n" not in resumed.text
    finished = await client.get(path, headers={**headers, "last-event-id": str(done.seq)})
    assert finished.status_code == 204


async def test_open_streams_do_not_hold_up_the_end(served: Served) -> None:
    world, server, client = served
    run = await world.save_run(waiting_run())

    async with client.stream(
        "GET", f"/v1/workflows/runs/{run.id}/stream", headers=await world.authorization("admin")
    ) as it:
        await anext(it.aiter_lines())
        await asyncio.wait_for(server.stop(), 2)


async def test_what_is_not_http_is_answered_with_400(served: Served) -> None:
    _, server, _ = served
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"\x16\x03\x01 hello\r\n\r\n")

    assert (await asyncio.wait_for(reader.readline(), 2)).startswith(b"HTTP/1.1 400")

    writer.close()
    await writer.wait_closed()


def test_it_needs_no_signal_handlers_of_its_own() -> None:
    """`headrace dev` has handlers; a server that replaced them would swallow Ctrl-C."""

    async def run() -> None:
        before = signal.getsignal(signal.SIGINT)
        server = await serve(make_world().app, "127.0.0.1", 0)
        assert signal.getsignal(signal.SIGINT) is before
        await server.stop()

    asyncio.run(run())


def test_addresses_are_urls() -> None:
    app = make_world().app
    assert ApiServer(app, "::1", 80).url == "http://[::1]:80"
    assert ApiServer(app, "0.0.0.0", 80).url == "http://127.0.0.1:80"
    assert ApiServer(app, "::", 80).url == "http://[::1]:80"
