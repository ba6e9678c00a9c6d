"""Records: what goes into a topic and what comes out of it (Kafka's model)."""

from headrace.core.value_class import value_class

Headers = tuple[tuple[str, bytes], ...]


@value_class
class Message:
    """Something to publish. Records of one key stay in order. `value` None is a tombstone."""

    topic: str
    key: str
    value: bytes | None
    headers: Headers = ()


@value_class
class TopicPartition:
    topic: str
    partition: int


@value_class
class Record:
    """A message as a consumer got it. `timestamp` is milliseconds since the epoch; `epoch` numbers the assignment.

    `inherited`: it lay in the log already when its partition was assigned to this member, so that an earlier owner may
    have had it in hand.
    """

    source: TopicPartition
    offset: int
    key: str
    value: bytes | None
    headers: Headers
    timestamp: int
    epoch: int = 0
    inherited: bool = False

    @property
    def topic(self) -> str:
        return self.source.topic

    def header(self, name: str) -> bytes | None:
        """The first header of that name, or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None
