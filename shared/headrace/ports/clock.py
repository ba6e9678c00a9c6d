"""Time as a port: the only way a shell learns what time it is."""

from typing import Protocol


class Clock(Protocol):
    def now(self) -> int:
        """Wall time: milliseconds since the Unix epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for measuring spans."""
        ...
