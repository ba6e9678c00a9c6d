"""Bodies of responses, up to a limit: whatever the receiver sends, reading it costs no more than the limit."""

import zlib
from dataclasses import dataclass

from headrace.core.errors import HeadraceError


class EncodingError(HeadraceError):
    """Raised when a compressed body cannot be decompressed. The receiver is at fault."""


@dataclass(frozen=True, slots=True)
class Body:
    """What was kept of a body. `decoded` says that its Content-Encoding was undone."""

    data: bytes
    truncated: bool
    decoded: bool


def decode(data: bytes, encoding: str, limit: int, *, cut: bool) -> Body:
    """A body decompressed, at most `limit` bytes of it. `cut`: the data is not all there is. Raises EncodingError."""
    encoding = encoding.strip().lower()
    if not data or encoding not in _WINDOWS:
        return Body(data, cut, decoded=False)
    data, more = _decompress(data, encoding, limit, cut=cut)
    return Body(data, cut or more, decoded=True)


_GZIP = b"\x1f\x8b"
_MOST_MEMBERS = 16
"""A gzip body may be several, end to end. Thousands of empty ones would fit in the limit, and cost seconds."""
_WINDOWS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


def _decompress(data: bytes, encoding: str, limit: int, *, cut: bool) -> tuple[bytes, bool]:
    """The first `limit` bytes of the plain body, and whether there are more. `cut`: the input is not all there is."""
    window = _WINDOWS[encoding]
    if encoding == "deflate" and data[0] & 0x0F != 8:
        window = -zlib.MAX_WBITS  # some servers send the bare stream, without zlib's header
    plain = bytearray()
    try:
        for _ in range(_MOST_MEMBERS):
            stream = zlib.decompressobj(window)
            plain += stream.decompress(data, limit + 1 - len(plain))
            if len(plain) > limit:
                return bytes(plain[:limit]), True
            if not stream.eof and not cut:
                raise EncodingError(f"its {encoding} body ends too early")
            data = stream.unused_data
            if not data.startswith(_GZIP):
                return bytes(plain), False
    except zlib.error:
        if not (cut and plain):
            raise EncodingError(f"its body is not the {encoding} that its Content-Encoding promises") from None
        return bytes(plain), False
    return bytes(plain), True
