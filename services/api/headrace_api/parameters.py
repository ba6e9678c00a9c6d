"""Query parameters: described once, read strictly, documented from the same description.

Unknown, repeated and unreadable parameters are refused, all at once, instead of being ignored: a filter with a typing
error would otherwise answer with everything.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from headrace.core.authoring.findings import did_you_mean
from headrace.core.json import JsonObject
from headrace_api.problems import ApiError, about_parameter

MOST_VALUES = 100
LONGEST_TEXT = 1_000
BIGGEST_OFFSET = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter. `many` ones may be repeated and give a tuple, others give a value or `default`."""

    name: str
    summary: str
    kind: Literal["text", "integer", "boolean"] = "text"
    many: bool = False
    choices: tuple[str, ...] = ()
    minimum: int = 0
    maximum: int = BIGGEST_OFFSET
    default: Any = None
    required: bool = False
    example: Any = None

    def schema(self) -> JsonObject:
        """The JSON Schema of one value, or of the list for `many`."""
        schema: JsonObject = {"type": "string" if self.kind == "text" else self.kind}
        if self.choices:
            schema["enum"] = list(self.choices)
        if self.kind == "integer":
            schema.update(minimum=self.minimum, maximum=self.maximum)
        if self.kind == "text" and not self.choices:
            schema["maxLength"] = LONGEST_TEXT
        if self.default is not None:
            schema["default"] = self.default
        return {"type": "array", "items": schema, "maxItems": MOST_VALUES} if self.many else schema

    def document(self) -> JsonObject:
        """The parameter as OpenAPI describes it."""
        documented: JsonObject = {
            "name": self.name,
            "in": "query",
            "required": self.required,
            "description": self.summary,
            "schema": self.schema(),
        }
        if self.many:
            documented.update(style="form", explode=True)
        if self.example is not None:
            documented["example"] = self.example
        return documented


def read(items: Iterable[tuple[str, str]], parameters: Sequence[Parameter]) -> dict[str, Any]:
    """The value of every parameter by name. Raises ApiError naming everything that is wrong with the query."""
    known = {parameter.name: parameter for parameter in parameters}
    given: dict[str, list[str]] = {}
    errors: list[JsonObject] = []
    for name, text in items:
        if name in known:
            given.setdefault(name, []).append(text)
        elif len(errors) < MOST_VALUES:
            errors.append(_unknown(name, known))
    values: dict[str, Any] = {}
    for parameter in parameters:
        texts = given.get(parameter.name, [])
        read_values = [_value(parameter, text, errors) for text in texts[: MOST_VALUES + 1]]
        if not texts and parameter.required:
            errors.append(about_parameter(parameter.name, "missing-parameter", f'"{parameter.name}" is required.'))
        if len(texts) > (MOST_VALUES if parameter.many else 1):
            errors.append(_too_often(parameter, len(texts)))
        if parameter.many:
            values[parameter.name] = tuple(dict.fromkeys(read_values))
        else:
            values[parameter.name] = read_values[0] if read_values else parameter.default
    if errors:
        raise ApiError("invalid_parameter", _summary(errors), errors)
    return values


def _value(parameter: Parameter, text: str, errors: list[JsonObject]) -> Any:
    problem = None
    match parameter.kind:
        case "integer":
            digits = text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 19
            if digits and parameter.minimum <= int(text) <= parameter.maximum:
                return int(text)
            problem = f"must be a whole number from {parameter.minimum} to {parameter.maximum}"
        case "boolean":
            if text in ("true", "false"):
                return text == "true"
            problem = "must be true or false"
        case "text":
            if parameter.choices:
                if text in parameter.choices:
                    return text
                problem = "must be one of " + ", ".join(parameter.choices)
            elif not text:
                problem = "must not be empty"
            elif len(text) > LONGEST_TEXT:
                problem = f"may have {LONGEST_TEXT} characters"
            elif "\0" in text:
                problem = "must not hold the character U+0000"
            else:
                return text
    shown = text if len(text) <= 50 else text[:47] + "..."
    message = f'"{parameter.name}" {problem}; it is {shown!r}.'
    errors.append(about_parameter(parameter.name, "invalid-value", message))
    return None


def _unknown(name: str, known: dict[str, Parameter]) -> JsonObject:
    shown = name if len(name) <= 50 else name[:47] + "..."
    hint = did_you_mean(name.removesuffix("[]"), known) if known else "This route takes no query parameters."
    return about_parameter(shown, "unknown-parameter", f"There is no parameter {shown!r} here.", hint)


def _too_often(parameter: Parameter, times: int) -> JsonObject:
    most = MOST_VALUES if parameter.many else 1
    message = f'"{parameter.name}" may be given {most} times; it was given {times} times.'
    return about_parameter(parameter.name, "repeated-parameter", message)


def _summary(errors: list[JsonObject]) -> str:
    first = str(errors[0]["message"])
    return first if len(errors) == 1 else f"{first} And {len(errors) - 1} more."


LIMIT = Parameter("limit", "How many to return at most.", "integer", minimum=1, maximum=1_000, default=100, example=50)
OFFSET = Parameter("offset", "How many to skip.", "integer", default=0)
RUN_FILTERS = (
    LIMIT,
    OFFSET,
    Parameter("workflowRunIdentifiers", "Only these runs.", many=True, example=["wfr_k3J9sQ0aZx81LmNp"]),
    Parameter("workflowIdentifiers", "Only runs of these workflows.", many=True, example=["restart_service"]),
    Parameter("workflowVersions", "Only runs of these versions.", "integer", many=True, minimum=1),
    Parameter("createdBy", "Only runs that this user or machine started."),
    Parameter("statuses", "Only runs in these states.", many=True, choices=("IN_PROGRESS", "CANCELLING", "COMPLETED")),
    Parameter("results", "Only runs that ended so.", many=True, choices=("SUCCESS", "FAILED", "CANCELLED")),
)
