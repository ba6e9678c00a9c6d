"""What is wrong with a blueprint that somebody wants to save: everything at once, each with its place (spec 2.1.3)."""

import re

from headrace.core.authoring.findings import Findings, did_you_mean, kind, quoted
from headrace.core.authoring.input_values import pattern_fault
from headrace.core.catalog.blueprint import TIMER, objects
from headrace.core.catalog.values import PROPERTY_FORMATS, check_property
from headrace.core.errors import Problem, pointer
from headrace.core.json import Json, JsonObject

NAME = re.compile(r"[A-Za-z0-9@_=-]{1,100}")
"""Identifiers of blueprints, properties and relations. No slash: see `entity.key_of`."""

_TEXTS = ("title", "icon", "description")
_FIELDS = frozenset(("identifier", "schema", "relations", *_TEXTS))
_NOT_YET = frozenset(
    (
        "mirrorProperties", "calculationProperties", "aggregationProperties", "teamInheritance", "ownership",
        "changelogDestination",
    )
)  # fmt: skip
_SCHEMA_FIELDS = frozenset(("properties", "required"))
_RELATION_FIELDS = frozenset(("target", "many", "required", *_TEXTS))
_DEFINITION_FIELDS = frozenset(
    (
        "type", "format", "default", "enum", "enumColors", "pattern", "minLength", "maxLength", "minimum", "maximum",
        "exclusiveMinimum", "exclusiveMaximum", "items", "minItems", "maxItems", "uniqueItems", "properties",
        "required", "patternProperties", "additionalProperties", "spec", "specAuthentication", *_TEXTS,
    )
)  # fmt: skip
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems")
_NAME_HINT = "Use 1 to 100 letters, digits 0-9 and @ _ = -"


def check_blueprint(document: Json, identifier: str | None = None) -> tuple[Problem, ...]:
    """All problems. `identifier` is the one that it must have, because it replaces the blueprint of that name."""
    findings = Findings()
    if not isinstance(document, dict):
        findings.error("", "wrong-type", f"A blueprint must be an object; this is {kind(document)}.")
        return findings.result()
    _check_fields(document, "", _FIELDS | _NOT_YET, findings)
    for name in _NOT_YET & {name for name, value in document.items() if value}:
        message = f"{quoted(name)} is kept, and this version does not compute it."
        findings.warning(pointer(name), "not-yet", message, "Its values are missing from entities and events.")
    _check_identifier(document, identifier, findings)
    _check_texts(document, "", findings)
    _check_schema(document, findings)
    for name, relation in _object_at(document, "relations", "", findings).items():
        _check_relation(name, relation, findings)
    return findings.result()


def targets_of(document: JsonObject) -> dict[str, str]:
    """The blueprints that the relations of a checked document lead to, by pointers to where it says so."""
    return {
        pointer("relations", name, "target"): str(relation["target"])
        for name, relation in objects(document.get("relations")).items()
        if isinstance(relation, dict)
    }


def _check_identifier(document: JsonObject, expected: str | None, findings: Findings) -> None:
    identifier = document.get("identifier")
    if identifier is None:
        findings.error("/identifier", "missing-field", "The blueprint has no identifier.", "Add it.")
    elif not isinstance(identifier, str):
        findings.error("/identifier", "wrong-type", f"The identifier must be a string; it is {kind(identifier)}.")
    elif NAME.fullmatch(identifier) is None:
        findings.error("/identifier", "bad-identifier", f"{quoted(identifier)} is no identifier.", f"{_NAME_HINT}.")
    elif expected is not None and identifier != expected:
        message = f'The identifier must stay "{expected}": a blueprint cannot be renamed.'
        findings.error("/identifier", "identifier-mismatch", message, "Leave it out, or create a new blueprint.")


def _check_schema(document: JsonObject, findings: Findings) -> None:
    schema = _object_at(document, "schema", "", findings)
    _check_fields(schema, "/schema", _SCHEMA_FIELDS, findings)
    definitions = _object_at(schema, "properties", "/schema", findings)
    for name, definition in definitions.items():
        where = "/schema" + pointer("properties", name)
        if NAME.fullmatch(name) is None:
            findings.error(where, "bad-identifier", f"{quoted(name)} is no name of a property.", f"{_NAME_HINT}.")
        _check_definition(definition, where, findings)
    required = schema.get("required")
    if required is not None and not isinstance(required, list):
        findings.error("/schema/required", "wrong-type", f'"required" must be a list; it is {kind(required)}.')
    for index, wanted in enumerate(required if isinstance(required, list) else ()):
        if not isinstance(wanted, str) or wanted not in definitions:
            shown = quoted(wanted) if isinstance(wanted, str) else kind(wanted)
            hint = did_you_mean(wanted, definitions) if isinstance(wanted, str) else ""
            findings.error(f"/schema/required/{index}", "unknown-property", f"There is no property {shown}.", hint)


