"""Where a call goes: a URL taken apart strictly, so that no two parsers can read two hosts out of it."""

import re
import socket
from dataclasses import dataclass
from functools import lru_cache

from yarl import URL

from headrace.adapters.http.addresses import parse
from headrace.ports.caller import FailureKind

_LONGEST_URL = 8192
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_START = re.compile(r"(https?)://([^/?#\\]*)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\[\]:\s]+)(?::[0-9]{1,5})?")
_NAME = re.compile(
    r"(?=.{1,253}\.?$)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_][A-Za-z0-9_-]{0,62}\.?"
)
_NUMBER = re.compile(r"(?:[0-9]+|0[xX][0-9A-Fa-f]*)")


@dataclass(frozen=True, slots=True)
class Complaint:
    """Why a request cannot be made."""

    kind: FailureKind
    message: str


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that names one host and port without doubt. `place` is `host:port`, for messages and limits."""

    url: URL
    host: str
    port: int
    place: str
    literal: bool
    """The host is an IP address: no name will be looked up."""
    is_https: bool
    origin: str
    """Calls of one origin may share a connection."""
    path: str
    """Path and query, as they stand in a request line."""
    host_header: str


def parse_target(text: str) -> Target | Complaint:
    """The target of a URL, or what is wrong with it."""
    if len(text) > _LONGEST_URL:  # before the cache, which would keep it
        return Complaint("too-large", f"the URL has {len(text)} characters; at most {_LONGEST_URL} are sent")
    return _parse(text)


@lru_cache(maxsize=1024)
def _parse(text: str) -> Target | Complaint:
    if _CONTROL.search(text):
        return Complaint("invalid", "the URL contains a line break or another control character: percent-encode it")
    start = _START.match(text)
    if start is None:
        return Complaint("invalid", "the URL must begin with http:// or https:// and a host")
    authority = start[2]
    if "@" in authority:
        return Complaint("invalid", "the URL contains a user name or password: send an Authorization header instead")
    if not _AUTHORITY.fullmatch(authority) or text[start.end() : start.end() + 1] == "\\":
        return Complaint("invalid", "the URL's host and port cannot be read: write http://host:port/path")
    try:
        url = URL(text)
        host, port = url.raw_host, url.port
    except ValueError:
        return Complaint("invalid", "the URL cannot be read: write http://host:port/path")
    if not host or not port:
        return Complaint("invalid", "the URL's host or port is missing: write http://host:port/path")
    verdict = _judge_host(host)
    if isinstance(verdict, Complaint):
        return verdict
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Target(
        url, host, port, place, verdict, url.scheme == "https", f"{url.scheme}://{place}", url.raw_path_qs,
        url.host_port_subcomponent or "",
    )  # fmt: skip


@lru_cache(maxsize=1024)
def _judge_host(host: str) -> bool | Complaint:
    """Whether a host, as yarl made it ASCII, is an IP address; or what is wrong with it."""
    if ":" in host:
        if parse(host) is None:
            return Complaint("invalid", f"{host} is not an IPv6 address (a zone cannot be given either)")
        return True
    if not _NAME.fullmatch(host):
        return Complaint("invalid", f"{host!r} is not a host name")
    if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        if parse(host) is not None:
            return True
        return Complaint("refused", _explain_odd_spelling(host))
    return False


def _explain_odd_spelling(host: str) -> str:
    """A host that ends in a number is an address to some parsers, octal or hexadecimal to a few, a name to others."""
    try:
        plain = socket.inet_ntoa(socket.inet_aton(host.rstrip(".")))
    except OSError:
        return f"{host} ends in a number but is not an IPv4 address: call the receiver by its name"
    return f"{host} is an unusual spelling of the address {plain}, and is refused as such: write {plain}"
