"""One scene after the other in one house: work by the hundred, a fault, peace, and then the checker's word."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest

from headrace.contracts.topics import TOPICS, TopicNames
from tests.faults import checker
from tests.faults.history import ATTEMPT_STARTED, COMPLETED, NODE_STARTED, History, Takeover
from tests.faults.house import DATABASE, PREFIX, House, Service, until
from tests.faults.load import TRIES_SECONDS, Api, Load, Mix
from tests.faults.reading import Database, Groups, Reader, events, total
from tests.faults.receiver import Receiver, read_log

NAMES = TopicNames(PREFIX)
MEMBERS = ("trigger", "orchestrator", "invoker")
IN_FLIGHT = 200
STRIKE_SECONDS = 30.0
QUIET_SECONDS = 120.0
COMMIT_SECONDS = 20.0
LATE_SECONDS = 2.0
"""So long after it was killed or woken, a call of a process may still be on its way to the receiver."""
CALLBACK_SECONDS = 0.2


@dataclass(slots=True)
class Strike:
    """What a fault met, and what came of it: the figures of a scene."""

    what: str
    victims: set[str] = field(default_factory=set)
    """The names of services that the scene ends and starts again; all others must live through it."""
    at: float = field(default_factory=time.monotonic)
    runs_in_flight: int = 0
    calls_in_flight: int = 0
    uncommitted: int = 0
    """Records of the victims' partitions that they had not committed."""
    runs: int = 0
    calls: int = 0
    repeated_calls: int = 0
    events: int = 0
    repeated_events: int = 0
    seconds_to_quiet: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.what}: struck {self.runs_in_flight} runs, {self.calls_in_flight} calls, {self.uncommitted} "
            f"uncommitted records; {self.runs} runs ended, {self.calls} calls ({self.repeated_calls} repeated), "
            f"{self.events} events ({self.repeated_events} repeated), quiet after {self.seconds_to_quiet:.1f} s"
        )


