"""Dead letters: records that nobody can understand, kept byte for byte with the reason in their headers."""

from headrace.contracts.topics import TopicNames
from headrace.ports.log import Message, Record


def dead_letter(record: Record, error: Exception, group: str, at: int) -> Message:
    """The record as a message for its topic's dead-letter topic: bytes untouched, the reason in headers."""
    reason = (
        ("dl-topic", record.topic.encode()),
        ("dl-partition", str(record.source.partition).encode()),
        ("dl-offset", str(record.offset).encode()),
        ("dl-at", str(at).encode()),
        ("dl-group", group.encode()),
        ("dl-error", type(error).__name__.encode()),
        ("dl-message", str(error)[:2000].encode("utf-8", "replace")),
    )
    return Message(TopicNames.dead_letters(record.topic), record.key, record.value, record.headers + reason)
