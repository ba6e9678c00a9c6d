"""INPUT nodes: the form that waits, and what people answer (spec 5.1)."""

from fastapi import APIRouter, Request, Response

from headrace.contracts import codec
from headrace.core import responses
from headrace.core.authoring import inputs
from headrace.core.commands import RespondNode
from headrace.core.errors import Problem
from headrace.core.json import Json, JsonObject
from headrace.core.run import NodeRun, Run
from headrace_api import permissions, presenters
from headrace_api.access import views_run
from headrace_api.bodies import ResponseRequest
from headrace_api.context import context_of, principal_of
from headrace_api.operations import operation
from headrace_api.problems import ApiError, not_found
from headrace_api.reading import Body, read_body, read_model
from headrace_api.responses import answer

router = APIRouter(prefix="/v1/workflows", tags=["node runs"])


@router.get(
    "/nodes/runs/{node_run_id}/responses",
    **operation("Read a form that waits", "FormAnswer", errors=("not_found", "not_an_input")),
)
async def get_responses(request: Request) -> Response:
    """The form of an INPUT node as it was rendered, who may respond, and who did. For those who may respond, too."""
    run, node, refusal = await _input_node(request)
    return answer(
        {
            "form": {
                "nodeRunIdentifier": node.id,
                "workflowRunIdentifier": run.id,
                "status": node.status,
                "description": _description(node),
                "userInputs": responses.form_of(node),
                "responders": responses.responders_of(node),
                "responses": list[Json](responses.responses_of(node)),
                "outlet": node.outlet,
                "blockedOn": presenters.blocked_on(node, run, None),
                "mayRespond": refusal is None,
            }
        }
    )


@router.post(
    "/nodes/runs/{node_run_id}/responses",
    **operation(
        "Respond", "Done", status=201, body="ResponseRequest",
        errors=("malformed_json", "body_too_large", "unsupported_media_type", "invalid_request", "forbidden",
                "not_found", "not_an_input", "already_responded", "invalid_response", "node_run_completed",
                "unavailable"),
    ),
)  # fmt: skip
async def respond(request: Request) -> Response:
    """Press a button of an INPUT node's form, once per person.

    The answer says that the response was taken; it shows in the run a moment later, and the run goes on when an outlet
    has as many responses as it needs.
    """
    context, principal = context_of(request), principal_of(request)
    run, node, refusal = await _input_node(request)
    if refusal is not None:
        raise ApiError("forbidden", f'You may not respond to "{node.node}". {refusal}')
    body = await read_body(request, context.settings.body_limit_bytes)
    wanted = read_model(ResponseRequest, body)
    if node.status == "COMPLETED":
        raise ApiError("node_run_completed", f'The node run "{node.id}" is over with {node.result}.')
    if responses.has_responded(node, principal.id):
        raise ApiError("already_responded", f'You ({principal.id}) have responded to "{node.node}" already.')
    values = _checked(node, wanted, body)
    at = context.ports.clock.now()
    command = RespondNode(run.id, at, node.id, principal.id, wanted.button, values)
    await context.ports.log.publish([codec.encode_command(command, context.ports.topics)])
    return answer({}, 201)


async def _input_node(request: Request) -> tuple[Run, NodeRun, str | None]:
    """The node run of an INPUT that the caller may view or respond to, and why it may not respond if so.

    Raises ApiError 404 as if it were not there, for everybody else.
    """
    node_run_id: str = request.path_params["node_run_id"]
    context, principal = context_of(request), principal_of(request)
    run = await context.ports.runs.find_node_run(node_run_id)
    node = run.node_run(node_run_id) if run else None
    if run is None or node is None:
        raise not_found("node run", node_run_id)
    views = await views_run(context, principal, run)
    if node.type != "INPUT":
        if not views:
            raise not_found("node run", node_run_id)
        raise ApiError("not_an_input", f'The node "{node.node}" is of type {node.type}; only INPUT nodes have forms.')
    responders = responses.responders_of(node)
    refusal = permissions.why_not_respond(principal, responders) if responders else None
    if not views and (refusal is not None or not responders):
        raise not_found("node run", node_run_id)
    return run, node, refusal


def _checked(node: NodeRun, wanted: ResponseRequest, body: Body) -> JsonObject:
    """The inputs, with defaults. Raises ApiError 422 with everything that does not fit."""
    buttons = responses.buttons_of(node)
    problems: list[Problem] = []
    if wanted.button not in buttons:
        named = ", ".join(buttons)
        problems.append(Problem("/button", "unknown-button", f'"{wanted.button}" is no button. There are: {named}.'))
    form = {name: value for name, value in responses.form_of(node).items() if name != "buttons"}
    checked = inputs.validate(form, wanted.inputs)
    problems += [Problem("/inputs" + it.pointer, it.code, it.message, it.hint, it.severity) for it in checked.problems]
    objection = responses.objection(node, checked.values)
    if objection is not None:
        problems.append(Problem("/inputs", "too-large", f"The response cannot be kept. {objection}", "Write less."))
    if not problems:
        return checked.values
    rest = f" And {len(problems) - 1} more; see errors." if len(problems) > 1 else ""
    raise ApiError("invalid_response", problems[0].message + rest, body.present(tuple(problems)))


def _description(node: NodeRun) -> Json:
    return node.config.get("description") if isinstance(node.config, dict) else None
