"""Kafka's errors sort into: wait, make it smaller, somebody must change something, start again."""

import ssl

import pytest
from aiokafka import errors as kafka

from headrace.adapters.kafka.errors import KafkaError, KafkaRefusedError, TopicError, translate
from headrace.core.errors import HeadraceError
from headrace.ports.errors import RecordTooLargeError, UnavailableError


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (kafka.KafkaConnectionError("gone"), UnavailableError),
        (kafka.NotEnoughReplicasError(), UnavailableError),
        (kafka.NotLeaderForPartitionError(), UnavailableError),
        (kafka.RequestTimedOutError(), UnavailableError),
        (kafka.KafkaTimeoutError(), UnavailableError),
        (kafka.GroupCoordinatorNotAvailableError(), UnavailableError),
        (ConnectionResetError("reset"), UnavailableError),
        (TimeoutError(), UnavailableError),
        (kafka.MessageSizeTooLargeError(), RecordTooLargeError),
        (kafka.TopicAuthorizationFailedError("orders"), KafkaRefusedError),
        (kafka.GroupAuthorizationFailedError("readers"), KafkaRefusedError),
        (kafka.SaslAuthenticationFailed("no"), KafkaRefusedError),
        (ssl.SSLCertVerificationError("self-signed"), KafkaRefusedError),
        (kafka.InvalidTopicError(), KafkaError),
        (kafka.KafkaError("a bug"), KafkaError),
    ],
)
def test_an_error_becomes_the_one_that_says_what_to_do_next(theirs: BaseException, ours: type[HeadraceError]) -> None:
    translated = translate(theirs, "testing")

    assert type(translated) is ours
    assert "while testing" in str(translated)


def test_an_error_of_ours_stays_what_it_is() -> None:
    ours = TopicError("gone")

    assert translate(ours, "testing") is ours
