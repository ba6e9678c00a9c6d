"""What the embedded adapters cost per item: CPU, amortised over batches, in memory and with a file.

    python -m bench.embedded_adapters            # batches of 1, 100 and 500
    python -m bench.embedded_adapters --queries  # also queries over 100,000 runs

Runs have five node runs and encode to about 5 kB; messages carry 500 bytes and one header; ledger entries are those
of a sweep (an event that matches nothing). Garbage collection is left on; what was built beforehand is frozen.
"""

import argparse
import asyncio
import gc
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from headrace.adapters.clock import SystemClock
from headrace.adapters.embedded import EmbeddedClaimStore, EmbeddedLedger, EmbeddedLog, EmbeddedRunStore, Journal
from headrace.core.events import Event, NodeCompleted, NodeStarted, RunCompleted, RunStarted, apply
from headrace.core.json import JsonObject
from headrace.core.run import Causation, Run, Timer
from headrace.ports.log import Message
from headrace.ports.stores import Claim, LedgerEntry, RunQuery, StoredRun

START = 1_750_000_000_000
OUTBOX = (
    Message("headrace.node.requests.v1", "k", b"x" * 800, (("type", b"node.request"),)),
    Message("headrace.run.events.v1", "k", b"x" * 1_500, (("type", b"run.events"),)),
)


class Stopwatch:
    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        begin = time.process_time()
        yield
        self.seconds += time.process_time() - begin


def history(number: int) -> list[Event]:
    event, run, at = f"ev{number}", f"wfr_{number:016d}", START + number
    reply: JsonObject = {"status": 200, "body": {"text": "z" * 600}}
    config: JsonObject = {"url": "http://service", "body": {"text": "b" * 300}}
    entity: JsonObject = {"event": {"id": event, "diff": {"after": "y" * 300}}}
    workflow, user = f"workflow-{number % 50}", f"user-{number % 20}"
    deadline = Timer(f"{run}:call:deadline", "call", 1, "deadline", at + 60_000)
    second = Timer(f"{run}:call2:deadline", "call2", 1, "deadline", at + 60_000)
    return [
        RunStarted(1, at, run, workflow, 1, "t", "EVENT_TRIGGER", user, Causation(event, event)),
        NodeCompleted(2, at, "t", f"{run}:t", "EVENT_TRIGGER", "SUCCESS", output=dict(entity), stored=dict(entity)),
        NodeStarted(3, at, "call", f"{run}:call", "WEBHOOK", dict(config), timers=(deadline,)),
        NodeCompleted(4, at, "call", f"{run}:call", "WEBHOOK", "SUCCESS", output=dict(reply), stored=dict(reply)),
        NodeCompleted(5, at, "check", f"{run}:check", "CONDITION", "SUCCESS", outlet="yes"),
        NodeStarted(6, at, "call2", f"{run}:call2", "WEBHOOK", dict(config), timers=(second,)),
        NodeCompleted(7, at, "call2", f"{run}:call2", "WEBHOOK", "SUCCESS", output=dict(reply), stored=dict(reply)),
        RunCompleted(8, at + 10, "SUCCESS" if number % 10 else "FAILED"),
    ]  # fmt: skip


def states(number: int) -> list[Run]:
    """The run as it is saved: at its first call, at its second, at its end."""
    run: Run | None = None
    saved = []
    for event in history(number):
        run = apply(run, event)
        if event.seq in (3, 6, 8):
            saved.append(run)
    return saved


@contextmanager
def journal_or_none(in_file: bool) -> Iterator[Journal | None]:
    if not in_file:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "headrace.db")
        yield journal
        journal.close()


async def measure_log(journal: Journal | None, batch: int, rounds: int) -> dict[str, float]:
    log = EmbeddedLog(SystemClock(), journal)
    consumer = await log.subscribe("readers", ["orders"])
    messages = [Message("orders", f"key-{i % 97}", b"x" * 500, (("type", b"x"),)) for i in range(batch)]
    watch = Stopwatch()
    with watch.running():
        for _ in range(rounds):
            await log.publish(messages)
            records = await consumer.fetch(1_000, 1)
            await consumer.commit({record.source: record.offset + 1 for record in records}, records[0].epoch)
    await log.close()
    return {"log: publish, fetch, commit": watch.seconds / batch / rounds}


async def measure_runs(journal: Journal | None, batch: int, rounds: int) -> dict[str, float]:
    runs = EmbeddedRunStore(journal)
    watches = [Stopwatch() for _ in range(4)]
    for index in range(rounds):
        batches = list(zip(*(states(index * batch + i) for i in range(batch)), strict=True))
        gc.collect()
        gc.freeze()
        for rev, saved in enumerate(batches):
            writes = [StoredRun(run, rev, OUTBOX, run.updated_at) for run in saved]
            with watches[rev].running():
                assert all(await runs.save(writes))
        with watches[3].running():
            await runs.mark_sent([(run.id, 2) for run in batches[2]])
    gc.unfreeze()
    await runs.close()
    words = ("run save: insert", "run save: update", "run save: completion", "run mark_sent")
    return {word: watch.seconds / batch / rounds for word, watch in zip(words, watches, strict=True)}


