"""Blueprints: what the entities of the catalog look like (docs/catalog.md)."""

from dataclasses import replace

from fastapi import APIRouter, Request, Response

from headrace.core.json import Json, JsonObject
from headrace.ports.catalog import StoredBlueprint
from headrace.ports.errors import AlreadyExistsError, VersionConflictError
from headrace_api import catalog
from headrace_api.access import require_operator
from headrace_api.catalog import BlueprintInUseError, Blueprints
from headrace_api.context import Context, context_of
from headrace_api.operations import operation
from headrace_api.problems import ApiError, not_found
from headrace_api.reading import Body, read_body, read_revs
from headrace_api.responses import answer

router = APIRouter(prefix="/v1/blueprints", tags=["catalog"])

_BODY_ERRORS = ("malformed_json", "body_too_large", "unsupported_media_type", "forbidden", "invalid_blueprint")
_CHANGE_ERRORS = (*_BODY_ERRORS, "not_found", "update_conflict", "version_mismatch")
_CHANGING = "Changing the catalog"
_TRIES = 3


@router.post(
    "",
    **operation(
        "Create a blueprint", "BlueprintAnswer", status=201, body="Blueprint", answers_with=("ETag", "Location"),
        errors=(*_BODY_ERRORS, "blueprint_exists"),
    ),
)  # fmt: skip
async def create_blueprint(request: Request) -> Response:
    """Check a blueprint and save it. All problems are listed at once; warnings come back in `warnings`."""
    principal = require_operator(request, _CHANGING)
    context = context_of(request)
    body = await read_body(request, context.settings.body_limit_bytes, unique_keys=True)
    blueprints = Blueprints(context.ports.catalog)
    warnings, document = await _judged(blueprints, body, body.value)
    identifier = str(document["identifier"])
    try:
        stored = await blueprints.create(document, principal.id, context.ports.clock.now())
    except AlreadyExistsError:
        message = f'There is a blueprint "{identifier}" already. Update it with PUT /v1/blueprints/{identifier}.'
        raise ApiError("blueprint_exists", message) from None
    return _blueprint_answer(stored, warnings, 201, {"location": f"/v1/blueprints/{identifier}"})


@router.get("", **operation("List blueprints", "BlueprintsAnswer"))
async def list_blueprints(request: Request) -> Response:
    """All blueprints, by identifier."""
    found = await context_of(request).ports.catalog.blueprints()
    return answer({"blueprints": [catalog.present_blueprint(stored) for stored in found]})


@router.get(
    "/{blueprint}", **operation("Get a blueprint", "BlueprintAnswer", answers_with=("ETag",), errors=("not_found",))
)
async def get_blueprint(request: Request) -> Response:
    """Its ETag can be sent back as If-Match with a change."""
    return _blueprint_answer(await _existing(context_of(request), request.path_params["blueprint"]))


@router.put(
    "/{blueprint}",
    **operation(
        "Replace a blueprint", "BlueprintAnswer", body="Blueprint", headers=("If-Match",), answers_with=("ETag",),
        errors=_CHANGE_ERRORS,
    ),
)  # fmt: skip
async def replace_blueprint(request: Request) -> Response:
    """Entities that are there stay as they are; what is written from now on is checked against the new blueprint."""
    return await _change(request, merging=False)


@router.patch(
    "/{blueprint}",
    **operation(
        "Change a blueprint", "BlueprintAnswer", body="BlueprintPatch", headers=("If-Match",), answers_with=("ETag",),
        errors=_CHANGE_ERRORS,
    ),
)  # fmt: skip
async def update_blueprint(request: Request) -> Response:
    """Replace the given top-level fields. `schema` and `relations` are replaced as wholes; null removes a field."""
    return await _change(request, merging=True)


@router.delete(
    "/{blueprint}",
    **operation(
        "Delete a blueprint", "BlueprintAnswer", headers=("If-Match",), answers_with=("ETag",),
        errors=("forbidden", "not_found", "blueprint_in_use", "update_conflict", "version_mismatch"),
    ),
)  # fmt: skip
async def delete_blueprint(request: Request) -> Response:
    """Refused while it has entities, or while relations of another blueprint lead to it."""
    require_operator(request, _CHANGING)
    context = context_of(request)
    for _ in range(_TRIES):
        current = await _existing(context, request.path_params["blueprint"])
        _check_match(request, current)
        try:
            await Blueprints(context.ports.catalog).delete(current)
        except BlueprintInUseError as error:
            raise ApiError("blueprint_in_use", str(error)) from None
        except VersionConflictError:
            continue
        return _blueprint_answer(current)
    raise ApiError("update_conflict", "Others kept changing the blueprint at the same time.")


async def _change(request: Request, merging: bool) -> Response:
    principal = require_operator(request, _CHANGING)
    context = context_of(request)
    body = await read_body(request, context.settings.body_limit_bytes, unique_keys=True)
    body = replace(body, is_part=merging)
    blueprints = Blueprints(context.ports.catalog)
    for _ in range(_TRIES):
        current = await _existing(context, request.path_params["blueprint"])
        _check_match(request, current)
        candidate = _candidate(current, body, merging)
        warnings, document = await _judged(blueprints, body, candidate, current.identifier)
        try:
            stored = await blueprints.update(current, document, principal.id, context.ports.clock.now())
        except VersionConflictError:
            continue  # somebody was faster: look again, which also answers If-Match
        return _blueprint_answer(stored, warnings)
    raise ApiError("update_conflict", "Others kept changing the blueprint at the same time.")


def _candidate(current: StoredBlueprint, body: Body, merging: bool) -> Json:
    """The document to judge. Its identifier may be left out, since the path has it."""
    if not isinstance(body.value, dict):
        return body.value
    if merging:
        return catalog.merge(current.document, body.value)
    return {"identifier": current.identifier, **catalog.strip(body.value)}


async def _judged(
    blueprints: Blueprints, body: Body, candidate: Json, identifier: str | None = None
) -> tuple[list[JsonObject], JsonObject]:
    """The warnings to show and the document to store. Raises ApiError 422 with every problem."""
    stripped = catalog.strip(candidate) if isinstance(candidate, dict) else candidate
    problems = await blueprints.judge(stripped, identifier)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors or not isinstance(stripped, dict):
        message = errors[0].message if len(errors) == 1 else f"{errors[0].message} And {len(errors) - 1} more."
        raise ApiError("invalid_blueprint", message, body.present(problems))
    return body.present(problems), stripped


async def _existing(context: Context, identifier: str) -> StoredBlueprint:
    found = await context.ports.catalog.blueprint(identifier)
    if found is None:
        raise not_found("blueprint", identifier)
    return found


def _check_match(request: Request, current: StoredBlueprint) -> None:
    revs = read_revs(request)
    if revs is not None and current.rev not in revs:
        message = f"The blueprint's ETag is {catalog.etag(current.rev)}, not the one in If-Match."
        raise ApiError("version_mismatch", message)


def _blueprint_answer(
    stored: StoredBlueprint,
    warnings: list[JsonObject] | None = None,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    content: JsonObject = {"blueprint": catalog.present_blueprint(stored)}
    if warnings is not None:
        content["warnings"] = list(warnings)
    return answer(content, status, {"etag": catalog.etag(stored.rev), **(headers or {})})
