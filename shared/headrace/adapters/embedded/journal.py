"""The journal: the one SQLite file behind the embedded log and stores.

Theory of operation
-------------------
Memory is the truth, the file is its durability. Each adapter keeps its whole working state in Python objects and
answers every question from there (only the bulk of old things is read back from the file: finished runs, ledger
entries). The file is written through, and read as a whole only once, at opening.

*Order.* Every port call that changes something makes exactly one transaction, and makes it before it touches memory:

    check in memory  ->  BEGIN, one executemany per table, COMMIT  ->  change memory  ->  return

So an error of the file (disk full, locked, input/output error) leaves the memory as it was, and the caller gets an
UnavailableError and may simply call again. Nothing awaits between check and change, hence no two port calls interleave.

*What a crash loses.* The file is in WAL mode with `synchronous=NORMAL`: COMMIT hands the bytes to the operating system
and does not wait for the disk. A process killed at any moment (kill -9) loses nothing that a port call acknowledged. A
machine that loses power may lose the last acknowledged calls, never more than a suffix, and never breaks the file. The
engine survives that: offsets, runs, claims and records live in the same file and go back together, to the same moment.

*Cheap rows.* A transaction costs tens of microseconds, a row a few. To keep it so, no table has a secondary index, and
nearly every table is keyed by a number which grows as rows are born (`n`, `seq`), so that a batch touches few pages
next to each other; the records of one publish share a row. Which number belongs to which run, only memory knows.

*In the event loop.* Calls are made in the event loop's thread: they are shorter than a hand-over to another thread
would be. The exception is the checkpoint, every 16 MiB of WAL, a few milliseconds on a solid-state disk.

*One owner.* Two processes on one file would each believe in their own memory. A lock file beside the file (`.lock`, a
POSIX record lock, released by the kernel however the process ends) keeps a second one out and says who the first is.
SQLite's own lock, held as long as the file is open, keeps other programs out: copy the file after an orderly end only.

*Size.* Deleted rows leave free pages which later rows fill: the file grows to what retention allows and stays there.
"""

import contextlib
import fcntl
import os
import socket
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from headrace.core.errors import HeadraceError
from headrace.ports.errors import UnavailableError

APPLICATION_ID: Final = 0x48445243  # "HDRC"; makes `file journal.db` and us recognise the file
SCHEMA_VERSION: Final = 6

_SCHEMA = """
CREATE TABLE partitions (id INTEGER PRIMARY KEY, topic TEXT NOT NULL, number INTEGER NOT NULL);
CREATE TABLE batches (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, records BLOB NOT NULL);
CREATE TABLE offsets (
  consumer_group TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL,
  PRIMARY KEY (consumer_group, partition)
) WITHOUT ROWID;
CREATE TABLE runs (n INTEGER PRIMARY KEY, rev INTEGER NOT NULL, saved_at INTEGER NOT NULL, run BLOB NOT NULL);
CREATE TABLE outboxes (n INTEGER PRIMARY KEY, messages BLOB NOT NULL);
CREATE TABLE definitions (
  n INTEGER PRIMARY KEY, identifier TEXT NOT NULL, version INTEGER NOT NULL, document BLOB NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL,
  deleted INTEGER NOT NULL
);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE claims (
  n INTEGER PRIMARY KEY, id TEXT NOT NULL, owner TEXT NOT NULL, fence INTEGER NOT NULL, until INTEGER NOT NULL,
  state TEXT NOT NULL, result BLOB, saved_at INTEGER NOT NULL
);
CREATE TABLE ledger (
  seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL, at INTEGER NOT NULL, action TEXT NOT NULL, blueprint TEXT NOT NULL,
  entity TEXT NOT NULL, considered INTEGER NOT NULL, source TEXT NOT NULL, workflows BLOB, verdicts BLOB,
  event BLOB NOT NULL
);
"""
_CATALOG = """
CREATE TABLE blueprints (
  n INTEGER PRIMARY KEY, identifier TEXT NOT NULL, document BLOB NOT NULL, rev INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL
);
CREATE TABLE entities (
  n INTEGER PRIMARY KEY, rev INTEGER NOT NULL, saved_at INTEGER NOT NULL, deleted INTEGER NOT NULL,
  entity BLOB NOT NULL, outbox BLOB
);
"""
_SCHEDULES = """
CREATE TABLE schedules (
  workflow TEXT NOT NULL, trigger_node TEXT NOT NULL, rev INTEGER NOT NULL, version INTEGER NOT NULL,
  spec TEXT NOT NULL, due_at INTEGER, PRIMARY KEY (workflow, trigger_node)
) WITHOUT ROWID;
"""
_PENDING = """
CREATE TABLE pending_work (
  node_run TEXT PRIMARY KEY, run TEXT NOT NULL, attempt INTEGER NOT NULL, installation TEXT NOT NULL,
  offered_at INTEGER NOT NULL, rev INTEGER NOT NULL, visible_at INTEGER
) WITHOUT ROWID;
"""
_GATES = """
CREATE TABLE gates (
  id TEXT PRIMARY KEY, rev INTEGER NOT NULL, saved_at INTEGER NOT NULL, gate BLOB NOT NULL, outbox BLOB
) WITHOUT ROWID;
"""
_UPGRADES: Final = {2: _CATALOG, 3: _SCHEDULES, 4: _PENDING, 5: _GATES}
"""What makes a file of a version one of the next. Files of older versions were never released."""

