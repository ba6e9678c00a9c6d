"""Node runs: what workers report and look for (spec 7.5, 10 rows 9, 15, 17)."""

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

from headrace.adapters.clock import random_id
from headrace.contracts import codec
from headrace.core import ids
from headrace.core.commands import ReportNode
from headrace.core.json import Json
from headrace.core.run import MAX_LOG_MESSAGE, LogLine, NodeRun, Run
from headrace_api import permissions, presenters
from headrace_api.access import views_run, visible_node_run
from headrace_api.bodies import LogEntry, LogsRequest, NodeRunReport
from headrace_api.context import Context, context_of, principal_of, query_of
from headrace_api.operations import operation
from headrace_api.parameters import Parameter
from headrace_api.permissions import Principal
from headrace_api.problems import ApiError, not_found
from headrace_api.reading import read_body, read_header, read_model
from headrace_api.responses import answer
from headrace_api.turns import gate_of

router = APIRouter(prefix="/v1/workflows", tags=["node runs"])

_FIND = (
    Parameter("external_run_id", "The id that the worker gave to its own job.", required=True, example="gh-4711"),
    Parameter("include", "`nodeConfig` adds the node's config.", many=True, choices=("nodeConfig",)),
)
_REPORT_ERRORS = (
    "malformed_json", "body_too_large", "unsupported_media_type", "invalid_request", "forbidden", "not_found",
    "node_run_completed", "node_run_held", "unavailable",
)  # fmt: skip


@router.get("/nodes/runs", **operation("Find node runs", "NodeRunsAnswer", parameters=_FIND))
async def find_node_runs(request: Request) -> Response:
    """The node runs that carry an external run id and that the caller may view."""
    context, principal, query = context_of(request), principal_of(request), query_of(request)
    wanted, with_config = query["external_run_id"], "nodeConfig" in query["include"]
    found: list[Json] = []
    for run in await context.ports.runs.find_external(wanted):
        if await views_run(context, principal, run):
            nodes = [node for node in run.nodes.values() if node.external_run_id == wanted]
            found += [await _found(context, run, node, with_config) for node in nodes]
    return answer({"nodeRuns": found})


@router.patch(
    "/nodes/runs/{node_run_id}",
    **operation(
        "Report on a node run", "Done", body="NodeRunReport", headers=("Idempotency-Key",), errors=_REPORT_ERRORS
    ),
)
async def report_node_run(request: Request) -> Response:
    """Tell the outcome, output, logs or links of an asynchronous node run.

    Several reports may come while it is IN_PROGRESS; COMPLETED with a result ends it for good. The answer says that the
    report was taken; it shows in the run a moment later.
    """
    node_run_id: str = request.path_params["node_run_id"]
    run, node = await visible_node_run(request, node_run_id)
    return await _take_report(request, run, node)


@router.patch(
    "/runs/{run_id}/nodes/{node_run_id}",
    **operation(
        "Report on a node run (alias)", "Done", body="NodeRunReport", headers=("Idempotency-Key",),
        errors=_REPORT_ERRORS,
    ),
)  # fmt: skip
async def report_node_run_of_run(request: Request) -> Response:
    """The same as PATCH /v1/workflows/nodes/runs/{node_run_id}; some of Port's pages print this path."""
    run_id: str = request.path_params["run_id"]
    node_run_id: str = request.path_params["node_run_id"]
    run, node = await visible_node_run(request, node_run_id)
    if run.id != run_id:
        raise not_found(f'node run of run "{run_id[:100]}"', node_run_id)
    return await _take_report(request, run, node)


@router.post(
    "/nodes/runs/{node_run_id}/logs",
    **operation("Add log lines", "Done", status=201, body="LogsRequest", errors=_REPORT_ERRORS),
)
async def add_node_run_logs(request: Request) -> Response:
    """Append to the log of a node run in progress. Lines beyond 4,000 characters are cut."""
    node_run_id: str = request.path_params["node_run_id"]
    context = context_of(request)
    run, node = await visible_node_run(request, node_run_id)
    principal = _require_reporter(request)
    wanted = read_model(LogsRequest, await read_body(request, context.settings.body_limit_bytes))
    _require_open(run, node)
    at = context.ports.clock.now()
    report = ReportNode(
        run.id, at, node.id, principal.id, logs=_lines(wanted.logs, at), report_id=_report_id(request, principal)
    )
    await _publish(context, report)
    return answer({}, 201)


@router.get("/nodes/runs/{node_run_id}/logs", **operation("Get a node run's logs", "LogsAnswer", errors=("not_found",)))
async def get_node_run_logs(request: Request) -> Response:
    """The newest log lines, oldest first. `dropped` counts older ones that are no longer kept."""
    node_run_id: str = request.path_params["node_run_id"]
    _, node = await visible_node_run(request, node_run_id)
    return answer({"logs": presenters.log_lines(node.logs), "dropped": node.logs_dropped})


async def _take_report(request: Request, run: Run, node: NodeRun) -> Response:
    context = context_of(request)
    principal = _require_reporter(request)
    wanted = read_model(NodeRunReport, await read_body(request, context.settings.body_limit_bytes))
    _require_open(run, node)
    at = context.ports.clock.now()
    report = ReportNode(
        run_id=run.id,
        at=at,
        node_run_id=node.id,
        by=principal.id,
        status=wanted.status,
        result=wanted.result,
        output=wanted.output,
        logs=_lines(wanted.logs, at),
        external_run_id=wanted.external_run_id,
        links=None if wanted.links is None else tuple(wanted.links),
        report_id=_report_id(request, principal),
    )
    await _publish(context, report)
    return answer({})


async def _found(context: Context, run: Run, node: NodeRun, with_config: bool) -> dict[str, Json]:
    graph, gate = await context.definitions.graph_of(run), await gate_of(run, context.ports.gates)
    shown: dict[str, Json] = {**presenters.node_run(node, run, graph, gate=gate), "workflowRun": {"identifier": run.id}}
    if with_config:
        version = await context.ports.definitions.version(run.workflow, run.version)
        nodes = version.document.get("nodes") if version is not None else None
        written = [it for it in nodes if isinstance(it, dict)] if isinstance(nodes, list) else []
        config = next((it.get("config") for it in written if it.get("identifier") == node.node), None)
        shown["node"] = {"identifier": node.node, "config": config}
    return shown


def _require_reporter(request: Request) -> Principal:
    principal = principal_of(request)
    if not permissions.may_report(principal):
        raise ApiError("forbidden", "Node runs are reported on by machine clients and admins; you are neither.")
    return principal


def _require_open(run: Run, node: NodeRun) -> None:
    if node.status == "COMPLETED":
        message = f'The node run "{node.id}" is over with {node.result}; nothing can be added to it.'
        raise ApiError("node_run_completed", message)
    if run.is_held:
        raise ApiError("node_run_held", f'The run "{run.id}" waits for its turn: nothing of it is at work yet.')


def _report_id(request: Request, principal: Principal) -> str:
    """Reports under the same Idempotency-Key count once."""
    key = read_header(request, "idempotency-key")
    return random_id() if key is None else ids.derive("report", principal.id, key)


def _lines(entries: Sequence[LogEntry], at: int) -> tuple[LogLine, ...]:
    return tuple(
        LogLine(at, entry.severity, entry.text[:MAX_LOG_MESSAGE], tuple(entry.tags.items())) for entry in entries
    )


async def _publish(context: Context, report: ReportNode) -> None:
    await context.ports.log.publish([codec.encode_command(report, context.ports.topics)])
