"""How the verdicts of a ledger entry lie in a store: bytes that only we read, the same in every store."""

import json
from dataclasses import asdict

import orjson

from headrace.contracts.envelope import UnencodableMessageError, dump
from headrace.ports.stores import TriggerVerdict


def encode_verdicts(verdicts: tuple[TriggerVerdict, ...]) -> bytes:
    """The verdicts as bytes. Anything that JSON can say is kept: clauses may have seen any value."""
    try:
        return dump(verdicts)
    except UnencodableMessageError:  # integers beyond 64 bits, lone surrogates
        return json.dumps([asdict(verdict) for verdict in verdicts]).encode()


def decode_verdicts(data: bytes | None) -> tuple[TriggerVerdict, ...]:
    """The verdicts that `encode_verdicts` was given; none where nothing was kept."""
    if data is None:
        return ()
    try:
        verdicts = orjson.loads(data)
    except orjson.JSONDecodeError:
        verdicts = json.loads(data)
    return tuple(TriggerVerdict(**verdict) for verdict in verdicts)


def workflows_of(verdicts: tuple[TriggerVerdict, ...]) -> list[str]:
    """The workflows that the verdicts name, sorted: what a store finds the entry by."""
    return sorted({verdict.workflow for verdict in verdicts})
