"""A process of a service: the order of its start and end, what it waits for, and with which exit code it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
import structlog
from prometheus_client import CollectorRegistry

from headrace.core.errors import HeadraceError
from headrace.ports.errors import UnavailableError
from headrace.runtime.health import HealthServer
from headrace.runtime.readiness import Readiness
from headrace.runtime.service import FAILED, OK, REFUSED, Dependency, serve
from headrace.runtime.settings import ServiceSettings
from headrace.runtime.tasks import Tasks
from tools import sources


class Mill:
    """A service that writes down what happens to it. What is not given does nothing."""

    name = "mill"

    def __init__(self, stop_seconds: float = 5.0, **steps: Callable[[], Awaitable[object]]) -> None:
        self.settings = ServiceSettings(port=0, stop_seconds=stop_seconds)
        self.readiness = Readiness()
        self.door = HealthServer("127.0.0.1", 0, self.readiness, CollectorRegistry())
        self.history: list[str] = []
        self._steps = steps
        self.dependencies = tuple(self._dependency(name) for name in ("river", "road"))
        self.started = asyncio.Event()

    async def check(self) -> None:
        await self._do("check")

    def start(self, tasks: Tasks) -> None:
        self.history.append("start")
        tasks.start(self._grind(), "grind")
        self.started.set()

    async def stop(self) -> None:
        await self._do("stop")

    async def close(self) -> None:
        await self._do("close")

    async def complaint(self) -> str | None:
        """What the door says, asked from outside."""
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{self.door.url}/healthz/live")).status_code == 200
            answer = await client.get(f"{self.door.url}/healthz/ready")
        return str(answer.json()["message"]) if answer.status_code == 503 else None

    def _dependency(self, name: str) -> Dependency:
        def step(doing: str) -> Callable[[], Awaitable[object]]:
            return lambda: self._do(f"{doing} {name}")

        async def check() -> None:
            await self._steps.get(f"check_{name}", _nothing)()

        return Dependency(name, step("connect"), check, step("close"))

    async def _grind(self) -> None:
        await self._steps.get("grind", _for_ever)()

    async def _do(self, step: str) -> None:
        self.history.append(step)
        await self._steps.get(step.replace(" ", "_"), _nothing)()


async def _nothing() -> None:
    pass


async def _for_ever() -> None:
    await asyncio.Event().wait()


def failing(error: Exception, times: int = 1_000_000) -> Callable[[], Awaitable[object]]:
    """A step that raises the error so many times."""
    left = iter(range(times))

    async def step() -> None:
        if next(left, None) is not None:
            raise error

    return step


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


async def until_complaint(mill: Mill, expected: str | None) -> None:
    async with asyncio.timeout(5):
        while True:
            with suppress(httpx.TransportError):
                if await mill.complaint() == expected:
                    return
            await asyncio.sleep(0.01)


async def ended(life: asyncio.Task[int]) -> int:
    async with asyncio.timeout(10):
        return await life


async def test_it_starts_and_ends_in_order() -> None:
    mill = Mill()
    life = asyncio.create_task(serve(mill))
    await mill.started.wait()
    assert await mill.complaint() is None

    os.kill(os.getpid(), signal.SIGTERM)

    assert await ended(life) == OK
    assert mill.history == [
        "connect river", "connect road", "check", "start", "stop", "close", "close road", "close river",
    ]  # fmt: skip
    with pytest.raises(httpx.ConnectError):
        await mill.complaint()


async def test_it_waits_for_what_is_away_alive_and_not_ready(logged: list[Any]) -> None:
    mill = Mill(connect_road=failing(UnavailableError("the bridge is out"), times=2))
    life = asyncio.create_task(serve(mill))
    await until_complaint(mill, "Not ready: it is waiting for road.")

    await mill.started.wait()

    assert await mill.complaint() is None
    warnings = [entry for entry in logged if entry["log_level"] == "warning"]
    assert [(it["event"], it["error"]) for it in warnings] == [("waiting for road", "the bridge is out")] * 2
    os.kill(os.getpid(), signal.SIGINT)
    assert await ended(life) == OK


async def test_it_can_be_ended_while_it_waits() -> None:
    mill = Mill(connect_river=_for_ever)
    life = asyncio.create_task(serve(mill))
    await until_complaint(mill, "Not ready: it is waiting for river.")

    os.kill(os.getpid(), signal.SIGTERM)

    assert await ended(life) == OK
    assert mill.history == ["connect river", "close", "close river"]


@pytest.mark.parametrize("step", ["connect_road", "check"])
async def test_what_a_person_must_mend_ends_the_start_and_closes_what_is_open(step: str, logged: list[Any]) -> None:
    steps: dict[str, Any] = {step: failing(HeadraceError("run headrace init"))}
    mill = Mill(**steps)

    assert await ended(asyncio.create_task(serve(mill))) == REFUSED

    assert "start" not in mill.history
    assert mill.history[-2:] == ["close road", "close river"]
    (entry,) = [entry for entry in logged if entry["log_level"] == "error"]
    assert (entry["event"], entry["error"]) == ("service cannot start", "run headrace init")


async def test_a_task_that_dies_of_a_bug_ends_the_process_in_order(logged: list[Any]) -> None:
    mill = Mill(grind=failing(ZeroDivisionError("a stone too many")))

    assert await ended(asyncio.create_task(serve(mill))) == FAILED

    assert mill.history[-4:] == ["stop", "close", "close road", "close river"]
    (entry,) = [entry for entry in logged if entry["event"] == "service ends because of a bug"]
    assert "a stone too many" in entry["error"]


async def test_what_takes_too_long_to_stop_is_given_up_and_said(logged: list[Any]) -> None:
    mill = Mill(stop_seconds=0.1, stop=_for_ever)
    life = asyncio.create_task(serve(mill))
    await mill.started.wait()

    os.kill(os.getpid(), signal.SIGTERM)

    assert await ended(life) == FAILED
    assert mill.history[-3:] == ["close", "close road", "close river"]
    assert [entry["event"] for entry in logged if entry["log_level"] == "error"] == [
        "work in flight was given up; it will be delivered again"
    ]


async def test_one_thing_that_cannot_be_closed_does_not_keep_the_others_open() -> None:
    mill = Mill(close_road=failing(OSError("stuck")))
    life = asyncio.create_task(serve(mill))
    await mill.started.wait()

    os.kill(os.getpid(), signal.SIGTERM)

    assert await ended(life) == FAILED
    assert mill.history[-1] == "close river"


async def test_a_dependency_that_goes_away_later_is_named_and_costs_only_readiness() -> None:
    mill = Mill(check_river=failing(UnavailableError("it froze over"), times=1))
    life = asyncio.create_task(serve(mill))
    await mill.started.wait()

    assert await mill.complaint() == "Not ready: river: it froze over."
    assert await mill.complaint() is None
    assert not life.done()
    os.kill(os.getpid(), signal.SIGTERM)
    assert await ended(life) == OK


SECOND_SIGNAL = """
import asyncio
from tests.unit.runtime.test_service import Mill, _for_ever
from headrace.runtime.service import serve
async def main():
    mill = Mill(stop_seconds=60, stop=_for_ever)
    life = asyncio.create_task(serve(mill))
    await mill.started.wait()
    print("started", flush=True)
    await life
asyncio.run(main())
"""


def test_a_second_signal_ends_the_process_then_and_there() -> None:
    command = [sys.executable, "-c", SECOND_SIGNAL]
    with subprocess.Popen(command, cwd=sources.ROOT, stdout=subprocess.PIPE, text=True) as life:
        assert life.stdout is not None
        while "started" not in life.stdout.readline():
            pass
        life.send_signal(signal.SIGTERM)
        while "service stopping" not in life.stdout.readline():
            pass
        life.send_signal(signal.SIGTERM)
        assert life.wait(10) == 128 + signal.SIGTERM
