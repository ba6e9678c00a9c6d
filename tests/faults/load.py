"""What the house is given to do: the example workflows of the README, events and starts by the hundred.

Most events go to the topic as any producer may write them, in one burst; the others and all starts go through the two
API processes, by a client that asks the other one when one does not answer. One event in eight is sent twice.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiokafka import AIOKafkaProducer

from headrace_cli import examples
from tests.faults.history import Wanted
from tests.faults.house import ADMIN, SECRET

WORKFLOWS = ("tier-change", "sandbox-expiry", "restart-service")
ONE_TWICE_IN = 8
API_SECONDS = 10.0
TRIES_SECONDS = 90.0
AT_ONCE = 24

_CHANGE = "became-gold", "in-production", "open-change", "raise-limits", "tell-team", "close-change"
_NOTE = "became-gold", "in-production", "note-it"
_SANDBOX = "time-is-up", "delete-sandbox", "tell-owner"
_RESTART = "ask", "how", "restart"


@dataclass(frozen=True, slots=True)
class Mix:
    """How many of what."""

    changes: int = 180
    notes: int = 30
    sandboxes: int = 40
    restarts: int = 20
    drains: int = 10
    others: int = 40
    """Events that start nothing."""

    @property
    def runs(self) -> int:
        return self.changes + self.notes + self.sandboxes + self.restarts + self.drains


class Api:
    """A client of both API processes: what one does not take goes to the other, with the same key, for so long."""

    def __init__(self, urls: dict[str, str], patience_seconds: float = TRIES_SECONDS) -> None:
        self._urls = urls
        self.patience_seconds = patience_seconds
        self._order = itertools.cycle(urls)
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=API_SECONDS))
        self._token = ""
        self.open: Counter[str] = Counter()
        """Requests that wait for their answer, by the name of the process."""
        self.refused: Counter[str] = Counter()
        """Requests that were not taken and went on to the other process."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def call(
        self, method: str, path: str, body: Any = None, key: str = "", also: frozenset[int] = frozenset()
    ) -> Any:
        """The answer's JSON, once one of the processes gave one that is 2xx, or one of the `also` statuses."""
        headers = {"Idempotency-Key": key} if key else {}
        async with asyncio.timeout(self.patience_seconds):
            while True:
                name = next(self._order)
                status, answer = await self._ask(name, method, path, body, headers)
                if 200 <= status < 300 or status in also:
                    return answer
                assert status == 0 or status >= 500 or status in (401, 404), f"{method} {path}: {status} {answer}"
                self.refused[name] += 1
                if status == 401:
                    await self._sign_in(name)
                await asyncio.sleep(0.2)

    async def _ask(self, name: str, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
        """Status and JSON; status 0 when there was no answer."""
        self.open[name] += 1
        try:
            async with self._session.request(
                method,
                self._urls[name] + path,
                json=body,
                headers={**headers, "Authorization": f"Bearer {self._token}"},
            ) as answer:
                return answer.status, await answer.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            return 0, repr(error)
        finally:
            self.open[name] -= 1

    async def _sign_in(self, name: str) -> None:
        credentials = {"clientId": ADMIN, "clientSecret": SECRET}
        status, answer = await self._ask(name, "POST", "/v1/auth/access_token", credentials, {})
        if status == 200:
            self._token = answer["accessToken"]


class Load:
    """Publishes batches, and notes what must come of them."""

    def __init__(self, api: Api, servers: str, topic: str) -> None:
        self._api = api
        self._servers = servers
        self._topic = topic
        self._events = json.loads(examples.events("service-changes").read_text())
        self.accepted = 0
        """How many runs must come of what was taken so far, by all batches."""

    async def save_workflows(self, receiver_port: int) -> None:
        for name in WORKFLOWS:
            document = examples.with_receiver(examples.workflow(name).read_text(), receiver_port)
            await self._api.call("POST", "/v1/workflows", json.loads(document), also=frozenset({409}))

    def wanted(self, batch: str, mix: Mix) -> list[Wanted]:
        """The runs that must come of a batch."""
        kinds = (
            ("tier-change", "prod", _CHANGE, mix.changes),
            ("tier-change", "lab", _NOTE, mix.notes),
            ("sandbox-expiry", "box", _SANDBOX, mix.sandboxes),
            ("restart-service", "restart", _RESTART, mix.restarts),
            ("restart-service", "drain", (*_RESTART, "drain"), mix.drains),
        )
        return [
            Wanted(workflow, f"{kind}-{batch}-{number}", frozenset(nodes))
            for workflow, kind, nodes, count in kinds
            for number in range(count)
        ]

    async def publish(self, batch: str, mix: Mix) -> None:
        """Everything at once; returns when all of it was taken."""
        work = [(self._event(it.workflow, it.subject), 1) for it in self.wanted(batch, mix) if _is_event(it)]
        work += [(self._other(f"other-{batch}-{number}"), 0) for number in range(mix.others)]
        through_api = work[::4]
        direct = [entry for number, entry in enumerate(work) if number % 4]
        starts = [it for it in self.wanted(batch, mix) if not _is_event(it)]
        gate = asyncio.Semaphore(AT_ONCE)
        # Starts and events take turns, so that neither of them is over before the fault comes.
        queue = [it for pair in itertools.zip_longest(through_api, starts) for it in pair if it is not None]
        await asyncio.gather(self._produce(direct), *(self._hand_in(gate, it) for it in queue))

    async def _hand_in(self, gate: asyncio.Semaphore, work: Wanted | tuple[dict[str, Any], int]) -> None:
        async with gate:
            if isinstance(work, Wanted):
                tier = "gold" if work.subject.startswith("drain") else "silver"
                inputs = {"service": work.subject, "reason": "a fault is near", "tier": tier}
                await self._api.call("POST", f"/v1/workflows/{work.workflow}/runs", {"inputs": inputs}, work.subject)
                self.accepted += 1
            else:
                event, runs = work
                for _ in range(_times(event)):
                    await self._api.call("POST", "/v1/events", event)
                self.accepted += runs

    async def _produce(self, work: list[tuple[dict[str, Any], int]]) -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=self._servers, acks="all", enable_idempotence=True, linger_ms=5,
            request_timeout_ms=int(self._api.patience_seconds * 1000),
        ) as producer:  # fmt: skip

            async def send(event: dict[str, Any], runs: int) -> None:
                context = event["context"]
                key = f"{context['blueprintIdentifier']}/{context['entityIdentifier']}".encode()
                for _ in range(_times(event)):
                    await producer.send_and_wait(self._topic, json.dumps(event).encode(), key)
                self.accepted += runs

            await asyncio.gather(*(send(event, runs) for event, runs in work))

    def _event(self, workflow: str, subject: str) -> dict[str, Any]:
        event = copy.deepcopy(self._events[0])
        before, after = event["diff"]["before"], event["diff"]["after"]
        if workflow == "sandbox-expiry":
            event["context"]["blueprintIdentifier"] = before["blueprint"] = after["blueprint"] = "sandbox"
            after["properties"] = {"state": "expired", "keep": False}
        elif subject.startswith("lab"):
            after["properties"]["lifecycle"] = "experimental"
        return _named(event, subject)

    def _other(self, subject: str) -> dict[str, Any]:
        """A service that was gold before: tier-change looks at it, and declines."""
        event = copy.deepcopy(self._events[0])
        event["diff"]["before"]["properties"]["tier"] = "gold"
        return _named(event, subject)


def _named(event: dict[str, Any], subject: str) -> dict[str, Any]:
    event["context"]["entityIdentifier"] = subject
    event["diff"]["before"]["identifier"] = event["diff"]["after"]["identifier"] = subject
    return {**event, "eventId": f"event of {subject}"}


def _is_event(wanted: Wanted) -> bool:
    return wanted.workflow != "restart-service"


def _times(event: dict[str, Any]) -> int:
    """How often an event is sent; the second time is a repetition under the same id."""
    return 2 if int(event["eventId"].rpartition("-")[2]) % ONE_TWICE_IN == 0 else 1
