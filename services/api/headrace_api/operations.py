"""How routes describe themselves. `headrace_api.openapi` turns these notes into OpenAPI when somebody asks for it.

Plain data: the models that the document shows are neither imported nor compiled when the service starts. For the same
reason handlers take nothing but the request: every parameter that FastAPI is to read costs it a compiled model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Response

from headrace_api.parameters import Parameter

_KEY = "x-headrace"


@dataclass(frozen=True, slots=True)
class Note:
    """What there is to know about a route beside its path, its summary and its docstring.

    `returns` and `body` name schemas of `headrace_api.openapi`; `headers` and `answers_with` name request and response
    headers; `errors` are codes of the table of problems, beside those that every route may answer with.
    """

    returns: str
    status: int
    body: str | None
    body_required: bool
    parameters: tuple[Parameter, ...]
    headers: tuple[str, ...]
    answers_with: tuple[str, ...]
    errors: tuple[str, ...]
    media_type: str
    is_open: bool


_NOTES: dict[str, Note] = {}
"""By summary: FastAPI would encode what is put into a route itself."""


def operation(
    summary: str,
    returns: str,
    *,
    status: int = 200,
    body: str | None = None,
    body_required: bool = True,
    parameters: Sequence[Parameter] = (),
    headers: Sequence[str] = (),
    answers_with: Sequence[str] = (),
    errors: Sequence[str] = (),
    media_type: str = "application/json",
    is_open: bool = False,
) -> dict[str, Any]:
    """Keyword arguments for a route decorator: the summary, and a note for `note_of`."""
    assert summary not in _NOTES, "summaries tell operations apart"
    _NOTES[summary] = Note(
        returns, status, body, body_required, tuple(parameters), tuple(headers), tuple(answers_with), tuple(errors),
        media_type, is_open,
    )  # fmt: skip
    return {
        "summary": summary,
        "status_code": status,
        "response_class": Response,
        "response_model": None,
        "openapi_extra": {_KEY: summary},
    }


def note_of(extra: Mapping[str, Any]) -> Note:
    """The note of a route (`route.openapi_extra`), or of an operation of the document that FastAPI makes of it."""
    return _NOTES[extra[_KEY]]


def strip_note(operation: dict[str, Any]) -> None:
    """Take off what only we understand."""
    del operation[_KEY]
