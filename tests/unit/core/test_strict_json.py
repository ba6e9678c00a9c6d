"""Bodies from outside: everything that later code could stumble over is refused, with its place."""

import re
from contextlib import suppress
from time import perf_counter

import orjson
import pytest

from headrace.contracts import strict_json
from headrace.contracts.strict_json import BadJson

REFUSED: list[tuple[str, bytes, str, tuple[int, int] | None]] = [
    ("empty", b"", "is empty", None),
    ("spaces", b" \n\t", "is empty", None),
    ("malformed", b'{"a": 1,\n "b": }', "is not JSON", (2, 7)),
    ("trailing comma", b"[1,]", "is not JSON", (1, 3)),
    ("two values", b"{} {}", "is not JSON", (1, 4)),
    ("unclosed", b'{"a', "is not JSON", (1, 4)),
    ("BOM", b"\xef\xbb\xbf{}", "byte order mark", (1, 1)),
    ("UTF-16", b"\xff\xfe{\x00}\x00", "byte order mark", (1, 1)),
    ("NaN", b"[NaN]", "NaN and Infinity", (1, 2)),
    ("Infinity", b"[-Infinity]", "NaN and Infinity", (1, 3)),
    ("huge float", b"[1,\n1e999]", "too large", (2, 1)),
    ("400 digits", b"[" + b"9" * 400 + b"]", "too large", (1, 2)),
    ("invalid UTF-8", b'["a\n\xff"]', "not valid UTF-8", (2, 1)),
    ("UTF-8 surrogate", b'["\xed\xa0\x80"]', "not valid UTF-8", (1, 3)),
    ("lone surrogate", b'["\\ud800"]', "lone surrogate", (1, 3)),
    ("reversed surrogates", b'["\\udc00\\ud800"]', "lone surrogate", (1, 3)),
    ("NUL", b'{"a":\n["\\u0000"]}', "character NUL", (2, 2)),
    ("NUL in a key", b'{"a":{"b\\u0000": 1}}', "key holds the character NUL", (1, 7)),
    ("raw NUL", b'["\x00"]', "is not JSON", (1, 3)),
    ("2**53", b'{"a": 9007199254740992}', "Send it as a string", (1, 7)),
    ("-2**53", b"[\n -9007199254740992]", "Send it as a string", (2, 2)),
    ("2**64", b"18446744073709551616", "Send it as a string", (1, 1)),
    ("30 digits", b'["1234567890123456", 123456789012345678901234567890]', "Send it as a string", (1, 22)),
    ("too deep", b"[" * 65 + b"]" * 65, "deeper than 64", (1, 65)),
    ("too deep, objects", b'{"a":' * 65 + b"1" + b"}" * 65, "deeper than 64", (1, 321)),
    ("far too deep", b"[" * 5000, "deeper than 64", (1, 1026)),
    ("too many values", b"[" + b"1," * 49_999 + b"1]", "more than 50000 values", None),
    ("too many values in lists", b"[" + b"[]," * 49_999 + b"[]]", "more than 50000 values", None),
    ("long key", b'{"' + b"k" * 257 + b'": 1}', "more than 256 bytes", (1, 2)),
    ("long key with quotes", b'{"' + b'\\"' * 257 + b'": 1}', "more than 256 bytes", (1, 2)),
    ("long key in bytes", ('{"' + "é" * 129 + '": 1}').encode(), "more than 256 bytes", (1, 2)),
    ("long key in many objects", b"[" + b"{}," * 100 + b'{"' + b"k" * 257 + b'": 1}]', "more than 256 bytes", (1, 303)),
]
ACCEPTED: list[bytes] = [
    b"null",
    b" {} ",
    b'{"a": 9007199254740991, "b": -9007199254740991}',
    b'["9007199254740993", "x, 12345678901234567890", "a\\", 12345678901234567890"]',
    b"[0.12345678901234567890, 1.7976931348623157e308, 1e-400, 12345678901234567.0]",
    b'["\\\\u0000", "\\\\ud800", "\\ud83d\\ude00"]',
    b"[" * 64 + b"]" * 64,
    b"[" + b"1," * 49_998 + b"1]",
    b'{"' + b"k" * 256 + b'": "' + b"v" * 100_000 + b'"}',
    b'{"a": 1, "a": 2}',
    ('{"' + "é" * 128 + '": 1}').encode(),
]


@pytest.mark.parametrize(("raw", "message", "place"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_bad_body_is_refused_with_its_place(raw: bytes, message: str, place: tuple[int, int] | None) -> None:
    with pytest.raises(BadJson, match=re.escape(message)) as caught:
        strict_json.parse(raw)

    assert (caught.value.line, caught.value.column) == (place or (None, None))
    assert not caught.value.too_large
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("raw", ACCEPTED, ids=range(len(ACCEPTED)))
def test_a_good_body_is_what_it_says(raw: bytes) -> None:
    assert strict_json.parse(raw) == orjson.loads(raw)


def test_a_body_of_too_many_bytes_asks_for_413() -> None:
    with pytest.raises(BadJson, match="1048577 bytes") as caught:
        strict_json.parse(b" " * 1_048_577)

    assert caught.value.too_large
    assert strict_json.parse(b"[1]", limit_bytes=3) == [1]
    with pytest.raises(BadJson):
        strict_json.parse(b"[10]", limit_bytes=3)


def test_keys_that_stand_twice_are_refused_on_request() -> None:
    raw = b'{"a": {"b": 1,\n "b": 2}}'

    assert strict_json.parse(raw) == {"a": {"b": 2}}
    with pytest.raises(BadJson, match='"b" stands in this object more than once') as caught:
        strict_json.parse(raw, unique_keys=True)
    assert (caught.value.line, caught.value.column) == (2, 2)


@pytest.mark.parametrize("raw", [raw for raw in ACCEPTED if b'"a": 2' not in raw], ids=range(len(ACCEPTED) - 1))
def test_good_bodies_have_unique_keys(raw: bytes) -> None:
    assert strict_json.parse(raw, unique_keys=True) == orjson.loads(raw)


def test_a_hostile_body_costs_little() -> None:
    bodies = [
        b'["' + b'\\"' * 500_000 + b'"]',
        b"[" + b"1234567890123456," * 40_000 + b"1]",
        b'"' * 1_000_000,
        b"[" * 1_000_000,
        b"[" + b"{}," * 49_000 + b"{}]",
    ]
    for body in bodies:
        started = perf_counter()
        with suppress(BadJson):
            strict_json.parse(body)
        assert perf_counter() - started < 2
