"""The caller: the one door through which the engine's calls for workflows leave. docs/egress.md tells its rules."""

import io
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import aiohttp
from multidict import istr
from yarl import URL

from headrace.adapters.http.addresses import AddressRules
from headrace.adapters.http.body import Body, read_body
from headrace.adapters.http.deadline import Deadline
from headrace.adapters.http.failures import explain
from headrace.adapters.http.gates import Gates
from headrace.adapters.http.headers import admit, drop_body_headers, flatten, keep_harmless
from headrace.adapters.http.policy import EgressPolicy, matches_host
from headrace.adapters.http.resolver import Resolver, SystemResolver
from headrace.adapters.http.signature import WEBHOOK_ID, sign
from headrace.adapters.http.targets import Complaint, Target, parse_target
from headrace.adapters.http.transport import ATTEMPT, Attempt, open_session
from headrace.ports.caller import CallFailure, CallOutcome, CallRequest, CallResponse, SigningSecrets

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# istr: aiohttp's header dictionaries need not fold the case of these again.
_ACCEPT, _USER_AGENT, _ACCEPT_ENCODING = istr("Accept"), istr("User-Agent"), istr("Accept-Encoding")
_ENCODINGS = "gzip, deflate"
_NO_CONTENT_TYPE = ("Content-Type",)  # aiohttp would name one for a body that is not there
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


class HttpCaller:
    """Calls over HTTP/1.1 with aiohttp. Use it in one event loop; close it there.

    `now` gives epoch seconds, for signatures. `secrets` sign every call whose request brings none of its own. `tls`
    replaces the trust in the system's certificate authorities, for instance by one's own.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        now: Callable[[], float],
        resolver: Resolver | None = None,
        secrets: SigningSecrets | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._policy = policy
        self._rules = AddressRules(policy)
        self._refuse_literal = lru_cache(maxsize=1024)(self._rules.refuse)
        self._now = now
        self._resolver = resolver if resolver is not None else SystemResolver()
        self._secrets = secrets
        self._tls = tls
        self._gates = Gates(policy.per_host_concurrency)
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def call(self, request: CallRequest) -> CallOutcome:
        """See Caller.call."""
        started = time.monotonic()
        hop = self._prepare(request)
        if isinstance(hop, Complaint):
            return CallFailure(hop.kind, hop.message, sent=False, elapsed_seconds=time.monotonic() - started)
        attempt = Attempt()
        token = ATTEMPT.set(attempt)
        try:
            with Deadline(request.timeout_seconds):
                status, headers, body = await self._follow(hop, attempt, request)
            return CallResponse(status, headers, body.data, body.truncated, time.monotonic() - started)
        except _NoCallError as error:
            kind, message = error.complaint.kind, error.complaint.message
        except Exception as error:  # the port's promise: whatever goes wrong is an outcome
            kind, message = explain(error, attempt, request.timeout_seconds, self._policy.connect_timeout_seconds)
        finally:
            ATTEMPT.reset(token)
        return CallFailure(kind, message, attempt.sent, time.monotonic() - started)

    async def close(self) -> None:
        """See Caller.close."""
        self._closed = True
        if self._session is not None:
            await self._session.close()
        await self._resolver.close()

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
            await self._gates.enter(target.place)
            try:
                attempt.phase = "connect"
                status, headers, body = await self._exchange(hop, attempt)
            finally:
                self._gates.leave(target.place)
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
        """Send one request and read its answer. aiohttp's exceptions pass through."""
        headers = {_ACCEPT: "*/*", _USER_AGENT: self._policy.user_agent, **hop.headers, _ACCEPT_ENCODING: _ENCODINGS}
        if hop.signing is not None:
            headers.update(sign(hop.headers[WEBHOOK_ID], int(self._now()), hop.body or b"", hop.signing))
        session = self._session
        if session is None:
            session = self._session = open_session(self._policy, self._rules, self._resolver, self._tls)
        response = await session.request(
            hop.method,
            hop.target.url,
            headers=headers,
            data=_payload(hop.body),
            allow_redirects=False,
            skip_auto_headers=None if hop.body else _NO_CONTENT_TYPE,
        )
        attempt.phase = "body"
        try:
            if response.status < 200:
                raise _NoCallError(
                    Complaint("protocol", f"{attempt.place} wants to switch protocols ({response.status}), unasked")
                )
            body = await read_body(response, self._policy.max_response_bytes)
        except BaseException:
            response.close()
            raise
        received = flatten(response.headers.items())
        if body.decoded:
            received.pop("content-encoding", None)
            received.pop("content-length", None)
        return response.status, received, body

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


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    if not body:
        return None
    # aiohttp warns of larger bytes, since it writes them in one go; of a file it writes a piece at a time.
    return body if len(body) <= 1 << 20 else io.BytesIO(body)
