"""One simulated history of the whole engine: real services on embedded stores, and a nemesis that breaks things.

Everything is decided by the seed: latencies, crashes, zombies, rollbacks, duplicates, reordering, rebalances. First
chaos, in which anything may fail at any port call; then calm, in which everything must come to its end (liveness).
`violations` holds what the checker found (the invariants of docs/delivery.md).
"""

import asyncio
import contextlib
import contextvars
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jq

from headrace.adapters.embedded.claims import EmbeddedClaimStore
from headrace.adapters.embedded.definitions import EmbeddedDefinitionStore
from headrace.adapters.embedded.gates import EmbeddedGateStore
from headrace.adapters.embedded.ledger import EmbeddedLedger
from headrace.adapters.embedded.log import EmbeddedLog
from headrace.adapters.embedded.runs import EmbeddedRunStore
from headrace.contracts.envelope import mark_redelivered
from headrace.core.expression import Answer, Evaluation
from headrace.ports.log import Message
from headrace.runtime.loop import LoopSettings
from headrace.runtime.metrics import Metrics
from headrace.runtime.tasks import Tasks
from headrace_invoker.app import InvokerService
from headrace_invoker.performance import Performers
from headrace_invoker.settings import InvokerSettings
from headrace_orchestrator.app import OrchestratorService, OrchestratorSettings
from headrace_trigger.app import TriggerService
from tests.simulation import checker, virtual_loop
from tests.simulation.process import Process, ProcessClaims, ProcessLog, ProcessPort
from tests.simulation.replicas import ReplicatedClaims, ReplicatedRuns
from tests.simulation.workload import SOURCES, TOPICS, WORKFLOWS, Receiver, entity_event, shared_event

Mutation = Callable[[str, Any], None]
"""Breaks a defence of a service that was just built: (kind of service, service). First it gets ("world", world)."""

KINDS = ("trigger", "orchestrator", "invoker")
CHAOS_SECONDS = 12.0
CALM_SECONDS = 400.0
RESEND_SECONDS = 7.5
"""What a sweep publishes again is so old; an orchestrator publishes plain for a third of it."""

_process: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


@dataclass
class Outcome:
    """What one history showed. The counts prove that it was not an easy one."""

    seed: int
    violations: list[str] = field(default_factory=list)
    kills: int = 0
    zombies: int = 0
    rollbacks: int = 0
    conflicts: int = 0
    takeovers: int = 0
    calls: int = 0


class VirtualClock:
    """The Clock port on the loop's virtual time."""

    def now(self) -> int:
        return 1_700_000_000_000 + int(asyncio.get_running_loop().time() * 1000)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


class InProcessEvaluator:
    """jq in this process: the simulation's own programs are harmless."""

    async def evaluate(self, evaluations: list[Evaluation]) -> list[list[Answer]]:
        return [
            [jq.compile(program).input_text(evaluation.input.decode()).first() for program in evaluation.programs]
            for evaluation in evaluations
        ]


