"""The catalog as the API serves it: blueprints saved and deleted, entities looked for, both as JSON."""

from collections.abc import Iterable
from dataclasses import replace

from headrace.core.catalog import search
from headrace.core.catalog.blueprint import Blueprint, read_blueprint
from headrace.core.catalog.blueprint_check import check_blueprint, targets_of
from headrace.core.catalog.entity import document_of
from headrace.core.catalog.rules import Group
from headrace.core.catalog.search import Surroundings
from headrace.core.errors import HeadraceError, Problem
from headrace.core.json import Json, JsonObject
from headrace.core.times import iso
from headrace.ports.catalog import CatalogStore, StoredBlueprint, StoredEntity
from headrace.ports.errors import AlreadyExistsError, VersionConflictError
from headrace_api.author_documents import canonical, patched, without

SERVER_FIELDS = frozenset(("createdAt", "createdBy", "updatedAt", "updatedBy"))
"""What the server adds to a blueprint; taken off again when it comes back."""

MOST_READ = 10_000
"""A search looks at so many entities before it answers with what it has."""
_READ_AT_ONCE = 500


class BlueprintInUseError(HeadraceError):
    """A blueprint cannot be deleted while something needs it; the message says what."""


class Blueprints:
    """Saves and deletes blueprints."""

    def __init__(self, store: CatalogStore) -> None:
        self._store = store

    async def judge(self, document: Json, identifier: str | None = None) -> tuple[Problem, ...]:
        """Everything that is wrong with a document, also that a relation leads to no blueprint."""
        problems = check_blueprint(document, identifier)
        if not isinstance(document, dict) or any(it.severity == "error" for it in problems):
            return problems
        known = {it.identifier for it in await self._store.blueprints()} | {document.get("identifier")}
        missing = tuple(
            Problem(where, "unknown-blueprint", f'There is no blueprint "{target}".', "Create it first.")
            for where, target in targets_of(document).items()
            if target not in known
        )
        return (*problems, *missing)

    async def create(self, document: JsonObject, by: str, at: int) -> StoredBlueprint:
        """Save a judged document. Raises AlreadyExistsError."""
        identifier = str(document["identifier"])
        new = StoredBlueprint(identifier, strip(document), 0, by, at, by, at)
        if not await self._store.save_blueprint(new):
            raise AlreadyExistsError(identifier)
        return new

    async def update(self, current: StoredBlueprint, document: JsonObject, by: str, at: int) -> StoredBlueprint:
        """Save a judged document in the place of `current`, unless it says the same. Raises VersionConflictError."""
        document = strip(document)
        if canonical(document) == canonical(current.document):
            return current
        new = replace(current, document=document, rev=current.rev + 1, updated_by=by, updated_at=at)
        if not await self._store.save_blueprint(new):
            raise VersionConflictError(current.identifier)
        return new

    async def delete(self, current: StoredBlueprint) -> None:
        """Raises BlueprintInUseError while it has entities or relations lead to it; VersionConflictError."""
        name = current.identifier
        if await self._store.page(name, None, 1):
            raise BlueprintInUseError(f'The blueprint "{name}" has entities.')
        others = [it for it in await self._store.blueprints() if it.identifier != name]
        users = [it.identifier for it in others if name in targets_of(it.document).values()]
        if users:
            raise BlueprintInUseError(f'Relations of "{users[0]}" lead to the blueprint "{name}".')
        if not await self._store.delete_blueprint(name, current.rev):
            raise VersionConflictError(name)


async def find(
    store: CatalogStore, rules: Group, after: str | None, limit: int
) -> tuple[list[StoredEntity], str | None]:
    """The next entities that fit the rules, in the order of keys, and after which key to go on; None at the end.

    At most `MOST_READ` entities are looked at: then the answer may be short, or empty, and not be the end.
    """
    blueprints = {it.identifier: read_blueprint(it.identifier, it.document) for it in await store.blueprints()}
    named = {key: it for key, it in (await store.load(sorted(search.keys_in(rules)))).items() if not it.deleted}
    only = search.only_blueprints(rules)
    single = next(iter(only)) if only is not None and len(only) == 1 else None
    found: list[StoredEntity] = []
    for _ in range(MOST_READ // _READ_AT_ONCE):
        page = await store.page(single, after, _READ_AT_ONCE)
        around = await _surroundings(store, rules, page, blueprints, named)
        for stored in page:
            if len(found) == limit:
                return found, after
            if search.fits(rules, stored.entity, around):
                found.append(stored)
            after = stored.entity.key
        if len(page) < _READ_AT_ONCE:
            return found, None
    return found, after


async def _surroundings(
    store: CatalogStore,
    rules: Group,
    page: Iterable[StoredEntity],
    blueprints: dict[str, Blueprint],
    named: dict[str, StoredEntity],
) -> Surroundings:
    wanted: set[str] = set()
    for stored in page:
        wanted |= search.keys_for(rules, stored.entity, blueprints.get(stored.entity.blueprint))
    loaded = await store.load(sorted(wanted - named.keys()))
    entities = {key: it.entity for key, it in {**loaded, **named}.items() if not it.deleted}
    return Surroundings(blueprints, entities)


def strip(document: JsonObject) -> JsonObject:
    """The document without what the server added when it was read."""
    return without(SERVER_FIELDS, document)


def merge(current: JsonObject, patch: JsonObject) -> JsonObject:
    """PATCH of a blueprint: each top-level field replaces the old one as a whole, null removes it."""
    return patched(current, strip(patch))


def present_blueprint(stored: StoredBlueprint) -> JsonObject:
    """The author's document with the server's fields."""
    document = stored.document
    return {
        "title": None,
        "icon": None,
        "description": None,
        "schema": {"properties": {}, "required": []},
        "relations": {},
        **document,
        "identifier": stored.identifier,
        "createdAt": iso(stored.created_at),
        "createdBy": stored.created_by,
        "updatedAt": iso(stored.updated_at),
        "updatedBy": stored.updated_by,
    }


def present_entity(stored: StoredEntity) -> JsonObject:
    """The entity as its events show it."""
    return document_of(stored.entity)


def etag(rev: int) -> str:
    """Revisions count from 0, ETags from 1, as the versions of workflows do."""
    return f'"v{rev + 1}"'
