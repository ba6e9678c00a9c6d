"""Slowing down guessers: a token bucket of failures per client id and address."""

from collections import OrderedDict
from dataclasses import dataclass

from headrace.ports.clock import Clock
from headrace_api.settings import LoginLimits


@dataclass(slots=True)
class _Bucket:
    failures: float
    at: float


class LoginThrottle:
    """Counts failed logins; successes cost nothing. Remembers a bounded number of keys, the least recent go first."""

    def __init__(self, limits: LoginLimits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._buckets: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()

    def wait_seconds(self, client_id: str, address: str) -> float:
        """How long this pair must wait before its next try; 0 when it may try now."""
        excess = self._failures((client_id, address)) + 1 - self._limits.burst
        return max(0.0, excess * self._limits.seconds_per_failure)

    def fail(self, client_id: str, address: str) -> None:
        """Note a failed login."""
        key = (client_id, address)
        self._buckets[key] = _Bucket(self._failures(key) + 1, self._clock.monotonic())
        self._buckets.move_to_end(key)
        while len(self._buckets) > self._limits.remembered:
            self._buckets.popitem(last=False)

    def _failures(self, key: tuple[str, str]) -> float:
        bucket = self._buckets.get(key)
        if bucket is None:
            return 0.0
        forgiven = (self._clock.monotonic() - bucket.at) / self._limits.seconds_per_failure
        return max(0.0, bucket.failures - forgiven)
