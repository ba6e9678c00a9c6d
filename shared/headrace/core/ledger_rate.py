"""How many events that start nothing the ledger keeps one by one; above that they are counted (issue 5, ledger cost).

Each pair of blueprint and action has its own measure: a noisy blueprint does not hide what happens at others. What is
kept of a noisy one is spread evenly over time, so that there are always samples.
"""

from collections import OrderedDict
from dataclasses import dataclass

_BURST_SECONDS = 60
_WINDOW_MS = 60_000


@dataclass(slots=True)
class Counted:
    """Events of one kind that were counted within a minute. Instants in ms. `first` is the first one's id."""

    first: str
    blueprint: str
    action: str
    since: int
    until: int
    events: int = 0


@dataclass(slots=True)
class _Kind:
    tokens: float
    at: int
    counted: Counted | None = None


class LedgerRate:
    """Keeps `kept_per_second` events of a kind, those that a minute did not need at once; counts the others.

    It remembers the `most_kinds` that came last, and counts for itself: after a restart it begins anew.
    """

    def __init__(self, kept_per_second: int, most_kinds: int = 10_000) -> None:
        self._per_ms = kept_per_second / 1000
        self._most_tokens = float(kept_per_second * _BURST_SECONDS)
        self._most_kinds = most_kinds
        self._kinds: OrderedDict[tuple[str, str], _Kind] = OrderedDict()
        self._unwritten: dict[str, Counted] = {}

    def keeps(self, blueprint: str, action: str, event_id: str, now: int) -> bool:
        """Whether the ledger keeps an event that started nothing; if not, it is counted."""
        kind = self._kind((blueprint, action), now)
        if now > kind.at:
            kind.tokens = min(self._most_tokens, kind.tokens + (now - kind.at) * self._per_ms)
            kind.at = now
        if kind.tokens >= 1:
            kind.tokens -= 1
            return True
        counted = kind.counted
        if counted is None or now - counted.since >= _WINDOW_MS:
            counted = kind.counted = Counted(event_id, blueprint, action, now, now)
        counted.events += 1
        counted.until = now
        self._unwritten[counted.first] = counted
        return False

    def unwritten(self) -> list[tuple[Counted, int]]:
        """What the ledger must be told, each with its number of events now."""
        return [(counted, counted.events) for counted in self._unwritten.values()]

    def written(self, told: list[tuple[Counted, int]]) -> None:
        """The ledger knows this now. What went on meanwhile is to be told again."""
        for counted, events in told:
            if counted.events == events:
                self._unwritten.pop(counted.first, None)

    def _kind(self, key: tuple[str, str], now: int) -> _Kind:
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind(self._most_tokens, now)
            if len(self._kinds) > self._most_kinds:
                self._kinds.popitem(last=False)
        else:
            self._kinds.move_to_end(key)
        return kind
