"""When a partition counts as stuck."""

from headrace.adapters.kafka.progress import ProgressWatch
from headrace.ports.log import TopicPartition

ONE = TopicPartition("orders", 0)
TWO = TopicPartition("orders", 1)


def test_unread_records_and_a_position_that_stands_still_make_a_partition_stuck() -> None:
    watch = ProgressWatch(10)

    assert watch.stuck(0, {ONE: 5, TWO: 5}, {ONE: 9, TWO: 5}, 0) == []
    assert watch.stuck(10, {ONE: 5, TWO: 5}, {ONE: 9, TWO: 5}, 100) == []
    assert watch.stuck(11, {ONE: 5, TWO: 5}, {ONE: 9, TWO: 5}, 100) == [ONE]


def test_a_position_that_moves_is_not_stuck_however_far_behind() -> None:
    watch = ProgressWatch(10)

    assert [watch.stuck(at, {ONE: at}, {ONE: 1_000}, at) for at in range(0, 100, 9)] == [[]] * 12


def test_a_reader_that_takes_nothing_or_is_always_full_is_no_proof() -> None:
    """A slow handler, or a backlog elsewhere: the client had no room to hand this partition out."""
    watch = ProgressWatch(10)

    assert watch.stuck(0, {ONE: 5}, {ONE: 9}, 40) == []
    assert watch.stuck(60, {ONE: 5}, {ONE: 9}, 42) == []
    assert watch.stuck(61, {ONE: 5}, {ONE: 9}, 43) == [ONE]


def test_a_pause_and_an_outage_begin_the_count_anew() -> None:
    watch = ProgressWatch(10)
    watch.stuck(0, {ONE: 5}, {ONE: 9}, 0)
    watch.stuck(8, {}, {ONE: 9}, 50)
    assert watch.stuck(12, {ONE: 5}, {ONE: 9}, 100) == []
    watch.forget()

    assert watch.stuck(40, {ONE: 5}, {ONE: 9}, 200) == []
    assert watch.stuck(51, {ONE: 5}, {ONE: 9}, 300) == [ONE]
