"""Programs that killed their evaluator more than once, and are refused for a while."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from headrace.core.expression import Failure

_MOST_PROGRAMS = 1000
_KILLS = 2


@dataclass(frozen=True, slots=True)
class _Record:
    kills: int
    until: float
    failure: Failure


class Quarantine:
    """A bounded record of kills, by program; the oldest are forgotten first. Two kills in a row of `seconds` count."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def note(self, program: str, failure: Failure) -> None:
        """Records that the program killed its evaluator."""
        now = self._clock()
        record = self._records.pop(program, None)
        kills = 1 if record is None or record.until <= now else record.kills + 1
        self._records[program] = _Record(kills, now + self._seconds, failure)
        if len(self._records) > _MOST_PROGRAMS:
            self._records.popitem(last=False)

    def refuse(self, program: str) -> Failure | None:
        """Why the program is not run now, or None when it may run."""
        record = self._records.get(program)
        if record is None or record.kills < _KILLS:
            return None
        left = record.until - self._clock()
        if left <= 0:
            del self._records[program]
            return None
        reason = record.failure.message.removesuffix(".")
        message = f"{reason}. It did so {record.kills} times and is refused for another {max(1, round(left))} s."
        return replace(record.failure, message=message)
