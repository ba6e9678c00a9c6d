"""Runs: start, list, read, follow, cancel (spec 2.1.5, 7, 10 rows 6-8, 14, 15)."""

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from headrace.contracts import codec
from headrace.contracts.envelope import TRACEPARENT
from headrace.core.commands import CancelRun
from headrace.core.definition import Definition
from headrace.ports.stores import RunQuery
from headrace_api import permissions, presenters, starting, stream
from headrace_api.access import visible_run
from headrace_api.bodies import CancelRequest, StartRequest
from headrace_api.context import context_of, principal_of, query_of
from headrace_api.operations import operation
from headrace_api.parameters import RUN_FILTERS, Parameter
from headrace_api.problems import ApiError, not_found
from headrace_api.reading import read_body, read_header, read_model, read_trace
from headrace_api.responses import answer
from headrace_api.turns import gate_of

router = APIRouter(prefix="/v1/workflows", tags=["runs"])

_BODY_ERRORS = ("malformed_json", "body_too_large", "unsupported_media_type", "invalid_request")
_FORCE = Parameter("force", "Cancel the node runs at work too; the body may say it as well.", "boolean", default=False)


@router.post(
    "/{identifier}/runs",
    **operation(
        "Start a run", "RunAnswer", status=201, body="StartRequest", body_required=False,
        headers=("Idempotency-Key", TRACEPARENT), answers_with=("Location", "Idempotent-Replayed"),
        errors=(*_BODY_ERRORS, "forbidden", "not_found", "invalid_inputs", "trigger_required", "trigger_unavailable",
                "idempotency_key_reused", "unavailable"),
    ),
)  # fmt: skip
async def start_run(request: Request) -> Response:
    """Check the inputs and start a run of the newest version.

    The answer waits up to two seconds for the run to appear; after that it shows the run as accepted, without node
    runs. Send an Idempotency-Key to make repeating the request harmless.
    """
    identifier: str = request.path_params["identifier"]
    context, principal = context_of(request), principal_of(request)
    key = read_header(request, "idempotency-key")
    body = await read_body(request, context.settings.body_limit_bytes, optional=True)
    wanted = read_model(StartRequest, body)
    version = await context.definitions.latest(identifier)
    if version is None:
        raise not_found("workflow", identifier)
    started = await starting.start(context, principal, version, wanted, body, key, read_trace(request))
    graph = await context.definitions.graph_of(started.run)
    return answer({"workflowRun": presenters.run(started.run, graph)}, 201, started.headers)


@router.get("/runs", **operation("List runs", "RunsAnswer", parameters=RUN_FILTERS))
async def list_runs(request: Request) -> Response:
    """Runs that the caller may view, newest first. Rows come without `nodeRunLogs`; filters narrow each other."""
    context, principal, query = context_of(request), principal_of(request), query_of(request)
    restricted = not principal.is_operator
    wanted = RunQuery(
        run_ids=query["workflowRunIdentifiers"],
        workflows=query["workflowIdentifiers"],
        versions=query["workflowVersions"],
        created_by=query["createdBy"],
        statuses=query["statuses"],
        results=query["results"],
        viewer=principal.id if restricted else None,
        open_workflows=await context.definitions.open_workflows() if restricted else frozenset(),
        limit=query["limit"],
        offset=query["offset"],
    )
    graphs: dict[tuple[str, int], Definition | None] = {}
    rows = []
    for run in await context.ports.runs.query(wanted):
        of = (run.workflow, run.version)
        if of not in graphs:
            graphs[of] = await context.definitions.graph_of(run)
        rows.append(presenters.run(run, graphs[of], with_logs=False))
    return answer({"workflowRuns": rows})


@router.get("/runs/{run_id}", **operation("Get a run", "RunAnswer", errors=("not_found",)))
async def get_run(request: Request) -> Response:
    """A run with its node runs in the order in which they started."""
    run_id: str = request.path_params["run_id"]
    run = await visible_run(request, run_id)
    context = context_of(request)
    graph, gate = await context.definitions.graph_of(run), await gate_of(run, context.ports.gates)
    return answer({"workflowRun": presenters.run(run, graph, gate=gate)})


@router.get("/runs/{run_id}/logs", **operation("Get a run's logs", "RunLogsAnswer", errors=("not_found",)))
async def get_run_logs(request: Request) -> Response:
    """The log lines of all its node runs in the order of time."""
    run_id: str = request.path_params["run_id"]
    run = await visible_run(request, run_id)
    return answer({"logs": presenters.run_logs(run)})


@router.get(
    "/runs/{run_id}/stream",
    **operation(
        "Follow a run", "RunStream", headers=("Last-Event-ID",), errors=("not_found", "unavailable"),
        media_type="text/event-stream",
    ),
)  # fmt: skip
async def follow_run(request: Request) -> Response:
    """Server-sent events: the run as JSON, now and each time it changes.

    An event's id is the run's `seq`; after a broken connection send it back as Last-Event-ID and only news are sent.
    The stream ends when the run is completed, and 204 says that there is nothing more to come.
    """
    run_id: str = request.path_params["run_id"]
    run = await visible_run(request, run_id)
    last_seq = _last_seq(read_header(request, "last-event-id"))
    if run.is_over and last_seq >= run.seq:
        return Response(status_code=204)
    events = stream.open_stream(context_of(request), principal_of(request), run, last_seq)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


@router.post(
    "/runs/{run_id}/cancel",
    **operation(
        "Cancel a run", "Done", body="CancelRequest", body_required=False, parameters=(_FORCE,),
        errors=(*_BODY_ERRORS, "forbidden", "not_found", "run_completed", "unavailable"),
    ),
)  # fmt: skip
async def cancel_run(request: Request) -> Response:
    """Ask the run to stop: node runs at work finish first; with `force` they are cancelled at once.

    The answer says that the wish was taken; follow the run to see it end.
    """
    run_id: str = request.path_params["run_id"]
    context, principal = context_of(request), principal_of(request)
    wanted = read_model(CancelRequest, await read_body(request, context.settings.body_limit_bytes, optional=True))
    run = await visible_run(request, run_id)
    if not permissions.may_cancel(principal, run.created_by):
        raise ApiError("forbidden", "Runs are cancelled by who started them, by admins and by machine clients.")
    if run.is_over:
        raise ApiError("run_completed", f'The run "{run.id}" is over with {run.result}; it cannot be cancelled.')
    force = wanted.force or query_of(request)["force"]
    command = CancelRun(run.id, context.ports.clock.now(), principal.id, force)
    await context.ports.log.publish([codec.encode_command(command, context.ports.topics)])
    return answer({})


def _last_seq(text: str | None) -> int:
    if text is None:
        return 0
    if not (text.isdigit() and len(text) <= 15):
        raise ApiError("invalid_parameter", "Last-Event-ID must be the id of an event of this stream: a number.")
    return int(text)
