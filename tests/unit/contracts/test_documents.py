"""Documents: what the stores hold comes back exactly, or says that it is damaged."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from headrace.contracts import documents
from headrace.contracts.documents import UndecodableDocumentError
from headrace.core.events import NodeCompleted, RunStarted, fold
from headrace.core.json import JsonObject
from headrace.core.run import Causation, Run
from headrace.ports.log import Message

OUTPUT: JsonObject = {"service": "billing", "n": 1}


def run(stored: Any = OUTPUT) -> Run:
    cause = Causation("evt_1", "evt_0", 1, ("first",))
    made = fold(
        None,
        [
            RunStarted(1, 5, "wfr_1", "deploy", 3, "start", "EVENT_TRIGGER", "me", cause, {0: True, 10: False}),
            NodeCompleted(2, 6, "start", "wfnr_1", "EVENT_TRIGGER", "SUCCESS", OUTPUT, stored, edges={2: True}),
        ],
    )
    assert made is not None
    return made


def test_a_run_comes_back_exactly() -> None:
    assert documents.decode_run(documents.encode_run(run())) == run()


def test_the_trace_of_a_run_comes_back_and_costs_nothing_without_one() -> None:
    traced = replace(run(), causation=replace(run().causation, traceparent="00-1-2-01"))

    assert documents.decode_run(documents.encode_run(traced)) == traced
    assert b"traceparent" not in documents.encode_run(run())


def test_edges_come_back_with_numbers_for_keys_and_in_their_order() -> None:
    assert list(documents.decode_run(documents.encode_run(run())).edges.items()) == [(0, True), (10, False), (2, True)]


def test_what_a_poll_needs_comes_back_and_costs_nothing_without_one() -> None:
    node = replace(run().nodes["start"], poll=3, poll_state={"run": 7})
    polled = replace(run(), nodes={"start": node})

    assert documents.decode_run(documents.encode_run(polled)) == polled
    assert len(orjson.loads(documents.encode_run(run()))["nodes"][0]) == 21


def test_an_output_that_is_stored_as_it_is_lies_in_the_document_once() -> None:
    document = documents.encode_run(run())

    assert document.count(b"billing") == 1
    again = documents.decode_run(document)
    assert again.outputs["start"] is again.nodes["start"].output


def test_true_is_not_taken_for_the_one_that_equals_it() -> None:
    """1 == True in Python: an output that only equals what is stored must not stand for it."""
    stored = documents.decode_run(documents.encode_run(run({"service": "billing", "n": True}))).outputs["start"]

    assert repr(stored) == repr({"service": "billing", "n": True})


def test_what_a_newer_release_adds_is_ignored() -> None:
    data = orjson.loads(documents.encode_run(run()))
    data["added"] = {"later": True}
    data["nodes"][0] += [0, None, "a column of later"]

    assert documents.decode_run(orjson.dumps(data)) == run()


def test_a_document_of_a_newer_version_is_left_alone() -> None:
    newer = orjson.dumps({**orjson.loads(documents.encode_run(run())), "v": 2})

    with pytest.raises(UndecodableDocumentError, match="newer than this release reads"):
        documents.decode_run(newer)


@pytest.mark.parametrize("document", [b"", b"{}", b"[]", b'{"v":1}', b'{"v":0}', b'{"v":"1"}', b'{"v":1,"nodes":[[]]}'])
def test_a_damaged_document_is_not_read(document: bytes) -> None:
    with pytest.raises(UndecodableDocumentError):
        documents.decode_run(document)


def test_an_empty_outbox_is_no_bytes() -> None:
    assert documents.pack([]) == b""
    assert documents.unpack(b"") == ()


def test_messages_come_back_whatever_bytes_they_hold() -> None:
    outbox = (
        Message("t", "k", b'{"a":1}\n', (("h", b"\x00\xff"), ("h", b""))),
        Message("t", "ключ", None),
        Message("t", "", b""),
    )

    assert documents.unpack(documents.pack(outbox)) == outbox


@pytest.mark.parametrize("cut", [1, 10, -1])
def test_packed_messages_that_were_cut_are_not_read(cut: int) -> None:
    packed = documents.pack([Message("t", "k", b"value")])

    with pytest.raises(UndecodableDocumentError):
        documents.unpack(packed[:cut])
    with pytest.raises(UndecodableDocumentError):
        documents.unpack(packed + b"x")
