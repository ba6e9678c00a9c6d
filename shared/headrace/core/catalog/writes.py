"""What a write says of an entity, what is wrong with it, and the entity that results (spec 3.7, 11.3).

A write replaces, or merges: then only what it gives changes, name by name; null takes a value away. What a write gives
is checked against the blueprint; what it does not touch is left as it is, also when the blueprint has changed since.
Only what is required must be there in what results.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from headrace.core.authoring.findings import Findings, did_you_mean, kind, quoted
from headrace.core.authoring.input_values import same
from headrace.core.catalog.blueprint import Blueprint, Relation
from headrace.core.catalog.entity import Entity, document_of, key_of, targets
from headrace.core.catalog.values import check_property
from headrace.core.errors import pointer
from headrace.core.json import Json, JsonObject

IDENTIFIER = re.compile(r"[A-Za-z0-9@_.+:\\/=-]{1,500}")
RELATED = 1_000
"""To so many entities a relation to many may lead."""
TEXT_LENGTH = 1_000
"""Of titles, icons and teams, in characters."""

_SERVER_FIELDS = frozenset(("blueprint", "createdAt", "createdBy", "updatedAt", "updatedBy"))
_FIELDS = ("identifier", "title", "icon", "team", "properties", "relations")
_IDENTIFIER_HINT = "Use 1 to 500 letters, digits 0-9 and @ _ . + : \\ / = -"


@dataclass(frozen=True, slots=True)
class Given:
    """What a write says. A text that it does not mention is absent from `texts`, as a `team` that is None."""

    identifier: str | None
    texts: Mapping[str, str | None]
    team: tuple[str, ...] | None
    properties: JsonObject
    relations: JsonObject


def read_given(document: Json, blueprint: Blueprint, identifier: str | None, findings: Findings) -> Given:
    """What the document says, as far as it can be read. `identifier`: the one in the request's path, if it has one."""
    if not isinstance(document, dict):
        findings.error("", "wrong-type", f"An entity must be an object; this is {kind(document)}.")
        document = {}
    for name in document:
        if name not in _FIELDS and name not in _SERVER_FIELDS and not findings.full:
            hint = did_you_mean(name, _FIELDS)
            findings.error(pointer(name), "unknown-field", f"{quoted(name)} is not a field of entities.", hint)
    named = document.get("blueprint")
    if named is not None and named != blueprint.identifier:
        message = f'The blueprint is "{blueprint.identifier}": an entity cannot change it.'
        findings.error("/blueprint", "identifier-mismatch", message, "Leave it out.")
    return Given(
        _identifier(document, identifier, findings),
        _texts(document, findings),
        _team(document, findings),
        _properties(document, blueprint, findings),
        _relations(document, blueprint, findings),
    )


def result_of(
    blueprint: Blueprint, before: Entity | None, given: Given, identifier: str, merging: bool, by: str, at: int
) -> Entity:
    """The entity that a write leads to. `before` is the one that is there; what is no merge takes only its birth."""
    born = before or Entity(blueprint.identifier, identifier, at, by, at, by)
    base = replace(born, updated_by=by, updated_at=at)
    if before is None or not merging:
        defaults: JsonObject = {
            name: it["default"] for name, it in blueprint.properties.items() if it.get("default") is not None
        }
        base = replace(base, title=None, icon=None, team=(), properties=_merged({}, defaults), relations={})
    return replace(
        base,
        title=given.texts.get("title", base.title),
        icon=given.texts.get("icon", base.icon),
        team=base.team if given.team is None else given.team,
        properties=_merged(base.properties, given.properties),
        relations=_merged(base.relations, {name: _once(value) for name, value in given.relations.items()}),
    )


def check_result(blueprint: Blueprint, entity: Entity, findings: Findings) -> None:
    """Report what is required and missing."""
    for name in sorted(blueprint.required - entity.properties.keys()):
        findings.error(pointer("properties", name), "missing-property", f"{quoted(name)} is required.", "Give it.")
    for name, relation in blueprint.relations.items():
        if relation.required and not targets(entity.relations.get(name)):
            findings.error(pointer("relations", name), "missing-relation", f"{quoted(name)} is required.", "Give it.")


def new_targets(blueprint: Blueprint, before: Entity | None, entity: Entity) -> dict[str, str]:
    """The keys of the entities to which the write points anew, by pointers to where it does. They must exist."""
    found = {}
    for name, value in entity.relations.items():
        old = frozenset(targets(before.relations.get(name))) if before else frozenset()
        relation = blueprint.relations.get(name)
        for index, target in enumerate(targets(value) if relation else ()):
            where = pointer("relations", name, index) if isinstance(value, list) else pointer("relations", name)
            # an entity may point to itself, also while it is being made; what is no identifier is reported already
            is_new = target not in old and IDENTIFIER.fullmatch(target) is not None
            if relation and is_new and key_of(relation.target, target) != entity.key:
                found[where] = key_of(relation.target, target)
    return found


