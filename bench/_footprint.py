"""What runs leave behind: bytes in MongoDB and in Kafka's files."""

from collections import Counter
from pathlib import Path
from typing import Any

from pymongo import MongoClient

COLLECTIONS = ("runs", "claims", "ledger")


def measure(mongodb: str, database: str, broker_data: Path, prefix: str) -> dict[str, float]:
    """Bytes so far. `data` is the documents uncompressed; `stored` the collections' files, `indexes` those of indexes.

    The database writes a checkpoint first, since its files' sizes are those of the last one.
    """
    found: Counter[str] = Counter()
    client: MongoClient[dict[str, Any]] = MongoClient(mongodb)
    with client:
        client.admin.command("fsync")
        for name in COLLECTIONS:
            statistics = client[database].command("collStats", name)
            found["mongodb.data"] += statistics["size"]
            found["mongodb.stored"] += statistics["storageSize"]
            found["mongodb.indexes"] += statistics["totalIndexSize"]
            found[f"mongodb.data.{name}"] += statistics["size"]
            found[f"mongodb.stored.{name}"] += statistics["storageSize"] + statistics["totalIndexSize"]
    for folder in broker_data.glob(f"{prefix}*"):
        # the index files beside them are preallocated, and cut when a segment is full
        size = sum(segment.stat().st_size for segment in folder.glob("*.log"))
        found["kafka.log"] += size
        found[f"kafka.log.{folder.name.removeprefix(prefix).rpartition('-')[0]}"] += size
    return dict(found)


def per_run(before: dict[str, float], after: dict[str, float], runs: int) -> dict[str, float]:
    """What a run added to each."""
    return {name: (size - before.get(name, 0)) / runs for name, size in after.items()}
