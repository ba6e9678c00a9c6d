"""Batches: what one call of the log's `publish` appended, which lies in the file as one row.

A row costs more than the bytes in it. So the records of a call share a row, and it leaves the file when the last of
them is trimmed.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import orjson

from headrace.core.value_class import value_class
from headrace.ports.log import Headers, Message

INSERT_BATCH: Final = "INSERT INTO batches (seq, at, records) VALUES (?, ?, ?)"
DELETE_BATCH: Final = "DELETE FROM batches WHERE seq = ?"
READ_BATCHES: Final = "SELECT seq, at, records FROM batches ORDER BY seq"


class Batch:
    """One call: its row, when it was (ms), and how many of its records are still kept in memory."""

    __slots__ = ("at", "kept", "seq")

    def __init__(self, seq: int, at: int) -> None:
        self.seq = seq
        self.at = at
        self.kept = 0


@value_class
class Placed:
    """A record of a batch and where it belongs: the partition's number in the file, and the offset in it."""

    partition: int
    offset: int
    key: str
    value: bytes | None
    headers: Headers


def pack(placed: Iterable[tuple[int, int, Message]]) -> bytes:
    """Partition number, offset and message of each record as bytes: an index as one line of JSON, then the values.

    In the index each byte of a header's value is one Latin-1 character.
    """
    parts = [b""]
    index: list[tuple[Any, ...]] = []
    for partition, offset, message in placed:
        value = message.value
        length = None
        if value is not None:
            length = len(value)
            parts.append(value)
        headers = [(name, header.decode("latin-1")) for name, header in message.headers]
        index.append((partition, offset, message.key, length, headers))
    parts[0] = orjson.dumps(index, option=orjson.OPT_APPEND_NEWLINE)
    return b"".join(parts)


def unpack(packed: bytes) -> Iterator[Placed]:
    """What `pack` was given."""
    line, _, values = packed.partition(b"\n")
    start = 0
    for partition, offset, key, length, headers in orjson.loads(line):
        value = None
        if length is not None:
            value = values[start : start + length]
            start += length
        yield Placed(partition, offset, key, value, tuple((name, text.encode("latin-1")) for name, text in headers))
