"""A thousand processes killed around the moment in which a third party takes a request: one effect each.

A case is one node run. Its process is killed at a random await once the third party has taken the request, or while it
asks or is about to send; another takes over, knows nothing but what the core kept, and may be killed as well.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from headrace.core.commands import Accepted, InvokeNode
from tests.thirdparty.azure import Azure
from tests.thirdparty.base import Received
from tests.thirdparty.github import Github
from tests.thirdparty.gitlab import Gitlab
from tests.unit.services.invoker.desk import Desk, node_request

KILLS = 1_000
CONFIGS: dict[str, dict[str, Any]] = {
    "GITHUB": {"org": "acme", "repo": "shop", "workflow": "deploy.yml", "workflowInputs": {"ref": "main"}},
    "GITLAB": {"groupName": "acme/platform", "projectName": "shop"},
    "AZURE_DEVOPS": {"org": "acme", "project": "shop", "pipelineId": 7},
}

SERVERS: dict[str, Callable[[], Github | Gitlab | Azure]] = {"GITHUB": Github, "GITLAB": Gitlab, "AZURE_DEVOPS": Azure}


@dataclass
class Slaughter:
    """Kills processes, and counts what the third party made of their requests."""

    kind: str
    seed: int
    asks: bool = True
    kills: int = 0
    late: int = 0
    """Kills after the third party had taken the request."""
    doubles: int = 0
    lost: int = 0
    _taken: asyncio.Event = field(default_factory=asyncio.Event)

    async def happen(self, kills: int) -> None:
        self._chance = random.Random(self.seed)
        self._server: Github | Gitlab | Azure = SERVERS[self.kind]()
        self._tell_when_taken()
        await self._server.start()
        self._desk = Desk.at(self._server.url)
        self._server._now = self._desk.clock.now
        case = 0
        try:
            while self.late < kills:
                case += 1
                await self._case(case)
        finally:
            await self._desk.close()
            await self._server.stop()

    async def _case(self, number: int) -> None:
        effects = self._effects()
        effects.clear()
        if isinstance(self._server, Github):
            self._server.lag = self._chance.choice((0, 0, 1))
            self._server.knows_details = self._chance.random() < 0.7
            self._server._asked.clear()
        node_run = f"wfnr_{number:016}"
        request = node_request(self.kind, CONFIGS[self.kind], id=f"{node_run}:1", node_run_id=node_run)
        desk = Desk(self._desk.callers, self._desk.settings, self._desk.log, self._desk.clock)
        self._kills_left = self._chance.choice((1, 1, 2, 3))
        await self._until_done(lambda doubtful: desk.ask(request, doubtful), number)
        while isinstance(desk.last, Accepted) and desk.last.external_run_id is None:
            waiting = desk.last
            assert waiting.poll_after_seconds is not None
            desk.clock.at += int(waiting.poll_after_seconds * 1000)
            desk.polls.append(waiting.poll_after_seconds)
            assert len(desk.polls) < 100, desk.lines
            step = replace(request, poll=len(desk.polls), poll_state=waiting.poll_state)
            await self._until_done(_asking(desk, step), number)
        self.doubles += len(effects) > 1
        self.lost += len(effects) < 1

    async def _until_done(self, perform: Callable[[bool], Awaitable[object]], number: int) -> None:
        """The step, by as many processes as it takes."""
        doubtful = False
        while True:
            self._taken.clear()
            process = asyncio.ensure_future(perform(doubtful and self.asks))
            if not self._kills_left or self._chance.random() < 0.2:
                await process
                return
            taken = asyncio.ensure_future(self._taken.wait())
            await asyncio.wait((process, taken), return_when=asyncio.FIRST_COMPLETED)
            taken.cancel()
            if not self._taken.is_set() and process.done() and self._chance.random() < 0.5:
                await process
                return
            await self._wait_a_little(process)
            process.cancel()  # what it had found out is lost with it, even when it was about to be told
            await asyncio.gather(process, return_exceptions=True)
            self.kills += 1
            self.late += self._taken.is_set()
            self._kills_left -= 1
            doubtful = True

    async def _wait_a_little(self, process: asyncio.Future[object]) -> None:
        for _ in range(self._chance.choice((0, 0, 1, 2, 4, 8, 16, 32))):
            if process.done():
                return
            await asyncio.sleep(0)

    def _effects(self) -> dict[int, Any]:
        return self._server.pipelines if isinstance(self._server, Gitlab) else self._server.runs

    def _tell_when_taken(self) -> None:
        answer = self._server._answer

        async def told(received: Received) -> Any:
            response = await answer(received)
            if received.method == "POST" and response.status < 300:
                self._taken.set()
            return response

        self._server._answer = told  # type: ignore[method-assign]


def _asking(desk: Desk, step: InvokeNode) -> Callable[[bool], Awaitable[object]]:
    return lambda doubtful: desk.ask(step, doubtful)


@pytest.mark.parametrize("kind", list(CONFIGS))
async def test_a_thousand_kills_between_send_and_record_double_nothing_and_lose_nothing(kind: str) -> None:
    slaughter = Slaughter(kind, seed=4711)
    await slaughter.happen(KILLS)

    assert slaughter.kills > slaughter.late >= KILLS
    assert (slaughter.doubles, slaughter.lost) == (0, 0)


@pytest.mark.parametrize("kind", list(CONFIGS))
async def test_whoever_does_not_ask_doubles(kind: str) -> None:
    """The test above can fail."""
    slaughter = Slaughter(kind, seed=4711, asks=False)
    await slaughter.happen(50)

    assert slaughter.doubles > 10
