"""Reading requests: the body as bytes through the strict parser, headers, and who asks.

Nothing here trusts a length, a type or an encoding that the client merely claims.
"""

import re
from dataclasses import dataclass
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from headrace.contracts import strict_json
from headrace.contracts.envelope import TRACEPARENT, read_traceparent
from headrace.core.authoring import source
from headrace.core.authoring.findings import did_you_mean, kind
from headrace.core.errors import Problem, pointer
from headrace.core.json import Json, JsonObject
from headrace_api.problems import ApiError, about_parameter, present

ModelT = TypeVar("ModelT", bound=BaseModel)

LONGEST_KEY = 255


@dataclass(frozen=True, slots=True)
class Body:
    """A JSON body, and the bytes it came as, from which positions are found when something is wrong."""

    value: Json
    raw: bytes
    is_part: bool = False
    """Whether the body is only a part of what is judged, as with PATCH: problems may then lie elsewhere."""

    def present(self, problems: tuple[Problem, ...]) -> list[JsonObject]:
        """The problems for an answer, with lines and columns where they are about this body."""
        if not problems or not self.raw:
            return [present(problem) for problem in problems]
        places = source.positions(self.raw.decode())
        return [
            present(problem, places.locate_problem(problem) if self._holds(problem) else None) for problem in problems
        ]

    def _holds(self, problem: Problem) -> bool:
        """Whether the problem is about this body."""
        if not self.is_part or not isinstance(self.value, dict):
            return True
        return any(
            problem.pointer == start or problem.pointer.startswith(start + "/") for start in map(pointer, self.value)
        )


async def read_body(request: Request, limit_bytes: int, *, optional: bool = False, unique_keys: bool = False) -> Body:
    """The JSON body of a request, `{}` for an empty one if it is `optional`; see strict_json for `unique_keys`.

    Raises ApiError: 413 before more than the limit is read, 415 for anything not declared as JSON, 400 with line and
    column for JSON that the strict parser refuses.
    """
    raw = await _read_bytes(request, limit_bytes)
    if not raw and optional:
        return Body({}, b"")
    _check_type(request)
    if not raw:
        raise ApiError("malformed_json", "The body is empty; a JSON object is expected.")
    try:
        return Body(strict_json.parse(raw, limit_bytes=limit_bytes, unique_keys=unique_keys), raw)
    except strict_json.BadJson as error:
        if error.too_large:
            raise _too_large(limit_bytes) from None
        place = None if error.line is None or error.column is None else (error.line, error.column)
        problem = present(Problem("", "malformed-json", error.message), place)
        raise ApiError("malformed_json", str(error), [problem]) from None


async def read_raw(request: Request, limit_bytes: int) -> bytes:
    """The body as it came, for those who check a signature of it first. Raises ApiError 413."""
    return await _read_bytes(request, limit_bytes)


def read_model(model: type[ModelT], body: Body) -> ModelT:
    """The body as a model. Raises ApiError 422 with everything that does not fit."""
    try:
        return model.model_validate(body.value)
    except ValidationError as error:
        names = [field.alias or name for name, field in model.model_fields.items()]
        problems = tuple(_problem(detail, names) for detail in error.errors(include_url=False)[:100])
    message = problems[0].message if len(problems) == 1 else f"{problems[0].message} And {len(problems) - 1} more."
    raise ApiError("invalid_request", message, body.present(problems))


def read_header(request: Request, name: str, longest: int = LONGEST_KEY) -> str | None:
    """The value of a header that may come once, or None. Raises ApiError for anything but visible ASCII."""
    values = request.headers.getlist(name)
    if not values:
        return None
    value = values[0]
    if len(values) > 1:
        problem = "may be sent once"
    elif not 1 <= len(value) <= longest:
        problem = f"must have 1 to {longest} characters"
    elif not all("\x20" <= char <= "\x7e" for char in value):
        problem = "must be visible ASCII"
    else:
        return value
    message = f"The header {name} {problem}."
    raise ApiError("invalid_parameter", message, [about_parameter(name, "invalid-header", message)])


def read_trace(request: Request) -> str | None:
    """The W3C trace context of a request, or None; a malformed one counts as none."""
    return read_traceparent(request.headers.get(TRACEPARENT))


def read_revs(request: Request) -> frozenset[int] | None:
    """The revisions that If-Match allows (RFC 9110 13.1.1); None for any, as without the header.

    Tags that are none of ours allow nothing. Raises ApiError for a header that cannot be read.
    """
    wanted = read_header(request, "if-match", longest=1_000)
    if wanted is None:
        return None
    tags = [tag.strip() for tag in wanted.split(",")]
    if "*" in tags:
        return None
    found = [re.fullmatch(r'"v([1-9][0-9]{0,14})"', tag) for tag in tags]
    return frozenset(int(tag[1]) - 1 for tag in found if tag)


async def _read_bytes(request: Request, limit_bytes: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and (len(declared) > 15 or int(declared) > limit_bytes):
        raise _too_large(limit_bytes)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit_bytes:
            raise _too_large(limit_bytes)
        chunks.append(chunk)
    return b"".join(chunks)


def _check_type(request: Request) -> None:
    declared = request.headers.get("content-type", "")
    media_type = declared.partition(";")[0].strip().lower()
    is_json = media_type == "application/json" or re.fullmatch(r"application/[\w.-]+\+json", media_type)
    if not is_json:
        shown = f"it is {media_type[:80]!r}" if media_type else "there is none"
        raise ApiError("unsupported_media_type", f"The Content-Type must be application/json; {shown}.")
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        message = f"The Content-Encoding {encoding[:40]!r} is not accepted; send the JSON as it is."
        raise ApiError("unsupported_media_type", message)


def _too_large(limit_bytes: int) -> ApiError:
    return ApiError("body_too_large", f"The body has more than {limit_bytes:,} bytes.", headers={"connection": "close"})


_EXPECTED = {
    "string_type": "a string",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "tuple_type": "a list",
}


def _problem(detail: ErrorDetails, names: list[str]) -> Problem:
    at = pointer(*(part for part in detail["loc"] if part != "[key]"))
    name = f'"{detail["loc"][-1]}"' if detail["loc"] else "The body"
    match detail["type"]:
        case "extra_forbidden":
            hint = did_you_mean(str(detail["loc"][-1]), names) if len(detail["loc"]) == 1 else ""
            return Problem(at, "unknown-field", f"{name} is not a field that is known here.", hint)
        case "missing":
            return Problem(at, "missing-field", f"{name} is missing.", "Add it; it is required here.")
        case expected if expected in _EXPECTED:
            return Problem(at, "wrong-type", f"{name} must be {_EXPECTED[expected]}; it is {kind(detail['input'])}.")
        case "literal_error":
            return Problem(at, "unknown-value", f"{name} must be {detail['ctx']['expected']}.")
        case _:
            return Problem(at, "invalid-value", f"{name}: {detail['msg'].removeprefix('Value error, ')}.")
