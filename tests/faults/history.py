"""What can be read when a fault is over: records of the topics, requests at the receiver, documents of the database.

Nothing here asks the engine's own code. Records are taken apart as docs/events.md says, documents by the few fields
beside the run itself, so that a mistake in the engine's codecs cannot hide itself.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

STARTED = "io.headrace.run.started"
NODE_STARTED = "io.headrace.node.started"
ATTEMPT_STARTED = "io.headrace.attempt.started"
ATTEMPT_FAILED = "io.headrace.attempt.failed"
NODE_COMPLETED = "io.headrace.node.completed"
COMPLETED = "io.headrace.run.completed"

TRIGGERS = ("EVENT_TRIGGER", "SELF_SERVE_TRIGGER")
RESULTS = frozenset({"SUCCESS", "FAILED", "CANCELLED"})
"""What the database calls a run that is over, which is its result."""


@dataclass(frozen=True, slots=True)
class Event:
    """One record of the topic of run events. `id` is its CloudEvents id, `value` its bytes as they lay there."""

    id: str
    partition: int
    offset: int
    value: bytes
    data: Mapping[str, Any]

    @property
    def run_id(self) -> str:
        return str(self.data["runId"])

    @property
    def seq(self) -> int:
        return int(self.data["seq"])

    @property
    def type(self) -> str:
        return str(self.data["type"])

    @property
    def node(self) -> str:
        """The node that it tells of; empty for what happens to the run."""
        return str(self.data.get("node", ""))


@dataclass(slots=True)
class Call:
    """One request at the receiver. `life` is the life of an invoker that made it, known by its signature.

    `at` is when it had come whole, `answered` when its answer had been written (seconds since the epoch). `status` is
    what was answered; None when nothing was, since the caller was gone by then.
    """

    number: int
    at: float
    webhook_id: str
    life: str
    body: str
    answered: float | None = None
    status: int | None = None
    answer: Any = None


@dataclass(frozen=True, slots=True)
class Stored:
    """What the database says of a run, in the fields that lie beside it."""

    id: str
    state: str
    rev: int
    node_runs: frozenset[str]
    unsent: bool
    timers: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run that must come to be, once: of which workflow, about what, by way of which nodes.

    `subject` is a name that only this event, or this start, carries; the run's trigger puts it out again.
    """

    workflow: str
    subject: str
    nodes: frozenset[str]
    result: str = "SUCCESS"


@dataclass(frozen=True, slots=True)
class Takeover:
    """Work in the hands of these lives of invokers, at some moment between these two, may have gone to others.

    A life that was frozen may still make a call that it was about to make, when it thaws.
    """

    lives: frozenset[str]
    since: float
    until: float


@dataclass(slots=True)
class History:
    """All that was read, from the first fault on; it only grows, `stored` and `dead_letters` are read anew."""

    wanted: list[Wanted] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    stored: dict[str, Stored] = field(default_factory=dict)
    dead_letters: list[str] = field(default_factory=list)
    takeovers: list[Takeover] = field(default_factory=list)

    def runs(self) -> dict[str, list[Event]]:
        """Each run's events in the order of their numbers, each number once."""
        runs: dict[str, dict[int, Event]] = defaultdict(dict)
        for event in self.events:
            runs[event.run_id].setdefault(event.seq, event)
        return {run_id: [events[seq] for seq in sorted(events)] for run_id, events in runs.items()}

    def calls_by_id(self) -> dict[str, list[Call]]:
        """The calls under each webhook-id, in the order in which they came."""
        calls: dict[str, list[Call]] = defaultdict(list)
        for call in sorted(self.calls, key=lambda it: it.at):
            calls[call.webhook_id].append(call)
        return calls


@dataclass(frozen=True, slots=True)
class NodeRun:
    """One node of one run that made calls: how often it began, and how it ended."""

    id: str
    node: str
    began: tuple[Event, ...]
    failed: tuple[Event, ...]
    completed: tuple[Event, ...]


def event(headers: Iterable[tuple[str, bytes]], value: bytes, partition: int, offset: int) -> Event:
    """A record of the topic of run events, taken apart."""
    identity = dict(headers)["ce_id"].decode()
    return Event(identity, partition, offset, value, json.loads(value))


def stored(document: Mapping[str, Any]) -> Stored:
    """A run's document, without the run."""
    return Stored(
        document["_id"], document["state"], document["rev"], frozenset(document.get("nodes", ())),
        "outbox" in document or "unsent_since" in document, len(document.get("timers", ())),
    )  # fmt: skip


def node_runs(events: Iterable[Event]) -> list[NodeRun]:
    """The node runs of a run that made calls: those that say that an attempt began."""
    kinds: dict[str, dict[str, list[Event]]] = defaultdict(lambda: defaultdict(list))
    nodes: dict[str, str] = {}
    for it in events:
        identity = it.data.get("nodeRunId")
        if identity is not None:
            kinds[identity][it.type].append(it)
            nodes[identity] = it.node
    return [
        NodeRun(
            identity, nodes[identity], (*found[NODE_STARTED], *found[ATTEMPT_STARTED]), tuple(found[ATTEMPT_FAILED]),
            tuple(found[NODE_COMPLETED]),
        )
        for identity, found in kinds.items()
        if NODE_STARTED in found
    ]  # fmt: skip


def subject_of(events: Iterable[Event]) -> tuple[str, str]:
    """The workflow of a run, and what its trigger says it is about; empty when it does not say."""
    workflow = subject = ""
    for it in events:
        workflow = str(it.data["workflow"])
        if it.type == NODE_COMPLETED and it.data.get("nodeType") in TRIGGERS:
            output = it.data.get("output") or {}
            after = (output.get("diff") or {}).get("after") or {}
            subject = str(after.get("identifier") or output.get("service") or "")
    return workflow, subject