Row = tuple[Any, ...]
Change = tuple[str, Collection[Row]]
"""One statement and the rows to run it with."""


class JournalError(HeadraceError):
    """The file cannot be used. Raised at opening, before anything is served; the message says what to do."""


class JournalLockedError(JournalError):
    """Another process has the file open. Stop it, or give this one a file of its own."""


class JournalDamagedError(JournalError):
    """The file is not a journal, or is damaged. Restore a copy, or move it away and start empty."""


class JournalVersionError(JournalError):
    """The file was written by a newer Headrace. Use that version, or another file."""


_held: set[tuple[int, int]] = set()
"""Lock files this process holds, by device and inode: record locks do not keep a process from itself."""


class Journal:
    """The open file. Make it before the adapters, give it to each of them, close it after them."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open or create the file. Raises JournalError, or a kind of it."""
        self.path: Final = Path(path)
        self._lock = _Lock(self.path)
        try:
            self._connection = _connect(self.path)
        except BaseException:
            self._lock.release()
            raise
        self._closed = False

    def write(self, *changes: Change) -> None:
        """Make all the changes in one transaction: all of them are durable when this returns, or none ever is.

        Raises UnavailableError when the file refuses.
        """
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for statement, rows in changes:
                if rows:
                    connection.executemany(statement, rows)
            connection.execute("COMMIT")
        except BaseException as error:
            with contextlib.suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise self._unavailable("written", error) from error
            raise

    def read(self, statement: str, parameters: Sequence[Any] = ()) -> Iterator[Row]:
        """The rows of a query. Raises UnavailableError when the file refuses."""
        try:
            yield from self._connection.execute(statement, parameters)
        except sqlite3.Error as error:
            raise self._unavailable("read", error) from error

    def blob(self, statement: str, number: int) -> Row:
        """The one row of a query by number. Raises UnavailableError when it is not there: memory knew better."""
        for row in self.read(statement, (number,)):
            return row
        raise UnavailableError(f"{self.path} lost row {number}: was it changed by another program? Restart Headrace.")

    def close(self) -> None:
        """Move the WAL into the file and let go of it. Calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        self._connection.close()
        self._lock.release()

    def _unavailable(self, done: str, error: sqlite3.Error) -> UnavailableError:
        if self._closed:
            return UnavailableError(f"{self.path} is closed")
        hint = {
            sqlite3.SQLITE_FULL: "The disk is full; free some space.",
            sqlite3.SQLITE_BUSY: "Another program holds a lock on the file; end it.",
            sqlite3.SQLITE_IOERR: "The disk reported an error.",
            sqlite3.SQLITE_READONLY: "The file or its folder is read-only.",
            sqlite3.SQLITE_CORRUPT: "The file is damaged; stop Headrace and restore a copy of the file.",
        }.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "")
        return UnavailableError(f"{self.path} could not be {done}: {error}. {hint}".rstrip())


def _connect(path: Path) -> sqlite3.Connection:
    """A connection to the checked file, its schema in place."""
    connection: sqlite3.Connection | None = None
    try:
        path.touch(mode=0o600)  # SQLite would let others read it; its companions take over the mode
        # isolation_level None: transactions are ours alone; without it the module begins some of its own
        connection = sqlite3.connect(path, isolation_level=None, cached_statements=256, timeout=1.0)
        # the page size only counts for a new file, and must come before WAL
        connection.execute("PRAGMA page_size=16384")
        # no other connection: saves the locking of every transaction and the shared-memory file of the WAL
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA cache_size=-16384")  # KiB
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("PRAGMA wal_autocheckpoint=1024")  # pages: 16 MiB
        connection.execute("PRAGMA journal_size_limit=33554432")
        _check(connection, path)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, sqlite3.DatabaseError | OSError):
            raise _opening_error(path, error) from error
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Make sure that the file is ours, whole and of a version we know; give a new file its schema."""
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        connection.executescript(
            f"BEGIN; {_SCHEMA} {_CATALOG} {_SCHEDULES} {_PENDING} {_GATES} PRAGMA application_id={APPLICATION_ID}; "
            f"PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
        )
        return
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise JournalDamagedError(f"{path} is a SQLite file of another program; give Headrace a file of its own")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise JournalVersionError(
            f"{path} has schema version {version}, this Headrace knows up to {SCHEMA_VERSION}: "
            "upgrade Headrace, or use another file"
        )
    if version < min(_UPGRADES):
        raise JournalVersionError(
            f"{path} has schema version {version}, of a Headrace before its first release; this one begins with "
            f"{min(_UPGRADES)}: move the file away to start empty"
        )
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise JournalDamagedError(
            f"{path} is damaged ({verdict}): restore a copy, or move the file away to start empty"
        )
    for step in range(version, SCHEMA_VERSION):
        connection.executescript(f"BEGIN; {_UPGRADES[step]} PRAGMA user_version={step + 1}; COMMIT;")


