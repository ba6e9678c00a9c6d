"""Who asks, and may they: the one dependency that every /v1 route hangs on, and the checks that handlers share."""

from fastapi import Request

from headrace.core.run import NodeRun, Run
from headrace.ports.stores import WorkflowVersion
from headrace_api import parameters, permissions
from headrace_api.context import Context, context_of, principal_of
from headrace_api.operations import note_of
from headrace_api.permissions import Principal
from headrace_api.problems import ApiError, not_found
from headrace_api.tokens import BadTokenError, bearer

_CHALLENGE = {"www-authenticate": 'Bearer realm="headrace"'}


async def authenticate(request: Request) -> None:
    """Find out who asks; without a valid token nothing goes on. Attached to the router, so no route can forget it."""
    try:
        token = bearer(request.headers.getlist("authorization"))
        request.state.principal = context_of(request).tokens.read(token)
    except BadTokenError as error:
        raise ApiError("unauthorized", str(error), headers=_CHALLENGE) from None


async def read_query(request: Request) -> None:
    """Read the query parameters that the route declares, and refuse all others."""
    note = note_of(request.scope["route"].openapi_extra)
    request.state.query = parameters.read(request.query_params.multi_items(), note.parameters)


def require_editor(request: Request) -> Principal:
    """The caller, if it may change definitions; else ApiError 403."""
    principal = principal_of(request)
    if not permissions.may_edit(principal):
        raise ApiError("forbidden", "Workflows are changed by admins and by machine clients; you are neither.")
    return principal


def require_operator(request: Request, what: str) -> Principal:
    """The caller, if it is an admin or a machine; else ApiError 403."""
    principal = principal_of(request)
    if not principal.is_operator:
        raise ApiError("forbidden", f"{what} is for admins and machine clients; you are neither.")
    return principal


def sees_workflow(context: Context, principal: Principal, version: WorkflowVersion) -> bool:
    return permissions.may_see(
        principal,
        context.definitions.graph(version),
        context.definitions.has_open_runs(version),
        context.settings.members_start_unrestricted,
    )


async def visible_workflow(request: Request, identifier: str) -> WorkflowVersion:
    """The newest version of a workflow that is not deleted and that the caller may see; else ApiError 404."""
    context = context_of(request)
    version = await context.definitions.latest(identifier)
    if version is None or not sees_workflow(context, principal_of(request), version):
        raise not_found("workflow", identifier)
    return version


async def views_run(context: Context, principal: Principal, run: Run) -> bool:
    if permissions.may_view_run(principal, run.created_by, open_runs=False):
        return True
    return run.workflow in await context.definitions.open_workflows()


async def visible_run(request: Request, run_id: str) -> Run:
    """A run that the caller may view; else ApiError 404 (spec appendix A, 17)."""
    context = context_of(request)
    stored = (await context.ports.runs.load([run_id])).get(run_id)
    if stored is None or not await views_run(context, principal_of(request), stored.run):
        raise not_found("run", run_id)
    return stored.run


async def visible_node_run(request: Request, node_run_id: str) -> tuple[Run, NodeRun]:
    """A node run that the caller may view, and its run; else ApiError 404."""
    context = context_of(request)
    run = await context.ports.runs.find_node_run(node_run_id)
    node = run.node_run(node_run_id) if run else None
    if run is None or node is None or not await views_run(context, principal_of(request), run):
        raise not_found("node run", node_run_id)
    return run, node
