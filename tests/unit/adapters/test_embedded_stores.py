"""What the embedded stores do beyond their ports: retention, expiry, and how they keep old things."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.adapters.clock import SystemClock, random_id
from headrace.adapters.embedded import EmbeddedClaimStore, EmbeddedLedger, EmbeddedRunStore, Journal
from headrace.adapters.embedded.runs import _WINDOW
from headrace.core.run import Run
from headrace.ports.clock import Clock
from headrace.ports.stores import Claim, RunQuery, TriggerVerdict
from tests.conformance.samples import (
    START,
    ManualClock,
    called,
    calling,
    completed,
    entry,
    make_run,
    message,
    write,
)


@pytest.fixture(params=["memory", "file"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal | None]:
    journal = Journal(tmp_path / "headrace.db") if request.param == "file" else None
    yield journal
    if journal is not None:
        journal.close()


def count(journal: Journal | None, table: str) -> int | None:
    if journal is None:
        return None
    ((rows,),) = journal.read(f"SELECT count(*) FROM {table}")
    return int(rows)


def finished(number: int) -> Run:
    run = calling(make_run(f"r{number:05}", at=START + number))
    return completed(called(run, external=f"x{number}"))


# runs


async def test_the_oldest_finished_runs_are_forgotten_in_every_index(journal: Journal | None) -> None:
    runs = EmbeddedRunStore(journal, max_finished_runs=20)
    await runs.save([write(calling(make_run("live", at=START - 1)))])

    for number in range(50):
        await runs.save([write(finished(number))])
    await runs.close()

    kept = await runs.query(RunQuery())
    assert [run.id for run in kept] == [*(f"r{n:05}" for n in range(49, 29, -1)), "live"]
    assert await runs.load(["r00029"]) == {}
    assert await runs.find_node_run("r00029:call") is None
    assert await runs.find_external("x29") == []
    assert await runs.find_external("x30") == [finished(30)]
    assert count(journal, "runs") in (None, 21)
    # and it can be born again
    assert await runs.save([write(finished(29))]) == [True]


async def test_a_finished_run_with_unsent_messages_is_not_forgotten(journal: Journal | None) -> None:
    runs = EmbeddedRunStore(journal, max_finished_runs=5)
    await runs.save([write(finished(0), 0, message("t"))])

    await runs.save([write(finished(number)) for number in range(1, 30)])
    assert len(await runs.load(["r00000"])) == 1

    await runs.mark_sent([("r00000", 0)])
    await runs.save([write(finished(number)) for number in range(30, 40)])
    assert await runs.load(["r00000"]) == {}


async def test_finished_runs_are_the_same_when_they_are_no_objects_any_more(journal: Journal | None) -> None:
    runs = EmbeddedRunStore(journal)
    many = _WINDOW + 50
    await runs.save([write(finished(number)) for number in range(many)])

    assert (await runs.load(["r00000"])) == {"r00000": write(finished(0))}
    assert await runs.find_node_run("r00001:call") == finished(1)
    assert await runs.query(RunQuery(offset=many - 2)) == [finished(1), finished(0)]


async def test_a_finished_run_that_has_new_messages_is_not_forgotten_before_they_are_sent(
    journal: Journal | None,
) -> None:
    runs = EmbeddedRunStore(journal, max_finished_runs=5)
    await runs.save([write(finished(0))])
    await runs.save([write(finished(0), 1, message("t"))])

    await runs.save([write(finished(number)) for number in range(1, 30)])
    assert len(await runs.load(["r00000"])) == 1

    await runs.mark_sent([("r00000", 1)])
    await runs.save([write(finished(30))])
    assert len(await runs.query(RunQuery())) == 5


async def test_two_writes_of_one_run_in_one_batch_follow_each_other(journal: Journal | None) -> None:
    runs = EmbeddedRunStore(journal)
    run = make_run("r")
    later = calling(run)

    writes = [write(run, 0, message("t")), write(later, 1), write(run, 1), write(called(later), 2, message("u"))]
    assert await runs.save(writes) == [True, True, False, True]

    assert await runs.load(["r"]) == {"r": writes[3]}
    if journal is not None:
        assert await EmbeddedRunStore(journal).load(["r"]) == {"r": writes[3]}


async def test_a_finished_run_can_still_be_written(journal: Journal | None) -> None:
    runs = EmbeddedRunStore(journal, max_finished_runs=1_000)
    await runs.save([write(finished(number)) for number in range(_WINDOW + 50)])
    late = replace(finished(0), label="late")

    assert await runs.save([write(late, 1, message("t"))]) == [True]
    await runs.mark_sent([("r00000", 1)])

    assert (await runs.load(["r00000"]))["r00000"] == write(late, 1)
    assert len(await runs.query(RunQuery(limit=2_000))) == _WINDOW + 50


async def test_a_run_that_json_cannot_hold_stays_in_memory(tmp_path: Path) -> None:
    odd = completed(called(calling(make_run("odd")), output={"big": 2**80}))
    runs = EmbeddedRunStore()
    await runs.save([write(odd)])
    await runs.save([write(finished(number)) for number in range(_WINDOW + 50)])

    assert await runs.load(["odd"]) == {"odd": write(odd)}


async def test_retention_is_by_the_time_of_completion_also_after_a_restart(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "headrace.db")
    runs = EmbeddedRunStore(journal)
    slow, quick = make_run("slow", at=START), make_run("quick", at=START + 1)
    await runs.save([write(slow), write(quick)])
    await runs.save([write(completed(quick), 1)])
    await runs.save([write(completed(replace(slow, updated_at=START + 1_000)), 1)])
    await runs.close()

    runs = EmbeddedRunStore(journal, max_finished_runs=1)

    assert [run.id for run in await runs.query(RunQuery())] == ["slow"]
    await runs.close()
    assert count(journal, "runs") == 1
    journal.close()


async def test_timers_that_fell_away_do_not_pile_up() -> None:
    runs = EmbeddedRunStore()
    run = make_run("r")
    await runs.save([write(run)])
    for rev in range(1, 10_000):
        timer = calling(run, "call", START + 10**9 + rev)
        await runs.save([write(timer, rev)])

    assert len(runs._timers._heap) < 2_000
    assert len(await runs.due(START + 10**10, 10)) == 1


async def test_orders_do_not_keep_what_has_left_them() -> None:
    runs = EmbeddedRunStore(max_finished_runs=100)
    for number in range(3_000):
        run = make_run(f"r{number}", workflow=f"w{number}", by=f"u{number}", at=START + number)
        await runs.save([write(run)])
        await runs.save([write(completed(run), 1)])

    index = runs._index
    assert len(index._by_workflow) == len(index._by_creator) == 100
    assert sum(len(order.entries) for order in index._all.orders.values()) < 400


# claims

CLAIM = Claim("c", "me", 1, START + 60_000, "CLAIMED")
HOUR = 3_600_000


def done(number: int) -> tuple[Claim, None]:
    return Claim(f"c{number}", "me", 1, START, "DONE", b"r"), None


async def test_settled_claims_expire_in_memory_and_in_the_file(journal: Journal | None) -> None:
    clock = ManualClock()
    claims = EmbeddedClaimStore(clock, journal)
    await claims.save([done(1), (CLAIM, None), (replace(CLAIM, id="held", until=START + 9 * HOUR), None)])

    clock.at = START + HOUR
    await claims.save([done(2)])
    assert len(await claims.load(["c1", "c2", "c", "held"])) == 4

    clock.at += 1_001
    await claims.save([done(3)])
    assert set(await claims.load(["c1", "c2", "c3", "c", "held"])) == {"c2", "c3", "c", "held"}
    assert count(journal, "claims") in (None, 4)

    clock.at = START + 3 * HOUR
    await claims.save([done(4)])
    assert set(await claims.load(["c2", "c3", "c4", "c", "held"])) == {"c4", "held"}


async def test_a_claim_that_was_saved_again_lives_from_then_on(journal: Journal | None) -> None:
    clock = ManualClock()
    claims = EmbeddedClaimStore(clock, journal)
    await claims.save([(CLAIM, None)])
    clock.at += HOUR // 2
    finished_claim = replace(CLAIM, state="DONE", result=b"r")
    await claims.save([(finished_claim, CLAIM)])

    clock.at = START + HOUR + 10_000
    await claims.save([done(1)])

    assert await claims.load(["c"]) == {"c": finished_claim}


async def test_no_claim_expires_while_its_request_can_be_delivered_again(journal: Journal | None) -> None:
    clock = ManualClock()
    oldest: list[int | None] = [START]
    claims = EmbeddedClaimStore(clock, journal, max_claims=10, redeliverable_since=lambda: oldest[0])
    await claims.save([done(number) for number in range(100)])

    clock.at += 5 * HOUR
    await claims.save([done(100)])
    assert len(await claims.load([f"c{number}" for number in range(101)])) == 101

    oldest[0] = None
    clock.at += 2_000
    await claims.save([done(101)])
    assert len(await claims.load([f"c{number}" for number in range(102)])) == 2


async def test_no_claim_expires_because_the_process_was_down(tmp_path: Path) -> None:
    clock = ManualClock()
    journal = Journal(tmp_path / "headrace.db")
    await EmbeddedClaimStore(clock, journal).save([done(1)])
    clock.at += 100 * HOUR

    claims = EmbeddedClaimStore(clock, journal)
    await claims.save([done(2)])
    assert len(await claims.load(["c1"])) == 1

    clock.at += 2 * HOUR
    await claims.save([done(3)])
    assert await claims.load(["c1"]) == {}
    journal.close()


async def test_more_claims_than_are_wanted_are_dropped_from_the_oldest_on() -> None:
    clock = ManualClock()
    claims = EmbeddedClaimStore(clock, max_claims=10, redeliverable_since=lambda: None)
    await claims.save([(CLAIM, None)])
    for number in range(100):
        clock.at += 1_001
        await claims.save([done(number)])

    kept = await claims.load(["c", *(f"c{number}" for number in range(100))])
    assert "c" in kept  # its lease ended less than the retention ago: nobody knows yet what became of it
    assert 10 <= len(kept) <= 12
    assert "c99" in kept


# ledger

VERDICT = TriggerVerdict("deploy", 1, "t", "filtered", "no")


async def test_the_ledger_keeps_the_newest_entries_in_every_index(journal: Journal | None) -> None:
    ledger = EmbeddedLedger(journal, max_entries=100)

    for number in range(3_000):
        await ledger.record([entry(f"ev{number}", *[VERDICT][: number % 2], entity=f"shop-{number % 7}")])

    assert [e.event_id for e in await ledger.query(limit=1_000)] == [f"ev{n}" for n in range(2_999, 2_899, -1)]
    assert await ledger.find("ev2899") is None
    assert len(await ledger.query(workflow="deploy", limit=1_000)) == 50
    same = [n for n in range(2_900, 3_000) if n % 7 == 3]
    assert len(await ledger.query(blueprint="service", entity="shop-3", limit=1_000)) == len(same)
    assert (count(journal, "ledger") or 0) <= 1_101
    assert len(ledger._by_event) == 100
    assert len(ledger._previous) <= 100


# clock


def test_the_system_clock_tells_the_time() -> None:
    clock: Clock = SystemClock()

    assert clock.now() > START
    assert clock.monotonic() <= clock.monotonic()


def test_random_ids_differ() -> None:
    assert len({random_id() for _ in range(1_000)}) == 1_000
