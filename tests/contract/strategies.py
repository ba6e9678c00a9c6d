"""Hypothesis strategies: commands, requests, and histories of runs as the core could make them."""

from dataclasses import replace
from typing import Any, TypeVar

from hypothesis import strategies as st

from headrace.core.commands import (
    Accepted,
    CancelRun,
    Carried,
    Command,
    Failed,
    FireTimer,
    InvokeNode,
    Origin,
    ReportAttempt,
    ReportChild,
    ReportNode,
    RespondNode,
    StartRun,
    Succeeded,
)
from headrace.core.events import (
    AttemptFailed,
    AttemptStarted,
    ChildCompleted,
    ChildrenStarted,
    Event,
    NodeAccepted,
    NodeCompleted,
    NodeReported,
    NodeStarted,
    PollStarted,
    RunCancelling,
    RunCompleted,
    RunStarted,
    apply,
)
from headrace.core.json import Json, JsonObject
from headrace.core.run import Causation, Children, LogLine, NodeRun, Parent, Run, Timer
from headrace.ports.log import Headers, Message, Record, TopicPartition

_T = TypeVar("_T")

texts = st.text(max_size=12)
names = st.text(min_size=1, max_size=8)
counts = st.integers(min_value=0, max_value=2**31)
instants = st.integers(min_value=0, max_value=253_402_300_799_999)
numbers = st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
json_values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
json_objects: st.SearchStrategy[JsonObject] = st.dictionaries(texts, json_values, max_size=4)

results = st.sampled_from(["SUCCESS", "FAILED", "CANCELLED"])
levels = st.sampled_from(["DEBUG", "INFO", "WARN", "ERROR"])
tags = st.dictionaries(texts, texts, max_size=2).map(lambda tags: tuple(tags.items()))
log_lines = st.builds(LogLine, instants, levels, texts, tags)
traceparents = st.none() | st.just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
causations = st.builds(Causation, texts, texts, counts, st.lists(texts, max_size=3).map(tuple), traceparents)
edges = st.dictionaries(st.integers(min_value=0, max_value=99), st.booleans(), max_size=3)
seconds = st.none() | st.floats(min_value=0, max_value=1e9)


def tuples(items: st.SearchStrategy[_T]) -> st.SearchStrategy[tuple[_T, ...]]:
    return st.lists(items, max_size=2).map(tuple)


def optional(values: st.SearchStrategy[_T]) -> st.SearchStrategy[_T | None]:
    return st.none() | values


parents = st.none() | st.builds(Parent, texts, texts, counts)
carried = st.builds(
    Carried,
    texts,
    texts,
    results,
    optional(json_objects),
    json_values,
    optional(texts),
    optional(texts),
    optional(texts),
    tuples(texts),
)
plain_starts = st.builds(StartRun, texts, instants, texts, counts, texts, json_objects, texts, causations)
starts = plain_starts | st.builds(
    StartRun,
    texts,
    instants,
    texts,
    counts,
    texts,
    json_objects,
    texts,
    causations,
    parents,
    optional(texts),
    tuples(carried),
)
failures = st.builds(
    Failed,
    st.sampled_from(["refused", "invalid", "connection", "timeout", "status", "unsupported", "unknown-outcome"]),
    texts,
    st.booleans(),
    optional(json_objects),
    seconds,
)
accepted = st.builds(Accepted, json_objects) | st.builds(
    Accepted, json_objects, optional(texts), optional(tuples(texts)), seconds, optional(json_objects)
)
outcomes = st.builds(Succeeded, json_objects) | accepted | failures
polls = st.just(0) | counts
attempts = st.builds(ReportAttempt, texts, instants, texts, texts, counts, outcomes, tuples(log_lines), polls)
reports = st.builds(
    ReportNode,
    texts,
    instants,
    texts,
    texts,
    optional(st.sampled_from(["IN_PROGRESS", "COMPLETED"])),
    optional(results),
    optional(json_objects),
    tuples(log_lines),
    optional(texts),
    optional(tuples(texts)),
    texts,
)
timer_fires = st.builds(FireTimer, texts, instants, texts)
cancels = st.builds(CancelRun, texts, instants, texts, st.booleans())
responses = st.builds(RespondNode, texts, instants, texts, texts, texts, json_objects)
child_reports = st.builds(ReportChild, texts, instants, texts, counts, results, optional(json_objects), optional(texts))
commands: st.SearchStrategy[Command] = starts | attempts | reports | timer_fires | cancels | child_reports | responses
origins = st.builds(Origin, texts, texts, instants, instants)
poll_numbers = st.integers(min_value=1, max_value=2**31)
request_polls = st.just((0, None)) | st.tuples(poll_numbers, optional(json_objects))
plain_requests = st.builds(
    InvokeNode,
    texts,
    texts,
    texts,
    counts,
    texts,
    texts,
    counts,
    texts,
    json_values,
    st.booleans(),
    st.sampled_from(["fail", "continue"]),
    seconds,
    st.sampled_from(["at_least_once", "at_most_once"]),
    causations,
)
requests = st.builds(
    lambda request, poll, origin: replace(request, poll=poll[0], poll_state=poll[1], origin=origin),
    plain_requests,
    request_polls,
    optional(origins),
)
headers: st.SearchStrategy[Headers] = tuples(st.tuples(texts, st.binary(max_size=12)))
messages = st.builds(Message, texts, texts, optional(st.binary(max_size=64)), headers)


