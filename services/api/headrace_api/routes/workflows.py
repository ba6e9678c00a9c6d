"""Workflows and their versions (spec 1.5, 10 rows 1-5, 10, 16)."""

from dataclasses import replace

from fastapi import APIRouter, Request, Response

from headrace.core.definition import SelfServeTrigger
from headrace.core.errors import Problem
from headrace.core.json import Json, JsonObject
from headrace.ports.errors import AlreadyExistsError, NotFoundError, VersionConflictError
from headrace.ports.stores import WorkflowVersion
from headrace_api import permissions, presenters, saving
from headrace_api.access import require_editor, sees_workflow, visible_workflow
from headrace_api.child_workflows import missing_children
from headrace_api.context import Context, context_of, principal_of, query_of
from headrace_api.operations import operation
from headrace_api.parameters import Parameter
from headrace_api.problems import ApiError, not_found
from headrace_api.reading import Body, read_body, read_header
from headrace_api.responses import answer

router = APIRouter(prefix="/v1/workflows", tags=["workflows"])

_IS_DELETED = Parameter("isDeleted", "Include deleted workflows.", "boolean", default=False)
_BODY_ERRORS = ("malformed_json", "body_too_large", "unsupported_media_type")
_TRIES = 3


@router.post(
    "",
    **operation(
        "Create a workflow", "WorkflowAnswer", status=201, body="Workflow", answers_with=("ETag", "Location"),
        errors=(*_BODY_ERRORS, "forbidden", "workflow_exists", "invalid_workflow"),
    ),
)  # fmt: skip
async def create_workflow(request: Request) -> Response:
    """Check a definition in any of the three dialects and save it as version 1.

    All problems are listed at once. Warnings do not keep it from being saved; they come back in `warnings`.
    """
    principal = require_editor(request)
    context = context_of(request)
    body = await read_body(request, context.settings.body_limit_bytes, unique_keys=True)
    warnings, document = await _judged(context, body, body.value)
    identifier = str(document["identifier"])
    try:
        at = context.ports.clock.now()
        version = await context.ports.definitions.create(identifier, saving.strip(document), principal.id, at)
    except AlreadyExistsError:
        message = f'There is a workflow "{identifier}" already. Update it with PUT /v1/workflows/{identifier}.'
        raise ApiError("workflow_exists", message) from None
    location = {"location": f"/v1/workflows/{identifier}"}
    return _workflow_answer(context, version, warnings, status=201, headers=location)


@router.post(
    "/validate",
    **operation("Check a definition", "ValidationAnswer", body="Workflow", errors=(*_BODY_ERRORS, "forbidden")),
)
async def validate_workflow(request: Request) -> Response:
    """Say everything that is wrong with a definition, warnings included, without saving it.

    The answer is 200 whether or not the definition is valid; look at `valid`.
    """
    require_editor(request)
    context = context_of(request)
    body = await read_body(request, context.settings.body_limit_bytes, unique_keys=True)
    verdict = await saving.judge(body, body.value, context.ports.evaluator)
    more = () if verdict.errors else await _warnings_of_others(context, body.value)
    problems = await saving.present(body, (*verdict.problems, *more))
    return answer({"valid": not verdict.errors, "problems": problems})


@router.get(
    "",
    **operation("List workflows", "WorkflowsAnswer", parameters=(_IS_DELETED,)),
)
async def list_workflows(request: Request) -> Response:
    """The newest version of every workflow that the caller may see, by identifier."""
    context, principal = context_of(request), principal_of(request)
    query = query_of(request)
    versions = await context.ports.definitions.all(include_deleted=query["isDeleted"])
    shown = [_present(context, version) for version in versions if sees_workflow(context, principal, version)]
    return answer({"workflows": shown})


@router.get("/self-service-triggers", **operation("List triggers that you may start", "TriggersAnswer"))
async def list_self_service_triggers(request: Request) -> Response:
    """Every published self-serve trigger that the caller may start, with its form."""
    context, principal = context_of(request), principal_of(request)
    triggers: list[Json] = []
    for version in await context.ports.definitions.all():
        for node in context.definitions.graph(version).triggers:
            config = node.config
            if not isinstance(config, SelfServeTrigger) or not config.published:
                continue
            unrestricted = context.settings.members_start_unrestricted
            if permissions.may_start(principal, config.permissions, unrestricted):
                triggers.append(presenters.trigger(version, node, config))
    return answer({"triggers": triggers})


