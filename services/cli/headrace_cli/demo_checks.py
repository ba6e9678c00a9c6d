"""What the demo's receiver should have got, and whether it did: the demo's verdict. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headrace_cli.client import JsonDict
from headrace_cli.demo_receiver import Received


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold. `detail` says what was found instead, when it does not."""

    claim: str
    holds: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one event: the results of the runs that it started."""

    subject: str
    results: tuple[str, ...]


def outcome_checks(outcomes: Sequence[Outcome], fired: int) -> list[Check]:
    """Whether the first `fired` events started one successful run each, and the others none."""
    expected = [("SUCCESS",)] * fired + [()] * (len(outcomes) - fired)
    wrong = [
        f"{each.subject}: {', '.join(each.results) or 'no run'}"
        for each, results in zip(outcomes, expected, strict=True)
        if each.results != results
    ]
    claim = f"{fired} of {len(outcomes)} events started a run, one each, and both succeeded"
    return [Check(claim, not wrong, "; ".join(wrong))]


def receiver_checks(received: Sequence[Received], promoted: JsonDict, noted: JsonDict) -> list[Check]:
    """Judge the record. `promoted` is the event of the service in production, `noted` that of the other one."""
    record = _Record(received)
    service, team = _after(promoted)["identifier"], _after(promoted)["team"][0]
    opened = record.of("POST", "/changes")
    ticket = _answered(opened, "ticketId")
    limits = record.of("PUT", f"/limits/{service}")
    messages = record.of("POST", f"/channels/{team}/messages")
    message = _answered(messages, "messageId")
    closed = record.of("PATCH", f"/changes/{ticket}")
    notes = record.of("POST", "/notes")
    return [
        _bodies("one change was opened, with the values of the event", opened, [_change_body(promoted)]),
        _retried(limits, {"requestsPerSecond": 5000, "ticket": ticket}),
        _bodies("the team was told once, with the ticket", messages, [{"text": f"{service} becomes gold: {ticket}"}]),
        _bodies(
            "the change was closed once, with what both branches answered", closed,
            [{"status": "done", "requestsPerSecond": 5000, "announcedIn": message}],
        ),
        _after_both(record, closed, [*limits, *messages]),
        _bodies(f"{_after(noted)['identifier']} was only written down", notes, [_note_body(noted)]),
        _nothing_else(received, [*opened, *limits, *messages, *closed, *notes]),
        _signatures(received),
    ]  # fmt: skip


class _Record:
    def __init__(self, received: Sequence[Received]) -> None:
        self._received = received

    def of(self, method: str, path: str) -> list[Received]:
        return [each for each in self._received if (each.method, each.path) == (method, path)]

    def place(self, request: Received) -> int:
        return next(index for index, each in enumerate(self._received) if each is request)


def _bodies(claim: str, requests: Sequence[Received], expected: Sequence[Any]) -> Check:
    found = [request.body for request in requests]
    return Check(claim, found == list(expected), f"expected {list(expected)}, got {found}")


def _retried(requests: Sequence[Received], body: JsonDict) -> Check:
    claim = "the flaky gateway answered 503, was called again with the same webhook-id and body, and took it"
    statuses = [request.status for request in requests]
    identifiers = {request.webhook_id for request in requests}
    same = len({request.raw for request in requests}) == 1
    holds = statuses == [503, 200] and len(identifiers) == 1 and same and requests[0].body == body
    found = f"expected {body}; got answers {statuses}, webhook-ids {sorted(identifiers)}, bodies " + str(
        [request.body for request in requests]
    )
    return Check(claim, holds, found)


def _after_both(record: _Record, closed: Sequence[Received], before: Sequence[Received]) -> Check:
    claim = "it was closed after both branches had ended"
    if not closed or not before:
        return Check(claim, False, "the change was never closed" if before else "no branch called the receiver")
    last, first = max(record.place(each) for each in before), min(record.place(each) for each in closed)
    return Check(claim, last < first, f"request {first + 1} closed it, request {last + 1} came later")


def _nothing_else(received: Sequence[Received], known: Sequence[Received]) -> Check:
    strangers = [f"{each.method} {each.path}" for each in received if not any(each is other for other in known)]
    identifiers = {each.webhook_id for each in known}
    paths = {(each.method, each.path) for each in known}
    claim = f"nothing else was called, and each of {len(paths)} node runs has its own webhook-id"
    holds = not strangers and len(identifiers) == len(paths)
    return Check(claim, holds, f"also called: {strangers}; webhook-ids: {sorted(identifiers)}")


def _signatures(received: Sequence[Received]) -> Check:
    bad = [f"{each.method} {each.path}" for each in received if not each.signed]
    claim = f"all {len(received)} signatures are valid"
    return Check(claim, bool(received) and not bad, f"not signed by us: {bad}" if bad else "nothing was received")


def _change_body(event: JsonDict) -> JsonDict:
    service = _after(event)["identifier"]
    return {
        "summary": f"Promote {service} to gold",
        "service": service,
        "from": event["diff"]["before"]["properties"]["tier"],
        "to": "gold",
        "requestedBy": event["trigger"]["by"]["userId"],
    }


def _note_body(event: JsonDict) -> JsonDict:
    entity = _after(event)
    lifecycle = entity["properties"]["lifecycle"]
    return {"text": f"{entity['identifier']} is gold but {lifecycle}: limits unchanged"}


def _answered(requests: Sequence[Received], field: str) -> Any:
    return requests[0].answer.get(field) if requests else None


def _after(event: JsonDict) -> JsonDict:
    entity: JsonDict = event["diff"]["after"]
    return entity
