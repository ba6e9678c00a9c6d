"""Microseconds of pure functions on the values of W1: templates, decisions, messages, documents."""

import json
import timeit
from collections.abc import Callable

from bench import _w1_steps, _workload
from headrace.adapters.mongo import run_documents
from headrace.contracts.codec import (
    decode_command,
    decode_request,
    decode_result,
    encode_command,
    encode_event,
    encode_request,
    encode_result,
)
from headrace.contracts.documents import decode_run, encode_run, pack, unpack
from headrace.contracts.entity_change import decode_entity_change
from headrace.core.commands import ReportAttempt
from headrace.core.decide import decide
from headrace.core.json import JsonObject
from headrace.core.template import compile_template
from headrace.runtime import process

_ROUNDS = 7
_SECONDS = 0.05


def microseconds(call: Callable[[], object]) -> float:
    """The best of some rounds."""
    timer = timeit.Timer(call)
    times, taken = timer.autorange()
    times = max(1, int(times * _SECONDS / taken))
    return min(timer.repeat(_ROUNDS, times)) / times * 1e6


def templates() -> dict[str, float]:
    """The bodies of W1's two webhooks, two blocks each."""
    steps = _w1_steps.steps()
    event = decode_entity_change(_w1_steps.record_of(_workload.event(0))).event
    root: JsonObject = {"outputs": {"trigger": event, "open": {"change": "CHG-20481", "approved": True}}}
    assert steps[-1].decision.run is not None
    found = {}
    nodes = _workload.w1(_w1_steps.RECEIVER)["nodes"]
    assert isinstance(nodes, list)
    for node in nodes:
        assert isinstance(node, dict)
        config = node["config"]
        assert isinstance(config, dict)
        if config["type"] == "WEBHOOK":
            template = compile_template(config["body"])
            found[f"render the body of {node['identifier']}"] = microseconds(lambda it=template: it.render(root))  # type: ignore[misc]
    return found


def decisions() -> dict[str, float]:
    """Each of the three decisions of a run, and all of them."""
    plan, found = _w1_steps.plan(), {}
    for step, name in zip(_w1_steps.steps(), ("start", "first answer", "last answer"), strict=True):
        call = lambda it=step: decide(plan, it.before, it.command)  # noqa: E731 - a value, not a name
        found[f"decide: {name}"] = microseconds(call)
    return {**found, "decide: a whole run": sum(found.values())}


def messages() -> dict[str, float]:
    """Every kind of message, written and read; events: the nine of a run."""
    names = _workload.TOPICS
    start, first, last = _w1_steps.steps()
    (request,) = start.decision.requests
    command, result, asked = map(_w1_steps.record_of, (start.arrives, first.arrives, start.requests[0]))
    entity = _w1_steps.record_of(_workload.event(0))
    answer = first.command
    assert isinstance(answer, ReportAttempt)
    emitted = [(step.decision.run, event) for step in (start, first, last) for event in step.decision.events]
    return {
        "decode an entity event": microseconds(lambda: decode_entity_change(entity)),
        "encode a start command": microseconds(lambda: encode_command(start.command, names)),
        "decode a start command": microseconds(lambda: decode_command(command)),
        "encode a request": microseconds(lambda: encode_request(request, names)),
        "decode a request": microseconds(lambda: decode_request(asked)),
        "encode a result": microseconds(lambda: encode_result(answer, names)),
        "decode a result": microseconds(lambda: decode_result(result)),
        "encode the events of a run": microseconds(
            lambda: [encode_event(run, event, names) for run, event in emitted if run is not None]
        ),
    }


def documents() -> dict[str, float]:
    """The documents of a run: its three saves together, and one of them read."""
    steps = _w1_steps.steps()
    stored = steps[1].saved
    run, outbox = encode_run(stored.run), pack(stored.outbox)
    return {
        "encode the saves of a run": microseconds(lambda: [run_documents.encode(it.saved, 1, 0) for it in steps]),
        "decode a run": microseconds(lambda: decode_run(run)),
        "decode an outbox": microseconds(lambda: unpack(outbox)),
    }


def main() -> None:
    """Print the figures as JSON."""
    process.settle()
    print(json.dumps({**templates(), **decisions(), **messages(), **documents()}))


if __name__ == "__main__":
    main()
