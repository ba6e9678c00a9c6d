"""Entities of the catalog: written, read, looked for (spec 3.7, 11.3; docs/catalog.md)."""

from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from headrace.adapters.clock import random_id
from headrace.core.catalog.change import Author
from headrace.core.catalog.entity import key_of
from headrace.core.catalog.rules import parse_rules
from headrace.ports.catalog import StoredEntity
from headrace.ports.errors import AlreadyExistsError, NotFoundError, VersionConflictError
from headrace.runtime.catalog import CatalogWriter, InvalidEntityError, Mode, WriteOrigin, Written
from headrace_api import catalog
from headrace_api.access import require_operator
from headrace_api.context import Context, context_of, query_of
from headrace_api.operations import operation
from headrace_api.parameters import LIMIT, Parameter
from headrace_api.permissions import Principal
from headrace_api.problems import ApiError, not_found
from headrace_api.reading import Body, read_body, read_revs, read_trace
from headrace_api.responses import answer

router = APIRouter(prefix="/v1", tags=["catalog"])

_ENTITIES = "/blueprints/{blueprint}/entities"
_ENTITY = _ENTITIES + "/{entity:path}"
_BODY_ERRORS = ("malformed_json", "body_too_large", "unsupported_media_type", "forbidden", "not_found")
_CHANGE_ERRORS = (*_BODY_ERRORS, "invalid_entity", "version_mismatch")
_CHANGING = "Changing the catalog"
_UPSERT = (
    Parameter("upsert", "Change the entity if it is there.", "boolean", default=False),
    Parameter("merge", "With `upsert`: change only what is given.", "boolean", default=False),
)
_FROM = Parameter("from", "Go on after this: `next` of the page before.", example="service/billing")


@router.post(
    _ENTITIES,
    **operation(
        "Create an entity", "EntityAnswer", status=201, body="Entity", parameters=_UPSERT,
        answers_with=("ETag", "Location"), errors=(*_BODY_ERRORS, "invalid_entity", "entity_exists"),
    ),
)  # fmt: skip
async def create_entity(request: Request) -> Response:
    """Make an entity, or with `upsert` change the one of that identifier (then the answer is 200).

    Without an identifier it gets one. All problems are listed at once. The change is an event that triggers hear.
    """
    query = query_of(request)
    mode: Mode = "create" if not query["upsert"] else "upsert-merge" if query["merge"] else "upsert"
    try:
        written = await _write(request, mode, None)
    except AlreadyExistsError as error:
        raise ApiError("entity_exists", _sentence(error)) from None
    entity = written.stored.entity
    path = f"/v1/blueprints/{quote(entity.blueprint, safe='')}/entities/{quote(entity.identifier, safe='')}"
    return _entity_answer(written.stored, 201 if written.created else 200, {"location": path})


@router.get(_ENTITIES, **operation("List entities", "EntitiesAnswer", parameters=(LIMIT, _FROM), errors=("not_found",)))
async def list_entities(request: Request) -> Response:
    """The entities of a blueprint, by identifier. `next` is null at the end; else send it as `from`."""
    context, query = context_of(request), query_of(request)
    blueprint, limit = request.path_params["blueprint"], query["limit"]
    found = await context.ports.catalog.page(blueprint, query["from"], limit + 1)
    if not found and await context.ports.catalog.blueprint(blueprint) is None:
        raise not_found("blueprint", blueprint)
    goes_on = found[limit - 1].entity.key if len(found) > limit else None
    return answer({"entities": [catalog.present_entity(stored) for stored in found[:limit]], "next": goes_on})


@router.post(
    "/entities/search",
    **operation(
        "Search entities", "EntitiesAnswer", body="SearchRules", parameters=(LIMIT, _FROM),
        errors=("malformed_json", "body_too_large", "unsupported_media_type", "invalid_search"),
    ),
)  # fmt: skip
async def search_entities(request: Request) -> Response:
    """The entities that fit the rules, by blueprint and identifier.

    `next` is null at the end; else send it as `from`. A search that has looked at 10,000 entities answers with what it
    found so far: name the blueprint, with a rule on `$blueprint`, and it looks at its entities only.
    """
    context, query = context_of(request), query_of(request)
    body = await read_body(request, context.settings.body_limit_bytes)
    rules, problems = parse_rules(body.value)
    if problems:
        message = problems[0].message if len(problems) == 1 else f"{problems[0].message} And {len(problems) - 1} more."
        raise ApiError("invalid_search", message, body.present(problems))
    found, goes_on = await catalog.find(context.ports.catalog, rules, query["from"], query["limit"])
    return answer({"entities": [catalog.present_entity(stored) for stored in found], "next": goes_on})


