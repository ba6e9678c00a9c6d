"""Everything for which the client library has no public door (aiokafka 0.14), in one place.

A test looks for each of these parts, so that an upgrade which moves one of them fails loudly and not at night
(tests/unit/adapters/test_kafka_internals.py).
"""

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    IllegalGenerationError,
    KafkaConnectionError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest
from aiokafka.structs import OffsetAndMetadata
from aiokafka.structs import TopicPartition as _TopicPartition

KafkaPartition: TypeAlias = _TopicPartition
"""The library's partition; ours is headrace.ports.log.TopicPartition."""

Membership = tuple[int, str]
"""The generation of the group, and the member's id in it: what the broker knows a member by."""

_REBALANCE_IN_PROGRESS: Final = 27
_GRACE_SECONDS: Final = 1.0


_send = AIOKafkaConnection.send


def _send_or_close(connection: AIOKafkaConnection, request: Any, expect_response: bool = True) -> Any:
    """`AIOKafkaConnection.send`, where a socket that is gone is a lost connection on every event loop.

    The library expects an OSError; uvloop raises a RuntimeError, which ended the member's coordination for good.
    """
    try:
        return _send(connection, request, expect_response)
    except RuntimeError as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError(f"the connection is broken: {error}") from error


AIOKafkaConnection.send = _send_or_close


class NoLongerMemberError(Exception):
    """The group has gone on without this member, or is about to: what it commits counts for nothing."""


def membership(consumer: AIOKafkaConsumer) -> Membership:
    """The membership that the next request of this consumer will carry."""
    coordinator = consumer._coordinator
    return coordinator.generation, coordinator.member_id


def raise_pending(consumer: AIOKafkaConsumer) -> None:
    """Raises the KafkaError that the library's own tasks met and wait to be asked about. Does not wait itself."""
    consumer._coordinator.check_errors()


def count_as_polled(consumer: AIOKafkaConsumer) -> None:
    """Let the library know that somebody is there to read, without asking it for anything: idle members stay out."""
    with consumer._subscription.fetch_context():
        pass


def fetch_waiter(consumer: AIOKafkaConsumer) -> "asyncio.Future[None]":
    """A future that is done when there are new records; it is forgotten once it is done or cancelled."""
    waiter: asyncio.Future[None] = consumer._fetcher._create_fetch_waiter()
    return waiter


def unreadable_places(consumer: AIOKafkaConsumer) -> dict[KafkaPartition, int]:
    """Where reading out of fetched batches broke off: partitions and the offsets that could not be read."""
    places: dict[KafkaPartition, int] = {}
    for partition, result in consumer._fetcher._records.items():
        records = getattr(result, "_partition_records", None)
        if records is not None and inspect.getgeneratorstate(records._records_iterator) == inspect.GEN_CLOSED:
            places[partition] = records.next_fetch_offset
    return places


def finish(waiter: "asyncio.Future[None]") -> None:
    """Wake whoever waits for it, unless it is done already."""
    if not waiter.done():
        waiter.set_result(None)


async def committed_offsets(
    consumer: AIOKafkaConsumer, partitions: Iterable[KafkaPartition]
) -> dict[KafkaPartition, int]:
    """The offsets that the group has stored. Partitions without one are not in the answer. Waits for a coordinator."""
    offsets = await consumer._coordinator.fetch_committed_offsets(list(partitions))
    return {partition: stored.offset for partition, stored in offsets.items()}


async def commit_once(consumer: AIOKafkaConsumer, offsets: Mapping[KafkaPartition, int], member: Membership) -> None:
    """Store offsets in one attempt, and only as this member. Raises NoLongerMemberError, or KafkaError.

    The library's own commit tries again by itself, with whatever membership it has by then: a late one could move
    an offset of a partition that belongs to somebody else by now.
    """
    coordinator = consumer._coordinator
    if membership(consumer) != member:
        raise NoLongerMemberError
    assignment = consumer._subscription.subscription.assignment
    values = {partition: OffsetAndMetadata(offset, "") for partition, offset in offsets.items()}
    try:
        # Nothing is awaited between the check above and the request's being made: it carries what was checked.
        await coordinator._do_commit_offsets(assignment, values)
    except (IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError) as error:
        raise NoLongerMemberError from error


