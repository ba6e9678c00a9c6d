"""Whether a value fits the definition of an input (spec 2.1.2, 2.1.3). Total, and linear in the size of the value."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from json import dumps
from operator import ge, gt, le, lt

import jsonschema_rs

from headrace.core import limits
from headrace.core.authoring.findings import Findings, did_you_mean, kind, quoted
from headrace.core.errors import pointer
from headrace.core.json import Json, JsonObject

FORMATS: Mapping[str, frozenset[str]] = {
    "string": frozenset(
        ["none", "multi-line", "date-time", "email", "url", "entity", "team", "user", "markdown", "yaml", "proto"],
    ),
    "number": frozenset(),
    "boolean": frozenset(),
    "object": frozenset(("none", "labeled-url", "multi-line")),
    "array": frozenset(),
}
"""The formats of each type."""

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}
_ARTICLES = {
    "string": "a string",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
}
_DATE_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?Z")
_EMAIL_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}")
_EMAIL_HOST = re.compile(r"[A-Za-z0-9-]{1,63}")
_BOUNDS: Mapping[str, tuple[Callable[[float, float], bool], str]] = {
    "minimum": (ge, "at least"),
    "maximum": (le, "at most"),
    "exclusiveMinimum": (gt, "more than"),
    "exclusiveMaximum": (lt, "less than"),
}
_LABELED_URL: JsonObject = {
    "type": "object",
    "properties": {"url": {"type": "string", "format": "url"}, "displayText": {"type": "string"}},
    "required": ["url"],
}
_URI = jsonschema_rs.Draft202012Validator({"format": "iri"}, validate_formats=True)


def check_value(definition: JsonObject, value: Json, where: str, findings: Findings, depth: int = 0) -> None:
    """Report everything about `value` that the definition does not allow, at pointers that begin with `where`."""
    expected = definition.get("type", "string")
    if not isinstance(expected, str) or expected not in _TYPES:
        return
    if depth > limits.INPUT_DEPTH:
        findings.error(where, "too-deep", f"The value is nested deeper than {limits.INPUT_DEPTH} levels.")
        return
    if not isinstance(value, _TYPES[expected]) or (expected == "number" and isinstance(value, bool)):
        findings.error(where, "wrong-type", f"The value must be {_ARTICLES[expected]}; it is {kind(value)}.")
        return
    options = definition.get("enum")
    if isinstance(options, list) and not _is_listed(value, options, expected):
        texts = [option for option in options if isinstance(option, str)]
        hint = did_you_mean(value, texts) if isinstance(value, str) else ""
        findings.error(where, "not-in-enum", f"{_shown(value)} is not one of the values allowed.", hint)
        return
    match value:
        case str():
            _check_text(definition, value, where, findings)
        case bool():
            pass
        case int() | float():
            _check_number(definition, value, where, findings)
        case dict():
            _check_object(definition, value, where, findings, depth)
        case list():
            _check_list(definition, value, where, findings, depth)
        case _:
            pass


def same(left: Json, right: Json) -> bool:
    """Whether two values are the same JSON; unlike in Python, `true` is not 1."""
    return _canonical(left) == _canonical(right)


def pattern_fault(pattern: str) -> str | None:
    """Why the pattern cannot be used, or None. Only patterns of linear cost can: no look-around, no back-references."""
    if len(pattern) > limits.PATTERN_LENGTH:
        return f"The pattern has {len(pattern)} characters; it may have {limits.PATTERN_LENGTH}."
    if _matcher(pattern) is None:
        return f"{quoted(pattern)} is not a regular expression that can be used."
    return None


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text, in linear time; a pattern that cannot be used matches everything."""
    matcher = _matcher(pattern)
    return matcher is None or _passes(matcher, text)


def _passes(validator: jsonschema_rs.Draft202012Validator, text: str) -> bool:
    try:
        return bool(validator.is_valid(text))
    except ValueError:  # a lone surrogate; text that came through the API never has one
        return False


@lru_cache(maxsize=512)
def _matcher(pattern: str) -> jsonschema_rs.Draft202012Validator | None:
    try:
        return jsonschema_rs.Draft202012Validator(
            {"pattern": pattern}, pattern_options=jsonschema_rs.RegexOptions(size_limit=1_000_000)
        )
    except (jsonschema_rs.ValidationError, ValueError):
        return None


def _is_listed(value: Json, options: list[Json], expected: str) -> bool:
    if expected == "array" and isinstance(value, list):
        known = {_canonical(option) for option in options}
        return _canonical(value) in known or all(_canonical(item) in known for item in value)
    if isinstance(value, str):
        return value in options
    return any(same(value, option) for option in options)


