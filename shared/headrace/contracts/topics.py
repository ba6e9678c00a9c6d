"""The topics: one table. Everything else that speaks of topics is generated from it or reads it."""

from dataclasses import dataclass
from typing import Literal

Audience = Literal["public in", "public out", "internal"]


@dataclass(frozen=True, slots=True)
class Topic:
    """`name` is without the prefix; `key` says what orders the records; retention is for `headrace init` on Kafka."""

    name: str
    key: str
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    retention_days: int
    audience: Audience
    summary: str


ENTITY_CHANGES = Topic(
    "entity.changes.v1", "<blueprint>/<entity>", ("anybody", "api", "trigger"), ("trigger", "anybody"), 7,
    "public in", "Changes of entities: what may start runs.",
)  # fmt: skip
RUN_COMMANDS = Topic(
    "run.commands.v1", "run id", ("trigger", "api", "orchestrator"), ("orchestrator",), 3,
    "internal", "What is wanted of a run: start, cancel, a timer that is due, a report from outside.",
)  # fmt: skip
RUN_GATES = Topic(
    "run.gates.v1", "gate id", ("orchestrator",), ("trigger",), 3,
    "internal", "Runs that passed a gate and are over: who waits behind them may go on.",
)  # fmt: skip
NODE_REQUESTS = Topic(
    "node.requests.v1", "node run id", ("orchestrator",), ("invoker",), 3,
    "internal", "Attempts of actions that the invoker shall perform.",
)  # fmt: skip
NODE_RESULTS = Topic(
    "node.results.v1", "run id", ("invoker",), ("orchestrator",), 3,
    "internal", "What became of the attempts.",
)  # fmt: skip
RUN_EVENTS = Topic(
    "run.events.v1", "run id", ("orchestrator",), ("anybody", "api"), 7,
    "public out", "Every transition of every run and node run, numbered per run without gaps.",
)  # fmt: skip
RUNS = Topic(
    "runs", "node run id", ("invoker",), ("anybody",), 7,
    "public out", "What KAFKA actions publish: work for consumers outside.",
)  # fmt: skip

TOPICS = (ENTITY_CHANGES, RUN_COMMANDS, RUN_GATES, NODE_REQUESTS, NODE_RESULTS, RUN_EVENTS, RUNS)
DEAD_LETTER_SUFFIX = ".dlq"
DEAD_LETTER_RETENTION_DAYS = 30


INSTALLATION_NAME = r"^[A-Za-z0-9._-]{1,100}$"
"""Names of installations that may have a topic."""


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The topics' full names under a prefix (default `headrace.`)."""

    prefix: str = "headrace."

    def name(self, topic: Topic) -> str:
        return self.prefix + topic.name

    @property
    def entity_changes(self) -> str:
        return self.name(ENTITY_CHANGES)

    @property
    def run_commands(self) -> str:
        return self.name(RUN_COMMANDS)

    @property
    def run_gates(self) -> str:
        return self.name(RUN_GATES)

    @property
    def node_requests(self) -> str:
        return self.name(NODE_REQUESTS)

    @property
    def node_results(self) -> str:
        return self.name(NODE_RESULTS)

    @property
    def run_events(self) -> str:
        return self.name(RUN_EVENTS)

    @property
    def runs(self) -> str:
        return self.name(RUNS)

    def installation(self, name: str) -> str:
        """The topic of an installation that is told of its work by one (docs/actions.md)."""
        return f"{self.runs}.{name}"

    @staticmethod
    def dead_letters(topic: str) -> str:
        """The dead-letter topic of a topic's full name."""
        return topic + DEAD_LETTER_SUFFIX
