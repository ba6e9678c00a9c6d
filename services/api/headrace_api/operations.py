"""How routes describe themselves. `headrace_api.openapi` turns these notes into OpenAPI when somebody asks for it.

Plain data: the models that the document shows are neither imported nor compiled when the service starts.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import Response

from headrace_api.parameters import Parameter

KEY = "x-headrace"


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
    """Keyword arguments for a route decorator.

    `returns` and `body` name schemas of `headrace_api.schemas`; `headers` and `answers_with` name request and response
    headers; `errors` are codes of the table of problems, to which the ones that every route has are added.
    """
    note = {
        "returns": returns,
        "status": status,
        "body": body,
        "bodyRequired": body_required,
        "parameters": tuple(parameters),
        "headers": tuple(headers),
        "answersWith": tuple(answers_with),
        "errors": tuple(errors),
        "mediaType": media_type,
        "open": is_open,
    }
    return {
        "summary": summary,
        "status_code": status,
        "response_class": Response,
        "response_model": None,
        "openapi_extra": {KEY: note},
    }
