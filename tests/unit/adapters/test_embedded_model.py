"""Random histories: the embedded adapters answer as the plainest model does, in memory, in a file, over restarts."""

import asyncio
import random
from pathlib import Path

import pytest

from headrace.adapters.embedded import EmbeddedLog, EmbeddedRunStore, Journal
from headrace.core.run import Run
from headrace.ports.log import Message, TopicPartition
from headrace.ports.stores import DueTimer, RunQuery, StoredRun
from tests.conformance.samples import START, ManualClock, called, calling, cancelling, completed, make_run, message

STEPS = 400
SEEDS = range(4)


class Model:
    """A run store that keeps a dict and looks at everything."""

    def __init__(self) -> None:
        self.stored: dict[str, StoredRun] = {}

    def save(self, write: StoredRun) -> bool:
        known = self.stored.get(write.run.id)
        wins = (known.rev if known else -1) == write.rev - 1
        if wins:
            self.stored[write.run.id] = write
        return wins

    def mark_sent(self, run_id: str, rev: int) -> None:
        known = self.stored.get(run_id)
        if known is not None and known.rev == rev:
            self.stored[run_id] = StoredRun(known.run, rev, (), known.saved_at)

    def unsent(self, before: int) -> list[str]:
        waiting = [(s.saved_at, s.run.id) for s in self.stored.values() if s.outbox and s.saved_at < before]
        return [run_id for _, run_id in sorted(waiting)]

    def due(self, now: int) -> list[DueTimer]:
        timers = [DueTimer(s.run.id, t.id, t.due_at) for s in self.stored.values() for t in s.run.timers]
        return sorted((t for t in timers if t.due_at <= now), key=lambda t: (t.due_at, t.run_id, t.timer_id))

    def query(self, query: RunQuery) -> list[str]:
        runs = sorted((s.run for s in self.stored.values()), key=lambda run: (run.created_at, run.id), reverse=True)
        found = [run.id for run in runs if self.asked_for(run, query)]
        return found[query.offset : query.offset + query.limit]

    @staticmethod
    def asked_for(run: Run, query: RunQuery) -> bool:
        return (
            (not query.run_ids or run.id in query.run_ids)
            and (not query.workflows or run.workflow in query.workflows)
            and (not query.versions or run.version in query.versions)
            and (not query.statuses or run.status in query.statuses)
            and (not query.results or run.result in query.results)
            and query.created_by in (None, run.created_by)
            and (query.viewer in (None, run.created_by) or run.workflow in query.open_workflows)
        )


def next_run(chance: random.Random, model: Model) -> StoredRun:
    """A write as the engine makes it, or one that comes too late."""
    run_id = f"r{chance.randrange(40)}"
    known = model.stored.get(run_id)
    if known is None:
        run = make_run(
            run_id, workflow=chance.choice("abc"), version=chance.randrange(3), by=chance.choice("xyz"),
            at=START + chance.randrange(20),
        )  # fmt: skip
    else:
        run = known.run
        if run.status == "IN_PROGRESS" and chance.random() < 0.4:
            run = calling(run, f"n{run.seq}", START + chance.randrange(100))
        elif run.in_progress() and chance.random() < 0.5:
            run = called(run, run.in_progress()[0].node, external=chance.choice([None, "e1", "e2"]))
        elif run.status == "IN_PROGRESS" and chance.random() < 0.3:
            run = cancelling(run)
        elif not run.is_over:
            run = completed(run, chance.choice(["SUCCESS", "FAILED", "CANCELLED"]))
    rev = (0 if known is None else known.rev + 1) + chance.choice([0, 0, 0, 0, 0, -1, 1])
    outbox = tuple(message("t", str(i)) for i in range(chance.choice([0, 0, 1, 2])))
    return StoredRun(run, max(rev, 0), outbox, START + chance.randrange(50))


def some(chance: random.Random, values: str) -> tuple[str, ...]:
    return tuple(value for value in values if chance.random() < 0.3)


def next_query(chance: random.Random) -> RunQuery:
    statuses = ("IN_PROGRESS", "CANCELLING", "COMPLETED")
    results = ("SUCCESS", "FAILED", "CANCELLED")
    return RunQuery(
        run_ids=tuple(f"r{chance.randrange(40)}" for _ in range(chance.choice([0, 0, 0, 5]))),
        workflows=some(chance, "abc"),
        versions=tuple(v for v in range(3) if chance.random() < 0.2),
        created_by=chance.choice([None, None, "x"]),
        statuses=tuple(s for s in statuses if chance.random() < 0.3),  # type: ignore[misc]
        results=tuple(r for r in results if chance.random() < 0.2),  # type: ignore[misc]
        viewer=chance.choice([None, "x", "y"]),
        open_workflows=frozenset(some(chance, "abc")),
        limit=chance.choice([3, 100]),
        offset=chance.choice([0, 0, 2]),
    )