def record(message: Message, offset: int = 0) -> Record:
    """The message as a consumer gets it."""
    return Record(TopicPartition(message.topic, 0), offset, message.key, message.value, message.headers, 0)


def raw(value: bytes | None, headers: Headers = ()) -> Record:
    return Record(TopicPartition("headrace.test.v1", 0), 7, "key", value, headers, 1_795_338_000_123)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """The events of one run, in any order that its fold allows."""
    started = draw(
        st.builds(
            RunStarted,
            st.just(1),
            instants,
            texts,
            texts,
            counts,
            texts,
            texts,
            texts,
            causations,
            edges,
            parents,
            optional(texts),
        )
    )
    events: list[Event] = [started]
    run = apply(None, started)
    for _ in range(draw(st.integers(min_value=0, max_value=6))):
        event = draw(_next_event(run))
        events.append(event)
        run = apply(run, event)
    return events


def _next_event(run: Run) -> st.SearchStrategy[Any]:
    seq = st.just(run.seq + 1)
    working = [node.node for node in run.in_progress()]
    fresh = names.filter(lambda name: name not in run.nodes)
    choices: list[st.SearchStrategy[Any]] = [
        st.builds(RunCancelling, seq, instants, texts),
        st.builds(RunCompleted, seq, instants, results),
        fresh.flatmap(lambda node: _completed(seq, st.just(node))),
        fresh.flatmap(
            lambda node: st.builds(
                NodeStarted,
                seq,
                instants,
                st.just(node),
                texts,
                texts,
                json_values,
                st.sampled_from(["running", "waiting"]),
                tuples(_timers(node)),
                optional(st.lists(json_values, max_size=3).map(lambda items: Children(len(items), tuple(items)))),
            )
        ),
    ]
    choices.extend(_child_event(seq, node) for node in run.in_progress() if node.children and node.children.items)
    if working:
        node = st.sampled_from(working)
        timer = node.flatmap(_timers)
        links = optional(tuples(texts))
        choices += [
            _completed(seq, node),
            st.builds(NodeAccepted, seq, instants, node, json_objects, tuples(log_lines)),
            st.builds(
                NodeAccepted,
                seq,
                instants,
                node,
                json_objects,
                tuples(log_lines),
                optional(texts),
                links,
                optional(timer),
                optional(json_objects),
            ),
            st.builds(PollStarted, seq, instants, node, counts, counts),
            st.builds(
                NodeReported,
                seq,
                instants,
                node,
                texts,
                optional(json_objects),
                tuples(log_lines),
                optional(texts),
                links,
            ),
            st.builds(AttemptFailed, seq, instants, node, counts, texts, timer, tuples(log_lines)),
            st.builds(AttemptStarted, seq, instants, node, counts, tuples(timer)),
        ]
    return st.one_of(choices)


def _child_event(seq: st.SearchStrategy[int], node: NodeRun) -> st.SearchStrategy[Any]:
    """The next of a node run's child runs is started, or one of them is over."""
    assert node.children is not None
    index = st.integers(0, node.children.started)
    return st.builds(ChildrenStarted, seq, instants, st.just(node.node), st.just(1)) | st.builds(
        ChildCompleted,
        seq,
        instants,
        st.just(node.node),
        index,
        results,
        json_values,
        counts,
        st.booleans(),
        optional(texts),
    )


def _timers(node: str) -> st.SearchStrategy[Timer]:
    return st.builds(Timer, texts, st.just(node), counts, st.sampled_from(["retry", "deadline", "poll"]), instants)


@st.composite
def _completed(draw: st.DrawFn, seq: st.SearchStrategy[int], node: st.SearchStrategy[str]) -> NodeCompleted:
    output = draw(optional(json_objects))
    stored = draw(st.just(output) | json_values)
    return draw(
        st.builds(
            NodeCompleted, seq, instants, node, texts, texts, results, st.just(output), st.just(stored),
            optional(texts), optional(texts), optional(texts), optional(texts), optional(tuples(texts)),
            tuples(log_lines), optional(texts), edges, st.booleans(),
        )
    )  # fmt: skip
