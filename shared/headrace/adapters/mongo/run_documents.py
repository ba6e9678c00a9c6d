"""How a run lies in MongoDB: bytes that only we read, and beside them the few fields that are asked for.

* `_id`: the run's id; `v`: version of this shape;
* `rev`, `write_id`: the fence of compare-and-set, and which batch wrote it;
* `workflow`, `version`, `created_by`, `created_at`, `saved_at`: as in the run and the stored run, instants in ms;
* `state`: IN_PROGRESS, CANCELLING, or the result once completed;
* `run`: the run, as contracts/documents.py writes it;
* `nodes`: ids of its node runs; `external`: ids under which others know them;
* `outbox`, `unsent_since`: unpublished messages, and since when (ms);
* `timers`, `next_due`: timer id and instant of each, and the earliest instant;
* `expire_at`: when the document may be deleted, once the run is over and its outbox is empty;
* `expire_when_sent`: the same while the outbox is not; marking the outbox as sent copies it to `expire_at`.

What a run does not have is absent.
"""

from typing import Any, Final

from bson.datetime_ms import DatetimeMS

from headrace.adapters.mongo.bulk import MAX_BYTES, too_large
from headrace.adapters.mongo.versions import Shape
from headrace.contracts.documents import decode_run, encode_run, pack, unpack
from headrace.core.run import Run
from headrace.ports.stores import StoredRun

SHAPE: Final = Shape("run")

STORED: Final = dict.fromkeys(("v", "rev", "saved_at", "run", "outbox"), True)
"""What must be read to make a StoredRun."""
ONLY_RUN: Final = dict.fromkeys(("v", "run"), True)
"""What must be read to make a Run."""

MS_PER_DAY: Final = 86_400_000
_BYTES_PER_ID: Final = 64


def encode(stored: StoredRun, write_id: int, retention_ms: int) -> dict[str, Any]:
    """The document. Raises UnencodableMessageError, DocumentTooLargeError."""
    run = stored.run
    data = encode_run(run)
    document: dict[str, Any] = {
        "_id": run.id,
        "v": 1,
        "rev": stored.rev,
        "write_id": write_id,
        "workflow": run.workflow,
        "version": run.version,
        "state": state_of(run),
        "created_by": run.created_by,
        "created_at": run.created_at,
        "saved_at": stored.saved_at,
        "run": data,
    }
    size = len(data)
    if run.nodes:
        document["nodes"] = [node.id for node in run.nodes.values()]
        external = [node.external_run_id for node in run.nodes.values() if node.external_run_id is not None]
        if external:
            document["external"] = external
    if stored.outbox:
        document["outbox"] = outbox = pack(stored.outbox)
        document["unsent_since"] = stored.saved_at
        size += len(outbox)
    if run.timers:
        document["timers"] = [(timer.id, timer.due_at) for timer in run.timers]
        document["next_due"] = run.next_due_at
    if run.status == "COMPLETED":
        at = DatetimeMS((run.completed_at or run.updated_at) + retention_ms)
        document["expire_when_sent" if stored.outbox else "expire_at"] = at
    if size + _BYTES_PER_ID * len(run.nodes) > MAX_BYTES:
        raise too_large("run", run.id, size)
    return document


def decode(document: dict[str, Any]) -> StoredRun:
    """The run that `encode` was given. Raises UndecodableDocumentError."""
    document = SHAPE.read(document)
    outbox = document.get("outbox")
    messages = () if outbox is None else unpack(outbox)
    return StoredRun(decode_run(document["run"]), document["rev"], messages, document["saved_at"])


def decode_only_run(document: dict[str, Any]) -> Run:
    """The run alone. Raises UndecodableDocumentError."""
    return decode_run(SHAPE.read(document)["run"])


def state_of(run: Run) -> str:
    """Under which state the run is listed."""
    return (run.result or "COMPLETED") if run.status == "COMPLETED" else run.status
