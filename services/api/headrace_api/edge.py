"""The outermost layer: request ids, headers that protect browsers, metrics, and a last net under every handler.

Handlers that fail unexpectedly answer 500 with a request id and nothing else; what happened goes to the log only.
"""

import time
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.adapters.clock import random_id
from headrace.ports.errors import UnavailableError
from headrace.ports.evaluator import EvaluatorUnavailableError
from headrace_api.metrics import Metrics
from headrace_api.problems import ApiError, about_parameter
from headrace_api.responses import refusal

log = structlog.get_logger(__name__)

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]
_LONGEST_REQUEST_ID = 128


class Edge:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        status: int | None = None

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_HEADERS, (b"x-request-id", request_id.encode())]
                self._observe(scope, status or 0, time.perf_counter() - began)
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        except Exception:
            log.exception("Request failed", request_id=request_id, method=scope["method"], path=scope["path"])
            if status is not None:
                raise
            error = ApiError("internal_error", "Something went wrong inside Headrace; the log has the details.")
            await refusal(error, scope["path"], request_id)(scope, receive, send_on)

    def _observe(self, scope: Scope, status: int, seconds: float) -> None:
        route: Any = scope.get("route")
        template = getattr(route, "path_format", None) or getattr(route, "path", None) or "other"
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        self._metrics.requests.labels(method, template, str(status)).inc()
        self._metrics.seconds.labels(method, template).observe(seconds)


_METHODS = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"))


def add_error_handlers(app: FastAPI) -> None:
    """Every error that a handler may raise on purpose becomes a problem document."""
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(UnavailableError, _on_unavailable)
    app.add_exception_handler(EvaluatorUnavailableError, _on_unavailable)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)


async def _on_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _refuse(request, error)


async def _on_unavailable(request: Request, error: Exception) -> Response:
    log.warning("The log or a store is unavailable", request_id=request.state.request_id, error=str(error))
    message = "The log or a store does not answer; whether the request took effect is unknown."
    return _refuse(request, ApiError("unavailable", message, headers={"retry-after": "1"}))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = ", ".join(_allowed(request))
        message = f"{request.method[:20]!r} is not possible on this path; {allowed} is."
        return _refuse(request, ApiError("method_not_allowed", message, headers={"allow": allowed}))
    if error.status_code == 404:
        return _refuse(request, ApiError("not_found", "There is nothing at this path. GET /openapi.json lists all."))
    return _refuse(request, ApiError("invalid_request", str(error.detail)))


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [about_parameter(str(it["loc"][-1]), "invalid-value", str(it["msg"])) for it in error.errors()]
    return _refuse(request, ApiError("invalid_parameter", "A parameter cannot be used.", errors))


def _allowed(request: Request) -> list[str]:
    """Every method that some route has for this path; Starlette names those of the first such route only."""
    path = request.scope["path"]
    methods: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        if route.path and compile_path(route.path)[0].match(path):
            methods |= set(route.methods or ())
    return sorted(methods)


def _refuse(request: Request, error: ApiError) -> Response:
    return refusal(error, request.url.path, request.state.request_id)


def _request_id(scope: Scope) -> str:
    """The caller's X-Request-Id if it is harmless, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and 0 < len(value) <= _LONGEST_REQUEST_ID and value.isascii():
            text: str = value.decode("ascii")
            if text.replace("-", "").replace("_", "").isalnum():
                return text
    return random_id()
