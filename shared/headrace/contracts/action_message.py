"""What KAFKA actions publish (spec 3.3): the payload in a wrapper that says which node run it is of, signed."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from headrace.contracts._wire import AnyJson, Instant, Wire
from headrace.core.commands import InvokeNode
from headrace.core.json import Json, JsonObject
from headrace.core.times import iso


class ActionContextPart(Wire):
    """Which node run the message is of. `runId` and `nodeRunId` are the same: consumers of Port read the first."""

    run_id: str
    node_run_id: str
    workflow_run_id: str
    workflow_identifier: str
    workflow_version: int
    node_identifier: str
    org_id: str


class ActionByPart(Wire):
    """Who started the run."""

    org_id: str
    user_id: str


class ActionTriggerPart(Wire):
    """What started the run, and when."""

    by: ActionByPart
    origin: Literal["API", "AUTOMATION"]
    at: Instant


class ActionSignaturePart(BaseModel):
    """The signature, made while `headers` was an empty object (docs/actions.md)."""

    model_config = ConfigDict(strict=True, extra="ignore", use_attribute_docstrings=True)

    signature: Annotated[str, Field(alias="X-Port-Signature")]
    """`v1,` and the base64 of the HMAC-SHA256 of `<timestamp>.<message>`."""
    timestamp: Annotated[int, Field(alias="X-Port-Timestamp")]
    """Whole seconds since the Unix epoch."""


class ActionMessage(Wire):
    """Somebody shall do the work of a KAFKA action. The record's header `webhook-id` and its key are the node run."""

    context: ActionContextPart
    resource_type: Literal["workflowNodeRun"]
    status: Literal["TRIGGERED"]
    trigger: ActionTriggerPart
    payload: AnyJson
    """What the action's `payload` says, an object or an array."""
    headers: ActionSignaturePart


def action_message(request: InvokeNode, payload: Json, org_id: str) -> JsonObject:
    """The message of a request, with empty `headers`: what is to be signed."""
    origin = request.origin
    assert origin is not None, "requests for KAFKA actions say who started the run"
    return {
        "context": {
            "runId": request.node_run_id,
            "nodeRunId": request.node_run_id,
            "workflowRunId": request.run_id,
            "workflowIdentifier": request.workflow,
            "workflowVersion": request.version,
            "nodeIdentifier": request.node,
            "orgId": org_id,
        },
        "resourceType": "workflowNodeRun",
        "status": "TRIGGERED",
        "trigger": {
            "by": {"orgId": org_id, "userId": origin.created_by},
            "origin": "API" if origin.trigger_type == "SELF_SERVE_TRIGGER" else "AUTOMATION",
            "at": iso(origin.run_at),
        },
        "payload": payload,
        "headers": {},
    }
