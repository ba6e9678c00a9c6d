"""Keys go to the partitions that every other client of Kafka chooses."""

from aiokafka.partitioner import murmur2 as reference
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.adapters.kafka.partitions import key_of, murmur2, place


@given(st.binary(max_size=70))
@example(b"")
@example(b"\xff\xff\xff\xff\xff\xff\xff")
def test_the_hash_is_that_of_kafka(data: bytes) -> None:
    assert murmur2(data) == reference(data)


def test_known_values_of_the_java_client() -> None:
    """From Kafka's own UtilsTest."""
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}

    assert {data: murmur2(data) for data in known} == {data: value & 0xFFFFFFFF for data, value in known.items()}


@given(st.text())
def test_a_key_comes_back_as_it_was(key: str) -> None:
    if any(0xD800 <= ord(char) <= 0xDFFF for char in key):
        return
    data, number = place(key)

    assert key_of(data) == key
    assert number == reference(data) & 0x7FFFFFFF


@given(st.binary(max_size=20))
def test_bytes_that_are_no_text_come_back_too(data: bytes) -> None:
    assert place(key_of(data))[0] == data


def test_no_key_is_the_empty_one() -> None:
    assert key_of(None) == key_of(b"") == ""
