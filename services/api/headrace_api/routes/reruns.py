"""Running a run again, as a new run that is linked to the old one."""

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from headrace.adapters.clock import random_id
from headrace.contracts import codec
from headrace.contracts.envelope import TRACEPARENT
from headrace.core import ids, rerun
from headrace.core.commands import StartRun
from headrace.core.definition import SelfServeTrigger
from headrace.core.errors import Problem
from headrace.core.plan import Plan, compile_plan
from headrace.core.run import Run
from headrace_api import permissions, presenters, starting
from headrace_api.access import visible_run
from headrace_api.bodies import RerunRequest
from headrace_api.context import Context, context_of, principal_of
from headrace_api.operations import operation
from headrace_api.permissions import Principal
from headrace_api.problems import ApiError, not_found
from headrace_api.reading import Body, read_body, read_header, read_model, read_trace
from headrace_api.responses import answer

router = APIRouter(prefix="/v1/workflows", tags=["runs"])

_CODES = {"not-over": "run_not_over", "no-inputs": "invalid_inputs", "bad-inputs": "invalid_inputs"}
_MOST_BYTES = 900_000
"""What is carried over travels in one record; topics take a little more than a megabyte."""


@router.post(
    "/runs/{run_id}/rerun",
    **operation(
        "Run again", "RunAnswer", status=201, body="RerunRequest", body_required=False,
        headers=("Idempotency-Key", TRACEPARENT), answers_with=("Location", "Idempotent-Replayed"),
        errors=("malformed_json", "body_too_large", "unsupported_media_type", "invalid_request", "forbidden",
                "not_found", "run_not_over", "invalid_inputs", "rerun_refused", "idempotency_key_reused",
                "unavailable"),
    ),
)  # fmt: skip
async def rerun_run(request: Request) -> Response:
    """Repeat a run that is over: all of it, from what failed, or from one node on.

    The answer is the new run; its `rerunOf` names the old one, which stays as it is. Node runs that are not repeated
    are carried over: they show what they gave then, and are marked `carried`.
    """
    run_id: str = request.path_params["run_id"]
    context, principal = context_of(request), principal_of(request)
    key = read_header(request, "idempotency-key")
    body = await read_body(request, context.settings.body_limit_bytes, optional=True)
    wanted = read_model(RerunRequest, body)
    run = await visible_run(request, run_id)
    plan = await _plan(context, run, wanted)
    _check_may(context, principal, plan, run)
    command = await run_in_threadpool(rerun.prepare, plan, run, _wish(request, wanted, key))
    if isinstance(command, rerun.Refusal):
        raise _refused(command, body)
    _check_size(context, command)
    started = await starting.publish(context, command, run.trigger_type, has_key=key is not None)
    graph = await context.definitions.graph_of(started.run)
    return answer({"workflowRun": presenters.run(started.run, graph)}, 201, started.headers)


async def _plan(context: Context, run: Run, wanted: RerunRequest) -> Plan:
    """The plan that the new run follows."""
    if wanted.version == "latest":
        if wanted.first != "start":
            message = "What is carried over belongs to its version: only a re-run from the start may take the latest."
            raise ApiError("rerun_refused", message)
        version = await context.definitions.latest(run.workflow)
        if version is None:
            raise not_found("workflow", run.workflow)
        return compile_plan(context.definitions.graph(version), version.version)
    graph = await context.definitions.graph_of(run)
    if graph is None:
        raise not_found("version of workflow", run.workflow)
    return compile_plan(graph, run.version)


def _check_may(context: Context, principal: Principal, plan: Plan, run: Run) -> None:
    """A run is repeated by whoever may start it; what an event or a schedule started, by admins and machines."""
    trigger = plan.definition.nodes.get(run.trigger)
    if trigger is not None and isinstance(trigger.config, SelfServeTrigger):
        unrestricted = context.settings.members_start_unrestricted
        reason = permissions.why_not_start(principal, trigger.config.permissions, unrestricted)
        if reason is not None:
            raise ApiError("forbidden", f'You may not start "{run.trigger}" of "{run.workflow}". {reason}')
    elif not principal.is_operator:
        raise ApiError("forbidden", "Runs that nobody started by hand are repeated by admins and machine clients.")


def _wish(request: Request, wanted: RerunRequest, key: str | None) -> rerun.Wish:
    principal = principal_of(request)
    first = wanted.first
    return rerun.Wish(
        first="node" if not isinstance(first, str) else first,
        cause=random_id() if key is None else ids.derive(principal.id, key),
        by=principal.id,
        at=context_of(request).ports.clock.now(),
        node="" if isinstance(first, str) else first.node,
        inputs=wanted.inputs,
        payload="" if key is None else starting.digest(wanted.model_dump(mode="json")),
        traceparent=read_trace(request),
    )


def _refused(refusal: rerun.Refusal, body: Body) -> ApiError:
    problems = tuple(
        Problem("/inputs" + it.pointer, it.code, it.message, it.hint, it.severity) for it in refusal.problems
    )
    return ApiError(_CODES.get(refusal.reason, "rerun_refused"), refusal.message, body.present(problems))


def _check_size(context: Context, command: StartRun) -> None:
    size = len(codec.encode_command(command, context.ports.topics).value or b"")
    if size > _MOST_BYTES:
        message = f"What would be carried over has {size // 1024} KiB, more than a re-run can take. Repeat all of it."
        raise ApiError("rerun_refused", message)
