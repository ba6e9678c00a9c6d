"""A member of a Kafka group (the Consumer port).

The library rebalances in a task of its own, so between two lines of ours the partitions may go. Three rules keep that
in hand. What is fetched belongs to an `Assignment`, made when partitions come and dropped when they go. Records are
handed out only once it is ready: its stored offsets and ends were read after it was made. And a commit is one attempt,
under a lock that the rebalance takes before it lets partitions go, with the membership under which they were held.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CorruptRecordException, KafkaError, OffsetOutOfRangeError

from headrace.adapters.kafka import internals
from headrace.adapters.kafka.assignment import Assignment
from headrace.adapters.kafka.connection import answers, client_arguments, find_topics, wait_for_broker
from headrace.adapters.kafka.errors import KafkaError as OurKafkaError
from headrace.adapters.kafka.errors import RecordsLostError, StalledError, TopicError, reason, translate
from headrace.adapters.kafka.internals import KafkaPartition, NoLongerMemberError
from headrace.adapters.kafka.progress import ProgressWatch
from headrace.adapters.kafka.settings import KafkaSettings
from headrace.core.errors import HeadraceError
from headrace.ports.clock import Clock
from headrace.ports.errors import UnavailableError
from headrace.ports.log import Record, RevokeListener, TopicPartition

_log = structlog.get_logger("headrace.kafka")

_CLOSE_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 5.0
"""The library is polled at least so often, also while nothing comes: it would leave the group otherwise."""
_RETRY_SECONDS: Final = 0.2
_GONE_SECONDS: Final = 10.0
"""So long a topic may be missing from the brokers' answers before it counts as deleted."""


