"""What a conditional write costs MongoDB, by how its condition is said (ADR 0005).

    python -m bench.mongo_writes

CPU of the server and of the client per write, in batches of 1,000 documents of 2 kB; medians of rounds in which the
ways take turns. The server is one of tools.servers, on loopback.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pymongo import InsertOne, MongoClient, ReplaceOne, UpdateOne
from pymongo.collection import Collection
from pymongo.write_concern import WriteConcern

from bench._process import cpu_seconds_of
from headrace.adapters.mongo.bulk import only_if
from tools.servers import Mongo

BATCH = 1_000
Documents = Sequence[dict[str, Any]]


def upserts(documents: Documents) -> list[Any]:
    """A new run as architecture.md once had it: nothing happens when it is there."""
    return [UpdateOne({"_id": it["_id"]}, {"$setOnInsert": it}, upsert=True) for it in documents]


def inserts(documents: Documents) -> list[Any]:
    """A new run as the adapter writes it."""
    return [InsertOne(it) for it in documents]


def filtered(documents: Documents) -> list[Any]:
    """A changed run, the comparison in the filter."""
    return [ReplaceOne({"_id": it["_id"], "rev": it["rev"] - 1}, it) for it in documents]


def compared_inside(documents: Documents) -> list[Any]:
    """A changed run as the adapter writes it: the comparison in the update."""
    return [only_if({"$eq": ["$rev", it["rev"] - 1]}, it) for it in documents]


WAYS: dict[str, tuple[Callable[[Documents], list[Any]], int]] = {
    "new run: upsert with $setOnInsert": (upserts, 0),
    "new run: plain insert": (inserts, 0),
    "changed run: filter {_id, rev}": (filtered, 1),
    "changed run: rev compared in the update": (compared_inside, 1),
}


def run_document(number: int, rev: int) -> dict[str, Any]:
    """About as large, and with about as many fields, as a stored run."""
    return {
        "_id": f"wfr_{number:016d}", "v": 1, "rev": rev, "write_id": rev, "workflow": "w1", "version": 1,
        "state": "IN_PROGRESS", "created_at": 1_795_338_000_000 + number, "created_by": "bench",
        "run": os.urandom(1_500), "outbox": os.urandom(500), "unsent_since": 1_795_338_000_000,
    }  # fmt: skip


def measure(runs: Collection[dict[str, Any]], pid: int, batches: int, label: str) -> tuple[float, float]:
    """Microseconds of the server and of the client per write."""
    way, rev = WAYS[label]
    runs.delete_many({})
    if rev:
        runs.insert_many([run_document(number, 0) for number in range(BATCH * batches)])
    work = [[run_document(first + i, rev) for i in range(BATCH)] for first in range(0, BATCH * batches, BATCH)]
    server, client = cpu_seconds_of(pid), time.process_time()
    for documents in work:
        runs.bulk_write(way(documents), ordered=False)
    count = BATCH * batches / 1e6
    return (cpu_seconds_of(pid) - server) / count, (time.process_time() - client) / count


def main() -> None:
    """Start a server, measure, print a table, stop the server."""
    parser = argparse.ArgumentParser(prog="python -m bench.mongo_writes", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=10, help="per round and way")
    chosen = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {label: [] for label in WAYS}
    with tempfile.TemporaryDirectory() as folder, Mongo(Path(folder)) as server:
        client: MongoClient[dict[str, Any]] = MongoClient(server.uri)
        concern = WriteConcern(w="majority", j=True)
        runs: Collection[dict[str, Any]] = client["bench"].get_collection("runs", write_concern=concern)
        assert server.pid is not None
        for _ in range(chosen.rounds):
            for label, figures in found.items():
                figures.append(measure(runs, server.pid, chosen.batches, label))
        client.close()
    print(f"{'':42}{'server, µs':>12}{'client, µs':>12}")
    for label, figures in found.items():
        of_server, of_client = (statistics.median(column) for column in zip(*figures, strict=True))
        print(f"{label:42}{of_server:12.1f}{of_client:12.1f}")


if __name__ == "__main__":
    main()
