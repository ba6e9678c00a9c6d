"""Publishing: rounds. One round is on its way at a time, and what is published meanwhile goes with the next.

A round gathers its messages by partition into batches of the library's, hands these over and waits once for all of
them. So a record costs no future and no task of its own, calls that come at one time share their requests, and the
order in a partition is the order of the calls.

The producer is idempotent: what it sends again by itself is appended once. It is thrown away after any failure. An
idempotent producer of the library that has lost one batch for good goes on counting as if the broker had it, and is
refused for ever after; and what lies in its buffers must not follow when the caller has published again.
"""

import asyncio
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    UnknownProducerId,
)

from headrace.adapters.kafka import internals
from headrace.adapters.kafka.connection import client_arguments, find_topics
from headrace.adapters.kafka.errors import TopicError, translate
from headrace.adapters.kafka.partitions import place
from headrace.adapters.kafka.settings import KafkaSettings
from headrace.ports.clock import Clock
from headrace.ports.errors import RecordTooLargeError, UnavailableError
from headrace.ports.log import Message

BATCH_BYTES: Final = 256 * 1024
"""So much goes to one partition in one request. Far below every broker's limit; a larger record goes alone."""

_OVERHEAD_BYTES: Final = 128
"""At most what a batch and a record of it take besides key, value and headers."""
_HEADER_OVERHEAD_BYTES: Final = 10


@dataclass(slots=True, eq=False)
class _Call:
    """One call of `publish` that waits for its round; `sent` are the acknowledgements that it needs."""

    messages: Sequence[Message]
    answer: "asyncio.Future[None]"
    sent: "dict[asyncio.Future[Any], None]" = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Batch:
    """A batch under way to be filled, and the calls that have something in it."""

    topic: str
    partition: int
    builder: Any
    calls: dict[_Call, None]


