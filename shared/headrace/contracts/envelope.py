"""What all our messages have in common: JSON with a version, a few headers, and two errors.

Every value is a JSON object with `v`, the version of its shape. A reader takes every version it knows and ignores
fields it does not know, so that release N-1 reads what release N writes (docs/events.md, "Versions").
"""

import re
from dataclasses import replace
from typing import Any

import orjson
from pydantic import ValidationError

from headrace.contracts.record import Headers, Message, Record
from headrace.core.errors import HeadraceError, pointer
from headrace.core.weight import is_deeper

VERSION = 1
"""The version of every message that this release writes."""

MAX_DEPTH = 200
"""Deepest nesting in a message. Above what the edges let in, and below what orjson can write (254)."""

TRACEPARENT = "traceparent"
REDELIVERED = "redelivered"
_REDELIVERED_HEADER = (REDELIVERED, b"1")
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})(-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(-.*)?")


class UndecodableMessageError(HeadraceError):
    """The bytes are no message that this release knows. Dead-letter the record: reading it again cannot help.

    `pointer` is the JSON Pointer of what is wrong, empty for the whole; `reason` says what is wrong with it.
    """

    def __init__(self, reason: str, pointer: str = "") -> None:
        super().__init__(f"{pointer}: {reason}" if pointer else reason)
        self.pointer = pointer
        self.reason = reason


class UnencodableMessageError(HeadraceError):
    """A value cannot be written as JSON: a lone surrogate, an integer beyond 64 bits, nesting beyond 254 levels.

    The edges refuse such values, so this is a bug there: the record that led to it belongs in the dead letters.
    """


def parse(value: bytes | None) -> dict[str, Any]:
    """The JSON object of a message whose version this release reads. Raises UndecodableMessageError."""
    if value is None:
        raise UndecodableMessageError("the record has no value")
    try:
        data = orjson.loads(value)
    except ValueError as error:
        raise UndecodableMessageError(f"not JSON: {error}") from None
    if type(data) is not dict:
        raise UndecodableMessageError("the value must be a JSON object")
    version = data.get("v")
    if type(version) is not int or version != VERSION:
        raise UndecodableMessageError(_about_version(version), "/v")
    # Counting brackets is cheap and nearly always enough; walking is not.
    if value.count(b"[") + value.count(b"{") > MAX_DEPTH and is_deeper(data, MAX_DEPTH):
        raise UndecodableMessageError(f"nested deeper than {MAX_DEPTH} levels")
    return data


def dump(data: Any) -> bytes:
    """The JSON of plain values, in as many bytes as it has. Raises UnencodableMessageError.

    The copy is deliberate: what orjson returns keeps the whole buffer it was written into, several times its length,
    for as long as it lives, and what is written here is kept by logs and stores.
    """
    try:
        return memoryview(orjson.dumps(data)).tobytes()
    except TypeError as error:
        raise UnencodableMessageError(f"cannot be written as JSON: {error}") from error


def explain(error: ValidationError, data: Any) -> UndecodableMessageError:
    """The first thing that a model found wrong with the data, as an error of ours."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    *way, last = first["loc"]
    parts = []
    for part in way:
        # The models put the tag of a union into the way; the message has no such key.
        if isinstance(data, dict) and part not in data:
            continue
        data = data[part]
        parts.append(part)
    return UndecodableMessageError(str(first["msg"]), pointer(*parts, last))


def read_traceparent(text: str | None) -> str | None:
    """The W3C trace context in a text, as version 00 says it. None for anything else: no work is refused for it."""
    match = None if text is None else _TRACEPARENT.fullmatch(text)
    if match is None or (match[1] == "00" and match[3] is not None):
        return None
    return "00" + match[2]  # later versions begin as this one does


def trace_fields(traceparent: str | None) -> dict[str, str]:
    """The trace as a field of a log line; nothing without one. `traceparent` is one that `read_traceparent` gave."""
    return {} if traceparent is None else {"trace_id": traceparent[3:35]}


def trace_headers(traceparent: str | None) -> Headers:
    """The W3C trace context as headers of a record; none without one."""
    return () if traceparent is None else ((TRACEPARENT, traceparent.encode()),)


def traceparent_of(record: Record) -> str | None:
    """The W3C trace context that came with a record; None without a valid one."""
    header = record.header(TRACEPARENT)
    return None if header is None else read_traceparent(header.decode("ascii", "replace"))


def mark_redelivered(message: Message) -> Message:
    """The same message, marked as one that may have been published before (docs/delivery.md, "Lazy claims")."""
    if _REDELIVERED_HEADER in message.headers:
        return message
    return replace(message, headers=(*message.headers, _REDELIVERED_HEADER))


def is_redelivered(record: Record) -> bool:
    """Whether the sender marked the record as one that may have been published before."""
    return record.header(REDELIVERED) is not None


def _about_version(version: object) -> str:
    if type(version) is int and version > VERSION:
        return f"version {version} is newer than this release reads ({VERSION}): upgrade the reader first"
    return f"must be {VERSION}"