def changes_nothing(before: Entity, after: Entity) -> bool:
    """Whether a write says only what is there already."""
    unstamped = replace(after, updated_at=before.updated_at, updated_by=before.updated_by)
    return same(document_of(before), document_of(unstamped))


def _identifier(document: JsonObject, expected: str | None, findings: Findings) -> str | None:
    named = document.get("identifier")
    identifier = expected if named is None else named
    if identifier is None:
        return None
    if not isinstance(identifier, str):
        findings.error("/identifier", "wrong-type", f"The identifier must be a string; it is {kind(identifier)}.")
    elif IDENTIFIER.fullmatch(identifier) is None:
        message = f"{quoted(identifier)} is no identifier."
        findings.error("/identifier", "bad-identifier", message, f"{_IDENTIFIER_HINT}.")
    elif expected is not None and identifier != expected:
        message = f"The identifier must stay {quoted(expected)}: an entity cannot be renamed."
        findings.error("/identifier", "identifier-mismatch", message, "Leave it out, or create another entity.")
    else:
        return identifier
    return None


def _texts(document: JsonObject, findings: Findings) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in ("title", "icon"):
        value = document.get(name)
        if value is not None and not isinstance(value, str):
            findings.error(f"/{name}", "wrong-type", f"The {name} must be a string; it is {kind(value)}.")
        elif value is not None and len(value) > TEXT_LENGTH:
            findings.error(f"/{name}", "too-long", f"The {name} may have {TEXT_LENGTH} characters.")
        elif name in document:
            found[name] = value
    return found


def _team(document: JsonObject, findings: Findings) -> tuple[str, ...] | None:
    """Teams are a list; one name is a list of one (spec 3.7, 11.1)."""
    if "team" not in document:
        return None
    value = document["team"]
    names: list[Json] = [] if value is None else value if isinstance(value, list) else [value]
    if all(isinstance(name, str) and 0 < len(name) <= TEXT_LENGTH for name in names) and len(names) <= RELATED:
        return tuple(dict.fromkeys(str(name) for name in names))
    findings.error("/team", "wrong-type", '"team" must be the name of a team, or a list of names.')
    return None


def _properties(document: JsonObject, blueprint: Blueprint, findings: Findings) -> JsonObject:
    given = _names(document, "properties", findings)
    for name, value in given.items():
        where = pointer("properties", name)
        definition = blueprint.properties.get(name)
        if definition is None:
            if not findings.full:
                message = f"{quoted(name)} is not a property of {quoted(blueprint.identifier)}."
                findings.error(where, "unknown-property", message, did_you_mean(name, blueprint.properties))
        elif value is not None:
            check_property(definition, value, where, findings)
    return given


def _relations(document: JsonObject, blueprint: Blueprint, findings: Findings) -> JsonObject:
    given = _names(document, "relations", findings)
    for name, value in given.items():
        relation = blueprint.relations.get(name)
        if relation is not None:
            _check_relation(relation, value, pointer("relations", name), findings)
        elif not findings.full:
            message = f"{quoted(name)} is not a relation of {quoted(blueprint.identifier)}."
            hint = did_you_mean(name, blueprint.relations)
            findings.error(pointer("relations", name), "unknown-relation", message, hint)
    return given


def _check_relation(relation: Relation, value: Json, where: str, findings: Findings) -> None:
    if value is None:
        return
    items: list[tuple[str, Json]] = [(where, value)]
    if relation.many:
        if not isinstance(value, list):
            findings.error(where, "wrong-type", f"A relation to many must be a list; it is {kind(value)}.")
            return
        if len(value) > RELATED:
            findings.error(where, "too-many-items", f"The relation may lead to {RELATED} entities.")
            return
        items = [(f"{where}/{index}", item) for index, item in enumerate(value)]
    for place, item in items:
        if not isinstance(item, str):
            message = f"A relation leads to the identifier of an entity; this is {kind(item)}."
            findings.error(place, "wrong-type", message)
        elif IDENTIFIER.fullmatch(item) is None:
            findings.error(place, "bad-identifier", f"{quoted(item)} is no identifier.", f"{_IDENTIFIER_HINT}.")


def _names(document: JsonObject, field: str, findings: Findings) -> JsonObject:
    value = document.get(field)
    if value is not None and not isinstance(value, dict):
        findings.error(f"/{field}", "wrong-type", f'"{field}" must be an object; it is {kind(value)}.')
    return value if isinstance(value, dict) else {}


def _merged(old: Mapping[str, Json], given: JsonObject) -> JsonObject:
    return {name: value for name, value in {**old, **given}.items() if value is not None}


def _once(value: Json) -> Json:
    """Each entity once, where a list leads to it several times."""
    return list(dict.fromkeys(targets(value))) if isinstance(value, list) else value
