"""WEBHOOK actions (spec 3.2): one HTTP request, its answer read as the node's raw output."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import orjson

from headrace.contracts.envelope import TRACEPARENT
from headrace.core.commands import Accepted, AttemptFailureKind, Failed, InvokeNode, Outcome, Succeeded
from headrace.core.json import Json, JsonObject
from headrace.core.limits import JSON_DEPTH
from headrace.core.run import LogLine
from headrace.core.weight import is_deeper
from headrace.ports.caller import Caller, CallFailure, CallOutcome, CallRequest, CallResponse, FailureKind
from headrace.ports.clock import Clock
from headrace_invoker.performance import Performance

DEFAULT_TIMEOUT_SECONDS = 30.0
MAX_SYNCHRONOUS_SECONDS = 300.0
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")
_RETRYABLE_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
FAILURE_KINDS: Mapping[FailureKind, AttemptFailureKind] = {
    "refused": "refused", "invalid": "invalid", "too-large": "invalid", "redirect": "refused", "timeout": "timeout",
}  # fmt: skip


class InvalidConfigError(Exception):
    """The rendered config is no request: the message tells the author of the workflow what to mend."""


class WebhookPerformer:
    """Performs WEBHOOK attempts through the egress module, the only door out."""

    def __init__(self, caller: Caller, clock: Clock) -> None:
        self._caller = caller
        self._clock = clock

    async def perform(self, request: InvokeNode, doubtful: bool = False) -> Performance:
        """Make the call and read the answer. A doubtful call is made too: receivers know it by its `webhook-id`."""
        try:
            call = build_call(request)
        except InvalidConfigError as error:
            return Performance(Failed("invalid", str(error)), (self._line("ERROR", str(error)),))
        outcome = await self._caller.call(call)
        return Performance(read_outcome(request, outcome, self._clock.now()), (self._describe(call, outcome),))

    def _describe(self, call: CallRequest, outcome: CallOutcome) -> LogLine:
        where = f"{call.method} {_place(call.url)}"
        if isinstance(outcome, CallResponse):
            level = "INFO" if 200 <= outcome.status < 300 else "WARN"
            return self._line(level, f"{where} answered {outcome.status} in {outcome.elapsed_seconds * 1000:.0f} ms")
        return self._line("WARN", f"{where} failed after {outcome.elapsed_seconds * 1000:.0f} ms: {outcome.message}")

    def _line(self, level: str, message: str) -> LogLine:
        return LogLine(self._clock.now(), level, message)  # type: ignore[arg-type]


def build_call(request: InvokeNode) -> CallRequest:
    """The HTTP request of a rendered WEBHOOK config. Raises InvalidConfigError."""
    config = request.config
    if not isinstance(config, dict):
        raise InvalidConfigError("The webhook's config is not an object.")
    url = config.get("url")
    if not isinstance(url, str) or not url.strip():
        raise InvalidConfigError(f"The webhook's url is {_shown(url)}: it must be a text. Check the template in `url`.")
    method = config.get("method") or "POST"
    if not isinstance(method, str) or method.upper() not in _METHODS:
        raise InvalidConfigError(f"The webhook's method is {_shown(method)}: use one of {', '.join(_METHODS)}.")
    body = config.get("body")
    payload = orjson.dumps(body) if body is not None and method.upper() in _WITH_BODY else None
    limit = request.timeout_seconds or DEFAULT_TIMEOUT_SECONDS
    return CallRequest(
        method=method.upper(),
        url=url.strip(),
        headers=_headers(config.get("headers"), request, payload is not None),
        body=payload,
        webhook_id=request.node_run_id,
        timeout_seconds=min(limit, MAX_SYNCHRONOUS_SECONDS if request.synchronized else DEFAULT_TIMEOUT_SECONDS),
    )


def _headers(given: Json, request: InvokeNode, has_body: bool) -> dict[str, str]:
    if given is not None and not isinstance(given, dict):
        raise InvalidConfigError(f"The webhook's headers are {_shown(given)}: they must be an object of texts.")
    headers: dict[str, str] = {}
    for name, value in (given or {}).items():
        if isinstance(value, dict | list):
            raise InvalidConfigError(f"The webhook's header {name} is {_shown(value)}: it must be a text.")
        if value is not None:
            headers[name] = value if isinstance(value, str) else orjson.dumps(value).decode()
    names = {name.lower() for name in headers}
    if has_body and "content-type" not in names:
        headers["Content-Type"] = "application/json"
    if request.causation.traceparent is not None and TRACEPARENT not in names:
        headers[TRACEPARENT] = request.causation.traceparent
    headers["X-Port-Workflow-Run-Id"] = request.run_id
    headers["X-Port-Node-Run-Id"] = request.node_run_id
    return headers


def read_outcome(request: InvokeNode, outcome: CallOutcome, now: int) -> Outcome:
    """What the answer, or its absence, means for the node run."""
    if isinstance(outcome, CallFailure):
        return _failure(request, outcome)
    output: JsonObject = {"response": {"status": outcome.status, "data": read_body(outcome.body)}}
    if outcome.truncated:
        output["truncated"] = True
    if 200 <= outcome.status < 300:
        return Succeeded(output) if request.synchronized else Accepted(output)
    retryable = outcome.status in _RETRYABLE_STATUS
    message = f"The receiver answered {outcome.status}{_excerpt(outcome.body)}"
    return Failed("status", message, retryable, output, retry_after(outcome.headers.get("retry-after"), now))


def _failure(request: InvokeNode, failure: CallFailure) -> Failed:
    kind = FAILURE_KINDS.get(failure.kind, "connection")
    retryable = kind in ("connection", "timeout")
    if failure.sent and request.delivery == "at_most_once" and retryable:
        message = f"{failure.message} The receiver may or may not have done its work, and delivery is at most once."
        return Failed("unknown-outcome", message)
    return Failed(kind, failure.message, retryable, retry_after_seconds=failure.retry_after_seconds)


def read_body(body: bytes) -> Json:
    """The answer's body: JSON where it is JSON, else text; an empty body is an empty object (spec 3.2).

    JSON that is nested too deeply for messages counts as text.
    """
    if not body.strip():
        return {}
    try:
        value: Json = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace").replace("\0", "\ufffd")
    if body.count(b"[") + body.count(b"{") > JSON_DEPTH and is_deeper(value, JSON_DEPTH):
        return body.decode()
    return value


def retry_after(header: str | None, now: int) -> float | None:
    """Seconds that a Retry-After header asks for, in either of its forms; None when it says nothing usable."""
    if not header:
        return None
    seconds = header.strip()
    if seconds.isascii() and seconds.isdecimal():
        return float(seconds[:9])
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now / 1000)
    except (ValueError, OverflowError):
        return None


def _place(url: str) -> str:
    """The URL without what may be secret in it: credentials, query, fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an invalid URL"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _excerpt(body: bytes) -> str:
    text = " ".join(body[:400].decode("utf-8", "replace").split())
    return f": {text[:200]}" if text else "."


def _shown(value: Json) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 80 else text[:77] + "..."
