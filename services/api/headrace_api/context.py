"""What every handler needs, in one object that hangs on the app."""

from dataclasses import dataclass
from typing import Any, cast

from fastapi import Request

from headrace_api.definitions import Definitions
from headrace_api.keys import RecentKeys
from headrace_api.metrics import Metrics
from headrace_api.permissions import Principal
from headrace_api.ports import ApiPorts
from headrace_api.settings import ApiSettings
from headrace_api.throttle import LoginThrottle
from headrace_api.tokens import Tokens
from headrace_api.wake_cycles import WakeCycles
from headrace_api.watch import RunWatch


@dataclass(slots=True)
class Context:
    ports: ApiPorts
    settings: ApiSettings
    tokens: Tokens
    throttle: LoginThrottle
    definitions: Definitions
    wake_cycles: WakeCycles
    watch: RunWatch
    metrics: Metrics
    recent_keys: RecentKeys
    streams: int = 0
    """Streams open now."""


def context_of(request: Request) -> Context:
    return cast(Context, request.app.state.context)


def principal_of(request: Request) -> Principal:
    """The caller, as `access.authenticate` found it."""
    return cast(Principal, request.state.principal)


def query_of(request: Request) -> dict[str, Any]:
    """The query parameters of the route, as `access.read_query` read them."""
    return cast(dict[str, Any], request.state.query)
