"""The protocol of workers outside: claim pending work, acknowledge it, then report (spec 7.6)."""

from fastapi import APIRouter, Request, Response

from headrace.core.json import Json, JsonObject
from headrace.core.times import iso
from headrace_api import presenters
from headrace_api.access import require_operator
from headrace_api.bodies import AckRequest, ClaimRequest
from headrace_api.context import Context, context_of
from headrace_api.operations import operation
from headrace_api.pending import Claimed, Desk, uid_of
from headrace_api.problems import ApiError, not_found
from headrace_api.reading import read_body, read_model
from headrace_api.responses import answer

router = APIRouter(prefix="/v1", tags=["workers"])

_ERRORS = ("malformed_json", "body_too_large", "unsupported_media_type", "invalid_request", "forbidden", "unavailable")
_ACK_ERRORS = (*_ERRORS, "not_found", "already_acknowledged")


@router.post(
    "/workflows/runs/claim-pending",
    **operation("Claim pending work", "ClaimAnswer", body="ClaimRequest", errors=_ERRORS),
)
async def claim_pending(request: Request) -> Response:
    """Take node runs that wait for an installation, for as long as `visibilityTimeoutMs`.

    Nobody else is given them meanwhile. What is not acknowledged in time is offered again.
    """
    require_operator(request, "Claiming work")
    context = context_of(request)
    wanted = read_model(ClaimRequest, await read_body(request, context.settings.body_limit_bytes))
    claimed = await _desk(context).claim(
        wanted.installation_id, wanted.limit, wanted.visibility_timeout_ms, frozenset(wanted.exclude)
    )
    shown: list[Json] = [await _shown(context, it) for it in claimed]
    return answer({"nodeRuns": shown})


@router.post(
    "/org/{org_id}/workflows/runs/claim-pending",
    **operation("Claim pending work (alias)", "ClaimAnswer", body="ClaimRequest", errors=_ERRORS),
)
async def claim_pending_of_org(request: Request) -> Response:
    """The same as POST /v1/workflows/runs/claim-pending; there is one organization, whatever the path says."""
    return await claim_pending(request)


@router.patch(
    "/workflows/runs/ack", **operation("Acknowledge work", "AckAnswer", body="AckRequest", errors=_ACK_ERRORS)
)
async def acknowledge(request: Request) -> Response:
    """Say that you take a node run, before you begin. Once somebody has said so, nobody else is given it."""
    require_operator(request, "Acknowledging work")
    context = context_of(request)
    wanted = read_model(AckRequest, await read_body(request, context.settings.body_limit_bytes))
    acked = await _desk(context).acknowledge(wanted.node_run_identifier)
    if acked is None:
        raise not_found("pending node run", wanted.node_run_identifier)
    if not acked:
        message = f'The node run "{wanted.node_run_identifier}" was acknowledged before.'
        raise ApiError("already_acknowledged", message)
    return answer({"acked": True})


@router.patch(
    "/org/{org_id}/workflows/runs/ack",
    **operation("Acknowledge work (alias)", "AckAnswer", body="AckRequest", errors=_ACK_ERRORS),
)
async def acknowledge_of_org(request: Request) -> Response:
    """The same as PATCH /v1/workflows/runs/ack; there is one organization, whatever the path says."""
    return await acknowledge(request)


def _desk(context: Context) -> Desk:
    return Desk(context.ports.pending, context.ports.runs, context.ports.clock)


async def _shown(context: Context, it: Claimed) -> JsonObject:
    graph = await context.definitions.graph_of(it.run)
    assert it.work.visible_at is not None, "what is claimed is not acknowledged"
    return {
        **presenters.node_run(it.node, it.run, graph),
        "workflowRun": {"identifier": it.run.id},
        "pendingExecution": True,
        "claimedUntil": iso(it.work.visible_at),
        "installationId": it.work.installation,
        "nodeUid": uid_of(it.run, it.node),
        "config": it.node.config,
    }
