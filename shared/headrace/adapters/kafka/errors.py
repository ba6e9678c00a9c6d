"""What Kafka's errors mean to us: wait and try again, or somebody must change something."""

import ssl

from aiokafka import errors as kafka

from headrace.core.errors import HeadraceError
from headrace.ports.errors import RecordTooLargeError, UnavailableError


class KafkaRefusedError(HeadraceError):
    """The broker answers and refuses: wrong credentials, a missing right, a certificate that does not fit.

    Trying again does not help; a setting or the broker's access rules must change.
    """


class TopicError(HeadraceError):
    """A topic is missing, was deleted while in use, or has partitions that do not fit; or the broker is too old."""


class RecordsLostError(HeadraceError):
    """The log no longer holds, or never held, what a group has to read next.

    It was deleted before it was read (retention), or the topic was made anew. Work may be lost, so nothing goes on by
    itself: an operator decides (docs/kafka.md, "When records are gone").
    """


class KafkaError(HeadraceError):
    """Kafka or its client failed in a way that waiting does not mend. Let the process end and start again."""


class StalledError(HeadraceError):
    """A member of a group makes no progress although the broker answers. Let the process end and start again."""


_STRANGERS = (
    kafka.AuthenticationFailedError,
    kafka.AuthenticationMethodNotSupported,
    kafka.IllegalSaslStateError,
    kafka.SaslAuthenticationFailed,
    kafka.UnsupportedSaslMechanismError,
)
_WITHOUT_RIGHTS = (
    kafka.ClusterAuthorizationFailedError,
    kafka.GroupAuthorizationFailedError,
    kafka.TopicAuthorizationFailedError,
    kafka.TransactionalIdAuthorizationFailed,
)
_PASSING = (kafka.KafkaTimeoutError, kafka.CorruptRecordException, kafka.BrokerNotAvailableError)
_TOO_LARGE = (kafka.MessageSizeTooLargeError, kafka.RecordListTooLargeError)


def translate(error: BaseException, doing: str) -> HeadraceError:
    """Our error for one of Kafka's. `doing` completes the sentence "Kafka: ... while".

    UnavailableError for what may pass, for every network error and for time-outs; other errors do not pass by waiting.
    """
    if isinstance(error, HeadraceError):
        return error
    said = f"{reason(error)}, while {doing}"
    if isinstance(error, ssl.SSLError):
        return KafkaRefusedError(f"Kafka: {said}. Check security_protocol and the ssl_* settings")
    if isinstance(error, OSError | TimeoutError):
        return UnavailableError(f"Kafka: {said}")
    if isinstance(error, _STRANGERS):
        return KafkaRefusedError(f"Kafka: {said}. Check the credentials: security_protocol and the sasl_* settings")
    if isinstance(error, _WITHOUT_RIGHTS):
        return KafkaRefusedError(f"Kafka: {said}. Check the rights of the user")
    if isinstance(error, _TOO_LARGE):
        return RecordTooLargeError(f"Kafka: {said}. raise the topic's max.message.bytes, or lower max_request_bytes")
    if isinstance(error, _PASSING) or getattr(error, "retriable", False):
        return UnavailableError(f"Kafka: {said}")
    return KafkaError(f"Kafka: {said}")


def reason(error: BaseException) -> str:
    """What an error says, or its name when it says nothing."""
    return str(error) or type(error).__name__
