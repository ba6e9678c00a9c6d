"""Noticing that a member gets nothing although there is something: a hang that no error tells of."""

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.ports.log import TopicPartition

_LOOKS = 3


@dataclass(slots=True)
class _Lagging:
    """A partition with unread records: where it stands, since when, and how many fetches had room by then."""

    position: int
    since: float
    roomy_fetches: int


class ProgressWatch:
    """Compares positions with ends, look by look.

    A partition is stuck when it has unread records, its position has not moved for `limit_seconds`, and at least three
    fetches meanwhile came back with room left: such a fetch has taken everything that the client had at hand.
    """

    def __init__(self, limit_seconds: float) -> None:
        self._limit = limit_seconds
        self._lagging: dict[TopicPartition, _Lagging] = {}

    def forget(self) -> None:
        """What stood still until now has an excuse."""
        self._lagging = {}

    def stuck(
        self,
        now: float,
        positions: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        roomy_fetches: int,
    ) -> list[TopicPartition]:
        """The partitions that are stuck at this look. `positions` are those that may move: held, and not paused."""
        lagging: dict[TopicPartition, _Lagging] = {}
        for source, position in positions.items():
            if ends.get(source, 0) <= position:
                continue
            before = self._lagging.get(source)
            if before is None or before.position != position:
                before = _Lagging(position, now, roomy_fetches)
            lagging[source] = before
        self._lagging = lagging
        return [
            source
            for source, it in lagging.items()
            if now - it.since > self._limit and roomy_fetches - it.roomy_fetches >= _LOOKS
        ]
