"""The api service: FastAPI, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from prometheus_client import CollectorRegistry

from headrace_api import edge
from headrace_api.access import authenticate, read_query
from headrace_api.context import Context
from headrace_api.definitions import Definitions
from headrace_api.keys import RecentKeys
from headrace_api.metrics import Metrics
from headrace_api.ports import ApiPorts, Explainer
from headrace_api.routes import (
    auth,
    blueprints,
    decisions,
    documentation,
    entities,
    events,
    health,
    integrations,
    node_runs,
    people,
    reruns,
    runs,
    workers,
    workflows,
)
from headrace_api.settings import ApiSettings
from headrace_api.throttle import LoginThrottle
from headrace_api.tokens import Tokens
from headrace_api.wake_cycles import WakeCycles
from headrace_api.watch import RunWatch

__all__ = ["ApiPorts", "ApiSettings", "Explainer", "create_app"]


def create_app(ports: ApiPorts, settings: ApiSettings, registry: CollectorRegistry | None = None) -> FastAPI:
    """The application. `registry` holds the process's metrics; without one the app has its own."""
    app = bare_app()
    metrics = Metrics(registry or CollectorRegistry())
    app.state.context = Context(
        ports=ports,
        settings=settings,
        tokens=Tokens(settings, ports.clock),
        throttle=LoginThrottle(settings.login, ports.clock),
        definitions=Definitions(ports.definitions, settings.allow_anyone_to_view_runs_default),
        wake_cycles=WakeCycles(ports.definitions),
        watch=RunWatch(ports.log, ports.topics.run_events, settings.stream.poll_seconds),
        metrics=metrics,
        recent_keys=RecentKeys(),
    )
    app.add_middleware(edge.Edge, metrics=metrics)
    return app


def stop_streams(app: FastAPI) -> None:
    """End every stream of run changes, so that a server can stop without waiting for them."""
    app.state.context.watch.stop()


class _Api(FastAPI):
    """FastAPI with our own OpenAPI document."""

    def openapi(self) -> dict[str, Any]:
        from headrace_api import openapi

        if self.openapi_schema is None:
            self.openapi_schema = openapi.describe(self)
        return self.openapi_schema


def bare_app() -> FastAPI:
    """The routes without anything behind them; enough to describe them."""
    app = _Api(
        title="Headrace",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        generate_unique_id_function=lambda route: route.name,
    )
    edge.add_error_handlers(app)
    for router in (auth.router, integrations.router):
        app.include_router(router, dependencies=[Depends(read_query)])
    guarded = APIRouter(dependencies=[Depends(authenticate), Depends(read_query)])
    # Literal paths before those with a workflow's identifier in the same place.
    for routes in (workers, runs, reruns, decisions, node_runs, people, workflows, events, blueprints, entities):
        guarded.include_router(routes.router)
    app.include_router(guarded)
    app.include_router(health.router)
    app.include_router(documentation.router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await app.state.context.watch.close()
