"""The caller: the one door through which the engine's calls for workflows leave. docs/egress.md tells its rules."""

import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from yarl import URL

from headrace.adapters.http.addresses import AddressRules
from headrace.adapters.http.body import Body, decode
from headrace.adapters.http.connection import Attempt
from headrace.adapters.http.deadline import Deadline
from headrace.adapters.http.failures import explain
from headrace.adapters.http.gates import Gates
from headrace.adapters.http.headers import admit, drop_body_headers, keep_harmless, write_head
from headrace.adapters.http.policy import MOST_CIRCUIT_PAUSE_SECONDS, EgressPolicy, matches_host
from headrace.adapters.http.resolver import Resolver, SystemResolver
from headrace.adapters.http.signature import WEBHOOK_ID, sign
from headrace.adapters.http.targets import Complaint, Target, parse_target
from headrace.adapters.http.transport import Connections
from headrace.core.circuit import CircuitRule, Circuits
from headrace.core.times import iso
from headrace.ports.caller import CallFailure, CallOutcome, CallRequest, CallResponse, FailureKind, SigningSecrets

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WITHOUT_LENGTH = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that need not say that they have no body."""
_NOBODY_THERE: frozenset[FailureKind] = frozenset({"dns", "connect", "tls", "timeout", "reset"})
_GATEWAY_ERRORS = frozenset({502, 503, 504})
"""Said by what stands before the host, about the host. Any other status comes from somebody who is there."""
# No full stop: it separates the id from the timestamp in what is signed.
_ID = re.compile(r"[\x21-\x2d\x2f-\x7e]{1,256}")


@dataclass(slots=True)
class _Hop:
    """One request to send; each redirect makes the next."""

    method: str
    target: Target
    headers: dict[str, str]
    body: bytes | None
    signing: SigningSecrets | None


class _NoCallError(Exception):
    """Raised when a hop must not be made."""

    def __init__(self, complaint: Complaint) -> None:
        super().__init__(complaint.message)
        self.complaint = complaint


class _CircuitOpenError(Exception):
    """Raised when a host is not called for so many seconds more."""

    def __init__(self, wait_seconds: float) -> None:
        super().__init__()
        self.wait_seconds = wait_seconds


class HttpCaller:
    """Calls over HTTP/1.1. Use it in one event loop; close it there.

    `now` gives epoch seconds, for signatures. `secrets` sign every call whose request brings none of its own. `tls`
    replaces the trust in the system's certificate authorities, for instance by one's own. `circuits` are what several
    callers of a process know together of hosts that cannot be reached.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        now: Callable[[], float],
        resolver: Resolver | None = None,
        secrets: SigningSecrets | None = None,
        tls: ssl.SSLContext | None = None,
        circuits: Circuits | None = None,
    ) -> None:
        self._policy = policy
        self._rules = AddressRules(policy)
        self._refuse_literal = lru_cache(maxsize=1024)(self._rules.refuse)
        self._now = now
        self._resolver = resolver if resolver is not None else SystemResolver()
        self._secrets = secrets
        self._connections = Connections(policy, self._rules, self._resolver, tls)
        self._gates = Gates(policy.per_host_concurrency)
        self._circuits = circuits if circuits is not None else make_circuits(policy)
        self._closed = False

    async def call(self, request: CallRequest) -> CallOutcome:
        """See Caller.call."""
        started = time.monotonic()
        hop = self._prepare(request)
        if isinstance(hop, Complaint):
            return CallFailure(hop.kind, hop.message, sent=False, elapsed_seconds=time.monotonic() - started)
        attempt = Attempt()
        try:
            with Deadline(request.timeout_seconds):
                status, headers, body = await self._follow(hop, attempt, request)
            return CallResponse(status, headers, body.data, body.truncated, time.monotonic() - started)
        except _NoCallError as error:
            kind, message = error.complaint.kind, error.complaint.message
        except _CircuitOpenError as error:
            return self._not_called(attempt, error.wait_seconds, time.monotonic() - started)
        except Exception as error:  # the port's promise: whatever goes wrong is an outcome
            kind, message = explain(error, attempt, request.timeout_seconds, self._policy.connect_timeout_seconds)
            if kind in _NOBODY_THERE and attempt.phase != "queue":
                self._circuits.missed(attempt.place, attempt.began_at, time.monotonic())
        return CallFailure(kind, message, attempt.sent, time.monotonic() - started)

    async def close(self) -> None:
        """See Caller.close."""
        self._closed = True
        self._connections.close()
        await self._resolver.close()

    def _not_called(self, attempt: Attempt, wait_seconds: float, elapsed_seconds: float) -> CallFailure:
        until = iso(int((self._now() + wait_seconds) * 1000))
        message = f"circuit open for {attempt.place} until {until}: calls to it were in vain, so this one was not made"
        return CallFailure("circuit", message, attempt.sent, elapsed_seconds, wait_seconds)

    def _prepare(self, request: CallRequest) -> _Hop | Complaint:
        """The first hop, or why there is none."""
        if self._closed:
            return Complaint("connect", "the call was not made: the caller is closed")
        if request.method not in _METHODS:
            return Complaint("invalid", f"the method {request.method[:20]!r} is none of {', '.join(sorted(_METHODS))}")
        if not request.timeout_seconds > 0:
            return Complaint("invalid", f"the time limit {request.timeout_seconds} s is not greater than 0")
        if not _ID.fullmatch(request.webhook_id):
            return Complaint("invalid", "the webhook id must be 1 to 256 visible ASCII characters without a full stop")
        if request.body is not None and len(request.body) > self._policy.max_request_bytes:
            limit = self._policy.max_request_bytes
            return Complaint("too-large", f"the body has {len(request.body)} bytes; at most {limit} are sent")
        headers = admit(request.headers)
        if isinstance(headers, Complaint):
            return headers
        target = self._aim(request.url, request.only_hosts)
        if isinstance(target, Complaint):
            return target
        headers |= request.own_headers
        headers[WEBHOOK_ID] = request.webhook_id
        return _Hop(request.method, target, headers, request.body, request.signing or self._secrets)

    def _aim(self, url: str, only_hosts: tuple[str, ...]) -> Target | Complaint:
        """The target of a URL if calls may go there, as far as can be said without looking its name up."""
        target = parse_target(url)
        if isinstance(target, Complaint):
            return target
        if only_hosts and not matches_host(target.host, only_hosts):
            return Complaint(
                "refused", f"{target.host} is none of the hosts this call may go to ({', '.join(only_hosts)})"
            )
        if target.literal:
            refusal = self._refuse_literal(target.host, target.host, target.port)
            if refusal is not None:
                return Complaint("refused", refusal)
        return target

    async def _follow(self, hop: _Hop, attempt: Attempt, request: CallRequest) -> tuple[int, dict[str, str], Body]:
        """The answer to the call, through as many redirects as the policy allows."""
        redirects = 0
        while True:
            target = hop.target
            attempt.aim(target.host, target.place)
            _check_open(self._circuits.wait(target.place, time.monotonic()))  # before it waits for a turn
            await self._gates.enter(target.place)
            try:
                attempt.began_at = time.monotonic()
                _check_open(self._circuits.enter(target.place, attempt.began_at))
                attempt.phase = "connect"
                status, headers, body = await self._exchange(hop, attempt)
            finally:
                self._gates.leave(target.place)
            if status in _GATEWAY_ERRORS:
                self._circuits.missed(target.place, attempt.began_at, time.monotonic())
            else:
                self._circuits.reached(target.place)
            if not self._policy.max_redirects or status not in _REDIRECTS or "location" not in headers:
                return status, headers, body
            redirects += 1
            if redirects > self._policy.max_redirects:
                raise _NoCallError(
                    Complaint(
                        "redirect", f"{target.place} is the end of {redirects - 1} redirects, and sends on once more"
                    )
                )
            hop = self._redirect(hop, status, headers["location"], request)

    async def _exchange(self, hop: _Hop, attempt: Attempt) -> tuple[int, dict[str, str], Body]:
        """Send one request and read its answer. Raises what `failures.explain` knows."""
        connection = await self._connections.take(hop.target, attempt)
        try:
            answer = await connection.exchange(self._request(hop), attempt, with_body=hop.method != "HEAD")
        finally:
            self._connections.give_back(hop.target, connection)
        if answer.status < 200:
            raise _NoCallError(
                Complaint("protocol", f"{attempt.place} wants to switch protocols ({answer.status}), unasked")
            )
        received = answer.headers
        encoding = received.get("content-encoding", "")
        body = decode(answer.body, encoding, self._policy.max_response_bytes, cut=answer.truncated)
        if body.decoded:
            received.pop("content-encoding", None)
            received.pop("content-length", None)
        return answer.status, received, body

    def _request(self, hop: _Hop) -> bytes:
        """The request of a hop, byte by byte."""
        body = hop.body or b""
        headers = {"Accept": "*/*", "User-Agent": self._policy.user_agent, **hop.headers}
        headers["Accept-Encoding"] = "gzip, deflate"
        if hop.signing is not None:
            headers.update(sign(hop.headers[WEBHOOK_ID], int(self._now()), body, hop.signing))
        if body or hop.method not in _WITHOUT_LENGTH:
            headers["Content-Length"] = str(len(body))
        target = hop.target
        defaults = {"Host": target.host_header}
        if body:
            defaults["Content-Type"] = "application/octet-stream"
        return write_head(f"{hop.method} {target.path} HTTP/1.1", defaults, headers) + body

    def _redirect(self, hop: _Hop, status: int, location: str, request: CallRequest) -> _Hop:
        """The next hop, checked like the first. Raises _NoCallError when it must not be made."""
        place = hop.target.place
        try:
            url = hop.target.url.join(URL(location))
        except ValueError:
            raise _NoCallError(Complaint("redirect", f"{place} sends on to a location that is no URL")) from None
        if hop.target.url.scheme == "https" and url.scheme == "http":
            raise _NoCallError(Complaint("redirect", f"{place} sends on from https to http, which is never followed"))
        target = self._aim(str(url), request.only_hosts)
        if isinstance(target, Complaint):
            raise _NoCallError(Complaint(target.kind, f"{place} sends on, but {target.message}"))
        method, headers, body, signing = hop.method, hop.headers, hop.body, hop.signing
        if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
            method, headers, body = "GET", drop_body_headers(headers), None
        if url.origin() != hop.target.url.origin():
            headers, signing = keep_harmless(headers), None
        return _Hop(method, target, headers, body, signing)


def make_circuits(policy: EgressPolicy) -> Circuits:
    """What callers under this policy know of hosts that cannot be reached."""
    rule = CircuitRule(
        policy.circuit_misses, pause_seconds=policy.circuit_pause_seconds, most_pause_seconds=MOST_CIRCUIT_PAUSE_SECONDS
    )
    return Circuits(rule)


def _check_open(wait_seconds: float | None) -> None:
    if wait_seconds is not None:
        raise _CircuitOpenError(wait_seconds)