class Scene:
    """The house with everything around it."""

    def __init__(self, house: House, api: Api, database: Database, receiver: Receiver, load: Load) -> None:
        self.house = house
        self.api = api
        self.receiver = receiver
        self.groups = Groups(house.kafka.bootstrap_servers)
        self.history = History()
        self._database = database
        self._load = load
        self._broken_by = ""
        letters = [NAMES.dead_letters(NAMES.name(topic)) for topic in TOPICS if topic.audience != "public out"]
        self._letters = Reader(house.kafka.bootstrap_servers, letters)
        self._events = Reader(house.kafka.bootstrap_servers, [NAMES.run_events])

    @asynccontextmanager
    async def play(self, what: str, mix: Mix | None = None) -> AsyncIterator[Strike]:
        """Publish a batch of work, let the body strike while it is in flight, wait for peace, check everything.

        The body leaves behind all processes running.
        """
        if self._broken_by:
            pytest.fail(f"the house is not sound since {self._broken_by!r}: see that failure", pytrace=False)
        self._broken_by = what
        mix = mix or Mix()
        pids = self.house.pids()
        wanted = self._load.wanted(what.replace(" ", ""), mix)
        self.history.wanted += wanted
        strike = Strike(what)
        publishing = asyncio.create_task(self._load.publish(what.replace(" ", ""), mix))
        try:
            yield strike
            await publishing
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
        unrest = await self._peace(strike)
        await self._read(strike)
        found = [*unrest, *checker.complaints(self.history)]
        assert not found, "\n".join([f"{len(found)} complaints; the logs are in {self.house.folder}", *found[:40]])
        assert strike.runs == mix.runs, strike
        now = self.house.pids()
        ended = [name for name, pid in pids.items() if now.get(name) != pid and name not in strike.victims]
        assert not ended, f"{ended} ended by themselves; their logs are in {self.house.folder}"
        self._broken_by = ""
        print(strike)

    async def until_busy(self, strike: Strike, also: Callable[[], bool] = lambda: True) -> None:
        """Wait until so many runs are in flight that a fault hurts, and something else holds as well."""
        calls = self.receiver.calls

        async def look() -> bool:
            strike.runs_in_flight = self._load.accepted - await self._database.over()
            return strike.runs_in_flight >= IN_FLIGHT and self.receiver.calls > calls and also()

        await until(look, f"{IN_FLIGHT} runs to be in flight", STRIKE_SECONDS)
        strike.at = time.monotonic()
        strike.calls_in_flight = self.receiver.open.total()

    async def uncommitted(self, victim: Service) -> int:
        """How many records of this process's partitions it has not committed. Ask when it cannot commit any more."""
        held = (await self.groups.owners(victim.group)).get(victim.life, set())
        return total(await self.groups.lag(victim.group), held)

    async def has_lost_all(self, *victims: Service) -> bool:
        """Whether the partitions of these processes are in the hands of their twins."""
        for victim in victims:
            owners = await self.groups.owners(victim.group)
            twins = {twin.life for twin in self.house.pair(victim.role)} - {victim.life}
            if victim.life in owners or not any(owners.get(twin) for twin in twins):
                return False
        return True

    async def bring_back(self, strike: Strike, *victims: Service) -> None:
        """Start killed services again."""
        for victim in victims:
            strike.victims.add(victim.name)
            await self.start(victim)

    async def start(self, service: Service) -> None:
        """Start a service; the receiver learns its signature first."""
        self.receiver.signers[service.next_life] = service.next_secret
        await self.house.bring_back(service)

    def may_repeat(self, strike: Strike, invokers: Iterable[Service]) -> None:
        """Others may repeat what these invokers had in hand between the strike and now."""
        lives = frozenset(invoker.life for invoker in invokers)
        since = time.time() - (time.monotonic() - strike.at)
        self.history.takeovers.append(Takeover(lives, since, time.time() + LATE_SECONDS))

    async def _peace(self, strike: Strike) -> list[str]:
        """Wait until nothing is left to be done; what did not come to its end in time, in words."""

        async def is_quiet() -> bool:
            started = await self._database.over() >= len(self.history.wanted)
            return started and await self._database.unfinished() == 0

        async def has_committed(group: str) -> bool:
            return total(await self.groups.lag(group)) == 0

        try:
            await until(is_quiet, "all runs to end and all outboxes to empty", QUIET_SECONDS)
            strike.seconds_to_quiet = time.monotonic() - strike.at
            for role in MEMBERS:
                group = self.house.pair(role)[0].group
                await until(partial(has_committed, group), f"group {group} to commit all it read", COMMIT_SECONDS)
        except AssertionError as error:
            return [str(error)]
        return []

    async def _read(self, strike: Strike) -> None:
        """Read everything anew, and count what came in this scene."""
        history = self.history
        before, calls_before = len(history.events), len(history.calls)
        history.events += events(await self._events.read())
        history.calls = read_log(self.receiver.log)
        history.stored = await self._database.runs()
        history.dead_letters += [f"{it.topic} {dict(it.headers)} {it.value!r}" for it in await self._letters.read()]
        new = history.events[before:]
        first = {it.id: it for it in history.events[:before]}
        fresh = {it.id: it for it in new if it.id not in first}
        strike.runs = sum(it.type == COMPLETED for it in fresh.values())
        strike.events, strike.repeated_events = len(fresh), len(new) - len(fresh)
        strike.calls = len(history.calls) - calls_before
        attempts = Counter(it.type for it in fresh.values())
        strike.repeated_calls = strike.calls - attempts[NODE_STARTED] - attempts[ATTEMPT_STARTED]


@asynccontextmanager
async def opened(house: House, patience_seconds: float = TRIES_SECONDS) -> AsyncIterator[Scene]:
    """A running house with a receiver and the example workflows; nothing is left of it after the block."""
    async with AsyncExitStack() as stack:
        stack.callback(house.forget)
        stack.push_async_callback(house.stop)
        await house.start_servers()
        urls = {it.name: it.url for it in house.pair("api")}
        api = await stack.enter_async_context(Api(urls, patience_seconds))

        async def report(webhook_id: str, number: int) -> None:
            """What was accepted is done a moment later."""
            await asyncio.sleep(CALLBACK_SECONDS)
            body = {"status": "COMPLETED", "result": "SUCCESS", "output": {"call": number}}
            path = f"/v1/workflows/nodes/runs/{webhook_id}"
            await api.call("PATCH", path, body, f"{webhook_id} {number}", also=frozenset({409}))

        receiver = Receiver(house.folder / "calls.jsonl", report)
        stack.push_async_callback(receiver.stop)
        await receiver.start()
        database = await stack.enter_async_context(Database(house.mongo.uri, DATABASE))
        load = Load(api, house.kafka.bootstrap_servers, NAMES.entity_changes)
        scene = Scene(house, api, database, receiver, load)
        await asyncio.gather(*(scene.start(service) for service in house.services))
        await load.save_workflows(receiver.port)
        yield scene
