"""What cuts workflows that wake each other for ever (docs/triggers.md): a depth, and a rate.

The depth is in every event: how many runs in a row led to it. A loop that goes through somebody who does not pass this
on begins at depth 0 each time; what gives it away is that one entity starts the same trigger again and again.
"""

from collections import OrderedDict

from headrace.core.run import Causation

WINDOW_MS = 60_000


class StartRate:
    """Counts the starts of each trigger and entity in windows of a minute.

    It remembers the `most_keys` that started last, and counts for itself: after a restart it begins anew.
    """

    def __init__(self, most_per_minute: int, most_keys: int = 10_000) -> None:
        self._most = most_per_minute
        self._most_keys = most_keys
        self._windows: OrderedDict[tuple[str, str, str], tuple[int, int]] = OrderedDict()

    def admit(self, workflow: str, trigger: str, entity: str, at: int) -> bool:
        """Whether an event of this instant (ms) may start one more run; if so, it is counted."""
        key = (workflow, trigger, entity)
        began_at, count = self._windows.get(key, (at, 0))
        if at - began_at >= WINDOW_MS:
            began_at, count = at, 0
        if count >= self._most:
            return False
        self._windows[key] = (began_at, count + 1)
        self._windows.move_to_end(key)
        if len(self._windows) > self._most_keys:
            self._windows.popitem(last=False)
        return True


def too_deep(causation: Causation, workflow: str, most: int) -> str | None:
    """Why an event must not start a run of this workflow; None when so many runs in a row are all right."""
    if causation.depth < most:
        return None
    chain = " > ".join((*causation.chain[-3:], workflow))
    return f"stopped: loop, {causation.depth} runs deep ({chain})"
