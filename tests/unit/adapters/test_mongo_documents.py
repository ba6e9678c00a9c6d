"""What lies in MongoDB stays readable, whichever release wrote it, and a newer release's is left alone."""

from pathlib import Path
from typing import Any

import pytest
from bson import json_util

from headrace.adapters.mongo import DocumentTooLargeError, claims, ledger, run_documents
from headrace.adapters.mongo.bulk import rounds
from headrace.adapters.mongo.run_queries import select
from headrace.adapters.mongo.versions import Shape
from headrace.contracts.documents import UndecodableDocumentError
from headrace.core.run import Run
from headrace.ports.stores import Claim, RunQuery, StoredRun, TriggerVerdict
from tests.conformance.samples import START, called, calling, completed, entry, make_run, message, write

GOLDEN = Path(__file__).parent / "golden"
DAY_MS = 86_400_000

WAITING = write(
    calling(called(calling(make_run("r1")), output={"a": [1, "é"]}, external="build-7"), "next", START + 60_000),
    3,
    message("requests", "r1:next", b"\x00\xffvalue", type=b"node.request"),
    saved_at=START + 7,
)
OVER = write(completed(called(calling(make_run("r2")))), 2, saved_at=START + 9)
CLAIM = Claim("r1:next:1", "me", 2, START + 60_000, "DONE", b"\x00result\xff")
ENTRY = entry("ev1", TriggerVerdict("deploy", 3, "on-change", "matched", "all conditions hold", "r1", {"seen": [1]}))


def golden(name: str) -> dict[str, Any]:
    """A document as MongoDB's tools print it."""
    document: dict[str, Any] = json_util.loads((GOLDEN / name).read_text())
    return document


@pytest.mark.parametrize(("name", "stored"), [("run.waiting.v1.json", WAITING), ("run.over.v1.json", OVER)])
def test_a_run_of_version_1_is_read(name: str, stored: StoredRun) -> None:
    assert run_documents.decode(golden(name)) == stored
    assert run_documents.decode_only_run(golden(name)) == stored.run


@pytest.mark.parametrize(("name", "stored"), [("run.waiting.v1.json", WAITING), ("run.over.v1.json", OVER)])
def test_a_run_is_written_as_version_1(name: str, stored: StoredRun) -> None:
    """But for the bytes, which have versions of their own."""
    written = json_util.loads(json_util.dumps(run_documents.encode(stored, 77, 30 * DAY_MS)))

    expected = golden(name)
    assert list(written) == list(expected)
    for field in written.keys() - {"run", "outbox"}:
        assert written[field] == expected[field]


def test_a_claim_and_an_entry_of_version_1_are_read() -> None:
    assert claims._decode(claims.SHAPE.read(golden("claim.v1.json"))) == CLAIM
    assert ledger._decode(golden("ledger.v1.json")) == ENTRY


def test_a_document_of_an_older_version_is_upgraded_step_by_step() -> None:
    shape = Shape("thing", 3, {1: lambda it: {**it, "v": 2, "b": it["a"]}, 2: lambda it: {**it, "v": 3, "c": it["b"]}})

    assert shape.read({"v": 1, "a": 7}) == {"v": 3, "a": 7, "b": 7, "c": 7}
    assert shape.read({"v": 2, "b": 8}) == {"v": 3, "b": 8, "c": 8}
    assert shape.read({"v": 3, "c": 9}) == {"v": 3, "c": 9}


@pytest.mark.parametrize("version", [None, 0, -1, "1", 1.5, True])
def test_a_document_without_a_version_is_refused(version: object) -> None:
    with pytest.raises(UndecodableDocumentError, match=r"run 'r1' .* has no version"):
        run_documents.decode({"_id": "r1", "v": version} if version is not True else {"_id": "r1"})


def test_a_document_of_a_newer_release_is_refused_with_advice() -> None:
    document = golden("run.over.v1.json") | {"v": 2}

    with pytest.raises(UndecodableDocumentError, match=r"run 'r2' .* version 2, newer .* reads \(1\): upgrade all"):
        run_documents.decode(document)


def test_fields_that_a_newer_release_added_are_ignored() -> None:
    assert run_documents.decode(golden("run.over.v1.json") | {"added": 1}) == OVER


def test_a_run_whose_messages_are_unsent_is_not_yet_forgotten() -> None:
    run = completed(make_run("r1"))

    assert "expire_at" not in run_documents.encode(write(run, 0, message("t")), 1, DAY_MS)
    assert "expire_at" in run_documents.encode(write(run, 0), 1, DAY_MS)
    assert "expire_at" not in run_documents.encode(write(make_run("r1"), 0), 1, DAY_MS)


def test_a_run_larger_than_mongodb_stores_is_refused_before_anything_is_written() -> None:
    run: Run = called(calling(make_run("r1")), output={"text": "x" * (16 * 1024 * 1024)})

    with pytest.raises(DocumentTooLargeError, match=r"run r1 \(\d+ bytes\) is larger than MongoDB stores"):
        run_documents.encode(write(run), 1, 1)


def test_a_batch_that_names_a_thing_twice_is_written_one_after_the_other() -> None:
    assert rounds(["a", "b", "c"]) == [[0, 1, 2]]
    assert rounds(["a", "b", "a", "c", "a", "b"]) == [[0, 1, 3], [2, 5], [4]]
    assert rounds([]) == [[]]


@pytest.mark.parametrize(
    "query",
    [
        RunQuery(statuses=("IN_PROGRESS",), results=("SUCCESS",)),
        RunQuery(viewer="ann", created_by="bob"),
        RunQuery(viewer="ann", created_by="bob", workflows=("a",), open_workflows=frozenset({"b"})),
    ],
)
def test_what_cannot_be_found_is_not_asked_for(query: RunQuery) -> None:
    assert select(query) is None


def test_names_that_people_chose_are_nothing_but_values_in_a_filter() -> None:
    name = "$where"
    found = select(RunQuery(workflows=(name,), created_by=name))

    assert found is not None
    assert found.filter["workflow"] == {"$in": [name]}
    assert found.filter["created_by"] == {"$in": [name]}
