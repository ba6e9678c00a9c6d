"""Webhooks of third parties: a pipeline that is over completes its node run at once (docs/actions.md).

Whoever sends one proves itself with the secret that was given to GitHub or GitLab, not with a token of ours. A webhook
that is lost or never set up costs nothing but time: the engine asks how the pipeline stands anyway.
"""

import hashlib
import hmac

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import SecretStr

from headrace.contracts import codec
from headrace.contracts.pipelines import PipelineReport, read_github_event, read_gitlab_event
from headrace.core import ids
from headrace.core.commands import ReportNode
from headrace.core.json import Json, JsonObject
from headrace.core.run import LogLine, NodeRun, Run
from headrace_api.context import Context, context_of
from headrace_api.operations import operation
from headrace_api.problems import ApiError
from headrace_api.reading import read_raw
from headrace_api.responses import answer

router = APIRouter(prefix="/v1/integrations", tags=["integrations"])

_ERRORS = ("malformed_json", "body_too_large", "forbidden", "not_found", "unavailable")


@router.post(
    "/github/webhook",
    **operation(
        "Take a webhook of GitHub", "PipelinesReported", body="GithubEvent", headers=("X-Hub-Signature-256",),
        errors=_ERRORS, is_open=True,
    ),
)  # fmt: skip
async def take_github_webhook(request: Request) -> Response:
    """The event `workflow_run`, signed with the webhook's secret. Other events are taken and have no effect."""
    context = context_of(request)
    secret = _configured(context.settings.integrations.github_secret)
    body = await read_raw(request, context.settings.body_limit_bytes)
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    _check(expected, request.headers.get("x-hub-signature-256", ""))
    return await _take(context, "GITHUB", read_github_event(_parsed(body)))


@router.post(
    "/gitlab/webhook",
    **operation(
        "Take a webhook of GitLab", "PipelinesReported", body="GitlabEvent", headers=("X-Gitlab-Token",),
        errors=_ERRORS, is_open=True,
    ),
)  # fmt: skip
async def take_gitlab_webhook(request: Request) -> Response:
    """The pipeline event, with the webhook's secret token. Other events are taken and have no effect."""
    context = context_of(request)
    secret = _configured(context.settings.integrations.gitlab_token)
    body = await read_raw(request, context.settings.body_limit_bytes)
    _check(secret, request.headers.get("x-gitlab-token", ""))
    return await _take(context, "GITLAB", read_gitlab_event(_parsed(body)))


def _configured(secret: SecretStr | None) -> str:
    if secret is None:
        raise ApiError("not_found", "This webhook is not set up here: its secret is not in the settings.")
    return secret.get_secret_value()


def _check(expected: str, given: str) -> None:
    """Compared in constant time. Raises ApiError."""
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
        raise ApiError("forbidden", "The webhook does not prove that it comes from where it should.")


def _parsed(body: bytes) -> Json:
    try:
        data: Json = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError("malformed_json", f"The body is not JSON: {error}") from None
    return data


async def _take(context: Context, kind: str, report: PipelineReport | None) -> Response:
    """Complete the node runs that wait for this pipeline; one that comes again finds them complete."""
    if report is None:
        return answer({"reported": 0})
    waiting = [
        (run, node)
        for run in await context.ports.runs.find_external(report.external_id)
        for node in run.nodes.values()
        if node.external_run_id == report.external_id and node.type == kind and _waits(node)
    ]
    at = context.ports.clock.now()
    commands = [codec.encode_command(_report(run, node, report, at), context.ports.topics) for run, node in waiting]
    if commands:
        await context.ports.log.publish(commands)
    return answer({"reported": len(waiting)})


def _waits(node: NodeRun) -> bool:
    """Whether the node run is not over, and its author did not leave the reporting to the pipeline itself."""
    asked = node.config.get("reportWorkflowStatus") if isinstance(node.config, dict) else None
    return node.status == "IN_PROGRESS" and str(asked).strip().lower() != "false"


def _report(run: Run, node: NodeRun, report: PipelineReport, at: int) -> ReportNode:
    output: JsonObject = {"status": report.status}
    if not report.succeeded:
        output["error"] = {"message": f"The pipeline ended with {report.status}."}
    return ReportNode(
        run_id=run.id,
        at=at,
        node_run_id=node.id,
        by=node.type.lower(),
        status="COMPLETED",
        result="SUCCESS" if report.succeeded else "FAILED",
        output=output,
        logs=(LogLine(at, "INFO" if report.succeeded else "WARN", f"a webhook says: over with {report.status}"),),
        links=(report.link,) if report.link else None,
        report_id=ids.derive("pipeline", report.external_id, report.status),
    )
