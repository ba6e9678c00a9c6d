"""The floor: what one run of W1 costs on Kafka and MongoDB without an engine.

Three processes that pass the records of a run on, write its documents in bulk and make its posts: as many as the engine
does, of the same sizes (bench._w1_steps), in the order of its protocol, which is lazy claims. The bytes are always the
same and nobody reads them: nothing is parsed, matched, decided, rendered, signed, checked or counted. No engine that
makes these calls and keeps these promises can cost less; how much more ours costs is the ratio that survives a busy
machine.

* trigger: per event one record to the orchestrator and one insert into the ledger;
* orchestrator: per command or result one insert or compare-and-set of the run with its outbox, then the records of that
  outbox, and once per run an unacknowledged mark that the last one is sent;
* invoker: per request one post, one record with the result, and in the background one insert of a claim. A request's
  offset counts as finished when that insert is acknowledged.

Collections have no index but the one on `_id`, unless `--indexes` gives them the engine's.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from aiokafka.structs import TopicPartition
from bson.datetime_ms import DatetimeMS
from pymongo import AsyncMongoClient, InsertOne, UpdateOne
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from bench import _w1_steps, _workload, echo_server
from bench._house import PARTITIONS, Child, Servers
from bench._raw_kafka import Outgoing, Reader, Writer
from headrace.adapters.kafka.settings import KafkaSettings
from headrace.adapters.kafka.topics import create_topics, topic_specs
from headrace.adapters.mongo import run_documents
from headrace.adapters.mongo.bulk import only_if
from headrace.adapters.mongo.database import MongoDatabase
from headrace.adapters.mongo.indexes import create_indexes
from headrace.adapters.mongo.settings import MongoSettings
from headrace.contracts.topics import TopicNames
from headrace.ports.log import Message
from headrace.runtime import process

NAME = "floor"
ROLES = ("trigger", "orchestrator", "invoker")
COMMIT_SECONDS = 0.25
GATHER_SECONDS = 0.02
MARK_SECONDS = 1.0
PER_HOST = 32
"""Posts in flight, as many as the engine has to one host by its own default."""
READY = "ready"
_ID_STARTS = len(b'{"eventId":"change-')
_EXPIRE_AT = DatetimeMS(_w1_steps.AT)

_TOPICS = TopicNames(f"{NAME}.")
_STEPS = _w1_steps.steps()
_RUNS = [run_documents.encode(step.saved, 1 << 59, 0) for step in _STEPS]


def _renamed(message: Message) -> Outgoing:
    topic = _TOPICS.prefix + message.topic.removeprefix(_workload.TOPICS.prefix)
    return Outgoing(topic, message.key, message.value or b"", list(message.headers))


_COMMAND, *_RESULTS = [_renamed(step.arrives) for step in _STEPS]
_REQUESTS = [[_renamed(message) for message in step.requests] for step in _STEPS]
_EVENTS = [[_renamed(message) for message in step.events] for step in _STEPS]


class Role(ABC):
    """One of the three processes: reads its topics and passes on."""

    topics: tuple[str, ...]

    def __init__(self, chosen: argparse.Namespace) -> None:
        self._reader = Reader(chosen.servers, self.topics, f"{NAME}-{chosen.role}")
        self.writer = Writer(chosen.servers)
        client = AsyncMongoClient[dict[str, Any]](chosen.mongodb)
        self.database = client.get_database(
            NAME, write_concern=WriteConcern(w="majority", j=True), read_concern=ReadConcern("majority")
        )
        self.receiver: str = chosen.receiver
        self._offsets: dict[Any, int] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Begin and end."""
        await self.writer.start()
        await self._reader.start()
        tasks = [asyncio.create_task(it) for it in (self._pass_on(), self._commit(), *self.background())]
        for task in tasks:
            task.add_done_callback(_must_not_fail)
        while not self._reader.consumer.assignment():  # noqa: ASYNC110 - the library has no event for it
            await asyncio.sleep(0.05)
        yield
        # Nothing is in the air when the generator has seen its last run end, save the last claims and offsets: a floor
        # has no answer to a record that comes twice, so the next one must not read these again.
        await asyncio.sleep(4 * COMMIT_SECONDS)
        for task in tasks:
            task.cancel()
        await self._reader.stop()
        await self.writer.stop()

    def background(self) -> Sequence[Any]:
        """Coroutines to run beside."""
        return ()

    @abstractmethod
    async def handle(self, records: Sequence[Any]) -> None:
        """Pass on a batch of records; their offsets count as finished when this returns, unless told otherwise."""

    def finished(self, records: Sequence[Any]) -> None:
        """Have the offsets of these records committed."""
        for record in records:
            self._offsets[record.topic, record.partition] = record.offset + 1

    async def _pass_on(self) -> None:
        while True:
            records = await self._reader.fetch(1_000)
            if records:
                await self.handle(records)

    async def _commit(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            offsets, self._offsets = self._offsets, {}
            if offsets:
                await self._reader.consumer.commit({TopicPartition(*at): offset for at, offset in offsets.items()})


class Trigger(Role):
    """Events in, commands out, a ledger entry each."""

    topics = (_TOPICS.entity_changes,)

    async def handle(self, records: Sequence[Any]) -> None:
        runs = [b"wfr_%016d" % int(it.value[_ID_STARTS : it.value.index(b'"', _ID_STARTS)]) for it in records]
        await self.writer.publish(_COMMAND._replace(key=run.decode()) for run in runs)
        entries = [
            InsertOne({
                "_id": run.decode(), "v": 1, "at": _w1_steps.AT, "action": "UPDATED", "blueprint": "service",
                "entity": record.key.decode(), "considered": 1, "source": "headrace.entity.changes.v1/0/1",
                "event": record.value, "expire_at": _EXPIRE_AT, "workflows": [_workload.W1], "verdicts": b"x" * 170,
            })
            for run, record in zip(runs, records, strict=True)
        ]  # fmt: skip
        await self.database.ledger.bulk_write(entries, ordered=False)
        self.finished(records)


class Orchestrator(Role):
    """Commands and results in, requests and events out, the run saved in between."""

    topics = (_TOPICS.run_commands, _TOPICS.node_results)

    def __init__(self, chosen: argparse.Namespace) -> None:
        super().__init__(chosen)
        self._runs = self.database.runs
        self._unacknowledged = self._runs.with_options(write_concern=WriteConcern(w=0))
        self._next_step: dict[str, int] = {}
        self._unmarked: list[str] = []

    def background(self) -> Sequence[Any]:
        return (self._mark(),)

    async def handle(self, records: Sequence[Any]) -> None:
        inserts: list[InsertOne[dict[str, Any]]] = []
        updates: list[UpdateOne] = []
        outgoing: list[Outgoing] = []
        for record in records:
            run = record.key.decode()
            step = self._next_step.pop(run, 0)
            document = {**_RUNS[step], "_id": run}
            if step == 0:
                inserts.append(InsertOne(document))
            else:
                updates.append(only_if({"$eq": ["$rev", step - 1]}, document))
            outgoing.extend(it._replace(key=f"{run}.{step + 1}") for it in _REQUESTS[step])
            outgoing.extend(it._replace(key=run) for it in _EVENTS[step])
            if step + 1 < len(_STEPS):
                self._next_step[run] = step + 1
            else:
                self._unmarked.append(run)
        saves: list[Awaitable[Any]] = [self._runs.bulk_write(it, ordered=False) for it in (inserts, updates) if it]
        await asyncio.gather(*saves)
        await self.writer.publish(outgoing)
        self.finished(records)

    async def _mark(self) -> None:
        sent = [{"$unset": ["outbox", "unsent_since"]}]
        while True:
            await asyncio.sleep(MARK_SECONDS)
            runs, self._unmarked = self._unmarked, []
            if runs:
                await self._unacknowledged.bulk_write([UpdateOne({"_id": run}, sent) for run in runs], ordered=False)


class Invoker(Role):
    """Requests in, a post each, results out, a claim each in the background."""

    topics = (_TOPICS.node_requests,)

    def __init__(self, chosen: argparse.Namespace) -> None:
        super().__init__(chosen)
        connector = aiohttp.TCPConnector(limit=PER_HOST)
        self._session = aiohttp.ClientSession(
            connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        )
        self._answered: list[Any] = []
        self._published: list[Any] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._something = asyncio.Event()
        self._batches: list[tuple[Sequence[Any], set[Any]]] = []

    def background(self) -> Sequence[Any]:
        return (self._publish(), self._record())

    async def handle(self, records: Sequence[Any]) -> None:
        self._batches.append((records, {record.key for record in records}))
        for record in records:
            task = asyncio.create_task(self._call(record))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    async def _call(self, record: Any) -> None:
        run, _, step = record.key.decode().partition(".")
        headers = {
            "Content-Type": "application/json", "X-Port-Workflow-Run-Id": run, "X-Port-Node-Run-Id": run,
            "webhook-id": run, "webhook-timestamp": "1795338000", "webhook-signature": "v1," + 44 * "x",
            "User-Agent": "floor",
        }  # fmt: skip
        url, body = f"{self.receiver}/changes", _workload.BODIES[int(step) - 1]
        async with self._session.post(url, data=body, headers=headers) as response:
            assert len(await response.read()) == len(echo_server.BODY)
        self._answered.append(record)
        self._something.set()

    async def _publish(self) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            batch, self._answered = self._answered, []
            keys = [record.key.decode().partition(".") for record in batch]
            await self.writer.publish(_RESULTS[int(step) - 1]._replace(key=run) for run, _, step in keys)
            self._published.extend(batch)

    async def _record(self) -> None:
        while True:
            await asyncio.sleep(GATHER_SECONDS)
            batch, self._published = self._published, []
            if not batch:
                continue
            claims = [
                InsertOne({
                    "_id": record.key.decode(), "v": 1, "owner": "x" * 32, "fence": 1, "until": _w1_steps.AT,
                    "state": "DONE", "write_id": 1 << 59, "expire_at": _EXPIRE_AT, "result": _RESULTS[0].value,
                })
                for record in batch
            ]  # fmt: skip
            await self.database.claims.bulk_write(claims, ordered=False)
            self._forget({record.key for record in batch})

    def _forget(self, done: set[Any]) -> None:
        """Finish the offsets of the oldest batches as far as nothing of them is open."""
        for _, open_ in self._batches:
            open_ -= done
        while self._batches and not self._batches[0][1]:
            self.finished(self._batches.pop(0)[0])


def _must_not_fail(task: "asyncio.Task[Any]") -> None:
    """End the process, with the cause in its log: a floor that lacks a part measures nothing."""
    if not task.cancelled() and task.exception() is not None:
        print(f"a task of the floor failed: {task.exception()!r}", flush=True)
        os._exit(1)


async def prepare(servers: str, mongodb: str, indexes: bool = False) -> None:
    """Make the floor's topics, and its database empty."""
    settings = KafkaSettings(bootstrap_servers=(servers,))
    await create_topics(settings, topic_specs(_TOPICS), PARTITIONS)
    database = MongoDatabase(MongoSettings.model_validate({"uri": mongodb, "database": NAME}))
    await database.connect()
    await database.client.drop_database(NAME)
    if indexes:
        await create_indexes(database)
    await database.close()


@contextmanager
def running(its: Servers, receiver: str, folder: Path) -> Iterator[dict[str, list[int]]]:
    """Run the three processes; yields their process ids."""
    children: dict[str, Child] = {}
    try:
        for role in ROLES:
            command = [sys.executable, "-m", "bench._skeleton", role, "--servers", its.kafka.bootstrap_servers]
            command += ["--mongodb", its.mongo.uri, "--receiver", receiver]
            log = folder / f"{NAME}-{role}.log"
            log.unlink(missing_ok=True)
            children[role] = Child(f"the floor's {role}", command, its.environment(), log)
        for role, child in children.items():
            while READY not in (folder / f"{NAME}-{role}.log").read_text():
                child.check()
                time.sleep(0.05)
        yield {role: [child.pid] for role, child in children.items()}
        for child in children.values():
            child.check()
    finally:
        for child in children.values():
            child.ask_to_end()
        for child in children.values():
            child.ended()


async def serve(chosen: argparse.Namespace) -> None:
    """Run one role until SIGTERM; prints a line when it is ready."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    roles: dict[str, type[Role]] = {"trigger": Trigger, "orchestrator": Orchestrator, "invoker": Invoker}
    with contextlib.suppress(asyncio.CancelledError):
        async with roles[chosen.role](chosen).running():
            process.settle()
            print(READY, flush=True)
            await stop.wait()


def main() -> None:
    """Parse the command line of the child process."""
    parser = argparse.ArgumentParser(prog="python -m bench._skeleton", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("--servers", required=True)
    parser.add_argument("--mongodb", required=True)
    parser.add_argument("--receiver", required=True)
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
