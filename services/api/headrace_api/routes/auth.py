"""Logging in (spec 9.3): the only route under /v1 that needs no token."""

from fastapi import APIRouter, Request, Response

from headrace_api.bodies import Credentials
from headrace_api.context import context_of
from headrace_api.operations import operation
from headrace_api.problems import ApiError
from headrace_api.reading import read_body, read_model
from headrace_api.responses import answer

router = APIRouter(prefix="/v1/auth", tags=["auth"])

_BODY_LIMIT = 16_384


@router.post(
    "/access_token",
    **operation(
        "Get an access token",
        "AccessToken",
        body="Credentials",
        errors=("malformed_json", "body_too_large", "unsupported_media_type", "invalid_request", "invalid_credentials",
                "too_many_requests"),
        is_open=True,
    ),
)  # fmt: skip
async def create_access_token(request: Request) -> Response:
    """Exchange a client id and secret for a bearer token. Repeated failures are answered with 429 for a while."""
    context = context_of(request)
    credentials = read_model(Credentials, await read_body(request, _BODY_LIMIT))
    address = request.client.host if request.client else ""
    wait_seconds = context.throttle.wait_seconds(credentials.client_id, address)
    if wait_seconds > 0:
        message = f"Too many failed logins; try again in {int(wait_seconds) + 1} s."
        raise ApiError("too_many_requests", message, headers={"retry-after": str(int(wait_seconds) + 1)})
    client = context.tokens.client(credentials.client_id, credentials.client_secret)
    if client is None:
        context.throttle.fail(credentials.client_id, address)
        raise ApiError("invalid_credentials", "The client id or the client secret is wrong.")
    token = context.tokens.issue(client)
    content = {"accessToken": token, "expiresIn": context.settings.token_lifetime_seconds, "tokenType": "Bearer"}
    return answer(content, headers={"cache-control": "no-store"})
