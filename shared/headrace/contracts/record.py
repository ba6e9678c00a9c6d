"""Records: what goes into a topic and what comes out of it (Kafka's model)."""

from dataclasses import dataclass

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """Something to publish. Records of one key stay in order. `value` None is a tombstone."""

    topic: str
    key: str
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class TopicPartition:
    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Record:
    """A message as a consumer got it. `timestamp` is milliseconds since the epoch; `epoch` numbers the assignment."""

    source: TopicPartition
    offset: int
    key: str
    value: bytes | None
    headers: Headers
    timestamp: int
    epoch: int = 0

    @property
    def topic(self) -> str:
        return self.source.topic

    def header(self, name: str) -> bytes | None:
        """The first header of that name, or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None
