"""From exceptions to failures: which kind, and a sentence that says what happened, where, and what to do.

Texts of exceptions are not passed on unless they are the operating system's or ours: others may hold what is secret.
"""

import os
import ssl

from aiohttp.http_exceptions import HttpProcessingError

from headrace.adapters.http.body import EncodingError
from headrace.adapters.http.connection import Attempt, ConnectionEndedError
from headrace.adapters.http.resolver import ResolveError
from headrace.adapters.http.transport import AddressRefusedError, ClosedError, ConnectError, ConnectTimeoutError
from headrace.ports.caller import FailureKind

_LOST = "its effect is unknown"


def explain(
    error: Exception, attempt: Attempt, timeout_seconds: float, connect_timeout_seconds: float
) -> tuple[FailureKind, str]:
    """The kind and message for whatever a call raised."""
    place = attempt.place
    if attempt.refusal or isinstance(error, AddressRefusedError):
        return "refused", attempt.refusal or str(error)
    if isinstance(error, ConnectTimeoutError):
        return "timeout", _explain_connect_timeout(attempt, connect_timeout_seconds)
    if isinstance(error, TimeoutError):
        return "timeout", _explain_deadline(attempt, timeout_seconds)
    if isinstance(error, ResolveError):
        return "dns", f"{error}; check the name, and the engine's DNS"
    if isinstance(error, ConnectError):
        return _explain_connect(error.error, place)
    if isinstance(error, ConnectionEndedError):
        return "reset", _explain_end(error, attempt)
    if isinstance(error, HttpProcessingError):
        return _explain_nonsense(error, attempt)
    if isinstance(error, EncodingError):
        return "protocol", f"{place} answered, but {error}; {_LOST}"
    if isinstance(error, ClosedError):
        return ("reset" if attempt.sent else "connect"), f"the connection to {place} ended: the caller was closed"
    return "protocol", f"the call to {place} failed inside the HTTP client ({type(error).__name__})"


def _explain_connect_timeout(attempt: Attempt, seconds: float) -> str:
    if attempt.phase == "dns":
        return f"{attempt.host} was not looked up within {seconds:g} s: check the engine's DNS"
    return f"no connection to {attempt.place} within {seconds:g} s: check that the receiver is up and reachable"


def _explain_deadline(attempt: Attempt, seconds: float) -> str:
    place, within = attempt.place, f"within the call's {seconds:g} s"
    match attempt.phase:
        case "queue":
            return f"the call got no turn {within}: too many calls to {place} are in flight; is it slow?"
        case "dns":
            return f"{attempt.host} was not looked up {within}: check the engine's DNS"
        case "connect":
            return f"no connection to {place} {within}: check that the receiver is up and reachable"
        case "response":
            return f"{place} did not answer {within}; {_LOST}"
        case "body":
            return f"{place} began to answer but did not finish {within}; {_LOST}"


def _explain_connect(error: OSError, place: str) -> tuple[FailureKind, str]:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "tls", f"{place} has a certificate that is not trusted ({_reason(error)})"
    if isinstance(error, ssl.SSLError):
        return "tls", f"no TLS connection to {place} ({_reason(error)}): does it speak https on this port?"
    return "connect", f"no connection to {place} ({_reason(error)}): check that the receiver is up"


def _explain_end(error: ConnectionEndedError, attempt: Attempt) -> str:
    if attempt.phase == "body":
        return f"{attempt.place} closed the connection in the middle of its answer; {_LOST}"
    if error.error is not None:
        return f"the connection to {attempt.place} was lost ({_reason(error.error)}) before it answered; {_LOST}"
    return f"{attempt.place} closed the connection before it answered; {_LOST}"


def _explain_nonsense(error: HttpProcessingError, attempt: Attempt) -> tuple[FailureKind, str]:
    # aiohttp's C parser tells its two limits apart from nonsense in words only.
    if "more than" in error.message or "Too many headers" in error.message:
        return "too-large", f"{attempt.place} answered with more headers than we read; {_LOST}"
    if attempt.phase == "body":
        return "protocol", f"{attempt.place} sent a body that is not framed as HTTP demands; {_LOST}"
    return "protocol", f"{attempt.place} sent something that is not HTTP; {_LOST}"


def _reason(error: Exception) -> str:
    """The system's own words for an error, short and without addresses or URLs."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message or "verification failed"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS error").lower().replace("_", " ")
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower() if error.errno > 0 else "connection failed"
    return type(error).__name__
