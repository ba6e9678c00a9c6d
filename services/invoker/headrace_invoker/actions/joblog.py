"""What the jobs of a pipeline did since we last looked: lines for the node run's log, each told once."""

from collections.abc import Sequence

from headrace.core.json import Json
from headrace.core.run import MAX_LOG_MESSAGE, LogLevel

Stage = tuple[str, str]
"""A step that is over: its name, and how it ended."""

_FINE = frozenset({"success", "skipped", "neutral", "succeeded", "None", "manual"})
_MOST_JOBS = 200
_MOST_LOGS = 5
_LAST_LINES = 20


class JobLog:
    """Built anew for every look. `seen` says per job how many of its stages were told, and `-1` when it is over."""

    MOST_BYTES = 16 * 1024

    def __init__(self, seen: Json) -> None:
        known = seen if isinstance(seen, dict) else {}
        self.seen: dict[str, Json] = dict(known)
        self.lines: list[tuple[LogLevel, str]] = []
        self._logs = 0
        self._job = ""

    def add(self, key: str, name: str, stages: Sequence[Stage], ended: str | None) -> bool:
        """Tell what is new of a job; whether the end of its log is worth asking for, with `add_text` next."""
        told = self.seen.get(key, 0)
        if told == -1 or (key not in self.seen and len(self.seen) >= _MOST_JOBS):
            return False
        self._job = name[:200]
        for stage, how in stages[told if isinstance(told, int) else 0 :]:
            self._say(how, f"{self._job} / {stage[:200]}: {how}")
        self.seen[key] = len(stages)
        if ended is None:
            return False
        self.seen[key] = -1
        self._say(ended, f"{self._job}: {ended}")
        self._logs += 1
        return ended not in ("skipped", "cancelled", "canceled", "manual") and self._logs <= _MOST_LOGS

    def add_text(self, text: bytes) -> None:
        """The last lines of the last job's log."""
        lines = text[-self.MOST_BYTES :].decode("utf-8", "replace").replace("\0", "\ufffd").splitlines()
        for line in lines[-_LAST_LINES:]:
            if line.strip():
                self.lines.append(("DEBUG", f"{self._job} | {line}"[:MAX_LOG_MESSAGE]))

    def add_missing(self, why: str) -> None:
        """The last job's log could not be read: no reason to fail anything."""
        self.lines.append(("DEBUG", f"{self._job}: its log could not be read. {why}"[:MAX_LOG_MESSAGE]))

    def _say(self, how: str, text: str) -> None:
        self.lines.append(("INFO" if how in _FINE else "WARN", text))