def _check_definition(definition: Json, where: str, findings: Findings, is_item: bool = False) -> None:
    if not isinstance(definition, dict):
        findings.error(where, "wrong-type", f"A definition must be an object; it is {kind(definition)}.")
        return
    _check_fields(definition, where, _DEFINITION_FIELDS, findings)
    _check_texts(definition, where, findings)
    type_ = definition.get("type")
    if not isinstance(type_, str) or type_ not in PROPERTY_FORMATS:
        message = "The type must be one of " + ", ".join(PROPERTY_FORMATS) + "."
        findings.error(where + "/type", "missing-field" if type_ is None else "unknown-value", message)
        return
    _check_format(definition, type_, where, findings, is_item)
    _check_limits(definition, where, findings)
    if "items" in definition:
        _check_definition(definition["items"], where + "/items", findings, is_item=True)
    if (default := definition.get("default")) is not None:
        check_property(definition, default, where + "/default", findings)


def _check_format(definition: JsonObject, type_: str, where: str, findings: Findings, is_item: bool) -> None:
    format_ = definition.get("format")
    known = PROPERTY_FORMATS[type_]
    if format_ is None:
        return
    if not isinstance(format_, str) or format_ not in known:
        hint = did_you_mean(format_, sorted(known)) if isinstance(format_, str) else ""
        findings.error(where + "/format", "unknown-value", f"There is no such format of type {type_}.", hint)
    elif is_item and format_ == TIMER:
        message = "Only a property of its own can be a timer, not the items of a list."
        findings.error(where + "/format", "invalid-value", message, 'Take "date-time", or add a property.')


def _check_limits(definition: JsonObject, where: str, findings: Findings) -> None:
    for name in (*_NUMBERS, *_COUNTS):
        value = definition.get(name)
        good = int if name in _COUNTS else (int, float)
        if value is not None and (isinstance(value, bool) or not isinstance(value, good)):
            findings.error(f"{where}/{name}", "wrong-type", f'"{name}" must be a number; it is {kind(value)}.')
    options, pattern = definition.get("enum"), definition.get("pattern")
    if options is not None and not isinstance(options, list):
        findings.error(where + "/enum", "wrong-type", f'"enum" must be a list; it is {kind(options)}.')
    elif options == []:
        findings.error(where + "/enum", "blank-value", "An empty enum allows no value at all.", "Remove it.")
    if pattern is not None and not isinstance(pattern, str):
        findings.error(where + "/pattern", "wrong-type", f'"pattern" must be a string; it is {kind(pattern)}.')
    elif isinstance(pattern, str) and (fault := pattern_fault(pattern)) is not None:
        findings.error(where + "/pattern", "invalid-value", fault)


def _check_relation(name: str, relation: Json, findings: Findings) -> None:
    where = pointer("relations", name)
    if NAME.fullmatch(name) is None:
        findings.error(where, "bad-identifier", f"{quoted(name)} is no name of a relation.", f"{_NAME_HINT}.")
    if not isinstance(relation, dict):
        findings.error(where, "wrong-type", f"A relation must be an object; it is {kind(relation)}.")
        return
    _check_fields(relation, where, _RELATION_FIELDS, findings)
    _check_texts(relation, where, findings)
    target = relation.get("target")
    if not isinstance(target, str) or not target:
        code = "missing-field" if target is None else "wrong-type"
        findings.error(where + "/target", code, "A relation needs the identifier of the blueprint that it leads to.")
    for flag in ("many", "required"):
        value = relation.get(flag)
        if value is not None and not isinstance(value, bool):
            findings.error(f"{where}/{flag}", "wrong-type", f'"{flag}" must be true or false; it is {kind(value)}.')


def _object_at(parent: JsonObject, name: str, where: str, findings: Findings) -> JsonObject:
    value = parent.get(name)
    if value is not None and not isinstance(value, dict):
        findings.error(f"{where}/{name}", "wrong-type", f'"{name}" must be an object; it is {kind(value)}.')
    return objects(value)


def _check_fields(value: JsonObject, where: str, known: frozenset[str], findings: Findings) -> None:
    for name in value:
        if name not in known and not findings.full:
            message = f"{quoted(name)} is not known here; it is kept and ignored."
            findings.warning(where + pointer(name), "unknown-field", message, did_you_mean(name, known))


def _check_texts(value: JsonObject, where: str, findings: Findings) -> None:
    for name in _TEXTS:
        if (text := value.get(name)) is not None and not isinstance(text, str):
            findings.error(f"{where}/{name}", "wrong-type", f'"{name}" must be a string; it is {kind(text)}.')
