"""The parts of aiokafka that we reach into are where we look for them: an upgrade that moves one fails here."""

import asyncio
import inspect
from collections.abc import AsyncIterator

import aiokafka
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import CoordinatorGroupRebalance, GroupCoordinator, NoGroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest
from aiokafka.protocol.metadata import MetadataRequest

from headrace.adapters.kafka import internals
from headrace.adapters.kafka.connection import what_is_too_old

NOWHERE = "127.0.0.1:1"


def test_the_version_is_the_one_that_was_looked_into() -> None:
    assert aiokafka.__version__.startswith("0.14.")


@pytest.fixture
async def consumer() -> AsyncIterator[AIOKafkaConsumer]:
    made = AIOKafkaConsumer(bootstrap_servers=NOWHERE, group_id="g", enable_auto_commit=False)
    yield made
    await internals.abandon_consumer(made)


async def test_a_group_coordinator_has_the_parts_that_we_use(consumer: AIOKafkaConsumer) -> None:
    client, subscription = consumer._client, consumer._subscription
    assert isinstance(client, AIOKafkaClient)
    assert isinstance(subscription, SubscriptionState)
    coordinator = GroupCoordinator(client, subscription, group_id="g", enable_auto_commit=False)
    consumer._coordinator = coordinator

    assert internals.membership(consumer) == (-1, "")
    internals.raise_pending(consumer)
    for name in ("_closing", "_heartbeat_task", "_coordination_task", "_commit_refresh_task"):
        assert hasattr(coordinator, name), name
    for name in ("_send_req", "_do_commit_offsets", "_do_heartbeat", "fetch_committed_offsets", "close"):
        assert inspect.iscoroutinefunction(getattr(coordinator, name)), name
    assert list(inspect.signature(coordinator._do_commit_offsets).parameters) == ["assignment", "offsets"]
    assert list(inspect.signature(coordinator._send_req).parameters) == ["request"]


async def test_counting_as_polled_ends_the_time_without_a_poll(consumer: AIOKafkaConsumer) -> None:
    consumer._subscription._last_fetch_ended -= 100
    assert consumer._subscription.fetcher_idle_time > 99

    internals.count_as_polled(consumer)

    assert consumer._subscription.fetcher_idle_time < 1


def test_heartbeats_and_group_joins_go_through_what_we_listen_to() -> None:
    assert "self._send_req(request)" in inspect.getsource(GroupCoordinator._do_heartbeat)
    assert "HeartbeatRequest(" in inspect.getsource(GroupCoordinator._do_heartbeat)
    joining = inspect.getsource(CoordinatorGroupRebalance)
    assert "self._coordinator._send_req(request)" in joining
    assert "SyncGroupRequest(" in joining


def test_a_commit_makes_its_request_before_it_waits_for_anything() -> None:
    """So it carries the membership that was checked a line before."""
    source = inspect.getsource(GroupCoordinator._do_commit_offsets)

    assert source.index("OffsetCommitRequest(") < source.index("await")
    assert source.index("self.generation") < source.index("await")


def test_partitions_are_marked_as_going_before_the_listener_is_called() -> None:
    """Without a wait between, so that no fetch of ours meets the library in the middle of it (auto commit is off)."""
    source = inspect.getsource(GroupCoordinator._on_join_prepare)

    assert source.index("begin_reassignment()") < source.index("on_partitions_revoked(")
    assert source.count("await") == 2  # the last auto commit, which returns at once, and the listener itself


async def test_the_fetcher_and_the_other_coordinator_have_the_parts_that_we_use(consumer: AIOKafkaConsumer) -> None:
    consumer._fetcher = Fetcher(consumer._client, consumer._subscription)
    consumer._coordinator = NoGroupCoordinator(consumer._client, consumer._subscription)
    assert isinstance(consumer._coordinator._reset_committed_task, asyncio.Task)
    assert isinstance(consumer._fetcher._fetch_task, asyncio.Task)
    assert consumer._fetcher._pending_tasks == set()

    waiter = internals.fetch_waiter(consumer)
    assert waiter in consumer._fetcher._fetch_waiters
    internals.finish(waiter)
    internals.finish(waiter)
    await asyncio.sleep(0)

    assert waiter not in consumer._fetcher._fetch_waiters


async def test_a_producer_has_the_parts_that_we_use() -> None:
    producer = AIOKafkaProducer(bootstrap_servers=NOWHERE, enable_idempotence=True)
    assert producer._sender.sender_task is None
    assert producer.client._md_update_fut is None

    await internals.abandon_producer(producer)

    assert producer._closed
    assert internals.topics_known_to(producer, ["orders"]) == set()


async def test_only_what_the_group_took_for_a_sign_of_life_counts(consumer: AIOKafkaConsumer) -> None:
    class Answer:
        error_code = 0

    class Coordinator:
        async def _send_req(self, _: object) -> Answer:
            return answer

    answer = Answer()
    consumer._coordinator, kept = Coordinator(), consumer._coordinator
    heard: list[float] = []
    now = iter(range(100))
    internals.listen_for_heartbeats(consumer, heard.append, lambda: float(next(now)))
    beat = HeartbeatRequest("g", 1, "m")
    join = SyncGroupRequest("g", 1, "m", None, [])

    for request, code in [(beat, 0), (beat, 27), (beat, 25), (join, 0), (join, 27), ("something else", 0)]:
        answer.error_code = code
        await consumer._coordinator._send_req(request)

    assert heard == [0.0, 1.0, 3.0]
    consumer._coordinator = kept


def test_a_connection_tells_which_versions_the_broker_speaks() -> None:
    assert "self._versions = versions" in inspect.getsource(AIOKafkaConnection._do_version_lookup)


def test_a_broker_that_is_too_old_is_found_out_by_what_it_speaks() -> None:
    new = {0: (0, 13), 1: (0, 18), 3: (0, 13), 11: (0, 9), 19: (2, 7), 22: (0, 6)}

    assert what_is_too_old(new) == []
    assert what_is_too_old({**new, 11: (0, 4)}) == ["JoinGroup version 5 (it has 4)"]
    assert what_is_too_old({key: new[key] for key in new if key != 22}) == ["InitProducerId version 1 (it has none)"]


async def test_a_socket_that_is_gone_is_a_lost_connection_whatever_the_event_loop_calls_it() -> None:
    class Gone:
        def write(self, data: bytes) -> None:
            raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

        def close(self) -> None: ...

    connection = AIOKafkaConnection("127.0.0.1", 1)
    connection._writer = Gone()
    connection._versions = {3: (0, 5)}

    with pytest.raises(KafkaConnectionError, match="closed=True"):
        connection.send(MetadataRequest([]))

    assert not connection.connected()