def listen_for_heartbeats(
    consumer: AIOKafkaConsumer, heard: Callable[[float], None], monotonic: Callable[[], float]
) -> None:
    """Have `heard` called whenever the group is known to have heard of this member, with the time of *sending*.

    The broker's patience begins anew when it receives a request, which is never before that request was sent; when
    the answer is read says nothing, since the process may have been stopped meanwhile.
    """
    coordinator = consumer._coordinator
    send: Callable[[Any], Awaitable[Any]] = coordinator._send_req

    async def send_and_listen(request: Any) -> Any:
        sent_at = monotonic()
        answer = await send(request)
        if isinstance(request, HeartbeatRequest):
            if answer.error_code in (0, _REBALANCE_IN_PROGRESS):
                heard(sent_at)
        elif isinstance(request, SyncGroupRequest) and answer.error_code == 0:
            heard(sent_at)
        return answer

    coordinator._send_req = send_and_listen


async def leave_group(consumer: AIOKafkaConsumer, seconds: float) -> None:
    """End a member of a group and say so to the group; after `seconds` without saying so.

    The library's own `stop` may raise CancelledError without anybody's having cancelled, when its connections break.
    """
    coordinator = consumer._coordinator
    if coordinator is not None:
        with contextlib.suppress(TimeoutError, KafkaError):
            async with asyncio.timeout(seconds):
                await coordinator.close()
    await abandon_consumer(consumer)


async def abandon_consumer(consumer: AIOKafkaConsumer) -> None:
    """End a consumer as a crash does: nothing is sent any more, and a group finds out by its session time-out."""
    consumer._closed = True
    coordinator, fetcher = consumer._coordinator, consumer._fetcher
    tasks = []
    if isinstance(coordinator, GroupCoordinator):
        if not coordinator._closing.done():
            coordinator._closing.set_result(None)
        tasks += [coordinator._heartbeat_task, coordinator._coordination_task, coordinator._commit_refresh_task]
    elif coordinator is not None:
        tasks.append(coordinator._reset_committed_task)
    if fetcher is not None:
        tasks += [fetcher._fetch_task, *fetcher._pending_tasks]
        fetcher._closed = True
    await _cancel([task for task in tasks if task is not None])
    await consumer._client.close()


async def abandon_producer(producer: AIOKafkaProducer) -> None:
    """End a producer at once. What it has in hand is not sent any more; what is on its way may arrive or not."""
    producer._closed = True
    task = producer._sender.sender_task
    await producer.client.close()
    if task is None:
        return
    task.cancel()
    for _ in range(int(_GRACE_SECONDS / 0.02)):
        # Its requests ask for fresh metadata when their connection breaks, and nobody is left to answer that.
        asked = producer.client._md_update_fut
        if asked is not None and not asked.done():
            asked.set_result(False)
        done, _ = await asyncio.wait([task], timeout=0.02)
        if done:
            break
    await _cancel([task])


def topics_known_to(producer: AIOKafkaProducer, topics: Iterable[str]) -> set[str]:
    """Those of the topics that were there when the producer last asked."""
    return {topic for topic in topics if producer.client.cluster.partitions_for_topic(topic)}


async def _cancel(tasks: "list[asyncio.Task[Any]]") -> None:
    """Cancel tasks and see them end. They may swallow it once, while something that they await is cancelled first."""
    for _ in range(3):
        pending = [task for task in tasks if not task.done()]
        if not pending:
            break
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=_GRACE_SECONDS)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()  # looked at, so that nobody complains