async def compare(store: EmbeddedRunStore, model: Model, chance: random.Random) -> None:
    assert await store.load([f"r{i}" for i in range(40)]) == model.stored
    assert [s.run.id for s in await store.unsent(START + 40, 100)] == model.unsent(START + 40)
    assert await store.due(START + 60, 1_000) == model.due(START + 60)
    for external in ("e1", "e2"):
        holders = {
            s.run.id for s in model.stored.values() if any(n.external_run_id == external for n in s.run.nodes.values())
        }
        assert {run.id for run in await store.find_external(external)} == holders
    for _ in range(5):
        query = next_query(chance)
        assert [run.id for run in await store.query(query)] == model.query(query)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("in_file", [False, True], ids=["memory", "file"])
async def test_the_run_store_answers_as_a_plain_model_does(seed: int, in_file: bool, tmp_path: Path) -> None:
    chance = random.Random(seed)
    path = tmp_path / "headrace.db"
    journal = Journal(path) if in_file else None
    store, model = EmbeddedRunStore(journal), Model()

    for step in range(STEPS):
        if chance.random() < 0.8:
            writes = {w.run.id: w for w in (next_run(chance, model) for _ in range(chance.randrange(5)))}
            expected = [model.save(write) for write in writes.values()]
            assert await store.save(list(writes.values())) == expected
        else:
            run_id = f"r{chance.randrange(40)}"
            rev = model.stored[run_id].rev if run_id in model.stored else 0
            rev += chance.choice([0, 0, 0, 1])
            model.mark_sent(run_id, rev)
            await store.mark_sent([(run_id, rev)])
        if step % 20 == 0:
            await compare(store, model, chance)
        if journal is not None and step % 60 == 0:
            await store.close()
            journal.close()
            journal = Journal(path)
            store = EmbeddedRunStore(journal)
            await compare(store, model, chance)
    if journal is not None:
        journal.close()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("in_file", [False, True], ids=["memory", "file"])
async def test_a_group_gets_every_record_in_order_whatever_happens_to_its_members(
    seed: int, in_file: bool, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    path = tmp_path / "headrace.db"
    journal = Journal(path) if in_file else None
    settings = {"partitions": 3, "retention_records": 16}
    log = EmbeddedLog(ManualClock(), journal, **settings)
    members = [await log.subscribe("g", ["t"])]  # from the start: records of no group may be trimmed
    published = 0
    handled: set[int] = set()
    committed: dict[TopicPartition, int] = {}
    seen: dict[tuple[int, TopicPartition], int] = {}  # per member: each partition ascends within an epoch

    for _ in range(STEPS):
        action = chance.choice(["publish", "publish", "fetch", "fetch", "fetch", "join", "leave", "crash", "restart"])
        if action == "publish":
            numbers = range(published, published + chance.randrange(1, 10))
            await log.publish([Message("t", f"k{n % 11}", str(n).encode()) for n in numbers])
            published = numbers.stop
        elif action == "join" and len(members) < 4:
            members.append(await log.subscribe("g", ["t"]))
            seen.clear()
        elif action in ("leave", "crash") and members:
            member = members.pop(chance.randrange(len(members)))
            await (member.close() if action == "leave" else member.abandon())
            seen.clear()
        elif action == "restart" and journal is not None and chance.random() < 0.3:
            await log.close()
            journal.close()
            members.clear()
            seen.clear()
            journal = Journal(path)
            log = EmbeddedLog(ManualClock(), journal, **settings)
        elif action == "fetch" and members:
            member = chance.choice(members)
            records = await member.fetch(chance.randrange(1, 20), 0)
            offsets: dict[TopicPartition, int] = {}
            for record in records:
                place = (id(member), record.source)
                assert record.offset >= committed.get(record.source, 0), "what was committed does not come again"
                assert record.offset == seen.get(place, record.offset - 1) + 1, "no gap within an epoch"
                seen[place] = record.offset
                offsets[record.source] = record.offset + 1
                handled.add(int(record.value or b""))
            if records and chance.random() < 0.5:
                await member.commit(offsets, records[0].epoch)
                committed |= offsets

    last = await log.subscribe("g", ["t"])
    for member in members:
        await member.close()
    while records := await last.fetch(1_000, 0):
        handled |= {int(record.value or b"") for record in records}
    assert handled == set(range(published))
    await log.close()
    await asyncio.sleep(0)
    if journal is not None:
        journal.close()
