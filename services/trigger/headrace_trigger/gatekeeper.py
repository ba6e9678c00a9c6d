"""Keeps the gates (core/gate.py): load, step, save, publish, as the orchestrator does with runs (docs/delivery.md).

Any number of processes may keep the same gate at once: of those who save, one wins, the others load it again and take
their steps anew. What is asked of runs lies in the outbox of the gate until it is published; whoever finds it there
publishes it first. Runs recognise what they are asked twice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from headrace.contracts.codec import encode_command
from headrace.contracts.topics import TopicNames
from headrace.core import gate as gates
from headrace.core import ids
from headrace.core.commands import LeaveGate
from headrace.core.gate import Entry, Gate, Heard, Step
from headrace.ports.clock import Clock
from headrace.ports.errors import UnavailableError
from headrace.ports.gates import GateStore, StoredGate
from headrace.ports.log import Log, Message
from headrace.ports.stores import RunStore
from headrace.runtime.tasks import Tasks

Move = Callable[[Gate], Step]
_MAX_ROUNDS = 20
_MAX_BYTES = 4 * 1024 * 1024
"""Of messages that one save of a gate may leave in its outbox, besides those of one step."""


@dataclass(frozen=True, slots=True)
class GatekeeperSettings:
    """Every `interval_seconds` gates where something is due are looked for, `batch` at a time. An outbox older than
    `resend_after_seconds` is published again."""

    interval_seconds: float = 0.2
    batch: int = 200
    mark_interval_seconds: float = 1.0
    resend_after_seconds: float = 15.0


@dataclass(slots=True)
class _Visit:
    """What is to be done at one gate: moves that are left, and the steps that were taken for good."""

    gate: Gate
    """As it is when the store knows none."""
    moves: list[Move]
    steps: list[Step] = field(default_factory=list)


class Gatekeeper:
    """Lets events through gates, and runs out of them."""

    def __init__(
        self,
        store: GateStore,
        runs: RunStore,
        log: Log,
        clock: Clock,
        topics: TopicNames,
        settings: GatekeeperSettings | None = None,
    ) -> None:
        self._store = store
        self._runs = runs
        self._log = log
        self._clock = clock
        self._topics = topics
        self._settings = settings or GatekeeperSettings()
        self._published: dict[str, int] = {}

    def start(self, tasks: Tasks) -> None:
        """Begin to look for what is due on the given set of tasks."""
        settings = self._settings
        tasks.every(settings.interval_seconds, self.sweep, "gates")
        tasks.every(settings.mark_interval_seconds, self.mark, "gates:mark")
        tasks.every(settings.resend_after_seconds / 3, self.resend, "gates:resend")

    async def enter(self, entries: Sequence[Entry]) -> list[Heard]:
        """Have events come to their gates, in this order; what is said of each. Raises UnavailableError: do it again,
        what was done already is recognised."""
        visits: dict[str, _Visit] = {}
        order: list[tuple[_Visit, int]] = []
        for entry in entries:
            name = ids.gate_id(entry.workflow, entry.trigger, entry.entity)
            new = Gate(name, entry.workflow, entry.trigger, entry.entity)
            visit = visits.setdefault(name, _Visit(new, []))
            order.append((visit, len(visit.moves)))
            visit.moves.append(lambda gate, entry=entry: gates.enter(gate, entry))  # type: ignore[misc]
        await self._settle(visits)
        said = [visit.steps[index].heard for visit, index in order]
        return [heard for heard in said if heard is not None]

    async def leave(self, left: Sequence[LeaveGate]) -> None:
        """Runs are over. Raises UnavailableError: do it again."""
        visits: dict[str, _Visit] = {}
        for it in left:
            unknown = Gate(it.gate, "", "", "")  # leaving it changes nothing, so it is not saved
            visit = visits.setdefault(it.gate, _Visit(unknown, []))
            visit.moves.append(lambda gate, it=it: gates.leave(gate, it.run_id, it.at))  # type: ignore[misc]
        await self._settle(visits)

    async def sweep(self) -> int:
        """Do all that is due: let in what was gathered, look at runs that hold a gate for long. The number of gates."""
        done, now = 0, self._clock.now()
        while due := await self._store.due(now, self._settings.batch):
            await self._look_at(due, now)
            done += len(due)
        return done

    async def _look_at(self, due: Sequence[StoredGate], now: int) -> None:
        """Do what is due at these gates; after that it is due later, or not any more."""
        holders = [it.gate.holder for it in due if it.gate.holder is not None]
        runs = await self._runs.load(holders) if holders else {}

        def look(gate: Gate) -> Step:
            ripened = gates.ripen(gate, now)
            stored = runs.get(ripened.gate.holder or "")
            if ripened.gate.holder not in holders:  # it changed hands since we looked
                return ripened
            checked = gates.check(ripened.gate, stored.run if stored else None, now)
            return Step(checked.gate, (*ripened.commands, *checked.commands))

        await self._settle({it.gate.id: _Visit(it.gate, [look]) for it in due})

    async def mark(self) -> None:
        """Mark as published what was, unless a later save did so."""
        marks, self._published = list(self._published.items()), {}
        await self._store.mark_sent(marks)

    async def resend(self) -> int:
        """Publish what lies unsent for long, whoever saved it. The number of gates."""
        before = self._clock.now() - int(self._settings.resend_after_seconds * 1000)
        stale = await self._store.unsent(before, self._settings.batch)
        await self._publish(stale)
        return len(stale)

    async def _settle(self, visits: Mapping[str, _Visit]) -> None:
        """Take all moves, gate by gate in their order, again at those that somebody else changed meanwhile. Each round
        takes one move of each gate at least, unless somebody else was first."""
        for _ in range(_MAX_ROUNDS * max((len(visit.moves) for visit in visits.values()), default=1)):
            open_ = {name: visit for name, visit in visits.items() if visit.moves}
            if not open_:
                return
            await self._round(open_)
        raise UnavailableError(f"{len(visits)} gates are being changed by somebody else all the time")

    async def _round(self, visits: Mapping[str, _Visit]) -> None:
        """Load, step, save and publish once. What others left unpublished goes first: the next save replaces it."""
        stored = await self._store.load(list(visits))
        await self._publish(list(stored.values()))
        taken: dict[str, list[Step]] = {}
        writes: list[StoredGate] = []
        for name, visit in visits.items():
            taken[name], write = self._step(visit, stored.get(name))
            if write is not None:
                writes.append(write)
        answers = await self._store.save(writes) if writes else []
        lost = {write.gate.id for write, saved in zip(writes, answers, strict=True) if not saved}
        await self._publish([it for it in writes if it.gate.id not in lost])
        for name, visit in visits.items():
            if name not in lost:
                visit.steps.extend(taken[name])
                del visit.moves[: len(taken[name])]

    def _step(self, visit: _Visit, held: StoredGate | None) -> tuple[list[Step], StoredGate | None]:
        """As many moves as one save may hold, and that save; None when they change nothing."""
        before = visit.gate if held is None else held.gate
        steps: list[Step] = []
        messages: list[Message] = []
        gate, size = before, 0
        for move in visit.moves:
            step = move(gate)
            asked = [encode_command(command, self._topics) for command in step.commands]
            size += sum(len(message.value or b"") for message in asked)
            if steps and size > _MAX_BYTES:
                break
            steps.append(step)
            messages.extend(asked)
            gate = step.gate
        if gate is before:
            return steps, None
        rev = 0 if held is None else held.rev + 1
        return steps, StoredGate(gate, rev, tuple(messages), self._clock.now())

    async def _publish(self, stored: Sequence[StoredGate]) -> None:
        found = [it for it in stored if it.outbox and self._published.get(it.gate.id) != it.rev]
        if not found:
            return
        await self._log.publish([message for it in found for message in it.outbox])
        self._published.update((it.gate.id, it.rev) for it in found)
