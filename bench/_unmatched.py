"""What an entity event costs that wakes nobody: the trigger service and its stores, with many triggers on a blueprint.

The events lie in the log before the service starts, so the window holds no publishing: fetching, reading, the index,
the ledger, the commits. bench._unmatched_servers measures the same on Kafka and MongoDB.
"""

import argparse
import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, NoReturn

from bench import _workload
from bench._process import cpu_seconds
from headrace.adapters.clock import SystemClock
from headrace.adapters.embedded import (
    EmbeddedDefinitionStore,
    EmbeddedGateStore,
    EmbeddedLedger,
    EmbeddedLog,
    EmbeddedRunStore,
    Journal,
)
from headrace.contracts.topics import TopicNames
from headrace.core.expression import Answer, Evaluation, Failure
from headrace.ports.log import Log, Message
from headrace.ports.stores import DefinitionStore, LedgerEntry, LedgerStore
from headrace.runtime import process
from headrace.runtime.metrics import Metrics
from headrace.runtime.tasks import Tasks
from headrace_trigger.app import TriggerService
from headrace_trigger.handler import TriggerSettings

_ROOM = 1 << 30
_CHUNK = 1_000


class _NoEvaluator:
    """Every condition of the benchmark is in the total subset."""

    async def evaluate(self, evaluations: Sequence[Evaluation]) -> list[list[Answer]]:
        self._refuse()

    async def check(self, programs: Sequence[str]) -> list[Failure | None]:
        self._refuse()

    async def close(self) -> None: ...

    def _refuse(self) -> NoReturn:
        raise AssertionError("an event of this benchmark needs no evaluator")


class _CountingLedger:
    """A ledger, and a window on the events that it took, from the first warm one to the last."""

    def __init__(self, ledger: LedgerStore, warm_up: int, events: int) -> None:
        self._ledger = ledger
        self.find, self.query = ledger.find, ledger.query
        self._left_to_warm = warm_up
        self._left = warm_up + events
        self._began: tuple[float, int] | None = None
        self.microseconds_per_event = 0.0
        self.done = asyncio.Event()

    async def record(self, entries: Sequence[LedgerEntry]) -> None:
        await self._ledger.record(entries)
        assert not any(entry.verdicts for entry in entries), "an event woke a trigger"
        self._left -= len(entries)
        self._left_to_warm -= len(entries)
        if self._began is None and self._left_to_warm <= 0:
            self._began = cpu_seconds(), self._left
        elif self._left == 0 and self._began is not None:
            cpu, events = self._began
            self.microseconds_per_event = (cpu_seconds() - cpu) / events * 1e6
            self.done.set()


async def measure(
    log: Log, definitions: DefinitionStore, ledger: LedgerStore, topics: TopicNames, events: int, warm_up: int
) -> float:
    """Microseconds of CPU per event of a trigger service on these stores, whose triggers are saved already."""
    for first in range(0, warm_up + events, _CHUNK):
        some = map(_workload.event, range(first, min(first + _CHUNK, warm_up + events)))
        await log.publish([Message(topics.entity_changes, it.key, it.value) for it in some])
    counting = _CountingLedger(ledger, warm_up, events)
    # each event has its entry: the dearest case, since above a rate they would only be counted
    every = TriggerSettings(kept_per_second=1_000_000)
    service = TriggerService(
        log, definitions, _NoEvaluator(), counting, EmbeddedGateStore(), EmbeddedRunStore(), SystemClock(), topics,
        Metrics(), every,
    )  # fmt: skip
    await service.listeners.index()
    process.settle()
    tasks = Tasks()
    service.start(tasks)
    await asyncio.wait_for(counting.done.wait(), 120)
    await service.stop()
    await tasks.stop()
    return counting.microseconds_per_event


async def embedded(chosen: argparse.Namespace) -> float:
    """The figure on the embedded log and stores."""
    journal = Journal(chosen.data / "headrace.sqlite") if chosen.data is not None else None
    log = EmbeddedLog(SystemClock(), journal, retention_records=_ROOM, retention_bytes=_ROOM)
    definitions = EmbeddedDefinitionStore(journal)
    await _workload.save_other_tiers(definitions, chosen.triggers)
    ledger = EmbeddedLedger(journal)
    figure = await measure(log, definitions, ledger, _workload.TOPICS, chosen.events, chosen.warm_up)
    await log.close()
    if journal is not None:
        journal.close()
    return figure


def main(parser: argparse.ArgumentParser, measured: Callable[[argparse.Namespace], Coroutine[Any, Any, float]]) -> None:
    """Parse the command line of the child process; print the figure as JSON."""
    parser.add_argument("--triggers", type=int, required=True)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--warm-up", type=int, default=2_000)
    print(json.dumps({"us_per_event": process.run(measured(parser.parse_args()))}))


if __name__ == "__main__":
    its = argparse.ArgumentParser(prog="python -m bench._unmatched", description=(__doc__ or "").splitlines()[0])
    its.add_argument("--data", type=Path, help="a folder for the SQLite file; without it, memory only")
    main(its, embedded)
