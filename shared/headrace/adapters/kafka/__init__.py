"""The log on Kafka, through aiokafka (docs/kafka.md)."""

from headrace.adapters.kafka.errors import KafkaError, KafkaRefusedError, RecordsLostError, StalledError, TopicError
from headrace.adapters.kafka.log import KafkaLog
from headrace.adapters.kafka.settings import KafkaSettings

__all__ = [
    "KafkaError",
    "KafkaLog",
    "KafkaRefusedError",
    "KafkaSettings",
    "RecordsLostError",
    "StalledError",
    "TopicError",
]
