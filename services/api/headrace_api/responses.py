"""Answers: JSON written by orjson, with the few headers that they need."""

import json
from collections.abc import Mapping

import orjson
from fastapi import Response

from headrace_api import problems
from headrace_api.problems import ApiError

JSON = "application/json"


def dump(content: object) -> bytes:
    """The content as JSON. What orjson cannot write (numbers beyond 64 bits, lone surrogates) is escaped instead."""
    try:
        return orjson.dumps(content)
    except TypeError:
        return json.dumps(content, separators=(",", ":")).encode("ascii")


def answer(content: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A success: `ok` first, then the content."""
    return Response(dump({"ok": True, **content}), status, dict(headers or {}), media_type=JSON)


def refusal(error: ApiError, path: str, request_id: str) -> Response:
    """An error as problem details."""
    body = dump(problems.document(error, path, request_id))
    return Response(body, error.status, dict(error.headers), media_type=problems.CONTENT_TYPE)
