"""Connections: opened only to addresses we have checked, and kept for a moment between calls."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import aiohappyeyeballs

from headrace.adapters.http.addresses import AddressRules
from headrace.adapters.http.connection import Attempt, Connection
from headrace.adapters.http.deadline import Deadline
from headrace.adapters.http.policy import EgressPolicy
from headrace.adapters.http.resolver import ResolveError, Resolver
from headrace.adapters.http.targets import Target
from headrace.core.errors import HeadraceError

_KEEP_ALIVE_SECONDS = 4.0
"""Shorter than the 5 s after which common servers close idle connections: a request sent into a closing one is lost,
and must be reported as "may have been sent"."""
_NEXT_ADDRESS_SECONDS = 0.25
"""After so long without a connection the next address of a name is tried besides (RFC 8305)."""


class AddressRefusedError(HeadraceError):
    """Raised before a connection to an address that the policy forbids. The message says which and what to do."""


class ConnectError(HeadraceError):
    """Raised when no connection came about; `error` says why."""

    def __init__(self, error: OSError) -> None:
        super().__init__("no connection")
        self.error = error


class ConnectTimeoutError(HeadraceError):
    """Raised when looking up and connecting took longer than the policy allows."""


class ClosedError(HeadraceError):
    """Raised when the caller was closed meanwhile."""


class Connections:
    """Hands out connections, one call each at a time. No retries: who sends a request again decides so himself."""

    def __init__(
        self, policy: EgressPolicy, rules: AddressRules, resolver: Resolver, tls: ssl.SSLContext | None
    ) -> None:
        self._policy = policy
        self._rules = rules
        self._resolver = resolver
        self._tls = tls if tls is not None else _system_trust()
        self._idle: dict[str, list[tuple[Connection, float]]] = {}  # with since when
        self._busy: set[Connection] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    async def take(self, target: Target, attempt: Attempt) -> Connection:
        """A connection to the target, for one exchange; then `give_back`. Raises the errors above, and ResolveError."""
        if self._closed:
            raise ClosedError
        connection = self._pop_idle(target)
        if connection is None:
            try:
                with Deadline(self._policy.connect_timeout_seconds):
                    connection = await self._open(target, attempt)
            except TimeoutError:
                raise ConnectTimeoutError from None
            if self._closed:
                connection.abort()
                raise ClosedError
        self._busy.add(connection)
        return connection

    def give_back(self, target: Target, connection: Connection) -> None:
        """The exchange is over; a connection that carries no other one is ended."""
        self._busy.remove(connection)
        if not connection.is_reusable:
            connection.abort()
            return
        self._idle.setdefault(target.origin, []).append((connection, time.monotonic()))
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(_KEEP_ALIVE_SECONDS, self._end_idle)

    def close(self) -> None:
        """End every connection. Exchanges under way fail."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in [*self._busy, *(connection for kept in self._idle.values() for connection, _ in kept)]:
            connection.abort()
        self._idle.clear()

    def busy(self) -> int:
        """How many connections carry an exchange."""
        return len(self._busy)

    def _pop_idle(self, target: Target) -> Connection | None:
        """The connection that was used last: the others may grow old, and end."""
        kept = self._idle.get(target.origin)
        while kept:
            connection, since = kept.pop()
            if connection.is_reusable and time.monotonic() - since < _KEEP_ALIVE_SECONDS:
                return connection
            connection.abort()
        return None

    def _end_idle(self) -> None:
        """End what nobody used for long enough."""
        self._sweep = None
        before = time.monotonic() - _KEEP_ALIVE_SECONDS
        for origin, kept in list(self._idle.items()):
            young = [(connection, since) for connection, since in kept if since > before and connection.is_reusable]
            for connection, since in kept:
                if since <= before:
                    connection.abort()
            if young:
                self._idle[origin] = young
            else:
                del self._idle[origin]
        if self._idle:
            self._sweep = asyncio.get_running_loop().call_later(_KEEP_ALIVE_SECONDS / 4, self._end_idle)

    async def _open(self, target: Target, attempt: Attempt) -> Connection:
        addresses = (target.host,) if target.literal else await self._look_up(target, attempt)
        attempt.phase = "connect"
        left = [_address_info(address, target.port) for address in addresses]
        while True:
            try:
                return await self._connect(left, target, attempt)
            except OSError as error:
                # TLS with this one failed; the name may have others
                aiohappyeyeballs.pop_addr_infos_interleave(left)
                if not left:
                    raise ConnectError(error) from error

    async def _look_up(self, target: Target, attempt: Attempt) -> tuple[str, ...]:
        """The addresses of a name, when all of them pass: which one is used is decided by who answers fastest."""
        attempt.phase = "dns"
        try:
            addresses = await self._resolver.resolve(target.host)
        except OSError:
            raise ResolveError(f"{target.host} could not be looked up") from None
        if not addresses:
            raise ResolveError(f"{target.host} has no address")
        for address in addresses:
            refusal = self._rules.refuse(target.host, address, target.port)
            if refusal is not None:
                raise AddressRefusedError(refusal)
        return addresses

    async def _connect(self, addresses: list[Any], target: Target, attempt: Attempt) -> Connection:
        opened = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, socket_factory=self._checked_socket(target, attempt)
        )
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(self._policy),
            sock=opened,
            ssl=self._tls if target.is_https else None,
            server_hostname=target.host.rstrip(".") if target.is_https else None,
        )
        return connection

    def _checked_socket(self, target: Target, attempt: Attempt) -> Callable[[Any], socket.socket]:
        """A socket factory that checks once more: the address of every socket, just before it connects.

        Nothing should be refused here, since names and literals were checked before. It stands between a mistake above
        and the metadata service.
        """

        def make(info: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
            family, kind, protocol, _, address = info
            refusal = self._rules.refuse(target.host, str(address[0]), int(address[1]))
            if refusal is not None:
                attempt.refusal = refusal  # whatever becomes of the exception on its way
                raise AddressRefusedError(refusal)
            return socket.socket(family, kind, protocol)

        return make


def _address_info(address: str, port: int) -> tuple[int, int, int, str, tuple[Any, ...]]:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)


@lru_cache(maxsize=1)
def _system_trust() -> ssl.SSLContext:
    """Trust in the system's certificate authorities. Reads them from the disk."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(("http/1.1",))
    return context
