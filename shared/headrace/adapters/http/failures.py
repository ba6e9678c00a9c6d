"""From exceptions to failures: which kind, and a sentence that says what happened, where, and what to do.

Texts of exceptions are not passed on unless they are the operating system's: aiohttp's hold whole URLs.
"""

import os
import ssl

import aiohttp
from aiohttp import http_exceptions

from headrace.adapters.http.body import EncodingError
from headrace.adapters.http.resolver import ResolveError
from headrace.adapters.http.transport import AddressRefusedError, Attempt, SecondSendError
from headrace.ports.caller import FailureKind

_LOST = "its effect is unknown"


def explain(
    error: Exception, attempt: Attempt, timeout_seconds: float, connect_timeout_seconds: float
) -> tuple[FailureKind, str]:
    """The kind and message for whatever a call raised."""
    place = attempt.place
    if attempt.refusal or isinstance(error, AddressRefusedError):
        return "refused", attempt.refusal or str(error)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "timeout", _explain_connect_timeout(attempt, connect_timeout_seconds)
    if isinstance(error, TimeoutError):
        return "timeout", _explain_deadline(attempt, timeout_seconds)
    if isinstance(error, ResolveError):
        return "dns", f"{error}; check the name, and the engine's DNS"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "dns", f"{attempt.host} could not be looked up; check the name, and the engine's DNS"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "tls", f"{place} has a certificate that is not trusted ({_reason(error.certificate_error)})"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return "tls", f"no TLS connection to {place} ({_reason(error.os_error)}): does it speak https on this port?"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "connect", f"no connection to {place} ({_reason(error.os_error)}): check that the receiver is up"
    if isinstance(error, aiohttp.ServerDisconnectedError | SecondSendError):
        return "reset", f"{place} closed the connection before it answered; {_LOST}"
    if isinstance(error, aiohttp.ClientPayloadError):
        return _explain_payload(error, place)
    if isinstance(error, aiohttp.ClientOSError):
        return "reset", f"the connection to {place} was lost ({_reason(error)}) before it answered; {_LOST}"
    if isinstance(error, aiohttp.ClientResponseError):
        return _explain_response(error, place)
    if isinstance(error, http_exceptions.HttpProcessingError):
        return "protocol", f"{place} sent something that is not HTTP; {_LOST}"
    if isinstance(error, EncodingError):
        return "protocol", f"{place} answered, but {error}; {_LOST}"
    if isinstance(error, aiohttp.ClientConnectionError):
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


def _explain_payload(error: aiohttp.ClientPayloadError, place: str) -> tuple[FailureKind, str]:
    cause = error.__cause__
    ended_early = isinstance(cause, http_exceptions.ContentLengthError | OSError) or cause is None
    if ended_early or "not completed" in str(error):
        return "reset", f"{place} closed the connection in the middle of its answer; {_LOST}"
    return "protocol", f"{place} sent a body that is not framed as HTTP demands; {_LOST}"


def _explain_response(error: aiohttp.ClientResponseError, place: str) -> tuple[FailureKind, str]:
    # aiohttp's C parser tells its two limits apart from nonsense in words only.
    if "more than" in error.message or "Too many headers" in error.message:
        return "too-large", f"{place} answered with more headers than we read; {_LOST}"
    return "protocol", f"{place} sent something that is not HTTP; {_LOST}"


def _reason(error: Exception) -> str:
    """The system's own words for an error, short and without addresses or URLs."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message or "verification failed"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS error").lower().replace("_", " ")
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower() if error.errno > 0 else "connection failed"
    return type(error).__name__
