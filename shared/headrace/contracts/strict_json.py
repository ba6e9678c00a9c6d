"""JSON from outside, read so that nothing later can stumble over it (spec 12; bounds in `headrace.core.limits`).

orjson does the reading. What it lets through and we do not (depth, numbers that others would round, NUL, huge keys)
is looked for in the raw bytes first, cheaply; only text that looks suspicious is walked value by value.
"""

import re
from collections.abc import Iterable
from typing import NoReturn, TypeAlias

import orjson

from headrace.core import limits
from headrace.core.authoring import source
from headrace.core.errors import HeadraceError, pointer
from headrace.core.json import Json

_DIGITS_AS_ZERO = bytes(ord("0") if chr(byte).isdecimal() else ord(".") for byte in range(128)) + b"." * 128
_SIXTEEN = b"0" * 16
_LONG_KEY = limits.JSON_KEY_BYTES // 4
_STRETCH = limits.JSON_KEY_BYTES + 1
_NUMBER_TOKEN = re.compile(rb"(?:^|[:\[,\s])-?[0-9]{16}")
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


class BadJson(HeadraceError):  # noqa: N818
    """The body is not JSON that we take. Raised at the edge; the sender can mend the body and send it again.

    `line` and `column` (from 1) say where, when that is known; `too_large` asks for status 413 instead of 400.
    """

    def __init__(
        self, message: str, line: int | None = None, column: int | None = None, *, too_large: bool = False
    ) -> None:
        place = f" (line {line}, column {column})" if line is not None else ""
        super().__init__(message + place)
        self.message = message
        self.line = line
        self.column = column
        self.too_large = too_large


def parse(raw: bytes, *, limit_bytes: int = limits.BODY_BYTES, unique_keys: bool = False) -> Json:
    """The value of a JSON body, or BadJson.

    `unique_keys` refuses keys that an object has twice. It costs a second pass in Python, so only bodies that people
    write (definitions) ask for it; elsewhere the last one counts.
    """
    if len(raw) > limit_bytes:
        raise BadJson(f"The body has {len(raw)} bytes; {limit_bytes} are allowed.", too_large=True)
    try:
        value: Json = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        _refuse(raw, error)
    # Sixteen digits in a row cover four neighbours among every fourth byte, and those are quickly looked through.
    if b"0000" in raw[3::4].translate(_DIGITS_AS_ZERO) and _SIXTEEN in raw.translate(_DIGITS_AS_ZERO):
        _check_numbers(raw)
    if _is_suspicious(raw):
        _check_values(raw, value)
    if unique_keys:
        _check_keys(raw)
    return value


def _is_suspicious(raw: bytes) -> bool:
    """Whether the bytes could hold a value or key that we refuse; False is certain.

    Text with few brackets is not deep, short text or text with few commas does not hold many values, and a key of
    more than 256 bytes is a stretch without quotes unless it escapes one.
    """
    brackets = raw.count(b"{") + raw.count(b"[")
    if brackets > limits.JSON_DEPTH:
        return True
    size = len(raw)
    if size > limits.JSON_VALUES and brackets + raw.count(b",") >= limits.JSON_VALUES:
        return True
    if b"\\" in raw and (b"\\u0000" in raw or b'\\"' in raw):
        return True
    find_last, at = raw.rfind, 0
    while at + _STRETCH <= size:
        at = find_last(b'"', at, at + _STRETCH) + 1
        if at == 0:
            return True
    return False


_Link: TypeAlias = "tuple[_Link, str | int] | None"
"""The way from the root to a value, as a chain from the inside out: it costs nothing until it is needed."""


def _check_values(raw: bytes, root: Json) -> None:
    """Look at all values, without recursion, so that no depth is too deep for the check itself."""
    stack: list[tuple[Json, int, _Link]] = [([root], 0, None)]
    left = limits.JSON_VALUES
    while stack:
        container, depth, way = stack.pop()
        if depth > limits.JSON_DEPTH:
            _fail(raw, f"The body is nested deeper than {limits.JSON_DEPTH} levels.", way)
        children: Iterable[tuple[str | int, Json]]
        if isinstance(container, dict):
            left -= len(container)
            children = container.items()
            for key in container:
                if len(key) >= _LONG_KEY or "\0" in key:
                    _check_key(raw, key, (way, key))
        elif isinstance(container, list):
            left -= len(container)
            children = enumerate(container)
        if left < 0:
            raise BadJson(f"The body holds more than {limits.JSON_VALUES} values.")
        for name, item in children:
            kind = type(item)  # orjson gives exact types, and this is several times cheaper than isinstance
            if kind is dict or kind is list:
                stack.append((item, depth + 1, (way, name) if depth else None))
            elif kind is str and "\0" in item:  # type: ignore[operator]
                _fail(
                    raw,
                    "A text holds the character NUL (\\u0000), which cannot be stored.",
                    (way, name) if depth else None,
                )


def _check_key(raw: bytes, key: str, way: _Link) -> None:
    if len(key.encode()) > limits.JSON_KEY_BYTES:
        _fail(raw, f"A key has more than {limits.JSON_KEY_BYTES} bytes.", way, key=True)
    if "\0" in key:
        _fail(raw, "A key holds the character NUL (\\u0000), which cannot be stored.", way, key=True)


def _fail(raw: bytes, message: str, way: _Link, *, key: bool = False) -> NoReturn:
    parts: list[str | int] = []
    while way is not None:
        way, part = way
        parts.append(part)
    line, column = source.positions(raw.decode()).locate(pointer(*reversed(parts)), key=key)
    raise BadJson(message, line, column)


def _check_numbers(raw: bytes) -> None:
    """Refuse whole numbers that other readers would round (beyond 2**53 - 1); the text says, orjson rounds some too."""
    if _NUMBER_TOKEN.search(raw) is None:
        return
    text = raw.decode()
    for offset, token in source.literals(text):
        digits = token.lstrip("-")
        if digits.isdecimal() and (len(digits) > 16 or int(digits) > limits.SAFE_INTEGER):
            line, column = source.line_and_column(text, offset)
            message = f"The number {token[:40]} is beyond ±(2**53 - 1) and would be rounded by some readers."
            raise BadJson(f"{message} Send it as a string.", line, column)


def _check_keys(raw: bytes) -> None:
    places = source.positions(raw.decode())
    for problem in places.duplicates:
        line, column = places.locate_problem(problem)
        raise BadJson(problem.message, line, column)


def _refuse(raw: bytes, error: orjson.JSONDecodeError) -> NoReturn:
    """Say in our words what orjson found."""
    if not raw.strip():
        raise BadJson("The body is empty; JSON was expected.") from None
    if raw.startswith(_BOMS):
        raise BadJson("The body begins with a byte order mark; send plain UTF-8 without one.", 1, 1) from None
    try:
        text = raw.decode()
    except UnicodeDecodeError as fault:
        before = raw[: fault.start].decode()
        line, column = source.line_and_column(before, len(before))
        raise BadJson("The body is not valid UTF-8.", line, column) from None
    line, column = source.line_and_column(text, error.pos)
    if "surrogate" in error.msg:
        message = "A text holds half of a character (a lone surrogate, \\ud800 to \\udfff)."
    elif "depth" in error.msg:
        message = f"The body is nested deeper than {limits.JSON_DEPTH} levels."
    elif "infinity" in error.msg:
        message = "A number is too large."
    elif text[error.pos :].startswith(("NaN", "Infinity", "-Infinity")):
        message = "NaN and Infinity are not JSON."
    else:
        message = f"The body is not JSON: {error.msg}."
    raise BadJson(message, line, column) from None
