"""Tells an event that somebody sent twice from one that is only delivered twice (docs/triggers.md)."""

from collections import OrderedDict


class FirstPlaces:
    """Where in the log the event was first that asked for a run. An event that is delivered again is in the same place.

    It remembers the last `most`: of others a second one looks like the first. Run ids are derived from events, so
    neither starts a second run.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._places: OrderedDict[str, str] = OrderedDict()

    def earlier(self, run_id: str, place: str) -> str | None:
        """Where else the event was before; None when this is the first place that is known."""
        first = self._places.get(run_id, place)
        return None if first == place else first

    def keep(self, run_id: str, place: str) -> None:
        """The event in this place has asked for the run."""
        self._places[run_id] = place
        if len(self._places) > self._most:
            self._places.popitem(last=False)
