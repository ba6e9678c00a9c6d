"""The journal: one owner, one version, a clear word when the file is not what it should be."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.adapters.embedded import (
    EmbeddedCatalog,
    EmbeddedClaimStore,
    EmbeddedDefinitionStore,
    EmbeddedLedger,
    EmbeddedLog,
    EmbeddedRunStore,
    Journal,
    JournalDamagedError,
    JournalError,
    JournalLockedError,
    JournalVersionError,
)
from headrace.adapters.embedded.journal import SCHEMA_VERSION
from headrace.ports.catalog import StoredBlueprint
from headrace.ports.errors import UnavailableError
from headrace.ports.stores import Claim, RunQuery
from tests.conformance.samples import START, ManualClock, calling, entry, make_run, message, write

HOLDER = """
import sys
from headrace.adapters.embedded import Journal
journal = Journal(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "headrace.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal(path)
    yield journal
    journal.close()


# one owner


def test_a_second_process_is_told_who_has_the_file(path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"

        with pytest.raises(JournalLockedError, match=f"in use by process {holder.pid} on "):
            Journal(path)

        holder.kill()
    Journal(path).close()


def test_the_same_process_does_not_open_a_file_twice(path: Path, journal: Journal) -> None:
    with pytest.raises(JournalLockedError, match="this very process"):
        Journal(path)
    with pytest.raises(JournalLockedError, match="this very process"):
        Journal(path.parent / "." / path.name)

    journal.close()
    Journal(path).close()


def test_another_program_that_reads_the_file_is_named_as_the_reason(path: Path) -> None:
    Journal(path).close()
    other = sqlite3.connect(path)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM runs").fetchone()

    with pytest.raises(JournalLockedError, match="locked by another program"):
        Journal(path)

    other.close()
    Journal(path).close()


# what the file is


def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    Journal(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    connection.close()

    with pytest.raises(JournalVersionError, match="upgrade Headrace"):
        Journal(path)


async def test_a_file_from_before_the_catalog_is_brought_up_to_date_with_all_that_is_in_it(path: Path) -> None:
    journal = Journal(path)
    await EmbeddedRunStore(journal).save([write(make_run("r1"))])
    journal.close()
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "DROP TABLE blueprints; DROP TABLE entities; DROP TABLE schedules; DROP TABLE pending_work; "
            "DROP TABLE gates; PRAGMA user_version=2;"
        )
    connection.close()

    journal = Journal(path)
    blueprint = StoredBlueprint("service", {}, 0, "ann", START, "ann", START)
    assert await EmbeddedCatalog(journal).save_blueprint(blueprint)
    assert set(await EmbeddedRunStore(journal).load(["r1"])) == {"r1"}
    journal.close()

    journal = Journal(path)
    assert await EmbeddedCatalog(journal).blueprints() == [blueprint]
    journal.close()


def test_a_file_from_before_the_first_release_is_refused(path: Path) -> None:
    Journal(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=1")
    connection.close()

    with pytest.raises(JournalVersionError, match="before its first release"):
        Journal(path)


def test_a_sqlite_file_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()

    with pytest.raises(JournalDamagedError, match="another program"):
        Journal(path)

    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    connection.close()


def test_a_file_that_is_no_sqlite_file_is_refused_and_left_alone(path: Path) -> None:
    path.write_bytes(b"hello, this is my diary\n" * 1_000)

    with pytest.raises(JournalDamagedError, match="not a SQLite file"):
        Journal(path)

    assert path.read_bytes().startswith(b"hello")


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + 50_000] = b"\xa5" * 50_000
    path.write_bytes(data)


async def test_a_damaged_file_is_refused(path: Path) -> None:
    journal = Journal(path)
    runs = EmbeddedRunStore(journal)
    await runs.save([write(make_run(f"r{i}")) for i in range(500)])
    journal.close()
    damage(path)

    with pytest.raises(JournalDamagedError, match=r"restore a copy|move the file away"):
        Journal(path)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="check that the folder exists"):
        Journal(tmp_path / "none" / "headrace.db")


def test_a_refused_file_is_not_kept_locked(path: Path) -> None:
    path.write_bytes(b"x" * 10_000)
    for _ in range(2):
        with pytest.raises(JournalDamagedError):
            Journal(path)

    path.unlink()
    Journal(path).close()


def test_others_may_not_read_the_file(path: Path, journal: Journal) -> None:
    assert {oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()} == {"0o600"}


def test_closing_twice_is_fine(journal: Journal) -> None:
    journal.close()
    journal.close()


# what does not fit is not written, and memory knows nothing of it


def fill_up(journal: Journal) -> None:
    """Let the file grow no further, as on a full disk."""
    (pages,) = next(iter(journal.read("PRAGMA page_count")))
    list(journal.read(f"PRAGMA max_page_count={pages}"))


def make_room(journal: Journal) -> None:
    list(journal.read("PRAGMA max_page_count=1000000"))


BIG = b"x" * 100_000


async def test_a_full_disk_leaves_the_log_as_it_was(journal: Journal) -> None:
    log = EmbeddedLog(ManualClock(), journal)
    consumer = await log.subscribe("readers", ["orders"])
    fill_up(journal)

    with pytest.raises(UnavailableError, match="disk is full"):
        await log.publish([message("orders", value=BIG), message("orders", value=BIG)])

    assert await consumer.fetch(10, 0) == []
    make_room(journal)
    await log.publish([message("orders", value=BIG)])
    assert [record.offset for record in await consumer.fetch(10, 0)] == [0]


async def test_a_full_disk_leaves_the_runs_as_they_were(journal: Journal) -> None:
    runs = EmbeddedRunStore(journal)
    run = make_run("r1")
    await runs.save([write(run, 0)])
    fill_up(journal)
    too_big = [write(calling(run, "call", START), 1, message("t", value=BIG)), write(make_run("r2"), 0)]

    with pytest.raises(UnavailableError, match="disk is full"):
        await runs.save(too_big)

    assert await runs.load(["r1", "r2"]) == {"r1": write(run, 0)}
    assert await runs.due(START, 10) == []
    assert await runs.unsent(START + 1, 10) == []
    assert await runs.query(RunQuery()) == [run]
    make_room(journal)
    assert await runs.save(too_big) == [True, True]


async def test_a_full_disk_leaves_definitions_claims_and_ledger_as_they_were(journal: Journal) -> None:
    definitions, ledger = EmbeddedDefinitionStore(journal), EmbeddedLedger(journal)
    claims = EmbeddedClaimStore(ManualClock(), journal)
    claim = Claim("c", "me", 1, 0, "CLAIMED")
    await claims.save([(claim, None)])
    fill_up(journal)

    with pytest.raises(UnavailableError):
        await definitions.create("deploy", {"big": BIG.decode()}, "ann", START)
    with pytest.raises(UnavailableError):
        await claims.save([(replace(claim, state="DONE", result=BIG), claim)])
    with pytest.raises(UnavailableError):
        await ledger.record([entry("ev1", event=BIG)])

    assert await definitions.latest("deploy") is None
    assert await definitions.revision() == 0
    assert await claims.load(["c"]) == {"c": claim}
    assert await ledger.find("ev1") is None
    make_room(journal)
    assert (await definitions.create("deploy", {}, "ann", START)).version == 1
    await ledger.record([entry("ev1", event=BIG)])
    assert len(await ledger.query()) == 1


async def test_a_closed_file_is_unavailable(journal: Journal) -> None:
    runs = EmbeddedRunStore(journal)
    journal.close()

    with pytest.raises(UnavailableError, match="is closed"):
        await runs.save([write(make_run("r1"))])
