"""One sample of every message: what the golden files hold, as the core's own objects.

`python -m tests.contract.samples` writes the golden files that are missing. One that exists is never written again:
it stands for what an older release left in a topic.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headrace.contracts import codec
from headrace.contracts.action_message import ActionMessage, action_message
from headrace.contracts.entity_change import decode_entity_change, encode_entity_change
from headrace.contracts.topics import TopicNames
from headrace.core import events
from headrace.core.commands import (
    Accepted,
    AdmitRun,
    CancelRun,
    Carried,
    Command,
    Failed,
    FireTimer,
    InvokeNode,
    LeaveGate,
    Origin,
    ReportAttempt,
    ReportChild,
    ReportNode,
    RespondNode,
    StartRun,
    Succeeded,
)
from headrace.core.json import JsonObject
from headrace.core.run import Causation, Children, LogLine, Parent, Run, Timer
from headrace.ports.log import Message, Record, TopicPartition

GOLDEN = Path(__file__).parent / "golden"
NAMES = TopicNames()
AT = 1_795_338_000_123
RUN = "wfr_k3J9sQ0aZx81LmNp"
NODE_RUN = "wfnr_aB3dE5fG7hI9jK1l"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CAUSE = Causation("evt_0123456789abcdef", "evt_fedcba9876543210", 2, ("first", "second"))
TRACED = replace(CAUSE, traceparent=TRACE)
LOGS = (LogLine(AT, "INFO", "POST https://example.com/hooks/1 answered 200", (("status", "200"),)),)
DEADLINE = Timer(f"{NODE_RUN}:1:deadline", "ask", 1, "deadline", AT + 30_000)
RETRY = Timer(f"{NODE_RUN}:1:retry", "ask", 1, "retry", AT + 1_500)
CONFIG: JsonObject = {"type": "WEBHOOK", "url": "https://example.com/hooks/1", "body": {"service": "billing"}}
ANSWER: JsonObject = {"response": {"status": 200, "data": {"ticket": "T-9", "done": True, "share": 0.5}}}
ENTITY: JsonObject = {
    "identifier": "billing",
    "title": "Billing",
    "icon": None,
    "blueprint": "service",
    "team": ["pay"],
    "properties": {"tier": "gold", "größe": 3},
    "relations": {"domain": "money", "owners": ["u_1", "u_2"]},
    "createdAt": "2026-01-01T00:00:00.000Z",
    "createdBy": "u_1",
    "updatedAt": "2026-11-22T08:59:58.400Z",
    "updatedBy": "u_7",
}
EVENT: JsonObject = {
    "action": "UPDATE",
    "resourceType": "entity",
    "status": "SUCCESS",
    "trigger": {"by": {"orgId": "org_1", "userId": "u_7"}, "origin": "UI", "at": "2026-11-22T08:59:58.477Z"},
    "context": {"blueprintIdentifier": "service", "entityIdentifier": "billing", "propertyIdentifier": None},
    "diff": {"before": {**ENTITY, "properties": {"tier": "silver", "größe": 3}}, "after": ENTITY},
}
_STARTED = events.RunStarted(
    1, AT, RUN, "restart_service", 3, "start", "EVENT_TRIGGER", "headrace", CAUSE, {0: True, 4: False}
)
_NODE_STARTED = events.NodeStarted(3, AT, "ask", NODE_RUN, "WEBHOOK", CONFIG, "running", (DEADLINE,))
HISTORY: dict[str, events.Event] = {
    "run-started": _STARTED,
    "node-completed": events.NodeCompleted(
        2,
        AT,
        "start",
        "wfnr_0000000000000000",
        "EVENT_TRIGGER",
        "SUCCESS",
        EVENT,
        {"service": "billing"},
        edges={1: True},
        run_label="billing",
    ),
    "node-started": _NODE_STARTED,
    "node-accepted": events.NodeAccepted(4, AT, "ask", {"accepted": True}, LOGS),
    "node-reported": events.NodeReported(5, AT, "ask", "r1", {"step": 2}, LOGS, "ext-1", ("https://example.com/1",)),
    "attempt-failed": events.AttemptFailed(6, AT, "ask", 1, "answered 503", RETRY, LOGS),
    "attempt-started": events.AttemptStarted(7, AT, "ask", 2, (DEADLINE,)),
    "run-cancellation-requested": events.RunCancelling(8, AT, "u_7"),
    "run-completed": events.RunCompleted(9, AT, "CANCELLED"),
}

FOLLOWED = Accepted({"workflowRunId": 4711}, "gh_1_2_4711", ("https://example.com/1",), 10.0, {"run": 4711})
POLLED: dict[str, events.Event] = {
    "node-accepted-followed": events.NodeAccepted(
        4, AT, "ask", {"workflowRunId": 4711}, LOGS, "gh_1_2_4711", ("https://example.com/1",),
        Timer(f"{NODE_RUN}:1:poll1", "ask", 1, "poll", AT + 10_000), {"run": 4711},
    ),
    "poll-started": events.PollStarted(5, AT, "ask", 1, 1),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """`expected` is what `decode` must make of the message, in this release and in every later one."""

    message: Message
    decode: Callable[[Record], Any]
    expected: Any


def run() -> Run:
    """The run after the whole history."""
    run = events.fold(None, HISTORY.values())
    assert run is not None
    return run


def samples() -> dict[str, Sample]:
    """By the name of the golden file."""
    made: dict[str, Sample] = {}
    commands: dict[str, Command] = {
        "start-run": StartRun(RUN, AT, "restart_service", 3, "start", EVENT, "headrace", CAUSE),
        "respond-node": RespondNode(RUN, AT, NODE_RUN, "u_7", "approve", {"reason": "fine"}),
        "cancel-run": CancelRun(RUN, AT, "u_7", True),
        "fire-timer": FireTimer(RUN, AT, DEADLINE.id),
        "report-node": ReportNode(
            RUN,
            AT,
            NODE_RUN,
            "worker",
            "COMPLETED",
            "SUCCESS",
            {"done": 1},
            LOGS,
            "ext-1",
            ("https://example.com/1",),
            "r1",
        ),
        "attempt-result": ReportAttempt(RUN, AT, "ask", NODE_RUN, 1, Succeeded(ANSWER), LOGS),
        "attempt-result-failed": ReportAttempt(
            RUN, AT, "ask", NODE_RUN, 1, Failed("status", "answered 503", True, {"response": {"status": 503}}, 2.5)
        ),
    }
    for name, command in commands.items():
        made[name] = Sample(codec.encode_command(command, NAMES, TRACE), codec.decode_command, command)
    request = InvokeNode(
        f"{NODE_RUN}:1", RUN, "restart_service", 3, "ask", NODE_RUN, 1, "WEBHOOK", CONFIG, True, "fail", 30.0,
        "at_least_once", CAUSE,
    )  # fmt: skip
    made |= _polled()
    made |= _lineage()
    made["kafka-action"] = _kafka_action(poll_request())
    made["invoke-node"] = Sample(codec.encode_request(request, NAMES, TRACE), codec.decode_request, request)
    start = StartRun(RUN, AT, "restart_service", 3, "start", {}, "headrace", TRACED)
    made["start-run-traced"] = Sample(codec.encode_command(start, NAMES), codec.decode_command, start)
    request = replace(request, causation=TRACED)
    made["invoke-node-traced"] = Sample(codec.encode_request(request, NAMES), codec.decode_request, request)
    started = replace(_STARTED, causation=TRACED)
    message = codec.encode_event(replace(run(), causation=TRACED), started, NAMES)
    made["run-started-traced"] = Sample(message, codec.decode_event, started)
    for name, event in HISTORY.items():
        made[name] = Sample(codec.encode_event(run(), event, NAMES, TRACE), codec.decode_event, event)
    change = encode_entity_change(EVENT, "change-1", "/headrace/catalog", AT, NAMES, CAUSE, "third", TRACE)
    made["entity-change"] = Sample(change, decode_entity_change, decode_entity_change(record(change)))
    return made


def _polled() -> dict[str, Sample]:
    """What accepted work that is polled adds."""
    made: dict[str, Sample] = {}
    answers = {
        "attempt-result-followed": ReportAttempt(RUN, AT, "ask", NODE_RUN, 1, FOLLOWED, LOGS),
        "attempt-result-of-a-poll": ReportAttempt(RUN, AT, "ask", NODE_RUN, 1, Succeeded(ANSWER), LOGS, 3),
    }
    for name, answer in answers.items():
        made[name] = Sample(codec.encode_command(answer, NAMES, TRACE), codec.decode_command, answer)
    poll = poll_request()
    made["invoke-node-poll"] = Sample(codec.encode_request(poll, NAMES, TRACE), codec.decode_request, poll)
    for name, event in POLLED.items():
        made[name] = Sample(codec.encode_event(run(), event, NAMES, TRACE), codec.decode_event, event)
    return made


PARENT = Parent("wfr_0000000000000000", "wfnr_1111111111111111", 4)
FANNED: dict[str, events.Event] = {
    "run-started-child": replace(_STARTED, parent=PARENT),
    "run-started-rerun": replace(_STARTED, rerun_of="wfr_2222222222222222"),
    "node-started-for-each": replace(
        _NODE_STARTED, type="FOR_EACH", phase="waiting", children=Children(2, ({"name": "billing"}, {"name": "shop"}))
    ),
    "children-started": events.ChildrenStarted(4, AT, "ask", 2),
    "child-completed": events.ChildCompleted(5, AT, "ask", 0, "SUCCESS", {"do": ANSWER}, 88),
    "child-completed-failed": events.ChildCompleted(6, AT, "ask", 1, "FAILED", error="Node do: answered 500"),
    "node-completed-carried": events.NodeCompleted(
        3, AT, "ask", NODE_RUN, "WEBHOOK", "SUCCESS", ANSWER, ANSWER, edges={1: True}, carried=True
    ),
}


def _lineage() -> dict[str, Sample]:
    """What child runs and re-runs add."""
    made: dict[str, Sample] = {}
    start = StartRun(RUN, AT, "restart_service", 0, "", {"service": "billing"}, "u_7", CAUSE, PARENT)
    carried = Carried("ask", "WEBHOOK", "SUCCESS", ANSWER, {"ticket": "T-9"}, links=("https://example.com/1",))
    again = StartRun(
        RUN, AT, "restart_service", 3, "start", {}, "u_7", CAUSE, rerun_of="wfr_2222222222222222", carried=(carried,)
    )
    commands: dict[str, Command] = {
        "start-run-child": start,
        "start-run-again": again,
        "report-child": ReportChild(RUN, AT, NODE_RUN, 4, "SUCCESS", {"do": ANSWER}),
        "report-child-failed": ReportChild(RUN, AT, NODE_RUN, 4, "FAILED", error="Node do: answered 500"),
    }
    for name, command in commands.items():
        made[name] = Sample(codec.encode_command(command, NAMES, TRACE), codec.decode_command, command)
    made |= _gated()
    for name, event in FANNED.items():
        made[name] = Sample(codec.encode_event(run(), event, NAMES, TRACE), codec.decode_event, event)
    return made


GATE = "wfg_3333333333333333"


def _gated() -> dict[str, Sample]:
    """What runs behind a gate add."""
    held = StartRun(RUN, AT, "restart_service", 3, "start", EVENT, "headrace", CAUSE, gate=GATE, held=True)
    admitted = AdmitRun(RUN, AT)
    left = LeaveGate(GATE, RUN, AT)
    started = replace(_STARTED, gate=GATE)
    return {
        "start-run-held": Sample(codec.encode_command(held, NAMES, TRACE), codec.decode_command, held),
        "admit-run": Sample(codec.encode_command(admitted, NAMES, TRACE), codec.decode_command, admitted),
        "leave-gate": Sample(codec.encode_command(left, NAMES, TRACE), codec.decode_leave, left),
        "run-started-gated": Sample(codec.encode_event(run(), started, NAMES, TRACE), codec.decode_event, started),
    }


def poll_request() -> InvokeNode:
    return InvokeNode(
        f"{NODE_RUN}:1:3", RUN, "restart_service", 3, "ask", NODE_RUN, 1, "GITHUB", CONFIG, False, "fail", 30.0,
        "at_least_once", CAUSE, 3, {"run": 4711}, Origin("u_7", "SELF_SERVE_TRIGGER", AT - 2_000, AT - 1_000),
    )  # fmt: skip


def _kafka_action(request: InvokeNode) -> Sample:
    """Without `v`: its shape is Port's, and consumers of Port read it."""
    data = action_message(request, {"op": "restart"}, "org_1")
    data["headers"] = {"X-Port-Signature": "v1,c2lnbmF0dXJl", "X-Port-Timestamp": AT // 1000}
    headers = (("webhook-id", NODE_RUN.encode()),)
    return Sample(Message(NAMES.runs, NODE_RUN, json.dumps(data).encode(), headers), _read_action, _action(data))


def _read_action(record: Record) -> ActionMessage:
    return _action(json.loads(record.value or b""))


def _action(data: JsonObject) -> ActionMessage:
    return ActionMessage.model_validate(data)


def record(message: Message) -> Record:
    return Record(TopicPartition(message.topic, 0), 1, message.key, message.value, message.headers, AT)


def golden_files() -> dict[str, Path]:
    return {path.name.removesuffix(".v1.json"): path for path in sorted(GOLDEN.glob("*.v1.json"))}


def read(path: Path) -> Message:
    """The message in a golden file."""
    golden = json.loads(path.read_text(encoding="utf-8"))
    value = json.dumps(golden["value"], ensure_ascii=False).encode()
    headers = tuple((name, text.encode()) for name, text in golden["headers"].items())
    return Message(golden["topic"], golden["key"], value, headers)


def write_missing() -> None:
    GOLDEN.mkdir(exist_ok=True)
    for name, sample in samples().items():
        path = GOLDEN / f"{name}.v1.json"
        if path.exists():
            continue
        message = sample.message
        golden = {
            "topic": message.topic,
            "key": message.key,
            "headers": {name: value.decode() for name, value in message.headers},
            "value": json.loads(message.value or b""),
        }
        path.write_text(json.dumps(golden, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_missing()
