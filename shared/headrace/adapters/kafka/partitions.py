"""Which partition a key belongs to: as Kafka's own clients decide it, so that equal keys of two topics meet."""

from functools import lru_cache
from struct import unpack_from
from typing import Final

_SEED: Final = 0x9747B28C
_MULTIPLIER: Final = 0x5BD1E995
_32_BITS: Final = 0xFFFFFFFF
_POSITIVE: Final = 0x7FFFFFFF


def murmur2(data: bytes) -> int:
    """The 32 bits of murmur2 with Kafka's seed. By words: the library's own, by bytes, takes twice as long."""
    length = len(data)
    whole = length & ~3
    h = _SEED ^ length
    for word in unpack_from(f"<{length // 4}I", data):
        k = word * _MULTIPLIER & _32_BITS
        h = (h * _MULTIPLIER & _32_BITS) ^ ((k ^ (k >> 24)) * _MULTIPLIER & _32_BITS)
    if whole != length:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _MULTIPLIER & _32_BITS
    h = (h ^ (h >> 13)) * _MULTIPLIER & _32_BITS
    return h ^ (h >> 15)


@lru_cache(maxsize=8_192)
def place(key: str) -> tuple[bytes, int]:
    """A key's bytes, and the number whose remainder by the count of partitions is its partition.

    Kept, because a run's id is the key of everything that is published of it. Bytes that are no UTF-8 come back as they
    were read (`key_of`).
    """
    data = key.encode("utf-8", "surrogateescape")
    return data, murmur2(data) & _POSITIVE


def key_of(data: bytes | None) -> str:
    """A key as text. Other producers may write no key at all, which is the empty one, or bytes that are no UTF-8."""
    return "" if data is None else data.decode("utf-8", "surrogateescape")