@router.get(_ENTITY, **operation("Get an entity", "EntityAnswer", answers_with=("ETag",), errors=("not_found",)))
async def get_entity(request: Request) -> Response:
    """Its ETag can be sent back as If-Match with a change."""
    key = key_of(request.path_params["blueprint"], request.path_params["entity"])
    stored = (await context_of(request).ports.catalog.load([key])).get(key)
    if stored is None or stored.deleted:
        raise not_found("entity", key)
    return _entity_answer(stored)


@router.put(
    _ENTITY,
    **operation(
        "Replace an entity", "EntityAnswer", body="Entity", headers=("If-Match",), answers_with=("ETag",),
        errors=_CHANGE_ERRORS,
    ),
)  # fmt: skip
async def replace_entity(request: Request) -> Response:
    """What is not given has no value any more. An entity that says the same already stays, and there is no event."""
    return _entity_answer((await _write(request, "replace", request.path_params["entity"])).stored)


@router.patch(
    _ENTITY,
    **operation(
        "Change an entity", "EntityAnswer", body="Entity", headers=("If-Match",), answers_with=("ETag",),
        errors=_CHANGE_ERRORS,
    ),
)  # fmt: skip
async def update_entity(request: Request) -> Response:
    """Change what is given, property by property; null takes a value away."""
    return _entity_answer((await _write(request, "merge", request.path_params["entity"])).stored)


@router.delete(
    _ENTITY,
    **operation(
        "Delete an entity", "EntityAnswer", headers=("If-Match",),
        errors=("forbidden", "not_found", "version_mismatch"),
    ),
)  # fmt: skip
async def delete_entity(request: Request) -> Response:
    """The answer shows what it was. Entities that relate to it stay as they are."""
    principal = require_operator(request, _CHANGING)
    context = context_of(request)
    blueprint, entity = request.path_params["blueprint"], request.path_params["entity"]
    try:
        gone = await _writer(context).delete(
            blueprint, entity, _origin(request, context, principal), expected_revs=read_revs(request)
        )
    except NotFoundError:
        raise not_found("entity", key_of(blueprint, entity)) from None
    except VersionConflictError as error:
        raise ApiError("version_mismatch", _sentence(error)) from None
    return answer({"entity": catalog.present_entity(gone)})


async def _write(request: Request, mode: Mode, identifier: str | None) -> Written:
    principal = require_operator(request, _CHANGING)
    context = context_of(request)
    body: Body = await read_body(request, context.settings.body_limit_bytes)
    blueprint = request.path_params["blueprint"]
    try:
        return await _writer(context).write(
            blueprint, body.value, mode, _origin(request, context, principal), identifier=identifier,
            default_identifier=random_id() if identifier is None else None, expected_revs=read_revs(request),
        )  # fmt: skip
    except NotFoundError as error:
        raise ApiError("not_found", _sentence(error)) from None
    except VersionConflictError as error:
        raise ApiError("version_mismatch", _sentence(error)) from None
    except InvalidEntityError as error:
        raise ApiError("invalid_entity", str(error), body.present(error.problems)) from None


def _writer(context: Context) -> CatalogWriter:
    ports = context.ports
    return CatalogWriter(ports.catalog, ports.log, ports.clock, ports.topics)


def _origin(request: Request, context: Context, principal: Principal) -> WriteOrigin:
    author = Author(principal.id, "API", context.settings.org_id)
    return WriteOrigin(author, traceparent=read_trace(request))


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def _entity_answer(stored: StoredEntity, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    etag = {"etag": catalog.etag(stored.rev)}
    return answer({"entity": catalog.present_entity(stored)}, status, {**etag, **(headers or {})})
