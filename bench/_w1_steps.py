"""One run of W1 step by step, made by the core alone: what arrives, what is decided, what is published and saved."""

from dataclasses import dataclass

import orjson

from bench import _workload, echo_server
from headrace.contracts.codec import encode_command, encode_event, encode_request, encode_result
from headrace.contracts.entity_change import decode_entity_change
from headrace.core.authoring import dialects
from headrace.core.commands import Command, ReportAttempt, StartRun, Succeeded
from headrace.core.decide import decide
from headrace.core.decision import Decision
from headrace.core.plan import Plan, compile_plan
from headrace.core.run import Causation, LogLine, Run
from headrace.ports.log import Message, Record, TopicPartition
from headrace.ports.stores import StoredRun

RECEIVER = "http://127.0.0.1:28080"
AT = 1_795_338_000_123
"""The instant at which everything happens."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a run. `arrives` is the message that brings it, `before` the run it finds."""

    command: Command
    arrives: Message
    before: Run | None
    decision: Decision
    requests: tuple[Message, ...]
    events: tuple[Message, ...]
    saved: StoredRun


def plan() -> Plan:
    """W1, compiled."""
    definition = dialects.parse(_workload.w1(RECEIVER)).definition
    assert definition is not None
    return compile_plan(definition, 1)


def record_of(message: Message, offset: int = 0) -> Record:
    """The message as a reader gets it."""
    return Record(TopicPartition(message.topic, 0), offset, message.key, message.value, message.headers, AT)


def steps(number: int = 0) -> list[Step]:
    """The three steps of the run that the event with this number starts: its start, and the answer of each webhook."""
    change = decode_entity_change(record_of(_workload.event(number)))
    command: Command = StartRun(
        run_id=_workload.run_of(number), at=AT, workflow=_workload.W1, version=1, trigger=_workload.TRIGGER,
        output=change.event, created_by="headrace:event-trigger",
        causation=Causation(change.event_id, change.causation.root_event_id, 0, ()),
    )  # fmt: skip
    compiled = plan()
    run: Run | None = None
    found: list[Step] = []
    while True:
        decision = decide(compiled, run, command)
        assert decision.run is not None
        assert decision.rejection is None
        assert not decision.questions
        requests = tuple(encode_request(it, _workload.TOPICS) for it in decision.requests)
        events = tuple(encode_event(decision.run, it, _workload.TOPICS) for it in decision.events)
        saved = StoredRun(decision.run, len(found), (*requests, *events), AT)
        arrives = (
            encode_result(command, _workload.TOPICS)
            if isinstance(command, ReportAttempt)
            else encode_command(command, _workload.TOPICS)
        )
        found.append(Step(command, arrives, run, decision, requests, events, saved))
        run = decision.run
        if run.is_over:
            return found
        (request,) = decision.requests
        line = LogLine(AT, "INFO", f"POST {RECEIVER}/changes answered 200 in 12 ms")
        answer = Succeeded({"response": {"status": 200, "data": orjson.loads(echo_server.BODY)}})
        command = ReportAttempt(run.id, AT, request.node, request.node_run_id, request.attempt, answer, (line,))
