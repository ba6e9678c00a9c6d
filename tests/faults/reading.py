"""Reads topics, groups and documents as anybody could: with the clients of Kafka and MongoDB, without the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from pymongo import AsyncMongoClient
from pymongo.read_concern import ReadConcern

from tests.faults import history
from tests.faults.history import RESULTS, Event, Stored

Partitions = dict[TopicPartition, int]

_READ_SECONDS = 30.0


class Reader:
    """Every record of some topics, in the order of each partition; each read goes on where the last one ended."""

    def __init__(self, servers: str, topics: Sequence[str]) -> None:
        self._servers = servers
        self._topics = topics
        self._positions: Partitions = {}

    async def read(self) -> list[Any]:
        """The records that came since the last time."""
        consumer = AIOKafkaConsumer(*self._topics, bootstrap_servers=self._servers, enable_auto_commit=False)
        await consumer.start()
        try:
            sources = sorted(consumer.assignment())  # without a group: all there are
            assert {source.topic for source in sources} == set(self._topics), sources
            ends = await consumer.end_offsets(sources)
            for source in sources:
                consumer.seek(source, self._positions.get(source, 0))
            records: list[Any] = []
            async with asyncio.timeout(_READ_SECONDS):
                while any([await consumer.position(source) < ends[source] for source in sources]):
                    for batch in (await consumer.getmany(timeout_ms=200)).values():
                        records += batch
            self._positions = {source: await consumer.position(source) for source in sources}
            return records
        finally:
            await consumer.stop()


def events(records: Sequence[Any]) -> list[Event]:
    """Records of the topic of run events, taken apart."""
    return [history.event(it.headers, it.value, it.partition, it.offset) for it in records]


class Groups:
    """What the broker knows of the groups of services."""

    def __init__(self, servers: str) -> None:
        self._servers = servers

    async def owners(self, group: str) -> dict[str, set[TopicPartition]]:
        """The partitions of each member, by its client id. Members without partitions are there too."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers)
        await admin.start()
        try:
            (response,) = await admin.describe_consumer_groups([group])
        finally:
            await admin.close()
        found: dict[str, set[TopicPartition]] = {}
        for _, _, state, _, _, members, *_ in response.groups:
            for _, client, _, _, assignment, *_ in members:
                held = ConsumerProtocolMemberAssignment.decode(assignment).partitions() if assignment else []
                found[client] = set(held) if state == "Stable" else set()
        return found

    async def lag(self, group: str) -> Partitions:
        """How many records of each partition are not committed."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers)
        consumer = AIOKafkaConsumer(bootstrap_servers=self._servers, enable_auto_commit=False)
        await admin.start()
        try:
            await consumer.start()
            committed = await admin.list_consumer_group_offsets(group)
            ends = await consumer.end_offsets(list(committed))
            return {source: ends[source] - max(0, it.offset) for source, it in committed.items()}
        finally:
            await consumer.stop()
            await admin.close()


class Database:
    """The runs as MongoDB has them, by majority."""

    def __init__(self, uri: str, name: str) -> None:
        self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(uri, serverSelectionTimeoutMS=20_000)
        self._runs = self._client[name].get_collection("runs", read_concern=ReadConcern("majority"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def over(self) -> int:
        """How many runs are over."""
        return int(await self._runs.count_documents({"state": {"$in": sorted(RESULTS)}}))

    async def unfinished(self) -> int:
        """How many runs are not over, or have something to publish."""
        going_on = {"$or": [{"state": {"$nin": sorted(RESULTS)}}, {"unsent_since": {"$exists": True}}]}
        return int(await self._runs.count_documents(going_on))

    async def runs(self) -> dict[str, Stored]:
        """Every run's document."""
        return {it["_id"]: history.stored(it) async for it in self._runs.find({}, {"run": False})}


def total(lag: Partitions, sources: set[TopicPartition] | None = None) -> int:
    """The lag of these partitions, or of all."""
    return sum(count for source, count in lag.items() if sources is None or source in sources)
