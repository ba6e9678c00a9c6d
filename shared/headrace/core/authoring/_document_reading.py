"""Reading a part of a raw document: unknown fields are dropped with a warning, everything wrong is reported at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from headrace.core import errors
from headrace.core.authoring._document_configs import CONFIGS
from headrace.core.authoring._document_part import Part
from headrace.core.authoring.findings import Findings, did_you_mean, kind, quoted
from headrace.core.definition import LATER_TYPES
from headrace.core.json import Json, JsonObject

PartT = TypeVar("PartT", bound=Part)


@dataclass(frozen=True, slots=True)
class _Child:
    """How a field holds further parts: itself one, a list of them, or an object of them by name."""

    holds: Literal["one", "list", "map"]
    part: type[Part]


def read(part: type[PartT], raw: JsonObject, pointer: str, findings: Findings) -> tuple[PartT | None, JsonObject]:
    """The part that `raw` holds, or None when it is wrong; and `raw` without unknown fields and without nulls."""
    known = _known(part, raw, pointer, findings)
    try:
        return part.model_validate(known), known
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _report(detail, known, pointer, findings)
    return None, known


def fields(part: type[Part]) -> tuple[str, ...]:
    """The names that this part knows, as they are written in documents."""
    return tuple(_children(part))


def _known(part: type[Part], raw: JsonObject, pointer: str, findings: Findings) -> JsonObject:
    children = _children(part)
    kept: JsonObject = {}
    for name, value in raw.items():
        if name in children:
            if value is not None:
                kept[name] = _known_value(children[name], name, value, pointer, findings)
        elif name not in part.quiet_fields and not findings.full:
            hint = _misplaced(part, name) or did_you_mean(name, children)
            message = f"{quoted(name)} is not a field that is known here; it is ignored."
            findings.warning(pointer + errors.pointer(name), "unknown-field", message, hint)
    return kept


def _known_value(child: _Child | None, name: str, value: Json, pointer: str, findings: Findings) -> Json:
    if name == "config" and isinstance(value, dict):
        kind_of_node = value.get("type")
        part: type[Part] | None = CONFIGS.get(kind_of_node) if isinstance(kind_of_node, str) else None
        return value if part is None else _known(part, value, pointer + "/config", findings)
    if child is None:
        return value
    here = pointer + errors.pointer(name)
    match child.holds, value:
        case "one", dict():
            return _known(child.part, value, here, findings)
        case "list", list():
            return [
                _known(child.part, item, f"{here}/{index}", findings) if isinstance(item, dict) else item
                for index, item in enumerate(value)
            ]
        case "map", dict():
            return {
                key: _known(child.part, item, here + errors.pointer(key), findings) if isinstance(item, dict) else item
                for key, item in value.items()
            }
        case _:
            return value


def _misplaced(part: type[Part], name: str) -> str:
    if "config" in _children(part) and any(name in fields(config) for config in CONFIGS.values()):
        return f'"{name}" belongs inside "config".'
    return ""


@cache
def _children(part: type[Part]) -> Mapping[str, _Child | None]:
    return {field.alias or name: _child(field.annotation) for name, field in part.model_fields.items()}


def _child(annotation: Any) -> _Child | None:
    for holds, inner in _unfold("one", annotation):
        if isinstance(inner, type) and issubclass(inner, Part):
            return _Child(holds, inner)
    return None


def _unfold(
    holds: Literal["one", "list", "map"], annotation: Any
) -> Iterator[tuple[Literal["one", "list", "map"], Any]]:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _unfold(holds, inner[0])
    elif origin in (Union, UnionType):
        for option in inner:
            yield from _unfold(holds, option)
    elif origin is list:
        yield from _unfold("list", inner[0])
    elif origin is dict:
        yield from _unfold("map", inner[1])
    else:
        yield holds, annotation


_EXPECTED = {
    "string_type": "a string",
    "string_unicode": "a string of valid Unicode",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}


def _report(detail: ErrorDetails, known: JsonObject, pointer: str, findings: Findings) -> None:
    path = _path(detail["loc"], known)
    if detail["type"].startswith("union_tag"):
        path = (*path, "type")
    name = quoted(str(path[-1])) if path else "This"
    code, message, hint = _words(detail, name)
    findings.error(pointer + errors.pointer(*path), code, message, hint)


def _path(loc: tuple[int | str, ...], known: JsonObject) -> tuple[int | str, ...]:
    """Pydantic's location without the tag that it inserts after `config`, and without the mark for bad keys."""
    if len(loc) > 1 and loc[0] == "config" and "config" in known:
        loc = (loc[0], *loc[2:])
    return loc[:-1] if loc and loc[-1] == "[key]" else loc


def _words(detail: ErrorDetails, name: str) -> tuple[str, str, str]:
    """Code, message and hint for one error of pydantic's."""
    context: dict[str, Any] = detail.get("ctx", {})
    given, error = detail["input"], detail["type"]
    if "said" in context:
        said = context["said"] if error != "wrong-type" else f"{name} must be {context['said']}; it is {kind(given)}."
        return error, said, context["hint"]
    if error in _EXPECTED:
        return "wrong-type", f"{name} must be {_EXPECTED[error]}; it is {kind(given)}.", _type_hint(error, given)
    match error:
        case "missing":
            return "missing-field", f"{name} is missing.", "Add it; it is required here."
        case "literal_error":
            expected = context["expected"].replace("'", '"')
            return "unknown-value", f"{name} must be {expected}.", _value_hint(given, expected)
        case "union_tag_not_found":
            return "missing-field", '"type" is missing from the config.', "One of: " + ", ".join(CONFIGS) + "."
        case "union_tag_invalid":
            return _type_words(str(context["tag"]))
        case "string_too_long":
            length = len(given) if isinstance(given, str) else 0
            return "too-long", f"{name} may have {context['max_length']} characters; it has {length}.", "Shorten it."
        case "too_long":
            return "too-many", f"{name} may hold {context['max_length']}; it holds {context['actual_length']}.", ""
        case "string_too_short" | "too_short":
            return "blank-value", f"{name} must not be empty.", ""
        case "greater_than_equal":
            return "out-of-range", f"{name} must be at least {context['ge']}.", ""
        case "less_than_equal":
            return "out-of-range", f"{name} must be at most {context['le']}.", ""
        case _:
            return "invalid-value", f"{name} cannot be read: {detail['msg']}.", ""


def _type_words(tag: str) -> tuple[str, str, str]:
    if tag in LATER_TYPES:
        message = f"Nodes of type {tag} are not part of Headrace."
        return "unsupported-node-type", message, "Call the AI service with a WEBHOOK node instead."
    return (
        "unknown-node-type",
        f"There is no node type {quoted(tag)}.",
        did_you_mean(tag, CONFIGS) or ("One of: " + ", ".join(CONFIGS) + "."),
    )


def _type_hint(error: str, given: Any) -> str:
    if error in ("bool_type", "int_type", "float_type") and isinstance(given, str):
        return "Write the value without quotes."
    if error == "string_type" and isinstance(given, bool | int | float):
        return "Write the value in quotes."
    return ""


def _value_hint(given: Any, expected: str) -> str:
    options = [option for option in expected.split('"') if option.strip(" ,or")]
    return did_you_mean(given, options) if isinstance(given, str) else ""