@router.get(
    "/{identifier}", **operation("Get a workflow", "WorkflowAnswer", answers_with=("ETag",), errors=("not_found",))
)
async def get_workflow(request: Request) -> Response:
    """The newest version. Its ETag can be sent back as If-Match with a change."""
    identifier: str = request.path_params["identifier"]
    version = await visible_workflow(request, identifier)
    return _workflow_answer(context_of(request), version)


@router.put(
    "/{identifier}",
    **operation(
        "Replace a workflow", "WorkflowAnswer", body="Workflow", headers=("If-Match",), answers_with=("ETag",),
        errors=(*_BODY_ERRORS, "forbidden", "not_found", "version_mismatch", "invalid_workflow"),
    ),
)  # fmt: skip
async def replace_workflow(request: Request) -> Response:
    """Save the definition as the next version; runs already started keep theirs.

    A definition that says the same as the newest version makes no new one, so that applying it again changes nothing.
    """
    identifier: str = request.path_params["identifier"]
    return await _change(request, identifier, merging=False)


@router.patch(
    "/{identifier}",
    **operation(
        "Change a workflow", "WorkflowAnswer", body="WorkflowPatch", headers=("If-Match",), answers_with=("ETag",),
        errors=(*_BODY_ERRORS, "forbidden", "not_found", "update_conflict", "version_mismatch", "invalid_workflow"),
    ),
)  # fmt: skip
async def update_workflow(request: Request) -> Response:
    """Replace the given top-level fields and save the result as the next version.

    `nodes` and `connections` are replaced as wholes; null removes a field.
    """
    identifier: str = request.path_params["identifier"]
    return await _change(request, identifier, merging=True)


@router.delete(
    "/{identifier}",
    **operation(
        "Delete a workflow", "WorkflowAnswer", headers=("If-Match",), answers_with=("ETag",),
        errors=("forbidden", "not_found", "version_mismatch"),
    ),
)  # fmt: skip
async def delete_workflow(request: Request) -> Response:
    """Nothing can start it any more. Runs at work finish, past runs and versions can still be read."""
    identifier: str = request.path_params["identifier"]
    principal = require_editor(request)
    context = context_of(request)
    current = await visible_workflow(request, identifier)
    _check_match(request, current)
    try:
        deleted = await context.ports.definitions.delete(identifier, principal.id, context.ports.clock.now())
    except NotFoundError:
        raise not_found("workflow", identifier) from None
    return _workflow_answer(context, deleted)


@router.get("/{identifier}/versions", **operation("List versions", "VersionsAnswer", errors=("not_found",)))
async def list_versions(request: Request) -> Response:
    """All versions of a workflow, newest first, without their documents; also of a deleted workflow."""
    identifier: str = request.path_params["identifier"]
    context = context_of(request)
    versions = await context.ports.definitions.versions(identifier)
    if not versions or not sees_workflow(context, principal_of(request), versions[0]):
        raise not_found("workflow", identifier)
    return answer({"versions": [presenters.version_head(version) for version in versions]})


@router.get(
    "/{identifier}/versions/{number}",
    **operation("Get a version", "WorkflowAnswer", answers_with=("ETag",), errors=("not_found",)),
)
async def get_version(request: Request) -> Response:
    """One version as it was saved: what a run of that version follows."""
    identifier: str = request.path_params["identifier"]
    number: str = request.path_params["number"]
    context = context_of(request)
    newest = await context.ports.definitions.latest(identifier)
    if newest is None or not sees_workflow(context, principal_of(request), newest):
        raise not_found("workflow", identifier)
    wanted = int(number) if number.isascii() and number.isdigit() and len(number) <= 9 else 0
    version = await context.ports.definitions.version(identifier, wanted) if wanted else None
    if version is None:
        raise not_found(f'version of workflow "{identifier}"', number)
    return _workflow_answer(context, version)