class World:
    """The engine, its world and its nemesis, for one seed."""

    def __init__(self, seed: int, mutation: Mutation | None = None) -> None:
        self.outcome = Outcome(seed)
        self.chance = random.Random(seed)
        self.elections = seed % 4 == 3
        """Every fourth history has a slow majority, with primaries and orchestrators dying in the middle of starts."""
        self.zombies = seed % 4 == 1
        """Every fourth history is about owners: processes are stopped when it hurts most, and invokers come and go."""
        self.events = [f"event-{seed}-{number}" for number in range(6 if self.zombies else 4 if self.elections else 2)]
        """Named by the seed, so that runs lie in other partitions in each history."""
        self.clock = VirtualClock()
        self.log = EmbeddedLog(self.clock, partitions=2)
        self.runs = ReplicatedRuns(EmbeddedRunStore())
        self.claims = ReplicatedClaims(EmbeddedClaimStore(self.clock))
        self.definitions = EmbeddedDefinitionStore()
        self.ledger = EmbeddedLedger()
        self.gates = EmbeddedGateStore()
        self.looked: dict[tuple[str, str], float] = {}
        """When each process looked last at the claim of each attempt."""
        self.receiver = Receiver(self)
        self.context = contextvars.copy_context()
        self.processes: list[tuple[str, Process, Tasks]] = []
        self.wanted = asyncio.Event()
        """Set when the next event should come now, for somebody lies in wait for it."""
        self.mark_stray = mark_redelivered
        self._mutation = mutation
        self._spawned = 0
        if mutation is not None:
            mutation("world", self)

    async def live(self) -> Outcome:
        """Chaos, then calm, then judgement."""
        asyncio.get_running_loop().set_task_factory(_owned_task)
        for document in WORKFLOWS:
            await self.definitions.create(str(document["identifier"]), document, "simulation", self.clock.now())
        commits = asyncio.create_task(self._commit_writes())
        for kind in KINDS:
            self.spawn(kind)
        await asyncio.sleep(0.5)
        events = asyncio.create_task(self._publish_events())
        await self._chaos()
        await events
        await self._calm()
        commits.cancel()
        await self._judge()
        return self.outcome

    def spawn(self, kind: str) -> None:
        """Start another process of a kind; an older one of that kind may still be at work."""
        self._spawned += 1
        process = Process(f"{kind}#{self._spawned}", random.Random(self.chance.random()))
        tasks = Tasks()

        def begin() -> None:
            _process.set(process)
            service = self._build(kind, process)
            if self._mutation is not None:
                self._mutation(kind, service)
            service.start(tasks)

        contextvars.copy_context().run(begin)
        self.processes.append((kind, process, tasks))

    def _build(self, kind: str, process: Process) -> Any:
        log = ProcessLog(process, self.log)
        loop = LoopSettings(max_records=100, fetch_wait_seconds=5.0, commit_interval_seconds=0.5)
        metrics = Metrics()
        evaluator: Any = ProcessPort(process, InProcessEvaluator())
        definitions: Any = ProcessPort(process, self.definitions)
        if kind == "trigger":
            ledger: Any = ProcessPort(process, self.ledger)
            gates: Any = ProcessPort(process, self.gates)
            looked_at: Any = ProcessPort(process, self.runs)
            return TriggerService(
                log, definitions, evaluator, ledger, gates, looked_at, self.clock, TOPICS, metrics, loop_settings=loop
            )
        if kind == "orchestrator":
            runs: Any = ProcessPort(process, self.runs)
            settings = OrchestratorSettings(
                timer_interval_seconds=0.5,
                mark_interval_seconds=1.0,
                sweep_interval_seconds=2.0,
                resend_after_seconds=RESEND_SECONDS,
            )
            return OrchestratorService(log, runs, definitions, evaluator, self.clock, TOPICS, metrics, settings, loop)
        claims: Any = ProcessClaims(process, self.claims, self.looked)
        performers = Performers({"WEBHOOK": self.receiver.performer(process)})
        most = process.chance.choice((1, 2, 4))
        calls = InvokerSettings(max_in_flight=most, lease_seconds=6.0, claim_after_seconds=1.0, drain_seconds=3.0)
        return InvokerService(log, claims, performers, self.clock, TOPICS, metrics, process.name, calls, loop)

    async def _commit_writes(self) -> None:
        """The replica set: a majority has the pending writes sooner or later."""
        slow = 3.0 if self.elections else self.chance.choice((0.002, 0.02, 0.2))
        while True:
            await asyncio.sleep(self.chance.random() * slow)
            await self.runs.advance()
            await self.claims.advance()

    async def _chaos(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + CHAOS_SECONDS
        while loop.time() < until:
            await asyncio.sleep(self.chance.expovariate(2.0))
            await self._break_something()
            for kind in KINDS:
                if not any(self._is_at_work(*it) for it in self.processes if it[0] == kind):
                    self.spawn(kind)

    async def _publish_events(self) -> None:
        for event in self.events:
            await self.log.publish([entity_event(event), shared_event(event)])
            self.wanted.clear()
            pause = self.chance.random() * (5.0 if self.elections else 2.5 if self.zombies else 0.1)
            await _at_most(pause, self.wanted)

    async def _break_something(self) -> None:
        if self.zombies and self.chance.random() < 0.6:
            await self._change_owner()
            return
        kind, process, _ = self.chance.choice(self.processes)
        draw = self.chance.random()
        if self.elections:
            self.runs.break_next()
            kind, process, _ = next(it for it in reversed(self.processes) if it[0] == "orchestrator")
            draw *= 0.5
        if draw < 0.3 and not process.dead:
            await self._kill(process)
        elif draw < 0.45 and not process.dead:
            await self._stop(kind, process)
        elif draw < 0.6:
            self.runs.break_next()
        elif draw < 0.7:
            self.claims.break_next()
        elif draw < 0.9:
            await self._publish_again()
        elif len(self.processes) < 40:
            self.spawn(kind)

    async def _stop(self, kind: str, process: Process) -> None:
        """A process is not heard of for a moment, or until it is thrown out."""
        seconds = self.chance.random() * 10
        if self.chance.random() < 0.2:
            process.lose_touch(seconds / 3)
            return
        await process.pause(seconds)
        self.spawn(kind)
        self.outcome.zombies += 1

    async def _change_owner(self) -> None:
        """Another invoker joins; or a process that is about to publish or to call is held up until others
        have done it, and those are gone too."""
        draw = self.chance.random()
        if draw < 0.1:
            self.spawn("invoker")
        elif draw < 0.55:
            await self._answer_late()
        else:
            await self._stop_in_the_middle(*(("orchestrator", "save") if draw < 0.8 else ("invoker", "fetch")))

    async def _stop_in_the_middle(self, kind: str, verb: str) -> None:
        """A process is stopped between save and publish, or between fetch and call."""
        members = self._members(kind)
        if not members:
            return
        members[-1].set_trap(verb, 2.5 + self.chance.random() * 3)
        self.outcome.zombies += 1
        await _at_most(3, members[-1].gone)
        self.spawn(kind)
        await asyncio.sleep(0.7 + self.chance.random())
        await self._exchange_invokers(patience=0.0)

    async def _answer_late(self) -> None:
        """An orchestrator learns so late that it has saved that others have published it. Each of the three
        conditions for publishing plain is the only one that knows it then: the time, when a sweep was first; the
        revoke, when its partitions moved; the heartbeat, when it was thrown out without knowing it, and saved after."""
        members = self._members("orchestrator")
        if not members:
            return
        late, who = members[-1], self.chance.choice(("sweep", "heir", "heir of a zombie"))
        if who != "sweep":
            for process in members[:-1]:
                await self._kill(process)
        if who == "heir of a zombie":
            late.set_trap("load", 0.3)
            self.outcome.zombies += 1
            self.wanted.set()
            await _at_most(3, late.gone)
        late.delay_answer("save", RESEND_SECONDS + 3.0 if who == "sweep" else RESEND_SECONDS / 3 - 0.6)
        self.wanted.set()
        await _at_most(3, late.is_waiting)
        if who == "sweep":
            await asyncio.sleep(RESEND_SECONDS + 1.5)
        else:
            self.spawn("orchestrator")
            await asyncio.sleep(0.7)
        await self._exchange_invokers(patience=0.6)

    async def _exchange_invokers(self, patience: float) -> None:
        """All invokers go, and a new one has their partitions. They have so many seconds to commit what they did."""
        invokers = self._members("invoker")
        self.spawn("invoker")
        await asyncio.sleep(patience)
        for process in invokers:
            await self._kill(process)

    async def _kill(self, process: Process) -> None:
        await process.kill()
        self.outcome.kills += 1

    def _members(self, kind: str) -> list[Process]:
        """The processes of a kind that are alive and in their group, oldest first."""
        return [it for known, it, _ in self.processes if known == kind and not it.gone.is_set()]

    def _is_at_work(self, kind: str, process: Process, tasks: Tasks) -> bool:
        """Whether nobody need take the place of a process. That it was thrown out shows late, unless owners are what
        the history is about."""
        return not (process.gone.is_set() if self.zombies else process.dead)

    async def _publish_again(self) -> None:
        """A record from the past comes again, as from somebody who replays it, and must say so."""
        topic = self.chance.choice(SOURCES)
        records = await self.log.read(topic, self.chance.randrange(2))
        if records:
            record = self.chance.choice(records)
            again = Message(record.topic, record.key, record.value, record.headers)
            await self.log.publish([self.mark_stray(again)])

    async def _calm(self) -> None:
        for _, process, _ in self.processes:
            await process.kill()
        for kind in KINDS:
            self.spawn(kind)
        loop = asyncio.get_running_loop()
        until = loop.time() + CALM_SECONDS
        while loop.time() < until and not await checker.is_quiet(self):
            await asyncio.sleep(1.0)

    async def _judge(self) -> None:
        outcome = self.outcome
        outcome.violations = await checker.violations(self)
        outcome.rollbacks = self.runs.rollbacks + self.claims.rollbacks
        outcome.conflicts = self.runs.conflicts + self.claims.conflicts
        outcome.calls = sum(len(callers) for callers in self.receiver.calls.values())
        outcome.takeovers = outcome.calls - len(self.receiver.calls)


async def _at_most(seconds: float, event: asyncio.Event) -> None:
    """Wait for an event that may not come."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _owned_task(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
    """Tasks belong to the process that starts them, so that killing it ends them; a rebalance is the broker's own."""
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
    context = options.get("context")
    process = _process.get() if context is None else context.get(_process)
    if process is not None and not work.__qualname__.startswith(("Group.", "EmbeddedConsumer.revoke")):
        process.tasks.add(task)
        task.add_done_callback(process.tasks.discard)
    return task


def simulate(seed: int, mutation: Mutation | None = None) -> Outcome:
    """Live through one history."""
    outcome: Outcome = virtual_loop.run(World(seed, mutation).live())
    return outcome
