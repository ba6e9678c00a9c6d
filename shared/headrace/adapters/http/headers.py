"""Headers of outgoing calls: what a workflow may set, what only we set, what nobody sets."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal

from headrace.adapters.http import signature
from headrace.adapters.http.targets import Complaint

_MOST_BYTES = 32 * 1024
_LONGEST_NAME = 256
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAD_IN_VALUE = re.compile(r"[^\t\x20-\x7e]")
# They describe the connection or frame the message: set by a workflow, they would let one request be read as two.
_FORBIDDEN = frozenset(
    {"host", "connection", "keep-alive", "transfer-encoding", "content-length", "upgrade", "te", "trailer", "expect"}
    | {"http2-settings"}
)
_FORBIDDEN_PREFIX = "proxy-"
_OURS = frozenset({signature.PORT_TIMESTAMP.lower(), signature.PORT_SIGNATURE.lower(), "accept-encoding"})
_OURS_PREFIX = "webhook-"
# What may follow a redirect to another origin. All else may be a credential, X-Api-Key as well as Authorization.
_HARMLESS = frozenset(
    {"accept", "accept-encoding", "accept-language", "content-type", "content-language", "user-agent"}
)
_OF_THE_BODY = frozenset({"content-type", "content-language", "content-encoding"})

_Standing = Literal["free", "ours", "forbidden", "malformed"]


@lru_cache(maxsize=1024)
def _stand(name: str) -> _Standing:
    if not _NAME.fullmatch(name):
        return "malformed"
    lower = name.lower()
    if lower in _FORBIDDEN or lower.startswith(_FORBIDDEN_PREFIX):
        return "forbidden"
    return "ours" if lower in _OURS or lower.startswith(_OURS_PREFIX) else "free"


def admit(headers: Mapping[str, str]) -> dict[str, str] | Complaint:
    """The headers that a workflow may send; those that only we set are left out. Or what is wrong with one of them."""
    admitted: dict[str, str] = {}
    size = 0
    for name, value in headers.items():
        standing = _stand(name) if len(name) <= _LONGEST_NAME else "malformed"
        if standing == "malformed":
            return Complaint(
                "invalid", f"{name[:80]!r} is not a header name: at most {_LONGEST_NAME} letters, digits and -"
            )
        if standing == "forbidden":
            return Complaint(
                "invalid", f"the header {name} belongs to the connection, a workflow cannot set it: remove it"
            )
        if standing == "ours":
            continue
        bad = _BAD_IN_VALUE.search(value)
        if bad is not None:
            return Complaint("invalid", f"the header {name} {_describe(bad[0])}")
        size += len(name) + len(value) + 4
        admitted[name] = value
    if size > _MOST_BYTES:
        return Complaint("too-large", f"the headers have {size} bytes; at most {_MOST_BYTES} are sent")
    return admitted


def _describe(character: str) -> str:
    if character in "\r\n":
        return "contains a line break, which would begin another header: remove it"
    if character == "\x00":
        return "contains a NUL character: remove it"
    if character < " " or character == "\x7f":
        return f"contains the control character U+{ord(character):04X}: remove it"
    return f"contains {character!a}, but header values are ASCII: percent-encode it, or put it into the body"


def keep_harmless(headers: Mapping[str, str]) -> dict[str, str]:
    """What is left for a redirect that leaves the origin: no credentials, no cookies, no signature."""
    return {name: value for name, value in headers.items() if name.lower() in _HARMLESS}


def drop_body_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """What is left when a redirect turns the request into a GET without a body."""
    return {name: value for name, value in headers.items() if name.lower() not in _OF_THE_BODY}


def write_head(start: str, *headers: Mapping[str, str]) -> bytes:
    """A request's first line and headers, up to the empty line. Of equal names, whatever their case, the last counts.

    Raises ValueError for a line that would end before its end: whoever made it must have looked at it before.
    """
    lines = {name.lower(): f"{name}: {value}" for each in headers for name, value in each.items()}
    text = "\r\n".join((start, *lines.values()))
    if text.count("\r") != len(lines) or text.count("\n") != len(lines) or "\0" in text:
        raise ValueError("a line of the request holds a line break or a NUL character")
    return f"{text}\r\n\r\n".encode()


def flatten(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Received headers as plain text: names in lower case, repeated ones joined, undecodable bytes replaced."""
    flat: dict[str, str] = {}
    for name, value in headers:
        name = name.lower()
        if not value.isascii():
            # aiohttp keeps broken UTF-8 as lone surrogates, which no JSON encoder and no store would take.
            value = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        flat[name] = f"{flat[name]}, {value}" if name in flat else value
    return flat
