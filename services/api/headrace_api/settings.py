"""What can be configured about the api service. Whoever starts it decides where the values come from."""

import hashlib
import hmac
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

_HASHED = "sha256:"


class Client(BaseModel):
    """One pair of credentials, and on whose behalf it acts (spec 8.1).

    `client_secret` is the secret itself, or `sha256:` followed by the hex digest of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: Annotated[str, Field(min_length=1, max_length=200)]
    client_secret: SecretStr
    kind: Literal["machine", "user"] = "machine"
    user_id: str = ""
    """Who appears as `createdBy`; the client id when left out."""
    email: str = ""
    roles: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check_secret(self) -> "Client":
        secret = self.client_secret.get_secret_value()
        if not secret:
            raise ValueError("client_secret must not be empty")
        if secret.startswith(_HASHED) and not _is_digest(secret.removeprefix(_HASHED)):
            raise ValueError("client_secret that begins with sha256: must go on with 64 hexadecimal digits")
        return self

    @property
    def actor(self) -> str:
        """The name under which this client appears in runs and versions."""
        return self.user_id or self.client_id

    def accepts(self, secret: str) -> bool:
        """Whether this is the client's secret; takes the same time whatever is wrong with it."""
        kept = self.client_secret.get_secret_value()
        digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
        if kept.startswith(_HASHED):
            return hmac.compare_digest(digest, kept.removeprefix(_HASHED).lower())
        return hmac.compare_digest(digest, hashlib.sha256(kept.encode("utf-8", "surrogatepass")).hexdigest())


class LoginLimits(BaseModel):
    """How many wrong secrets are borne with before logins are refused for a while (429)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    burst: Annotated[int, Field(ge=1)] = 10
    """Failures in a row, per client id and address."""
    seconds_per_failure: Annotated[float, Field(gt=0)] = 6.0
    """How long it takes until one failure is forgiven."""
    remembered: Annotated[int, Field(ge=1)] = 10_000
    """Pairs of client id and address that are kept in mind."""


class StreamLimits(BaseModel):
    """Bounds of `GET /v1/workflows/runs/{id}/stream`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    streams: Annotated[int, Field(ge=1)] = 500
    """Streams open at once in this process; one more is answered with 503."""
    keep_alive_seconds: Annotated[float, Field(gt=0)] = 15.0
    poll_seconds: Annotated[float, Field(gt=0)] = 0.25
    """How often the store is asked when the log cannot be followed."""
    recheck_seconds: Annotated[float, Field(gt=0)] = 2.0
    """How often the store is asked although the log said nothing: a wake-up call may be lost, a change may not."""


class Integrations(BaseModel):
    """What proves that a webhook of a third party is its own (docs/actions.md); without it there is no such route."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    github_secret: Annotated[SecretStr, Field(min_length=16)] | None = None
    gitlab_token: Annotated[SecretStr, Field(min_length=16)] | None = None


class ApiOptions(BaseModel):
    """Settings of the api service that have a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token_lifetime_seconds: Annotated[int, Field(ge=60, le=86_400)] = 10_800
    issuer: str = "headrace"
    audience: str = "headrace-api"
    org_id: str = "headrace"
    """The organization's id in every answer; one installation serves one organization."""
    body_limit_bytes: Annotated[int, Field(ge=1_024)] = 1_048_576
    start_wait_seconds: Annotated[float, Field(ge=0, le=30)] = 2.0
    """How long a start waits for the run to appear before it answers with the run as accepted."""
    allow_anyone_to_view_runs_default: bool = False
    """What `allowAnyoneToViewRuns` is for workflows that do not say (spec appendix A, 2)."""
    members_start_unrestricted: bool = False
    """Whether everybody may start a trigger that has no permissions (spec appendix A, 3)."""
    login: LoginLimits = LoginLimits()
    stream: StreamLimits = StreamLimits()


class ApiSettings(ApiOptions):
    """Settings of the api service."""

    token_secret: SecretStr
    """Signs the access tokens: 32 bytes or more, the same in every replica. A new one ends every session."""
    clients: tuple[Client, ...] = ()
    integrations: Integrations = Integrations()

    @model_validator(mode="after")
    def _check(self) -> "ApiSettings":
        if len(self.token_secret.get_secret_value().encode("utf-8")) < 32:
            raise ValueError("token_secret must have at least 32 bytes")
        names = [client.client_id for client in self.clients]
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise ValueError(f"several clients are named {sorted(repeated)[0]!r}")
        return self


def _is_digest(text: str) -> bool:
    return len(text) == 64 and all(char in "0123456789abcdefABCDEF" for char in text)
