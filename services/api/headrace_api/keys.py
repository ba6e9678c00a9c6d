"""Idempotency keys of starts whose runs may not show yet."""

from collections import OrderedDict

_REMEMBERED = 10_000


class RecentKeys:
    """What this process has published under idempotency keys: by run id, the id of the causing event.

    Bounded, and only a short cut: once a run is in the store, its own causation is what counts.
    """

    def __init__(self) -> None:
        self._causes: OrderedDict[str, str] = OrderedDict()

    def get(self, run_id: str) -> str | None:
        return self._causes.get(run_id)

    def put(self, run_id: str, cause: str) -> None:
        self._causes[run_id] = cause
        if len(self._causes) > _REMEMBERED:
            self._causes.popitem(last=False)
