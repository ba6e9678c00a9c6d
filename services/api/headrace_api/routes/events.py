"""Entity events: publish one, and ask why triggers did or did not fire (spec 2.2, 11.1)."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from headrace.adapters.clock import random_id
from headrace.contracts import cloudevents, entity_change
from headrace.contracts.entity_change import BadEventError, EntityChange
from headrace.contracts.envelope import TRACEPARENT, trace_headers
from headrace.core.errors import Problem
from headrace.core.json import Json, JsonObject
from headrace.ports.log import Message, Record, TopicPartition
from headrace.ports.stores import COUNTED, LedgerEntry
from headrace_api import presenters
from headrace_api.access import require_operator
from headrace_api.context import Context, context_of, query_of
from headrace_api.operations import operation
from headrace_api.parameters import LIMIT, Parameter
from headrace_api.problems import ApiError
from headrace_api.reading import Body, read_body, read_trace
from headrace_api.responses import answer, dump

router = APIRouter(prefix="/v1", tags=["events"])

SOURCE = "urn:headrace:api"
"""The CloudEvents source of events that come as bare objects."""

_BODY_ERRORS = ("malformed_json", "body_too_large", "unsupported_media_type", "forbidden", "invalid_event")
_LEDGER = (
    Parameter("blueprint", "Only events of this blueprint.", example="service"),
    Parameter("entity", "Only events of this entity.", example="billing"),
    Parameter("workflow", "Only events for which a trigger of this workflow was judged."),
    LIMIT,
)


_COUNTS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class _Event:
    """An event as it goes to the log, and what it says."""

    message: Message
    change: EntityChange


@router.post(
    "/events",
    **operation(
        "Publish an entity change",
        "EventAnswer",
        status=202,
        body="Event",
        headers=(TRACEPARENT,),
        errors=(*_BODY_ERRORS, "unavailable"),
    ),
)
async def publish_event(request: Request) -> Response:
    """Tell the engine that an entity changed: what event triggers listen to.

    The body is the object of spec 11.1, or a CloudEvent in structured mode that holds one as its data. Events with the
    same CloudEvents id and source (or the same `eventId`) count once. GET /v1/events/{eventId}/explain says what came
    of it.
    """
    require_operator(request, "Publishing events")
    context = context_of(request)
    event = _read(context, await read_body(request, context.settings.body_limit_bytes), read_trace(request))
    await context.ports.log.publish([event.message])
    location = {"location": f"/v1/events/{event.change.event_id}/explain"}
    return answer({"eventId": event.change.event_id}, 202, location)


@router.post(
    "/events/explain",
    **operation("Try an event", "MatchesAnswer", body="Event", errors=(*_BODY_ERRORS, "not_found")),
)
async def try_event(request: Request) -> Response:
    """Say of every trigger that listens to such events whether it would fire, and why. Nothing is published."""
    require_operator(request, "Trying events")
    context = context_of(request)
    event = _read(context, await read_body(request, context.settings.body_limit_bytes))
    if context.ports.explainer is None:
        raise ApiError("not_found", "This service runs without the trigger's reasoning; ask one that has it.")
    return answer({"triggers": await context.ports.explainer.would_match(event.change.event)})


_OF_WORKFLOW = (Parameter("workflow", "Only what triggers of this workflow said."),)


@router.get(
    "/events/{event_id}/decisions",
    **operation(
        "Explain an event (alias)", "ExplainAnswer", parameters=_OF_WORKFLOW, errors=("forbidden", "not_found")
    ),
)
async def decisions_on_event(request: Request) -> Response:
    """The same as GET /v1/events/{event_id}/explain."""
    return await explain_event(request)


@router.get(
    "/events/{event_id}/explain",
    **operation("Explain an event", "ExplainAnswer", parameters=_OF_WORKFLOW, errors=("forbidden", "not_found")),
)
async def explain_event(request: Request) -> Response:
    """Why each trigger did or did not fire for a past event, with what its expressions gave and the values they saw.

    Triggers are listed that listen to another blueprint, or are not published, too.
    """
    event_id: str = request.path_params["event_id"]
    require_operator(request, "Explaining events")
    ports = context_of(request).ports
    explained = await ports.explainer.explain(event_id) if ports.explainer is not None else None
    if explained is None:
        entry = await ports.ledger.find(event_id)
        explained = presenters.ledger_entry(entry) if entry is not None else None
    if explained is None:
        raise ApiError("not_found", _unknown(event_id, await ports.ledger.query(workflow=COUNTED, limit=_COUNTS_SHOWN)))
    workflow, verdicts = query_of(request)["workflow"], explained.get("verdicts")
    if workflow is not None and isinstance(verdicts, list):
        of_it: list[Json] = [it for it in verdicts if isinstance(it, dict) and it.get("workflow") == workflow]
        explained = {**explained, "verdicts": of_it}
    return answer({"explanation": explained})


@router.get("/ledger", **operation("List considered events", "LedgerAnswer", parameters=_LEDGER, errors=("forbidden",)))
async def list_ledger(request: Request) -> Response:
    """What became of the events that triggers looked at, newest first."""
    require_operator(request, "The ledger")
    query = query_of(request)
    entries = await context_of(request).ports.ledger.query(
        blueprint=query["blueprint"], entity=query["entity"], workflow=query["workflow"], limit=query["limit"]
    )
    return answer({"entries": [presenters.ledger_entry(entry) for entry in entries]})


def _unknown(event_id: str, counts: Sequence[LedgerEntry]) -> str:
    """Why there is no entry of an event. `counts` are the last entries about events that were counted, not kept."""
    message = f'Nothing is known of an event "{event_id[:100]}": it has not been read yet, or is older than the ledger'
    if not counts:
        return f"{message} keeps."
    reasons = "; ".join(it.reason for entry in counts for it in entry.verdicts)
    return f"{message} keeps, or was counted only. {reasons}."


def _read(context: Context, body: Body, traceparent: str | None = None) -> _Event:
    """The event in a body, read exactly as the trigger service will read it. Raises ApiError 422."""
    value = body.value
    try:
        if isinstance(value, dict) and "specversion" in value:
            message = _structured(context, value, traceparent)
        else:
            message = _plain(context, value, traceparent)
        change = entity_change.decode_entity_change(_record(message, context.ports.clock.now()))
    except BadEventError as error:
        at = error.pointer if error.pointer.startswith("/") else ""
        reason = error.reason if at else str(error)
        problem = Problem(at, "invalid-event", f"{at or 'The event'}: {reason}.")
        raise ApiError("invalid_event", problem.message, body.present((problem,))) from None
    return _Event(Message(message.topic, f"{change.blueprint}/{change.entity}", message.value, message.headers), change)


def _structured(context: Context, event: JsonObject, traceparent: str | None) -> Message:
    """A CloudEvent goes on as it came, extensions and all."""
    headers = ((cloudevents.CONTENT_TYPE, cloudevents.STRUCTURED_JSON.encode()), *trace_headers(traceparent))
    return Message(context.ports.topics.entity_changes, "", dump(event), headers)


def _plain(context: Context, value: object, traceparent: str | None) -> Message:
    if not isinstance(value, dict):
        raise BadEventError("", "must be a JSON object")
    event = dict(value)
    name = event.pop("eventId", None)
    if name is not None and not (isinstance(name, str) and 0 < len(name) <= 1_000):
        raise BadEventError("/eventId", "must be a string of 1 to 1,000 characters")
    ports = context.ports
    return entity_change.encode_entity_change(
        event, name or random_id(), SOURCE, ports.clock.now(), ports.topics, traceparent=traceparent
    )


def _record(message: Message, at: int) -> Record:
    return Record(TopicPartition(message.topic, 0), 0, message.key, message.value, message.headers, at)