async def measure_claims(journal: Journal | None, batch: int, rounds: int) -> dict[str, float]:
    claims = EmbeddedClaimStore(SystemClock(), journal)
    watch = Stopwatch()
    for index in range(rounds):
        writes: list[tuple[Claim, Claim | None]] = [
            (Claim(f"wfnr_{index}_{i}:1", "me", 1, START, "DONE", b"r" * 600), None) for i in range(batch)
        ]
        with watch.running():
            await claims.save(writes)
    return {"claim save": watch.seconds / batch / rounds}


async def measure_ledger(journal: Journal | None, batch: int, rounds: int) -> dict[str, float]:
    result = {}
    for size in (400, 1_700):
        ledger = EmbeddedLedger(journal)
        watch = Stopwatch()
        for index in range(rounds):
            entries = [
                LedgerEntry(
                    f"ev-{size}-{index}-{i}", START, "ENTITY_UPDATED", "service", f"shop-{i}", 10, (), b"e" * size,
                    "headrace.entity.changes.v1/0/1",
                )
                for i in range(batch)
            ]  # fmt: skip
            with watch.running():
                await ledger.record(entries)
        result[f"ledger: sweep entry, {size} bytes"] = watch.seconds / batch / rounds
    return result


Measure = Callable[[Journal | None, int, int], Awaitable[dict[str, float]]]
MEASURES: tuple[Measure, ...] = (measure_log, measure_runs, measure_claims, measure_ledger)


async def print_costs(batch: int) -> None:
    rounds = max(1, 20_000 // batch) if batch > 1 else 2_000
    print(f"\nbatches of {batch}: microseconds of CPU per item")
    print(f"{'':36}{'memory':>10}{'file':>10}")
    for measure in MEASURES:
        # the second of two, so that nobody pays for the first use of everything
        columns = []
        for in_file in (False, True):
            for turn in range(2):
                with journal_or_none(in_file) as journal:
                    result = await measure(journal, batch, rounds if turn else max(1, rounds // 10))
            columns.append(result)
        for word, seconds in columns[0].items():
            print(f"{word:36}{seconds * 1e6:10.2f}{columns[1][word] * 1e6:10.2f}")


@asynccontextmanager
async def many_runs(journal: Journal | None, count: int) -> AsyncIterator[EmbeddedRunStore]:
    runs = EmbeddedRunStore(journal, max_finished_runs=count)
    for first in range(0, count, 1_000):
        saved = [states(number)[2 if number % 100 else 0] for number in range(first, first + 1_000)]
        await runs.save([StoredRun(run, 0) for run in saved])
    yield runs
    await runs.close()


QUERIES = {
    "newest": RunQuery(),
    "one workflow": RunQuery(workflows=("workflow-7",)),
    "one workflow, 10th page": RunQuery(workflows=("workflow-7",), offset=900),
    "in progress": RunQuery(statuses=("IN_PROGRESS",)),
    "failed": RunQuery(results=("FAILED",)),
    "failed of one workflow": RunQuery(workflows=("workflow-10",), results=("FAILED",)),
    "of one user": RunQuery(created_by="user-3"),
    "as a viewer": RunQuery(viewer="user-3", open_workflows=frozenset(f"workflow-{i}" for i in range(10))),
    "a version nobody has": RunQuery(versions=(7,)),
    "1,000th page": RunQuery(offset=99_900),
}


async def print_queries(count: int) -> None:
    print(f"\nqueries over {count:,} runs, limit 100: milliseconds")
    columns = []
    for in_file in (False, True):
        with journal_or_none(in_file) as journal:
            async with many_runs(journal, count) as runs:
                gc.collect()
                times = {}
                for word, query in QUERIES.items():
                    spans = []
                    for _ in range(5):
                        begin = time.perf_counter()
                        await runs.query(query)
                        spans.append(time.perf_counter() - begin)
                    times[word] = sorted(spans)[2]
                columns.append(times)
    for word in QUERIES:
        print(f"{word:36}{columns[0][word] * 1e3:10.2f}{columns[1][word] * 1e3:10.2f}")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", action="store_true", help="also queries over 100,000 runs")
    arguments = parser.parse_args()
    for batch in (1, 100, 500):
        await print_costs(batch)
    if arguments.queries:
        await print_queries(100_000)


if __name__ == "__main__":
    asyncio.run(main())
