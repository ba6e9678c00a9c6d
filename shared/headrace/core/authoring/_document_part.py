"""What all document models share: strict types, camelCase names, and the small types they are built from."""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from headrace.core import limits

IDENTIFIER_PATTERN = r"^[\p{L}0-9@_:-]+$"
_MARKS = frozenset("0123456789@_:-")


class Part(BaseModel):
    """A part of a workflow document. Types are taken literally: `"true"` is no boolean and `"5"` no number."""

    model_config = ConfigDict(
        strict=True, extra="ignore", frozen=True, alias_generator=to_camel, use_attribute_docstrings=True
    )

    quiet_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields that are dropped without a warning, because the server itself adds them to what it returns."""


def is_identifier(text: str) -> bool:
    """Whether `text` is made of letters of any script, digits 0-9 and `@ _ : -` only, and is not empty (spec 1.1)."""
    return bool(text) and all(char in _MARKS or char.isalpha() for char in text)


def complain(code: str, message: str, hint: str = "") -> PydanticCustomError:
    """An error that becomes a problem with this code, message and hint; braces in the words stay as they are."""
    escaped = message.replace("{", "{{").replace("}", "}}")
    return PydanticCustomError(code, escaped, {"said": message, "hint": hint})


def _identifier(value: str) -> str:
    if not is_identifier(value):
        what = "is empty" if not value else f'"{value}" has characters that are not allowed'
        raise complain(
            "bad-identifier",
            f"The identifier {what}.",
            "Use letters, the digits 0-9 and the characters @ _ : - (no spaces, no dots).",
        )
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise complain("blank-value", "This text must not be blank.", "Write a value, or remove the field.")
    return value


def is_whole_template(value: Any) -> bool:
    """Whether the value is one string that a template block fills completely, so that it may become anything."""
    return isinstance(value, str) and value.strip().startswith("{{") and value.strip().endswith("}}")


def one_of(expected: str, test: Callable[[Any], bool], schema: dict[str, Any]) -> Any:
    """A type for a value of several shapes. Pydantic's unions would report one error per shape; this reports one."""

    def check(value: Any) -> Any:
        if not test(value):
            raise complain("wrong-type", expected)
        return value

    return Annotated[Any, AfterValidator(check), WithJsonSchema(schema)]


def is_jq_query(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("jqQuery"), str)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


_TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
JQ_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"jqQuery": {"type": "string"}},
    "required": ["jqQuery"],
}


def _or_jq(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, JQ_SCHEMA]}


AnyObject = dict[str, Any]
Identifier = Annotated[
    str,
    Field(max_length=limits.IDENTIFIER_LENGTH, json_schema_extra={"pattern": IDENTIFIER_PATTERN}),
    AfterValidator(_identifier),
]
Text = Annotated[str, AfterValidator(_not_blank)]
Title = Annotated[str, Field(max_length=limits.TITLE_LENGTH)]
Description = Annotated[str, Field(max_length=limits.DESCRIPTION_LENGTH)]

BoolOrJq = one_of(
    'true, false or {"jqQuery": "..."}', lambda v: isinstance(v, bool) or is_jq_query(v), _or_jq({"type": "boolean"})
)
TextsOrJq = one_of('a list of strings or {"jqQuery": "..."}', lambda v: _texts(v) or is_jq_query(v), _or_jq(_TEXTS))
ListOrJq = one_of(
    'a list or {"jqQuery": "..."}', lambda v: isinstance(v, list) or is_jq_query(v), _or_jq({"type": "array"})
)
TextOrJq = one_of(
    'a string or {"jqQuery": "..."}', lambda v: isinstance(v, str) or is_jq_query(v), _or_jq({"type": "string"})
)
CountOrJq = one_of(
    'a whole number or {"jqQuery": "..."}',
    lambda v: (isinstance(v, int) and not isinstance(v, bool) and v >= 0) or is_jq_query(v),
    _or_jq({"type": "integer", "minimum": 0}),
)
TextOrTexts = one_of(
    "a string or a list of strings", lambda v: isinstance(v, str) or _texts(v), {"anyOf": [{"type": "string"}, _TEXTS]}
)
BoolOrTemplate = one_of(
    "true, false or a template",
    lambda v: isinstance(v, bool) or is_whole_template(v),
    {"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": "\\{\\{"}]},
)
BoolOrObject = one_of("true, false or an object", lambda v: isinstance(v, bool | dict), {"type": ["boolean", "object"]})
Payload = one_of(
    "an object, a list or one whole {{ template }}",
    lambda v: isinstance(v, dict | list) or is_whole_template(v),
    {"anyOf": [{"type": ["object", "array"]}, {"type": "string", "pattern": "^\\s*\\{\\{"}]},
)
NumberOrTemplate = one_of(
    "a number or one whole {{ template }}",
    lambda v: (isinstance(v, int | float) and not isinstance(v, bool)) or is_whole_template(v),
    {"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^\\s*\\{\\{"}]},
)
ObjectOrTemplate = one_of(
    "an object or one whole {{ template }}",
    lambda v: isinstance(v, dict) or is_whole_template(v),
    {"anyOf": [{"type": "object"}, {"type": "string", "pattern": "^\\s*\\{\\{"}]},
)
ListOrTemplate = one_of(
    "a list or one whole {{ template }}",
    lambda v: isinstance(v, list) or is_whole_template(v),
    {"anyOf": [{"type": "array"}, {"type": "string", "pattern": "^\\s*\\{\\{"}]},
)
Encryption = one_of(
    '"none", "aes256-gcm" or {"algorithm": "client-side", "key": "..."}',
    lambda v: v in ("none", "aes256-gcm") or (isinstance(v, dict) and v.get("algorithm") == "client-side"),
    {"anyOf": [{"enum": ["none", "aes256-gcm"]}, {"type": "object"}]},
)
