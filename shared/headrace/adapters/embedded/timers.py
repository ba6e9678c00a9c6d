"""The timers of all runs in one heap, for the embedded run store."""

from heapq import heapify, heappop, heappush

from headrace.core.run import Timer
from headrace.ports.stores import DueTimer

_Item = tuple[int, str, str]
"""When it is due, the run, the timer."""


class DueTimers:
    """Which timers are due. Timers that fell away stay in the heap until they come up, or until they are most of it."""

    def __init__(self) -> None:
        self._by_run: dict[str, tuple[Timer, ...]] = {}
        self._heap: list[_Item] = []
        self._count = 0

    def replace(self, run_id: str, timers: tuple[Timer, ...]) -> None:
        """These are now the timers of the run."""
        before = self._by_run.get(run_id, ())
        if timers == before:
            return
        self._count += len(timers) - len(before)
        for timer in timers:
            if timer not in before:
                heappush(self._heap, (timer.due_at, run_id, timer.id))
        if timers:
            self._by_run[run_id] = timers
        else:
            del self._by_run[run_id]
        if len(self._heap) > 2 * self._count + 1_024:
            self._rebuild()

    def due(self, now: int, limit: int) -> list[DueTimer]:
        """Every standing timer due at `now`, earliest first."""
        found: list[_Item] = []
        heap = self._heap
        while heap and heap[0][0] <= now and len(found) < limit:
            item = heappop(heap)
            # an item twice in the heap is a timer that fell away and came back
            if self._stands(item) and (not found or found[-1] != item):
                found.append(item)
        for item in found:
            heappush(heap, item)
        return [DueTimer(run_id, timer_id, due_at) for due_at, run_id, timer_id in found]

    def _stands(self, item: _Item) -> bool:
        due_at, run_id, timer_id = item
        return any(timer.id == timer_id and timer.due_at == due_at for timer in self._by_run.get(run_id, ()))

    def _rebuild(self) -> None:
        self._heap = [(timer.due_at, run_id, timer.id) for run_id, timers in self._by_run.items() for timer in timers]
        heapify(self._heap)