def _check_text(definition: JsonObject, value: str, where: str, findings: Findings) -> None:
    shortest, longest = definition.get("minLength"), definition.get("maxLength")
    most = longest if isinstance(longest, int) else limits.INPUT_TEXT_LENGTH
    if len(value) > most:
        findings.error(where, "too-long", f"The text may have {most} characters; it has {len(value)}.")
        return
    if isinstance(shortest, int) and len(value) < shortest:
        findings.error(where, "too-short", f"The text must have {shortest} characters; it has {len(value)}.")
    pattern = definition.get("pattern")
    if isinstance(pattern, str) and not matches(pattern, value):
        findings.error(where, "pattern-mismatch", f"{_shown(value)} does not match the pattern {quoted(pattern)}.")
    fault = _format_fault(definition.get("format"), value)
    if fault:
        findings.error(where, "bad-format", f"{_shown(value)} is not {fault}.")


def _format_fault(name: Json, value: str) -> str:
    match name:
        case "date-time" if not _is_date_time(value):
            return "a date and time in UTC, like 2026-01-31T09:00:00Z"
        case "email" if not _is_email(value):
            return "an e-mail address"
        case "url" if not _passes(_URI, value):
            return "a URL, like https://example.com/path"
        case "entity" | "team" | "user" if not value.strip():
            return f"the name of {'an' if name == 'entity' else 'a'} {name}"
        case _:
            return ""


def _is_date_time(value: str) -> bool:
    if _DATE_TIME.fullmatch(value) is None:
        return False
    try:
        datetime.fromisoformat(value[:16])
    except ValueError:
        return False
    return value[16] != ":" or int(value[17:19]) < 60


def _is_email(value: str) -> bool:
    name, _, host = value.rpartition("@")
    if not _EMAIL_NAME.fullmatch(name) or name[0] == "." or name[-1] == "." or ".." in name or len(value) > 320:
        return False
    labels = host.split(".")
    return len(labels) > 1 and all(_EMAIL_HOST.fullmatch(label) and label.strip("-") == label for label in labels)


def _check_number(definition: JsonObject, value: int | float, where: str, findings: Findings) -> None:
    for name, (holds, words) in _BOUNDS.items():
        bound = definition.get(name)
        if isinstance(bound, int | float) and not holds(value, bound):
            findings.error(where, "out-of-range", f"The value must be {words} {bound}; it is {value}.")


def _check_object(definition: JsonObject, value: JsonObject, where: str, findings: Findings, depth: int) -> None:
    if definition.get("format") == "labeled-url":
        definition = _LABELED_URL
    named, patterned = _object(definition.get("properties")), _object(definition.get("patternProperties"))
    required = definition.get("required")
    for name in required if isinstance(required, list) else ():
        if isinstance(name, str) and name not in value:
            findings.error(where + pointer(name), "missing-input", f"{quoted(name)} is missing.")
    rest = definition.get("additionalProperties", not (named or patterned))
    for name, item in value.items():
        here = where + pointer(name)
        rules = [named[name]] if name in named else []
        rules += [rule for pattern, rule in patterned.items() if matches(pattern, name)]
        if not rules and rest is False:
            message = f"{quoted(name)} is not a field of this object."
            findings.error(here, "unknown-input", message, did_you_mean(name, named) if not findings.full else "")
        for rule in rules or [rest]:
            if isinstance(rule, dict):
                check_value(rule, item, here, findings, depth + 1)


def _check_list(definition: JsonObject, value: list[Json], where: str, findings: Findings, depth: int) -> None:
    fewest, most = definition.get("minItems"), definition.get("maxItems")
    most = most if isinstance(most, int) else limits.INPUT_ITEMS
    if len(value) > most:
        findings.error(where, "too-many-items", f"The list may have {most} items; it has {len(value)}.")
        return
    if isinstance(fewest, int) and len(value) < fewest:
        findings.error(where, "too-few-items", f"The list must have {fewest} items; it has {len(value)}.")
    items = definition.get("items")
    seen: set[str] = set()
    for index, item in enumerate(value):
        if definition.get("uniqueItems") is True:
            mark = _canonical(item)
            if mark in seen:
                findings.error(f"{where}/{index}", "repeated-item", f"{_shown(item)} is in the list twice.")
            seen.add(mark)
        if isinstance(items, dict):
            check_value(items, item, f"{where}/{index}", findings, depth + 1)


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _canonical(value: Json) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return dumps(value, sort_keys=True)


def _shown(value: Json) -> str:
    text = dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
