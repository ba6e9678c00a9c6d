"""The offset tracker against a model that remembers everything: no interleaving lets it commit unfinished work."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from headrace.ports.log import Record, TopicPartition
from headrace.runtime.offsets import OffsetTracker

PARTITIONS = [TopicPartition("a", 0), TopicPartition("a", 1), TopicPartition("b", 0)]
partitions = st.sampled_from(PARTITIONS)


def record(source: TopicPartition, offset: int, epoch: int) -> Record:
    return Record(source, offset, "k", b"", (), 0, epoch)


class Tracking(RuleBasedStateMachine):
    """Deliveries, with gaps; work that ends in any order, also of assignments gone by; commits that succeed or not."""

    @initialize()
    def begin(self) -> None:
        self.tracker = OffsetTracker()
        self.epoch = 1
        self.held: dict[TopicPartition, int] = {}
        self.next: dict[TopicPartition, int] = dict.fromkeys(PARTITIONS, 0)
        self.delivered: dict[TopicPartition, list[int]] = {}
        self.unfinished: list[Record] = []
        self.stored: dict[tuple[TopicPartition, int], int] = {}

    @rule(source=partitions, sizes=st.lists(st.integers(0, 3), min_size=1, max_size=5))
    def deliver(self, source: TopicPartition, sizes: list[int]) -> None:
        """A batch of one partition; a size is the gap before a record, as compaction and markers leave it."""
        records = []
        for gap in sizes:
            offset = self.next[source] + gap
            self.next[source] = offset + 1
            records.append(record(source, offset, self.epoch))
        if self.held.get(source) != self.epoch:
            self.held[source] = self.epoch
            self.delivered[source] = []
        self.delivered[source] += [one.offset for one in records]
        self.unfinished += records
        self.tracker.add(records)

    @rule(data=st.data(), twice=st.booleans())
    def finish(self, data: st.DataObject, twice: bool) -> None:
        """Any unfinished record of any assignment, perhaps said twice."""
        if self.unfinished:
            one = self.unfinished.pop(data.draw(st.integers(0, len(self.unfinished) - 1)))
            for _ in range(1 + twice):
                self.tracker.done(one)

    @rule(source=partitions, offset=st.integers(0, 50))
    def finish_what_was_never_delivered(self, source: TopicPartition, offset: int) -> None:
        if self.held.get(source) != self.epoch or offset not in self.delivered[source]:
            self.tracker.done(record(source, offset, self.epoch))

    @rule(source=partitions, back=st.integers(0, 5))
    def deal_anew(self, source: TopicPartition, back: int) -> None:
        """A rebalance: everything is forgotten, and reading begins at a committed offset again."""
        self.tracker.forget(frozenset(PARTITIONS))
        self.epoch += 1
        self.held.clear()
        self.delivered.clear()
        self.next[source] = max(0, self.next[source] - back)

    @rule(source=partitions, back=st.integers(1, 5))
    def deal_anew_without_a_word(self, source: TopicPartition, back: int) -> None:
        """An assignment that nobody announced: only the records' epoch tells."""
        self.epoch += 1
        self.next[source] = max(0, self.next[source] - back)

    @rule(lost=st.booleans(), only=st.none() | st.frozensets(partitions))
    def commit(self, lost: bool, only: frozenset[TopicPartition] | None) -> None:
        for epoch, offsets in self.tracker.to_commit(only).items():
            for source, offset in offsets.items():
                assert only is None or source in only
                assert self.stored.get((source, epoch)) != offset
                if not lost:
                    self.stored[source, epoch] = offset
            if not lost:
                self.tracker.mark_committed(epoch, offsets)

    @invariant()
    def nothing_unfinished_is_committable(self) -> None:
        for epoch, offsets in self.tracker.to_commit().items():
            for source, offset in offsets.items():
                assert self.held[source] == epoch
                mine = [it.offset for it in self.unfinished if it.source == source and it.epoch == epoch]
                assert offset == (min(mine) if mine else self.delivered[source][-1] + 1)

    @invariant()
    def the_unfinished_are_counted(self) -> None:
        mine = [it for it in self.unfinished if self.held.get(it.source) == it.epoch]
        assert self.tracker.unfinished == len(mine)


Tracking.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestTracking = Tracking.TestCase


def test_offset_zero_counts_like_any_other() -> None:
    tracker, source = OffsetTracker(), PARTITIONS[0]
    assert tracker.to_commit() == {}
    tracker.add([record(source, 0, 1)])
    assert tracker.to_commit() == {1: {source: 0}}
    tracker.mark_committed(1, {source: 0})
    assert tracker.to_commit() == {}
    tracker.done(record(source, 0, 1))
    assert tracker.to_commit() == {1: {source: 1}}


def test_a_gap_is_neither_waited_for_nor_committed_over() -> None:
    tracker, source = OffsetTracker(), PARTITIONS[0]
    records = [record(source, offset, 1) for offset in (3, 7, 20)]
    tracker.add(records)
    tracker.done(records[1])
    assert tracker.to_commit() == {1: {source: 3}}
    tracker.done(records[0])
    assert tracker.to_commit() == {1: {source: 20}}
    tracker.done(records[2])
    assert tracker.to_commit() == {1: {source: 21}}


def test_what_an_older_assignment_says_is_void() -> None:
    tracker, source = OffsetTracker(), PARTITIONS[0]
    old, new = record(source, 5, 1), record(source, 5, 2)
    tracker.add([old])
    tracker.add([new])
    tracker.done(old)
    tracker.mark_committed(1, {source: 6})
    assert tracker.to_commit() == {2: {source: 5}}
