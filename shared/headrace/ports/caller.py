"""The port for outgoing calls: one HTTP request that a workflow asked for, and what became of it.

Everything the engine calls for a workflow goes through a `Caller`. The adapter behind it decides which addresses may be
reached (docs/egress.md); the invoker decides what a failure means for the run.
"""

import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from headrace.core.errors import HeadraceError


class SigningSecretsError(HeadraceError):
    """Raised for signing secrets that cannot be used. Give one or two: plain text, or `whsec_` followed by base64."""


@dataclass(frozen=True, slots=True)
class SigningSecrets:
    """The secrets that sign a call: one, or two while a secret is being replaced, the newest first.

    A secret is plain text, or `whsec_` followed by base64 (Standard Webhooks). It never shows in a repr.
    Raises SigningSecretsError for none, more than two, an empty one, or broken base64 after `whsec_`.
    """

    values: tuple[str, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.values) <= 2:
            raise SigningSecretsError(f"one or two signing secrets may be active, not {len(self.values)}")
        for value in self.values:
            _check_secret(value)


def _check_secret(value: str) -> None:
    rest = value.removeprefix("whsec_")
    if not rest:
        raise SigningSecretsError("a signing secret must not be empty")
    if rest is not value:
        try:
            binascii.a2b_base64(rest, strict_mode=True)
        except binascii.Error:
            raise SigningSecretsError("a signing secret that begins with whsec_ must go on in base64") from None


@dataclass(frozen=True, slots=True)
class CallRequest:
    """One HTTP request, rendered: no templates are left in it.

    `webhook_id` is the node run's id, the same over every retry, so that a receiver can tell a repeated call.
    `timeout_seconds` is the deadline of the whole call, from the moment it is asked for to the last byte of the answer.
    `only_hosts` narrows where the call may go (names, or `.example.com` for all below it); empty narrows nothing. Give
    the hosts here that a secret in the headers is bound to: every redirect is held against them too.
    `signing` takes the place of the caller's own secrets; without either the call goes out unsigned.
    `own_headers` are of the engine's own making and not of a workflow's: they may bear names that `headers` may not.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    webhook_id: str
    timeout_seconds: float
    only_hosts: tuple[str, ...] = ()
    signing: SigningSecrets | None = None
    own_headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class CallResponse:
    """The receiver answered; any status counts, redirects and errors included.

    Names in `headers` are lower case; repeated ones are joined by a comma. `body` is decompressed. `truncated` says
    that more came than is kept.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool
    elapsed_seconds: float


FailureKind = Literal[
    "refused", "dns", "connect", "tls", "timeout", "reset", "protocol", "too-large", "invalid", "redirect", "circuit"
]
"""Why a call gave no response.

refused: our rules forbid the address, port or host. invalid: the request itself is wrong, calling again will not help.
too-large: the request's body or the answer's headers exceed their limit. dns, connect, tls: no connection came about.
timeout: the deadline, or the time limit for connecting, passed. reset: the connection ended before the answer did.
protocol: what came back was not HTTP as we understand it. redirect: a redirect was not followed, and why.
circuit: so many calls to the host were in vain of late that this one was not made.
"""


@dataclass(frozen=True, slots=True)
class CallFailure:
    """The call gave no response. `message` says what happened, where, and what to do; it holds no secrets.

    `sent` is true when a byte of the request may have reached a receiver: its effect is then unknown, and whoever calls
    again may do it twice. When false, nothing was sent, and calling again is harmless.
    """

    kind: FailureKind
    message: str
    sent: bool
    elapsed_seconds: float
    retry_after_seconds: float | None = None
    """When another call may be of use, where that is known."""


CallOutcome = CallResponse | CallFailure


class Caller(Protocol):
    """Makes calls. One instance serves a whole process and keeps connections open between calls."""

    async def call(self, request: CallRequest) -> CallOutcome:
        """The outcome of one attempt; never more than one request is sent. Raises nothing but CancelledError."""
        ...

    async def close(self) -> None:
        """Close every connection. Calls still in flight fail."""
        ...
