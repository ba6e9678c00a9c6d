"""A circuit per host: once calls do not get through to it again and again, further ones are answered at once (issue 5).

The rule follows the field's practice. Misses are counted in a row, as Envoy's outlier detection counts them; an open
circuit lets one call through after a pause, and the pause doubles while that is in vain. What counts as a miss is said
by whoever calls: here no status but a gateway's (502, 503, 504), since any other says that somebody is there.
"""

from collections import OrderedDict
from dataclasses import dataclass

_FORGOTTEN_AFTER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class CircuitRule:
    """A circuit opens at `misses` in a row (0: never) that stretch over `least_seconds` or more: a restart that breaks
    many connections in one moment does not open it. It opens for `pause_seconds`, at most for `most_pause_seconds`."""

    misses: int = 10
    least_seconds: float = 1.0
    pause_seconds: float = 5.0
    most_pause_seconds: float = 60.0


@dataclass(slots=True)
class _Circuit:
    """`pause` is 0 while it is closed; `next_at` is when an open one lets the next call through."""

    since: float
    last_at: float
    misses: int = 0
    pause: float = 0.0
    opened_at: float = 0.0
    next_at: float = 0.0


class Circuits:
    """The circuits of one process. Only hosts that were missed of late are remembered, at most `most_hosts` of them.

    All instants are seconds of one clock that never goes back.
    """

    def __init__(self, rule: CircuitRule | None = None, most_hosts: int = 10_000) -> None:
        self._rule = rule or CircuitRule()
        self._most_hosts = most_hosts
        self._circuits: OrderedDict[str, _Circuit] = OrderedDict()

    def wait(self, host: str, now: float) -> float | None:
        """Seconds until a call may be tried again; None when one may be made now."""
        circuit = self._circuits.get(host)
        return circuit.next_at - now if circuit is not None and now < circuit.next_at else None

    def enter(self, host: str, now: float) -> float | None:
        """The same for a call that is about to be made. The first one after a pause is the probe: others go on waiting,
        for another pause at most, so that a probe which is never heard of again holds nobody up."""
        wait = self.wait(host, now)
        circuit = self._circuits.get(host)
        if wait is None and circuit is not None and circuit.pause:
            circuit.next_at = now + circuit.pause
        return wait

    def reached(self, host: str) -> None:
        """A call got through."""
        if self._circuits:
            self._circuits.pop(host, None)

    def missed(self, host: str, began_at: float, now: float) -> None:
        """A call that began then did not get through. One that began before its circuit opened changes nothing."""
        if not self._rule.misses:
            return
        circuit = self._known(host, began_at, now)
        circuit.last_at = now
        if circuit.pause:
            if began_at >= circuit.opened_at:
                self._open(circuit, min(circuit.pause * 2, self._rule.most_pause_seconds), now)
            return
        circuit.misses += 1
        circuit.since = min(circuit.since, began_at)
        if circuit.misses >= self._rule.misses and now - circuit.since >= self._rule.least_seconds:
            self._open(circuit, self._rule.pause_seconds, now)

    def open(self, now: float) -> int:
        """How many hosts are not called now."""
        return sum(now < circuit.next_at for circuit in self._circuits.values())

    def _known(self, host: str, began_at: float, now: float) -> _Circuit:
        circuit = self._circuits.get(host)
        if circuit is None or now - max(circuit.last_at, circuit.next_at) > _FORGOTTEN_AFTER_SECONDS:
            circuit = self._circuits[host] = _Circuit(began_at, now)
        self._circuits.move_to_end(host)
        if len(self._circuits) > self._most_hosts:
            self._circuits.popitem(last=False)
        return circuit

    def _open(self, circuit: _Circuit, pause: float, now: float) -> None:
        circuit.pause, circuit.opened_at, circuit.next_at = pause, now, now + pause
