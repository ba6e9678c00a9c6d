"""Names to addresses. We look names up ourselves, so that the addresses checked are the addresses connected to."""

import asyncio
import socket
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from headrace.core.errors import HeadraceError

_THREADS = 32
_NAMES_KEPT = 4096


class ResolveError(HeadraceError):
    """Raised when a name has no address or nobody could be asked. The message says which; trying later may help."""


class Resolver(Protocol):
    """Looks names up."""

    async def resolve(self, host: str) -> tuple[str, ...]:
        """All addresses of `host`, IPv4 and IPv6, best first. Raises ResolveError when there are none."""
        ...

    async def close(self) -> None:
        """Stop looking names up."""
        ...


@dataclass(frozen=True, slots=True)
class _Answer:
    addresses: tuple[str, ...]
    expires_at: float


class SystemResolver:
    """The resolver of the operating system, in threads of its own.

    The loop's default executor has few threads, and uvloop has four: a handful of slow name servers would stop every
    lookup. Calls for the same name share one lookup; a good answer serves for `keep_seconds`, a failure never.
    """

    def __init__(self, keep_seconds: float = 10.0) -> None:
        self._keep_seconds = keep_seconds
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="headrace-dns")
        self._answers: OrderedDict[str, _Answer] = OrderedDict()
        self._lookups: dict[str, asyncio.Future[tuple[str, ...]]] = {}

    async def resolve(self, host: str) -> tuple[str, ...]:
        answer = self._answers.get(host)
        if answer is not None and answer.expires_at > time.monotonic():
            return answer.addresses
        lookup = self._lookups.get(host)
        if lookup is None:
            try:
                lookup = asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host)
            except RuntimeError:
                raise ResolveError(f"{host} was not looked up: the resolver is closed") from None
            self._lookups[host] = lookup
            lookup.add_done_callback(lambda done: self._keep(host, done))
        # Shielded: the one who asked first may give up while others wait for the same answer.
        return await asyncio.shield(lookup)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _keep(self, host: str, lookup: asyncio.Future[tuple[str, ...]]) -> None:
        self._lookups.pop(host, None)
        # exception() also marks it as seen: everyone who waited may have gone.
        if lookup.cancelled() or lookup.exception() is not None:
            return
        self._answers[host] = _Answer(lookup.result(), time.monotonic() + self._keep_seconds)
        self._answers.move_to_end(host)
        if len(self._answers) > _NAMES_KEPT:
            self._answers.popitem(last=False)


def _look_up(host: str) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a valid name"
        raise ResolveError(f"{host} could not be looked up: {reason}") from None
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))
