"""Closed until the service has started: requests get 503 with the reason, probes and metrics their usual answers."""

from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.adapters.clock import random_id
from headrace.runtime.readiness import Readiness
from headrace_api.problems import ApiError
from headrace_api.responses import refusal

_ALWAYS_OPEN = ("/healthz/live", "/healthz/ready", "/metrics")


class Entrance:
    """ASGI middleware: behind it, stores and log are connected."""

    def __init__(self, app: ASGIApp, readiness: Readiness) -> None:
        self._app = app
        self._readiness = readiness

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reason = self._readiness.reason
        if reason is None or scope["type"] != "http" or scope["path"] in _ALWAYS_OPEN:
            await self._app(scope, receive, send)
            return
        error = ApiError("unavailable", f"The API does not serve now: {reason}.", headers={"retry-after": "1"})
        await refusal(error, scope["path"], random_id())(scope, receive, send)
