"""What we change in aiohttp: it connects only to addresses we have checked, and sends a request only once.

The attempt in progress travels in a context variable, because aiohttp has no other way from the request to the resolver
and the socket; its helper tasks inherit the context.
"""

import socket
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from headrace.adapters.http.addresses import AddressRules
from headrace.adapters.http.policy import EgressPolicy
from headrace.adapters.http.resolver import ResolveError, Resolver
from headrace.core.errors import HeadraceError

_KEEP_ALIVE_SECONDS = 4.0
"""Shorter than the 5 s after which common servers close idle connections: a request sent into a closing one is lost,
and must be reported as "may have been sent"."""
_MOST_RESPONSE_HEADERS = 100

Phase = Literal["queue", "dns", "connect", "response", "body"]


class AddressRefusedError(HeadraceError):
    """Raised before a connection to an address that the policy forbids. The message says which and what to do."""


class SecondSendError(HeadraceError):
    """Raised instead of sending a request again. The first time it was sent, its connection was lost."""


@dataclass(slots=True)
class Attempt:
    """How far a call has come: where it is, and whether a byte of it may have left."""

    host: str = ""
    place: str = ""
    phase: Phase = "queue"
    sent: bool = False
    """Over all hops of a redirect."""
    hop_sent: bool = False
    refusal: str = ""

    def aim(self, host: str, place: str) -> None:
        """Begin the next hop."""
        self.host, self.place = host, place
        self.phase = "queue"
        self.hop_sent = False


ATTEMPT: ContextVar[Attempt] = ContextVar("headrace_egress_attempt")


class _CheckedResolver(AbstractResolver):
    """Hands aiohttp nothing but addresses that all passed."""

    def __init__(self, resolver: Resolver, rules: AddressRules) -> None:
        self._resolver = resolver
        self._rules = rules

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        attempt = ATTEMPT.get()
        attempt.phase = "dns"
        addresses = await self._resolver.resolve(host)
        if not addresses:
            raise ResolveError(f"{host} has no address")
        # All, not only the first: which one is used is decided later, by who answers fastest.
        for address in addresses:
            refusal = self._rules.refuse(host, address, port)
            if refusal is not None:
                raise AddressRefusedError(refusal)
        attempt.phase = "connect"
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        await self._resolver.close()


class _OnceRequest(aiohttp.ClientRequest):
    """Notes the moment from which the request may be out, and refuses to go out twice."""

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        attempt = ATTEMPT.get()
        if attempt.hop_sent:
            raise SecondSendError
        attempt.sent = attempt.hop_sent = True
        attempt.phase = "response"
        return await super().send(conn)


def _checked_socket(rules: AddressRules) -> Callable[[Any], socket.socket]:
    """A socket factory that checks once more: the address of every socket, just before it connects.

    Nothing should be refused here, since names and literals were checked before. It stands between a mistake above, or
    a shortcut in a later aiohttp, and the metadata service.
    """

    def make(info: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
        family, kind, protocol, _, address = info
        attempt = ATTEMPT.get()
        refusal = rules.refuse(attempt.host, str(address[0]), int(address[1]))
        if refusal is not None:
            attempt.refusal = refusal  # whatever aiohttp makes of the exception on its way
            raise AddressRefusedError(refusal)
        return socket.socket(family, kind, protocol)

    return make


def open_session(
    policy: EgressPolicy, rules: AddressRules, resolver: Resolver, tls: ssl.SSLContext | None
) -> aiohttp.ClientSession:
    """A session for calls that belong to nobody in common: no cookies, no proxies, no .netrc, no retries."""
    connector = aiohttp.TCPConnector(
        ssl=tls if tls is not None else True,
        use_dns_cache=False,  # the resolver keeps answers; a cache here would let them by unchecked
        resolver=_CheckedResolver(resolver, rules),
        socket_factory=_checked_socket(rules),
        keepalive_timeout=_KEEP_ALIVE_SECONDS,
        limit=0,  # our gates limit per host, the invoker limits the whole
    )
    session = aiohttp.ClientSession(
        connector=connector,
        request_class=_OnceRequest,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, connect=policy.connect_timeout_seconds),
        auto_decompress=False,  # it has no limit; body.py does it with one
        trust_env=False,
        max_line_size=policy.max_header_bytes,
        max_field_size=policy.max_header_bytes,
        max_headers=_MOST_RESPONSE_HEADERS,
    )
    # aiohttp sends GET, PUT and DELETE again by itself when a kept connection turns out closed. A retry is the engine's
    # decision. There is no public switch; _OnceRequest holds should this one go.
    session._retry_connection = False
    return session
