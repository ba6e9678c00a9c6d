"""What a third party's answer means: a JSON value to go on with, or a trouble with a reason a person understands. Pure.

A trouble knows whether the request may have taken effect (`unknown`): then nobody repeats it without asking first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import orjson

from headrace.core.commands import AttemptFailureKind
from headrace.core.errors import HeadraceError
from headrace.core.json import Json, JsonObject
from headrace.ports.caller import CallFailure, CallOutcome, CallRequest
from headrace_invoker.webhook import FAILURE_KINDS, read_body, retry_after

KEPT_BYTES = 64 * 1024
"""Kept of an answer that failed a node run."""
_PAUSE_SECONDS = 60.0
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class TroubleError(HeadraceError):
    """A request did not bring what it should. `unknown`: it may have taken effect nevertheless."""

    def __init__(
        self,
        kind: AttemptFailureKind,
        message: str,
        *,
        retryable: bool = False,
        retry_after_seconds: float | None = None,
        unknown: bool = False,
        output: JsonObject | None = None,
    ) -> None:
        super().__init__(message)
        self.kind: AttemptFailureKind = kind
        self.message = message
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds
        self.unknown = unknown
        self.output = output


class UndecidableError(HeadraceError):
    """The third party was asked whether it did something, and its answer does not say."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was wanted. `data` is its JSON; `where` names the request, for reasons."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    where: str
    truncated: bool = False
    changes: bool = False

    def object(self) -> JsonObject:
        """The JSON object in it. Raises TroubleError."""
        data = self._json()
        if not isinstance(data, dict):
            raise self.garbled("is not a JSON object")
        return data

    def objects(self, key: str | None = None) -> list[JsonObject]:
        """The JSON objects in its array, or in the array under a key. Raises TroubleError."""
        data: Json = self._json() if key is None else self.object().get(key)
        if not isinstance(data, list):
            raise self.garbled("does not hold the list that was asked for")
        return [item for item in data if isinstance(item, dict)]

    def number(self, data: JsonObject, key: str) -> int:
        """A whole number of an object in it. Raises TroubleError."""
        value = data.get(key)
        if type(value) is not int:
            raise self.garbled(f"has no number {key!r}")
        return value

    def text(self, data: JsonObject, key: str) -> str:
        """A text of an object in it. Raises TroubleError."""
        value = data.get(key)
        if not isinstance(value, str):
            raise self.garbled(f"has no text {key!r}")
        return value

    def _json(self) -> Json:
        if self.truncated:
            raise self.garbled("is longer than we read")
        try:
            data: Json = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise self.garbled(f"is not JSON{excerpt(self.body)}") from None
        return data

    def garbled(self, what: str) -> TroubleError:
        """The trouble with an answer that cannot be used; another one may be whole."""
        message = f"The answer to {self.where} {what}"
        return TroubleError(
            "invalid", message if message.endswith(".") else message + ".", retryable=True, unknown=self.changes,
            output=kept(self.status, self.body),
        )  # fmt: skip


def read_answer(
    who: str, call: CallRequest, outcome: CallOutcome, now: int, wanted: frozenset[int] = frozenset(), hint: str = ""
) -> Answer:
    """The answer, if it is a success or has one of the wanted statuses. Raises TroubleError for all else.

    `who` is the third party's name; `hint` is added where the credentials were refused; `now` is in ms.
    """
    changes = call.method != "GET"
    where = f"{call.method} {urlsplit(call.url).path} at {who}"
    if isinstance(outcome, CallFailure):
        kind = FAILURE_KINDS.get(outcome.kind, "connection")
        retryable = kind in ("connection", "timeout")
        unknown = outcome.sent and changes and retryable
        raise TroubleError(
            kind, f"{where}: {outcome.message}.", retryable=retryable, unknown=unknown,
            retry_after_seconds=outcome.retry_after_seconds,
        )  # fmt: skip
    answer = Answer(outcome.status, outcome.headers, outcome.body, where, outcome.truncated, changes)
    if 200 <= outcome.status < 300 or outcome.status in wanted:
        return answer
    raise _refused(who, answer, now, hint)


def _refused(who: str, answer: Answer, now: int, hint: str) -> TroubleError:
    output = kept(answer.status, answer.body)
    pause = limited_for(answer.status, answer.headers, answer.body, now)
    if pause is not None:
        message = f"{who} limits our rate ({answer.status} to {answer.where}): it takes more in {pause:.0f} s."
        return TroubleError("status", message, retryable=True, retry_after_seconds=pause, output=output)
    message = f"{who} answered {answer.status} to {answer.where}{excerpt(answer.body)}"
    if answer.status in (401, 403):
        message = f"{message} {hint}".rstrip()
    elif 300 <= answer.status < 400:
        message = f"{message} It has moved; name its new place."
    retryable = answer.status in _TRY_AGAIN
    return TroubleError(
        "status", message, retryable=retryable, unknown=retryable and answer.changes, output=output,
        retry_after_seconds=retry_after(answer.headers.get("retry-after"), now),
    )  # fmt: skip


def limited_for(status: int, headers: Mapping[str, str], body: bytes, now: int) -> float | None:
    """Seconds until a third party that limits our rate takes more; None when that is not what it says.

    GitHub says it with 403 or 429, `x-ratelimit-*` or `retry-after`, its secondary limits in words only; GitLab with
    429 and `ratelimit-*`; Azure DevOps with 429 and `retry-after`.
    """
    if status not in (403, 429):
        return None
    pause = retry_after(headers.get("retry-after"), now)
    if pause is not None:
        return max(1.0, pause)
    for prefix in ("x-ratelimit", "ratelimit"):
        reset = headers.get(f"{prefix}-reset", "")
        if headers.get(f"{prefix}-remaining") == "0" and reset.isascii() and reset.isdecimal():
            return max(1.0, int(reset[:12]) - now / 1000)
    in_words = b"rate limit" in body[:4_000].lower()
    return _PAUSE_SECONDS if status == 429 or in_words else None


def kept(status: int, body: bytes) -> JsonObject:
    """The raw answer as a node's output, up to the limit."""
    output: JsonObject = {"response": {"status": status, "data": read_body(body[:KEPT_BYTES])}}
    if len(body) > KEPT_BYTES:
        output["truncated"] = True
    return output


def excerpt(body: bytes) -> str:
    """What third parties say about an error: their `message`, else the beginning of the body."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        data = None
    said = data.get("message") or data.get("error") if isinstance(data, dict) else None
    if said is not None and not isinstance(said, str):
        said = orjson.dumps(said).decode()
    text = " ".join((said or body[:400].decode("utf-8", "replace")).replace("\0", "\ufffd").split())[:300]
    if not text:
        return "."
    return f": {text}" if text[-1] in ".!?" else f": {text}."
