"""Reaching the brokers: arguments for the client library, one connection of our own to ask with, and waiting.

The library's clients hide why a broker cannot be reached, and ask for topics in a way that makes a broker create what
is missing. So whether brokers and topics are there is asked here first, on a connection of our own.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from aiokafka.helpers import create_ssl_context
from aiokafka.protocol.metadata import MetadataRequest

from headrace.adapters.kafka.errors import translate
from headrace.adapters.kafka.settings import KafkaSettings
from headrace.core.errors import HeadraceError
from headrace.ports.errors import UnavailableError

_log = structlog.get_logger("headrace.kafka")

_PROBE_SECONDS: Final = 10
_CLOSE_SECONDS: Final = 1.0
_FIRST_DELAY_SECONDS: Final = 0.5
_LONGEST_DELAY_SECONDS: Final = 10.0
_MISSING_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 0.02

NEEDED: Final[Mapping[int, tuple[str, int]]] = {
    0: ("Produce", 7),
    1: ("Fetch", 11),
    3: ("Metadata", 5),
    11: ("JoinGroup", 5),
    19: ("CreateTopics", 3),
    22: ("InitProducerId", 1),
}
"""The versions of requests that we rely on, by API key: what Kafka 2.3 introduced last is static membership."""


def client_arguments(settings: KafkaSettings) -> dict[str, Any]:
    """What every client of the library is given. Raises KafkaRefusedError when a TLS file cannot be read."""
    arguments: dict[str, Any] = {
        "bootstrap_servers": list(settings.bootstrap_servers),
        "client_id": settings.client_id,
        "request_timeout_ms": settings.request_timeout_ms,
        **_security(settings),
    }
    return arguments


def _security(settings: KafkaSettings) -> dict[str, Any]:
    arguments: dict[str, Any] = {"security_protocol": settings.security_protocol}
    if settings.uses_sasl:
        assert settings.sasl_password is not None
        arguments["sasl_mechanism"] = settings.sasl_mechanism
        arguments["sasl_plain_username"] = settings.sasl_username
        arguments["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    if settings.uses_tls:
        arguments["ssl_context"] = _tls(settings)
    return arguments


def _tls(settings: KafkaSettings) -> ssl.SSLContext:
    files = {"cafile": settings.ssl_ca_file, "certfile": settings.ssl_cert_file, "keyfile": settings.ssl_key_file}
    try:
        context: ssl.SSLContext = create_ssl_context(**{name: file and str(file) for name, file in files.items()})
    except OSError as error:
        named = ", ".join(str(file) for file in files.values() if file)
        raise translate(ssl.SSLError(f"{error} ({named})"), "reading the files for TLS") from error
    return context


@asynccontextmanager
async def connected(settings: KafkaSettings) -> AsyncIterator[AIOKafkaConnection]:
    """A connection to the first of the bootstrap servers that answers.

    Raises UnavailableError when none does, KafkaRefusedError when one does and turns us away.
    """
    connection = await _connect(settings)
    try:
        yield connection
    except (KafkaError, OSError) as error:
        raise translate(error, f"talking to {settings.servers}") from error
    finally:
        await asyncio.wait([connection.close()], timeout=_CLOSE_SECONDS)


async def _connect(settings: KafkaSettings) -> AIOKafkaConnection:
    failures: list[str] = []
    security = _security(settings)
    for server in settings.bootstrap_servers:
        host, _, port = server.rpartition(":")
        try:
            return await create_conn(
                host.strip("[]"), int(port), client_id=settings.client_id, request_timeout_ms=_PROBE_SECONDS * 1_000,
                **security,
            )  # fmt: skip
        except (OSError, KafkaError) as error:
            ours = translate(error, f"connecting to {server}")
            if not isinstance(ours, UnavailableError):
                raise ours from error
            failures.append(str(ours))
    raise UnavailableError("; ".join(failures))


async def wait_for_broker(settings: KafkaSettings) -> None:
    """Return when a broker answers; until then try again and again, and say so. May be cancelled.

    Raises KafkaRefusedError when a broker answers and turns us away: waiting does not help then.
    """
    delay = _FIRST_DELAY_SECONDS
    waited = False
    while True:
        try:
            async with connected(settings) as connection:
                # A broker speaks of its versions with anybody; who did not sign in is hung up on at the next question.
                await partition_counts(connection, [])
        except UnavailableError as error:
            _log.warning(
                "waiting for Kafka, which does not answer: is it running, and are the addresses and security_protocol "
                "right?",
                servers=settings.servers, reason=str(error), next_try_seconds=delay,
            )  # fmt: skip
            waited = True
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY_SECONDS)
        else:
            if waited:
                _log.warning("Kafka answers again", servers=settings.servers)
            return


async def answers(settings: KafkaSettings) -> bool:
    """Whether a broker answers us now."""
    try:
        async with connected(settings):
            return True
    except HeadraceError:
        return False


async def partition_counts(connection: AIOKafkaConnection, topics: Iterable[str]) -> dict[str, int]:
    """How many partitions each of the topics has; those that do not exist are not in the answer.

    Unlike the library's own question, this one makes no broker create a topic.
    """
    answer = await connection.send(MetadataRequest(list(topics), allow_auto_topic_creation=False))
    described = answer.to_object()["topics"]
    for it in described:
        if it["error_code"] == _TOPIC_AUTHORIZATION_FAILED:
            raise _refused(it["topic"])
    return {it["topic"]: len(it["partitions"]) for it in described if it["partitions"]}


async def find_topics(settings: KafkaSettings, topics: Iterable[str]) -> dict[str, int]:
    """As `partition_counts`, but what is missing gets a moment: brokers hear of new topics one after the other."""
    wanted = frozenset(topics)
    deadline = time.monotonic() + _MISSING_SECONDS
    async with connected(settings) as connection:
        while True:
            counts = await partition_counts(connection, wanted)
            if len(counts) == len(wanted) or time.monotonic() > deadline:
                return counts
            await asyncio.sleep(_LOOK_SECONDS)


def what_is_too_old(versions: Mapping[int, tuple[int, int]]) -> list[str]:
    """Requests that the broker speaks in no version we need, given its lowest and highest version by API key."""
    return [
        f"{name} version {needed} (it has {versions[key][1] if key in versions else 'none'})"
        for key, (name, needed) in NEEDED.items()
        if key not in versions or versions[key][1] < needed
    ]


_TOPIC_AUTHORIZATION_FAILED: Final = 29


def _refused(topic: str) -> HeadraceError:
    return translate(TopicAuthorizationFailedError(topic), f"looking for the topic {topic}")
