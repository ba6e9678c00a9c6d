"""Everything the API may answer instead of success: one table of codes, one error class, one shape.

The shape is the spec's `{ok: false, error, message}` (spec 1.4, 10) and a problem detail (RFC 9457) at once.
docs/api.md shows the table; a test holds the two together.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from headrace.core.errors import HeadraceError, Problem
from headrace.core.json import JsonObject

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:headrace:problem:"


@dataclass(frozen=True, slots=True)
class Code:
    """One row of the table. `remedy` tells the caller what to do."""

    status: int
    title: str
    remedy: str


CODES: Mapping[str, Code] = {
    "malformed_json": Code(400, "The body is not acceptable JSON", "Mend the JSON at the given line and column."),
    "unauthorized": Code(401, "Not authenticated", "Send a valid token: Authorization: Bearer <accessToken>."),
    "invalid_credentials": Code(401, "Wrong client id or secret", "Check clientId and clientSecret."),
    "forbidden": Code(403, "Not permitted", "Ask an admin for the permission that the message names."),
    "not_found": Code(404, "Not found", "Check the path and the identifier; you may also not be allowed to see it."),
    "method_not_allowed": Code(405, "Method not allowed", "Use one of the methods in the Allow header."),
    "workflow_exists": Code(409, "The workflow exists already", "Update it with PUT, or take another identifier."),
    "blueprint_exists": Code(409, "The blueprint exists already", "Update it with PUT, or take another identifier."),
    "blueprint_in_use": Code(409, "Something needs the blueprint", "Delete what the message names first."),
    "entity_exists": Code(409, "The entity exists already", "Update it, or write it with upsert=true."),
    "update_conflict": Code(409, "Somebody else changed it meanwhile", "Read it again and repeat the change."),
    "run_completed": Code(409, "The run is over", "Nothing can change a completed run; start a new one."),
    "run_not_over": Code(409, "The run is not over", "Wait for its end or cancel it, then run it again."),
    "node_run_held": Code(409, "The run waits for its turn", "Report when it is at work (docs/triggers.md)."),
    "node_run_completed": Code(409, "The node run is over", "A completed node run is final (spec 7.4)."),
    "not_an_input": Code(409, "The node waits for no people", "Only INPUT nodes take responses."),
    "already_responded": Code(409, "You have responded already", "Each person responds once; somebody else may."),
    "already_acknowledged": Code(409, "Somebody has taken the work", "Take other work; this is being done."),
    "version_mismatch": Code(412, "Not the version in If-Match", "Read it again and use its new ETag."),
    "body_too_large": Code(413, "The body is too large", "Send at most 1 MiB."),
    "unsupported_media_type": Code(415, "The body is not declared as JSON", "Send Content-Type: application/json."),
    "invalid_parameter": Code(422, "A parameter cannot be used", "Mend the parameters that `errors` names."),
    "invalid_request": Code(422, "The body does not fit", "Mend the fields that `errors` names."),
    "invalid_workflow": Code(422, "The workflow cannot be saved", "Mend every error that `errors` lists."),
    "invalid_inputs": Code(422, "The inputs do not fit the form", "Mend the inputs; no run was started."),
    "invalid_event": Code(422, "Not an entity change", "Send an event as spec 11.1 describes; nothing was published."),
    "invalid_blueprint": Code(422, "The blueprint cannot be saved", "Mend every error that `errors` lists."),
    "invalid_entity": Code(422, "The entity cannot be saved", "Mend every error that `errors` lists."),
    "invalid_search": Code(422, "The search rules cannot be used", "Mend every error that `errors` lists."),
    "trigger_required": Code(422, "It is not clear which trigger to start", "Name one in nodeIdentifier."),
    "trigger_unavailable": Code(422, "The trigger cannot be started", "The message says why; no run was started."),
    "invalid_response": Code(
        422, "The response does not fit the form", "Mend what `errors` names; nothing was stored."
    ),
    "rerun_refused": Code(422, "The run cannot be repeated like this", "The message says why; no run was started."),
    "idempotency_key_reused": Code(422, "The Idempotency-Key was used for something else", "Take a new key."),
    "too_many_requests": Code(429, "Too many failed logins", "Wait for as many seconds as Retry-After says."),
    "internal_error": Code(500, "A bug in Headrace", "Report it with the requestId; the log has the details."),
    "unavailable": Code(503, "The log or a store does not answer", "Repeat the request after Retry-After seconds."),
}


class ApiError(HeadraceError):
    """Raised by a handler to answer with an error. `code` is a key of CODES; `errors` go to the answer as they are."""

    def __init__(
        self,
        code: str,
        message: str,
        errors: Iterable[JsonObject] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.errors = list(errors)
        self.headers = dict(headers or {})

    @property
    def status(self) -> int:
        return CODES[self.code].status


def document(error: ApiError, instance: str, request_id: str) -> JsonObject:
    """The body of the answer to `error`."""
    code = CODES[error.code]
    return {
        "ok": False,
        "error": error.code,
        "message": error.message,
        "type": TYPE_PREFIX + error.code,
        "title": code.title,
        "status": code.status,
        "detail": error.message,
        "instance": instance,
        "hint": code.remedy,
        "requestId": request_id,
        "errors": list(error.errors),
    }


def present(problem: Problem, position: tuple[int, int] | None = None) -> JsonObject:
    """One element of `errors`, `warnings` and `problems`. Line and column count from 1 and are there when known."""
    shown: JsonObject = {
        "pointer": problem.pointer,
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
        "severity": problem.severity,
    }
    if position is not None:
        shown["line"], shown["column"] = position
    return shown


def about_parameter(name: str, code: str, message: str, hint: str = "") -> JsonObject:
    """One element of `errors` that is about a parameter or header instead of the body."""
    return {"parameter": name, "code": code, "message": message, "hint": hint, "severity": "error"}


def not_found(what: str, name: str) -> ApiError:
    return ApiError("not_found", f'There is no {what} "{_shortened(name)}", or you may not see it.')


def _shortened(name: str) -> str:
    return name if len(name) <= 100 else name[:97] + "..."
