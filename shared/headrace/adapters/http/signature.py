"""Signatures of webhooks: made for calls that leave, checked for calls that arrive.

Two schemes, both HMAC-SHA256 in base64 behind `v1,`:

- Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature` over `id.timestamp.body`;
  one signature per active secret, separated by spaces.
- Port's: `X-Port-Timestamp`, `X-Port-Signature` over `timestamp.body`; one signature, so the newest secret's.

A `whsec_` secret is decoded for the first scheme and taken as it stands for the second, as their receivers do.
"""

import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from functools import lru_cache

from headrace.ports.caller import SigningSecrets

WEBHOOK_ID = "webhook-id"
WEBHOOK_TIMESTAMP = "webhook-timestamp"
WEBHOOK_SIGNATURE = "webhook-signature"
PORT_TIMESTAMP = "X-Port-Timestamp"
PORT_SIGNATURE = "X-Port-Signature"

_TIMESTAMP = re.compile(r"[0-9]{1,12}")


def sign(webhook_id: str, timestamp_seconds: int, body: bytes, secrets: SigningSecrets) -> dict[str, str]:
    """The headers of both schemes for exactly these bytes at this time (epoch seconds)."""
    timestamp = str(timestamp_seconds)
    dated = timestamp.encode() + b"." + body
    named = webhook_id.encode() + b"." + dated
    signatures = [_decoded(secret).sign(named) for secret in secrets.values]
    return {
        WEBHOOK_ID: webhook_id,
        WEBHOOK_TIMESTAMP: timestamp,
        WEBHOOK_SIGNATURE: " ".join(signatures),
        PORT_TIMESTAMP: timestamp,
        PORT_SIGNATURE: _verbatim(secrets.values[0]).sign(dated),
    }


def verify(headers: Mapping[str, str], body: bytes, secret: str, now: float, tolerance_seconds: float = 300) -> bool:
    """Whether `body` was signed with `secret` no longer than `tolerance_seconds` before or after `now` (epoch seconds).

    False for anything missing, malformed or stale. A message with any `webhook-` header is held to Standard Webhooks,
    so that its id cannot be exchanged by leaving the signature out; only others are held to Port's scheme.
    """
    given = {name.lower(): value for name, value in headers.items()}
    standard = any(name in given for name in (WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE))
    names = (WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE) if standard else (PORT_TIMESTAMP.lower(), PORT_SIGNATURE.lower())
    timestamp, signatures = given.get(names[0], ""), given.get(names[1], "")
    if not secret or not _TIMESTAMP.fullmatch(timestamp) or abs(now - int(timestamp)) > tolerance_seconds:
        return False
    signed = timestamp.encode() + b"." + body
    try:
        if standard:
            if not given.get(WEBHOOK_ID):
                return False
            expected = _decoded(secret).sign(given[WEBHOOK_ID].encode() + b"." + signed)
        else:
            expected = _verbatim(secret).sign(signed)
    except (binascii.Error, UnicodeEncodeError):
        return False
    # Every candidate is compared, and each in constant time: how long this takes tells nothing about the signature.
    matches = [hmac.compare_digest(expected.encode(), each.encode("utf-8", "replace")) for each in signatures.split()]
    return any(matches)


class _Mac:
    """HMAC-SHA256 as RFC 2104 writes it down, with the two blocks made of the key hashed once for all messages.

    OpenSSL's HMAC sets itself up anew for every message: 7-9 us in a busy process, twice a call; this takes 3.
    The tests hold it to `hmac`.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        if len(key) > 64:
            key = hashlib.sha256(key).digest()
        block = key.ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def sign(self, message: bytes) -> str:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return "v1," + binascii.b2a_base64(outer.digest(), newline=False).decode("ascii")


@lru_cache(maxsize=1024)
def _decoded(secret: str) -> _Mac:
    return _Mac(binascii.a2b_base64(secret[6:], strict_mode=True) if secret.startswith("whsec_") else secret.encode())


@lru_cache(maxsize=1024)
def _verbatim(secret: str) -> _Mac:
    return _Mac(secret.encode())
