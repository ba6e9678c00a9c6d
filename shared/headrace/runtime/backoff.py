"""How long to wait for something that does not answer."""

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Delays in seconds that double from `first` to `most` until reset."""

    first: float = 0.05
    most: float = 5.0
    _current: float = 0.0

    def next(self) -> float:
        """The next delay."""
        self._current = min(self.most, self._current * 2 or self.first)
        return self._current

    def reset(self) -> None:
        """All is well again: the next delay is the first one."""
        self._current = 0.0