@router.get("/{identifier}/nodes/{node}", **operation("Get a node", "NodeAnswer", errors=("not_found",)))
async def get_node(request: Request) -> Response:
    """One node of the newest version, as its author wrote it; under `workflow` and `node` (spec appendix A, 20)."""
    identifier: str = request.path_params["identifier"]
    node: str = request.path_params["node"]
    version = await visible_workflow(request, identifier)
    nodes = version.document.get("nodes")
    for found in nodes if isinstance(nodes, list) else ():
        if isinstance(found, dict) and found.get("identifier") == node:
            return answer({"workflow": found, "node": found})
    raise not_found(f'node of workflow "{identifier}"', node)


async def _change(request: Request, identifier: str, merging: bool) -> Response:
    principal = require_editor(request)
    context = context_of(request)
    body = await read_body(request, context.settings.body_limit_bytes, unique_keys=True)
    body = replace(body, is_part=merging)
    for _ in range(_TRIES):
        current = await visible_workflow(request, identifier)
        matched = _check_match(request, current)
        candidate = _candidate(current, body, merging)
        warnings, document = await _judged(context, body, candidate, identifier)
        if saving.same(document, current.document, context.settings.allow_anyone_to_view_runs_default):
            return _workflow_answer(context, current, warnings)
        expected = current.version if matched or merging else None
        try:
            at = context.ports.clock.now()
            version = await context.ports.definitions.update(identifier, document, principal.id, at, expected)
        except NotFoundError:
            raise not_found("workflow", identifier) from None
        except VersionConflictError:
            continue  # somebody was faster: look again, which also answers If-Match
        return _workflow_answer(context, version, warnings)
    raise ApiError("update_conflict", "Others kept changing the workflow at the same time.")


def _candidate(current: WorkflowVersion, body: Body, merging: bool) -> Json:
    """The document to judge. Its identifier may be left out, since the path has it."""
    if not isinstance(body.value, dict):
        return body.value
    if merging:
        return saving.merge(current.document, body.value)
    return {"identifier": current.identifier, **saving.strip(body.value)}


async def _judged(
    context: Context, body: Body, candidate: Json, identifier: str | None = None
) -> tuple[list[JsonObject], JsonObject]:
    """The warnings to show and the document to store. Raises ApiError 422 with every problem."""
    verdict = await saving.judge(body, candidate, context.ports.evaluator, identifier)
    if verdict.errors or not isinstance(candidate, dict):
        count = len(verdict.errors)
        first = verdict.errors[0].message
        message = first if count == 1 else f"{first} And {count - 1} more; see errors."
        raise ApiError("invalid_workflow", message, await saving.present(body, verdict.problems))
    warnings = (*verdict.warnings, *await _warnings_of_others(context, candidate))
    return await saving.present(body, warnings), candidate


async def _warnings_of_others(context: Context, document: Json) -> tuple[Problem, ...]:
    """What only the other workflows tell of a document that is right in itself."""
    return (*await missing_children(document, context.definitions), *await context.wake_cycles.warn(document))


def _check_match(request: Request, current: WorkflowVersion) -> bool:
    """Whether If-Match was sent; ApiError 412 when it names another version (RFC 9110 13.1.1)."""
    wanted = read_header(request, "if-match", longest=1_000)
    if wanted is None:
        return False
    tags = [tag.strip() for tag in wanted.split(",")]
    if "*" not in tags and presenters.etag(current) not in tags:
        message = f"The workflow is at version {current.version}, so its ETag is not {wanted}."
        raise ApiError("version_mismatch", message)
    return "*" not in tags


def _present(context: Context, version: WorkflowVersion) -> JsonObject:
    return presenters.workflow(version, context.settings.org_id, context.definitions.has_open_runs(version))


def _workflow_answer(
    context: Context,
    version: WorkflowVersion,
    warnings: list[JsonObject] | None = None,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    content: JsonObject = {"workflow": _present(context, version)}
    if warnings is not None:
        content["warnings"] = list(warnings)
    return answer(content, status, {"etag": presenters.etag(version), **(headers or {})})
