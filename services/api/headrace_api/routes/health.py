"""Probes and metrics: for the machines that look after this one, without a token."""

import asyncio

from fastapi import APIRouter, Request, Response

from headrace.ports.errors import UnavailableError
from headrace_api.context import Context, context_of
from headrace_api.operations import operation
from headrace_api.problems import ApiError
from headrace_api.responses import answer

router = APIRouter(tags=["health"])

_READY_SECONDS = 2.0


@router.get("/healthz/live", **operation("Is the process alive?", "Done", is_open=True))
async def get_liveness(request: Request) -> Response:
    """200 as long as this process answers at all; a broken store does not change it."""
    return answer({})


@router.get("/healthz/ready", **operation("Can it serve?", "Done", errors=("unavailable",), is_open=True))
async def get_readiness(request: Request) -> Response:
    """200 when the store answers in time, else 503: send requests elsewhere for now."""
    complaint = await _complaint(context_of(request))
    if complaint is not None:
        raise ApiError("unavailable", f"Not ready: {complaint}.", headers={"retry-after": "1"})
    return answer({})


async def _complaint(context: Context) -> str | None:
    if context.watch.closed:
        return "the service is stopping"
    if context.ports.complaint is not None:
        return await context.ports.complaint()
    try:
        async with asyncio.timeout(_READY_SECONDS):
            await context.ports.definitions.revision()
    except (TimeoutError, UnavailableError) as error:
        return str(error) or f"no answer within {_READY_SECONDS:g} s"
    return None


@router.get("/metrics", **operation("Metrics", "MetricsText", media_type="text/plain", is_open=True))
async def get_metrics(request: Request) -> Response:
    """The process's metrics in Prometheus' text format."""
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

    return Response(generate_latest(context_of(request).metrics.registry), media_type=CONTENT_TYPE_LATEST)