class KafkaConsumer:
    """A member of a group. Made by `KafkaLog.subscribe`."""

    def __init__(
        self,
        settings: KafkaSettings,
        clock: Clock,
        group: str,
        topics: Sequence[str],
        on_revoke: RevokeListener | None,
        on_close: Callable[["KafkaConsumer"], None],
    ) -> None:
        self.group = group
        self._settings = settings
        self._clock = clock
        self._topics = frozenset(topics)
        self._on_revoke = on_revoke
        self._on_close = on_close
        self._consumer = AIOKafkaConsumer(
            **client_arguments(settings),
            group_id=group,
            group_instance_id=settings.group_instance_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest" if settings.lost_records == "skip" else "none",
            partition_assignment_strategy=(RangePartitionAssignor,),
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.heartbeat_interval_ms,
            rebalance_timeout_ms=settings.rebalance_timeout_ms,
            max_poll_interval_ms=settings.max_poll_interval_ms,
            fetch_max_wait_ms=settings.fetch_max_wait_ms,
        )
        self._assignment: Assignment | None = None
        self._paused: set[TopicPartition] = set()
        self._revoking = False
        self._epoch = 0
        self._preparing: asyncio.Task[None] | None = None
        self._commit_lock = asyncio.Lock()
        self._waiter: asyncio.Future[None] | None = None
        self._joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._failure: HeadraceError | None = None
        self._closed_because: str | None = None
        self._heard_at = -float("inf")
        self._progress = ProgressWatch(2 * settings.session_seconds)
        self._fetch_due: float | None = None
        self._fetched_at = self._begun_at = clock.monotonic()
        self._answered_since: float | None = None
        self._roomy_fetches = 0
        self._missing_since: float | None = None

    async def join(self) -> None:
        """Become a member; returns when the first partitions are ready to be read. Waits for a broker to answer.

        Raises TopicError, KafkaRefusedError.
        """
        try:
            await self._start()
            self._consumer.subscribe(list(self._topics), listener=_Listener(self))
            while not self._joined.done():
                await asyncio.wait([self._joined], timeout=_RETRY_SECONDS)
                internals.raise_pending(self._consumer)
            self._joined.result()
        except KafkaError as error:
            await self._abandon("the consumer could not join")
            raise translate(error, f"joining the group {self.group}") from error
        except BaseException:
            await self._abandon("the consumer could not join")
            raise

    async def _start(self) -> None:
        while True:
            await wait_for_broker(self._settings)
            try:
                there = await find_topics(self._settings, self._topics)
                if missing := sorted(self._topics - there.keys()):
                    raise TopicError(
                        f"the group {self.group} cannot read {', '.join(missing)}: Kafka at {self._settings.servers} "
                        "has no such topic. Create it (headrace init)"
                    )
                # Subscribed only later: by then somebody listens for what the group is told of this member.
                await self._consumer.start()
            except (UnavailableError, KafkaError) as error:
                ours = translate(error, f"joining the group {self.group}")
                if not isinstance(ours, UnavailableError):
                    raise ours from error
                _log.warning("could not join a group yet", group=self.group, reason=str(ours))
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                internals.listen_for_heartbeats(self._consumer, self._hear, self._clock.monotonic)
                return

    # the port

    async def fetch(self, max_records: int, wait_seconds: float) -> list[Record]:
        """See the port. Raises also what a restart or a person must mend: RecordsLostError, TopicError, KafkaError."""
        deadline = time.monotonic() + wait_seconds
        self._fetch_due = self._clock.monotonic() + wait_seconds
        await asyncio.sleep(0)  # the library's own tasks get a turn, however busy its reader is
        try:
            while True:
                self._check()
                records = await self._take(max_records)
                if not records:
                    self._check_topics()
                remaining = deadline - time.monotonic()
                if records or remaining <= 0:
                    return records
                await self._wait(min(remaining, _POLL_SECONDS))
        except KafkaError as error:
            ours = translate(error, f"reading as a member of {self.group}")
            self._fail_unless_passing(ours)
            raise ours from error
        except HeadraceError as error:
            self._fail_unless_passing(error)
            raise
        finally:
            self._fetch_due = None
            self._fetched_at = self._clock.monotonic()

    async def commit(self, offsets: Mapping[TopicPartition, int], epoch: int) -> None:
        """See the port. Offsets never shrink, and never pass what was delivered. Raises UnavailableError."""
        # In a task of its own: who gives up waiting must not open the lock while the request is on its way.
        await asyncio.shield(asyncio.create_task(self._commit(dict(offsets), epoch)))

    def pause(self, partitions: frozenset[TopicPartition]) -> None:
        """Fetch nothing from these until they are resumed or revoked."""
        if self._assignment is not None:
            held = [source for source in partitions if source in self._assignment.partitions]
            self._paused.update(held)
            self._consumer.pause(*(self._assignment.partitions[source] for source in held))

    def resume(self, partitions: frozenset[TopicPartition]) -> None:
        if self._assignment is not None:
            held = [source for source in partitions if source in self._assignment.partitions]
            self._paused.difference_update(held)
            self._consumer.resume(*(self._assignment.partitions[source] for source in held))

    def is_fresh(self) -> bool:
        """See the port. Between two assignments nobody is fresh."""
        if self._closed_because is not None or self._assignment is None:
            return False
        return self._clock.monotonic() - self._heard_at < self._settings.session_seconds / 3

    async def close(self) -> None:
        """Leave the group, or vanish from it when the broker does not let us go in time. Commits nothing.

        Calling it again does nothing. A static member stays in its group until its session is over.
        """
        if self._closed_because is not None:
            return
        self._shut("the consumer is closed")
        await internals.leave_group(self._consumer, _CLOSE_SECONDS)

    async def crash(self) -> None:
        """For tests: vanish as a killed process does. From now on commits change nothing."""
        await self._abandon("the consumer crashed")

    # the watchdog

    async def check_progress(self) -> None:
        """Raises StalledError when this member should be made anew: see `KafkaLog.watch`."""
        now = self._clock.monotonic()
        if self._closed_because is not None or self._failure is not None:
            return
        limit = 2 * self._settings.session_seconds
        if self._fetch_due is not None and now - self._fetch_due > limit:
            raise StalledError(f"the group {self.group}: a fetch has not come back for {now - self._fetch_due:.0f} s")
        await self._check_heartbeats(now)
        await self._check_lag(now)

    async def _check_heartbeats(self, now: float) -> None:
        # While the group waits for a slow member, there are no heartbeats.
        limit = self._settings.session_seconds
        limit += max(limit, self._settings.rebalance_timeout_ms / 1_000)
        idle = self._fetch_due is None and now - self._fetched_at > self._settings.max_poll_interval_ms / 1_000
        if idle or now - max(self._heard_at, self._begun_at) <= limit or not await answers(self._settings):
            self._answered_since = None
        elif self._answered_since is None:
            self._answered_since = now  # after an outage, the client too gets its time to find back
        elif now - self._answered_since > limit:
            raise StalledError(f"the group {self.group}: no heartbeat for {limit:.0f} s, although Kafka answers")

    async def _check_lag(self, now: float) -> None:
        assignment = self._assignment
        if assignment is None or not assignment.ready:
            return
        try:
            async with asyncio.timeout(self._settings.session_seconds):
                ends = await self._consumer.end_offsets(list(assignment.sources))
        except (KafkaError, TimeoutError):
            self._progress.forget()  # a broker that is away is no stall, and positions stand still meanwhile
            return
        known = {assignment.sources[partition]: end for partition, end in ends.items()}
        positions = {source: at for source, at in assignment.delivered.items() if source not in self._paused}
        if stuck := self._progress.stuck(now, positions, known, self._roomy_fetches):
            named = ", ".join(f"{source.topic}/{source.partition} at {positions[source]}" for source in stuck)
            raise StalledError(f"the group {self.group} gets nothing of {named}, although there are records")

    # fetching

    def _check(self) -> None:
        if self._closed_because is not None:
            raise UnavailableError(self._closed_because)
        if self._failure is not None:
            raise self._failure
        internals.raise_pending(self._consumer)

    async def _take(self, max_records: int) -> list[Record]:
        assignment = self._assignment
        if assignment is None or not assignment.ready or self._revoking:
            internals.count_as_polled(self._consumer)  # else a member that left, being idle, would never join again
            return []
        # Never waits: the library would, also through a rebalance, and longer than it was told to.
        try:
            fetched = await self._consumer.getmany(timeout_ms=0, max_records=max_records)
        except OffsetOutOfRangeError as error:
            raise await self._lost(error) from error
        except (CorruptRecordException, UnicodeError, ValueError) as error:
            raise self._unreadable(error) from error
        records = assignment.deliver(fetched)
        self._roomy_fetches += len(records) < max_records
        return records

    async def _wait(self, seconds: float) -> None:
        """Until there may be something to take, or the time is up."""
        waiter = self._waiter = internals.fetch_waiter(self._consumer)
        timer = asyncio.get_running_loop().call_later(seconds, internals.finish, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None:
            internals.finish(self._waiter)

    def _check_topics(self) -> None:
        """Raises UnavailableError while a topic is missing, TopicError when it is gone for good: the library would ask
        for it for ever and say nothing."""
        gone = sorted(topic for topic in self._topics if self._consumer.partitions_for_topic(topic) is None)
        if not gone:
            self._missing_since = None
            return
        now = self._clock.monotonic()
        self._missing_since = now if self._missing_since is None else self._missing_since
        if now - self._missing_since > _GONE_SECONDS:
            raise TopicError(
                f"the group {self.group} can no longer read {', '.join(gone)}: the topic is gone. Was it deleted? "
                "Create it (headrace init)"
            )
        raise UnavailableError(f"the brokers do not know {', '.join(gone)}: if that stays so, this process ends")

    async def _lost(self, error: OffsetOutOfRangeError) -> RecordsLostError:
        asked: Mapping[KafkaPartition, int] = error.args[0]
        try:
            oldest = await self._consumer.beginning_offsets(list(asked))
        except KafkaError:
            oldest = {}
        named = ", ".join(
            f"{it.topic}/{it.partition}: next to read is {offset}, the oldest kept is {oldest.get(it, 'unknown')}"
            for it, offset in asked.items()
        )
        return RecordsLostError(
            f"the group {self.group} cannot go on ({named}). Records were deleted before they were read, or the topic "
            "was made anew. See docs/kafka.md, 'When records are gone'; lost_records=skip goes on with the oldest kept"
        )

    def _unreadable(self, error: Exception) -> OurKafkaError:
        """Going on is out of the question: the library has dropped what it took out of the batch before the error."""
        places = internals.unreadable_places(self._consumer)
        named = ", ".join(f"{it.topic}/{it.partition} at offset {offset}" for it, offset in places.items())
        return OurKafkaError(
            f"the group {self.group} cannot read a record ({named or 'place unknown'}): {reason(error)}. If it is "
            "broken for good, move the group past it with kafka-consumer-groups.sh --reset-offsets"
        )

    # committing

    async def _commit(self, offsets: dict[TopicPartition, int], epoch: int) -> None:
        async with self._commit_lock:
            assignment = self._assignment
            if assignment is None or assignment.epoch != epoch:
                return
            moved = assignment.committable(offsets)
            if moved:
                await self._store(assignment, moved)

    async def _store(self, assignment: Assignment, offsets: Mapping[TopicPartition, int]) -> None:
        """One attempt. Does nothing when the group has gone on without us."""
        partitions = {assignment.partitions[source]: offset for source, offset in offsets.items()}
        try:
            await internals.commit_once(self._consumer, partitions, assignment.member)
        except NoLongerMemberError:
            _log.info("a commit came too late: the group has gone on", group=self.group, epoch=assignment.epoch)
        except KafkaError as error:
            raise translate(error, f"storing offsets of {self.group}") from error
        else:
            assignment.committed.update(offsets)

    # rebalancing; called by the library, which logs and drops what these raise

    async def revoked(self) -> None:
        """The partitions go when this returns."""
        self._revoking = True
        if self._preparing is not None:
            self._preparing.cancel()
        assignment = self._assignment
        try:
            if assignment is not None and assignment.sources and self._on_revoke is not None:
                async with asyncio.timeout(self._settings.rebalance_timeout_ms / 1_000):
                    await self._on_revoke(frozenset(assignment.partitions))
        except Exception:
            _log.exception("a revoke listener raised; it must not", group=self.group)
        finally:
            async with self._commit_lock:
                self._assignment = None
            self._paused.clear()
            self._revoking = False

    def assigned(self, partitions: Sequence[KafkaPartition]) -> None:
        """New partitions are ours; they are read once it is known where they begin and end."""
        if self._closed_because is not None:
            return
        member = internals.membership(self._consumer)
        # The generation is shared by all members, so epochs grow over them; it begins anew in a group that died out.
        self._epoch = max(self._epoch + 1, member[0])
        self._assignment = Assignment(self._epoch, member, partitions)
        self._preparing = asyncio.create_task(self._prepare(self._assignment), name=f"{self.group}:prepare")

    async def _prepare(self, assignment: Assignment) -> None:
        while True:
            try:
                starts, fresh, ends = await self._read_offsets(assignment)
                break
            except Exception as error:  # nobody awaits this task: what it does not tell, nobody hears
                ours = translate(error, f"reading the offsets of {self.group}")
                if not isinstance(ours, UnavailableError):
                    self._fail(ours)
                    return
                _log.warning("where to begin is not known yet", group=self.group, reason=str(ours))
                await asyncio.sleep(_RETRY_SECONDS)
        if assignment is not self._assignment:
            return
        for partition, start in fresh.items():
            self._consumer.seek(partition, start)
        assignment.begin(starts, ends)
        if fresh:
            await self._store_starts(assignment, fresh)
        if not self._joined.done():
            self._joined.set_result(None)
        self._wake()

    async def _read_offsets(
        self, assignment: Assignment
    ) -> tuple[dict[KafkaPartition, int], dict[KafkaPartition, int], dict[KafkaPartition, int]]:
        """Where each partition begins, which of these are new to the group, and where each ends."""
        partitions = list(assignment.sources)
        if not partitions:
            return {}, {}, {}
        starts = await internals.committed_offsets(self._consumer, partitions)
        ends = await self._consumer.end_offsets(partitions)
        unknown = [partition for partition in partitions if partition not in starts]
        fresh: dict[KafkaPartition, int] = {}
        if unknown and self._settings.offset_reset == "earliest":
            fresh = await self._consumer.beginning_offsets(unknown)
        else:
            fresh = {partition: ends[partition] for partition in unknown}
        return starts | fresh, fresh, ends

    async def _store_starts(self, assignment: Assignment, fresh: Mapping[KafkaPartition, int]) -> None:
        """Like a commit, so that lag can be told, and "latest" cannot skip what comes before the first commit."""
        async with self._commit_lock:
            if assignment is self._assignment:
                try:
                    await self._store(assignment, {assignment.sources[it]: offset for it, offset in fresh.items()})
                except HeadraceError as error:
                    _log.warning("where a group began is not stored", group=self.group, reason=str(error))

    # ends

    def _hear(self, sent_at: float) -> None:
        self._heard_at = max(self._heard_at, sent_at)

    def _fail_unless_passing(self, error: HeadraceError) -> None:
        """A member that met what does not pass reads nothing any more: what comes later must not be committed."""
        if not isinstance(error, UnavailableError):
            self._fail(error)

    def _fail(self, error: HeadraceError) -> None:
        self._failure = error
        if not self._joined.done():
            self._joined.set_exception(error)
        self._wake()

    def _shut(self, reason: str) -> None:
        self._closed_because = reason
        self._assignment = None
        if self._preparing is not None:
            self._preparing.cancel()
        if not self._joined.done():
            self._joined.cancel()
        self._on_close(self)
        self._wake()

    async def _abandon(self, reason: str) -> None:
        if self._closed_because is None:
            self._shut(reason)
            await internals.abandon_consumer(self._consumer)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # the library is not typed
    """What the library calls when partitions come and go."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: object) -> None:
        await self._consumer.revoked()

    async def on_partitions_assigned(self, assigned: set[KafkaPartition]) -> None:
        self._consumer.assigned(sorted(assigned))