class Publisher:
    """Appends messages to topics, all or with an error that says so."""

    def __init__(self, settings: KafkaSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._producer: AIOKafkaProducer | None = None
        self._partitions: dict[str, int] = {}
        self._waiting: list[_Call] = []
        self._rounds: asyncio.Task[None] | None = None
        self._closed = False

    async def start(self) -> None:
        """Connect now and not with the first message. Raises as `publish`."""
        await self._connect()

    async def publish(self, messages: Sequence[Message]) -> None:
        """See the port. Raises UnavailableError, RecordTooLargeError before anything was sent, TopicError.

        A caller that is cancelled does not know what became of its messages.
        """
        if self._closed:
            raise UnavailableError("the log is closed")
        if not messages:
            return
        self._check_sizes(messages)
        loop = asyncio.get_running_loop()
        call = _Call(messages, loop.create_future())
        self._waiting.append(call)
        if self._rounds is None:
            self._rounds = loop.create_task(self._run(), name="kafka:publish")
        await call.answer

    async def close(self) -> None:
        """Send what was published before, as far as the broker takes it, and end."""
        self._closed = True
        if self._rounds is not None:
            await asyncio.wait([self._rounds])
        producer, self._producer = self._producer, None
        if producer is not None:
            # A round ends with its acknowledgements, so nothing is left to send.
            await internals.abandon_producer(producer)

    def _check_sizes(self, messages: Sequence[Message]) -> None:
        limit = self._settings.max_request_bytes
        for message in messages:
            value = message.value
            size = _OVERHEAD_BYTES + len(message.key) * 4 + (0 if value is None else len(value))
            for name, content in message.headers:
                size += _HEADER_OVERHEAD_BYTES + len(name) * 4 + len(content)
            if size > limit:
                raise RecordTooLargeError(
                    f"a record for {message.topic} (key {message.key[:100]!r}) takes {size:,} bytes, and at most "
                    f"{limit:,} are sent: make it smaller, or raise max_request_bytes and the topic's max.message.bytes"
                )

    async def _run(self) -> None:
        try:
            while self._waiting:
                if self._settings.linger_ms:
                    await asyncio.sleep(self._settings.linger_ms / 1_000)
                calls, self._waiting = self._waiting, []
                await self._round([call for call in calls if not call.answer.done()])
        finally:
            self._rounds = None

    async def _round(self, calls: list[_Call]) -> None:
        """Publish what the calls want, and answer each of them. Raises nothing."""
        broken = False
        try:
            async with asyncio.timeout(self._settings.publish_timeout_ms / 1_000):
                producer = await self._connect()
                batches = await self._fill(producer, calls)
                broken = await self._send(producer, batches)
        except TimeoutError:
            broken = True
            self._answer_late(calls)
        except Exception as error:  # whatever it is, every caller must hear of it
            broken = True
            ours = translate(error, f"publishing to {self._settings.servers}")
            _fail(calls, ours if isinstance(error, KafkaError | OSError) else error)
        else:
            for call in calls:
                _answer(call)
        finally:
            for call in calls:
                for acknowledgement in call.sent:
                    acknowledgement.cancel()
            if broken:
                await self._drop_producer()

    async def _connect(self) -> AIOKafkaProducer:
        if self._producer is not None:
            return self._producer
        compression = self._settings.compression
        producer = AIOKafkaProducer(
            **client_arguments(self._settings), acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES,
            compression_type=None if compression == "none" else compression,
        )  # fmt: skip
        try:
            await producer.start()
        except (KafkaError, OSError) as error:
            await internals.abandon_producer(producer)
            raise translate(error, f"connecting to {self._settings.servers}") from error
        except BaseException:
            await internals.abandon_producer(producer)
            raise
        self._producer = producer
        return producer

    async def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        self._partitions.clear()
        if producer is not None:
            await internals.abandon_producer(producer)

    async def _fill(self, producer: AIOKafkaProducer, calls: list[_Call]) -> list[_Batch]:
        """The calls' messages in batches, each partition's in order. A call for a topic that is missing fails alone."""
        now = self._clock.now()
        open_: dict[tuple[str, int], _Batch] = {}
        full: list[_Batch] = []
        for call in calls:
            try:
                for topic in {message.topic for message in call.messages} - self._partitions.keys():
                    await self._find_topic(producer, topic)
            except TopicError as error:
                _fail([call], error)
                continue
            for message in call.messages:
                key, number = place(message.key)
                at = (message.topic, number % self._partitions[message.topic])
                batch = open_.get(at)
                if batch is None:
                    batch = open_[at] = _Batch(*at, producer.create_batch(), {})
                headers = list(message.headers)
                if batch.builder.append(timestamp=now, key=key, value=message.value, headers=headers) is None:
                    full.append(batch)
                    batch = open_[at] = _Batch(*at, producer.create_batch(), {})
                    batch.builder.append(timestamp=now, key=key, value=message.value, headers=headers)
                batch.calls[call] = None
        return [*full, *open_.values()]

    async def _find_topic(self, producer: AIOKafkaProducer, topic: str) -> None:
        if topic not in await find_topics(self._settings, [topic]):
            raise TopicError(f"Kafka at {self._settings.servers} has no topic {topic}: create it (headrace init)")
        self._partitions[topic] = len(await producer.partitions_for(topic))

    async def _send(self, producer: AIOKafkaProducer, batches: list[_Batch]) -> bool:
        """Hand over all batches and wait for all acknowledgements; whether one of them is a failure."""
        sent: list[asyncio.Future[Any]] = []
        for batch in batches:
            batch.builder.close()
            acknowledgement = await producer.send_batch(batch.builder, batch.topic, partition=batch.partition)
            sent.append(acknowledgement)
            for call in batch.calls:
                call.sent[acknowledgement] = None
        if sent:
            await asyncio.wait(sent)
        return any(acknowledgement.exception() is not None for acknowledgement in sent)

    def _answer_late(self, calls: list[_Call]) -> None:
        seconds = self._settings.publish_timeout_ms / 1_000
        for call in calls:
            topics = {message.topic for message in call.messages}
            known = topics if self._producer is None else internals.topics_known_to(self._producer, topics)
            if gone := sorted(topics - known):
                _fail([call], TopicError(f"topic {', '.join(gone)} is gone: was it deleted? Create it (headrace init)"))
            else:
                _fail([call], UnavailableError(
                    f"Kafka at {self._settings.servers} did not acknowledge {len(call.messages)} records within "
                    f"{seconds:g} s; each of them may be in the log or not"
                ))  # fmt: skip


def _answer(call: _Call) -> None:
    """Tell a caller what became of its messages."""
    if call.answer.done():
        return
    for acknowledgement in call.sent:
        error = acknowledgement.exception()
        if error is not None:
            topics = ", ".join(sorted({message.topic for message in call.messages}))
            call.answer.set_exception(translate(_outcome(error), f"publishing to {topics}"))
            return
    call.answer.set_result(None)


def _outcome(error: BaseException) -> BaseException:
    """Failures of a batch that another producer may not meet count as passing: the outcome is unknown."""
    if isinstance(error, InvalidProducerEpoch | OutOfOrderSequenceNumber | ProducerFenced | UnknownProducerId):
        return UnavailableError(f"Kafka lost count of this producer: {type(error).__name__}")
    return error


def _fail(calls: list[_Call], error: BaseException) -> None:
    for call in calls:
        if not call.answer.done():
            call.answer.set_exception(copy(error))  # each caller gets a traceback of its own