def _opening_error(path: Path, error: sqlite3.DatabaseError | OSError) -> JournalError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return JournalDamagedError(
            f"{path} is damaged or not a SQLite file ({error}): restore a copy, or move the file away to start empty"
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return JournalLockedError(
            f"{path} is locked by another program that reads or writes it ({error}): end that one"
        )
    return JournalError(f"{path} cannot be opened ({error}): check that the folder exists and can be written")


class _Lock:
    """The lock file: held from construction to `release`, or to the end of the process, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        # before opening: closing any handle of the file would drop the lock that this very process holds
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(self._path)
            if (status.st_dev, status.st_ino) in _held:
                raise JournalLockedError(f"{path} is in use by this very process ({os.getpid()}): close it first")
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise JournalError(
                f"{path} cannot be opened ({error.strerror}): check that the folder exists and can be written"
            ) from error
        status = os.fstat(self._file)
        self._identity = (status.st_dev, status.st_ino)
        try:
            # a record lock and not flock: children that were forked do not inherit it
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._file, 200, 0).decode("utf-8", "replace").strip() or "another process"
            os.close(self._file)
            raise JournalLockedError(
                f"{path} is in use by {holder}: stop that process, or give this one another file"
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        _held.add(self._identity)

    def release(self) -> None:
        _held.discard(self._identity)
        os.close(self._file)
