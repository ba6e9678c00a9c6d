"""Timers that are due become commands. Asking twice is harmless: a timer is legal once only."""

from headrace.contracts.codec import encode_command
from headrace.contracts.topics import TopicNames
from headrace.core.commands import FireTimer
from headrace.ports.clock import Clock
from headrace.ports.log import Log
from headrace.ports.stores import RunStore

_ASK_AGAIN_MS = 10_000
_LIMIT = 500


class TimerPoller:
    """Publishes a command for every due timer, and again while the timer still stands."""

    def __init__(self, runs: RunStore, log: Log, clock: Clock, topics: TopicNames) -> None:
        self._runs = runs
        self._log = log
        self._clock = clock
        self._topics = topics
        self._asked: dict[str, int] = {}

    async def poll(self) -> int:
        """Ask for the due timers; how many were asked for. Everything due and not done counts, there is no cursor."""
        now = self._clock.now()
        due = await self._runs.due(now, _LIMIT)
        standing = {timer.timer_id for timer in due}
        self._asked = {timer: at for timer, at in self._asked.items() if timer in standing}
        fresh = [timer for timer in due if now - self._asked.get(timer.timer_id, 0) >= _ASK_AGAIN_MS]
        if fresh:
            commands = [FireTimer(timer.run_id, now, timer.timer_id) for timer in fresh]
            await self._log.publish([encode_command(command, self._topics) for command in commands])
            self._asked.update((timer.timer_id, now) for timer in fresh)
        return len(fresh)
