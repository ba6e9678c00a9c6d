"""Metrics: every name in one place (docs/metrics.md lists them). Labels never carry ids."""

from collections import defaultdict
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from headrace.core.events import Event, NodeCompleted, RunCompleted, RunStarted


class Metrics:
    """The engine's counters on one registry. Throughput is counted in accepted transitions, not in requests."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"headrace_{name}", text, labels, registry=self.registry)

        self._transitions = counter("transitions", "Accepted transitions of runs", "event")
        self._rejections = counter("rejections", "Commands that did not apply", "reason")
        self._conflicts = counter("save_conflicts", "Saves that another writer won")
        self._dead_letters = counter("dead_letters", "Records that nobody could understand", "topic", "reason")
        self._verdicts = counter("trigger_verdicts", "What became of events at triggers", "verdict")
        self._events = counter("entity_events", "Entity events considered")
        self._schedules = counter("schedule_verdicts", "What became of instants of schedules", "verdict")
        self._attempts = counter("attempts", "Attempts of actions by outcome", "type", "outcome")
        self._runs = counter("runs_completed", "Runs that are over", "result")
        self._started = counter("runs_started", "Runs that began", "trigger")
        self._nodes = counter("node_runs", "Node runs that are over", "type", "result")
        self._calls = Histogram(
            "headrace_attempt_duration_seconds", "Time of one attempt", ["type"], registry=self.registry
        )
        self._circuits = Gauge("headrace_circuits_open", "Hosts that are not called now", registry=self.registry)
        self._children: dict[tuple[Counter, tuple[str, ...]], Counter] = {}

    def transitions(self, events: Iterable[Event]) -> None:
        """Count accepted transitions, and what they say about runs and node runs. Best given those of a whole batch."""
        counts: dict[tuple[Counter, tuple[str, ...]], int] = defaultdict(int)
        for event in events:
            counts[self._transitions, (type(event).__name__,)] += 1
            if isinstance(event, NodeCompleted):
                counts[self._nodes, (event.type, event.result)] += 1
            elif isinstance(event, RunCompleted):
                counts[self._runs, (event.result,)] += 1
            elif isinstance(event, RunStarted):
                counts[self._started, (event.trigger_type,)] += 1
        for (counter, labels), number in counts.items():
            self._count(counter, *labels, by=number)

    def rejected(self, reason: str, number: int = 1) -> None:
        """Count commands that did not apply."""
        self._count(self._rejections, reason, by=number)

    def conflicts(self, number: int) -> None:
        """Count saves that another writer won."""
        if number:
            self._conflicts.inc(number)

    def dead_letter(self, topic: str, reason: str) -> None:
        """Count a dead letter."""
        self._count(self._dead_letters, topic, reason)

    def entity_event(self, verdicts: Iterable[str]) -> None:
        """Count an entity event and the verdicts of the triggers that were judged one by one."""
        self._events.inc()
        for verdict in verdicts:
            self._count(self._verdicts, verdict)

    def schedule_verdicts(self, verdicts: Iterable[str]) -> None:
        """Count what became of instants of schedules."""
        for verdict in verdicts:
            self._count(self._schedules, verdict)

    def attempt(self, type_: str, outcome: str, seconds: float) -> None:
        """Count an attempt of an action."""
        self._count(self._attempts, type_, outcome)
        self._calls.labels(type_).observe(seconds)

    def watch_circuits(self, open_now: Callable[[], int]) -> None:
        """Show how many circuits are open, asked whenever somebody reads."""
        self._circuits.set_function(open_now)

    def _count(self, counter: Counter, *labels: str, by: int = 1) -> None:
        key = (counter, labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = counter.labels(*labels)
        child.inc(by)
