"""Access tokens (spec 9.3): short-lived, signed by us for us, HS256 and nothing else.

A token says who its holder is, not what that holder may do: rights are looked up in the settings at every request,
so that removing a client or a role takes effect at once.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from headrace.core.errors import HeadraceError
from headrace.ports.clock import Clock
from headrace_api.permissions import Principal
from headrace_api.settings import ApiSettings, Client

if TYPE_CHECKING:
    from joserfc.jwk import OctKey
    from joserfc.jwt import JWTClaimsRegistry

ALGORITHM = "HS256"
TOKEN_TYPE = "at+jwt"  # noqa: S105
LONGEST_TOKEN = 8_192
LEEWAY_SECONDS = 30
_HEADER = {"alg": ALGORITHM, "typ": TOKEN_TYPE}


class BadTokenError(HeadraceError):
    """Raised for a token that is not accepted. The message is for its holder; it never tells how close they came."""


class Tokens:
    """Issues and reads tokens for the clients in the settings."""

    def __init__(self, settings: ApiSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._clients: Mapping[str, Client] = {client.client_id: client for client in settings.clients}

    @cached_property
    def _key(self) -> "OctKey":
        # joserfc costs some 40 ms to import: the first login pays them, not the start.
        from joserfc.jwk import OctKey

        return OctKey.import_key(self._settings.token_secret.get_secret_value())

    def client(self, client_id: str, secret: str) -> Client | None:
        """The client with these credentials. Unknown ids cost as much time as wrong secrets."""
        client = self._clients.get(client_id)
        if client is None:
            _NOBODY.accepts(secret)
            return None
        return client if client.accepts(secret) else None

    def issue(self, client: Client) -> str:
        from joserfc import jwt

        now = self._clock.now() // 1000
        claims = {
            "iss": self._settings.issuer,
            "aud": self._settings.audience,
            "sub": client.client_id,
            "iat": now,
            "nbf": now,
            "exp": now + self._settings.token_lifetime_seconds,
        }
        return jwt.encode(_HEADER, claims, self._key, algorithms=[ALGORITHM])

    def read(self, token: str) -> Principal:
        """Who holds the token. Raises BadTokenError, whatever the text is."""
        from joserfc import jwt
        from joserfc.errors import ExpiredTokenError, JoseError

        if len(token) > LONGEST_TOKEN:
            raise BadTokenError("The token is too long.")
        try:
            decoded = jwt.decode(token, self._key, algorithms=[ALGORITHM])
            # Nothing but alg and typ may stand in the header: no crit, no jku, no jwk, no x5u, no kid.
            if decoded.header != _HEADER:
                raise BadTokenError("The token is not one of ours.")
            self._registry().validate(decoded.claims)
        except ExpiredTokenError:
            raise BadTokenError("The token has expired. Get a new one from POST /v1/auth/access_token.") from None
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            raise BadTokenError("The token is not valid.") from None
        return self._principal(decoded.claims["sub"], int(decoded.claims["exp"]))

    def _registry(self) -> "JWTClaimsRegistry":
        from joserfc.jwt import JWTClaimsRegistry

        return JWTClaimsRegistry(
            now=self._clock.now() // 1000,
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self._settings.issuer},
            aud={"essential": True, "value": self._settings.audience},
            sub={"essential": True},
            exp={"essential": True},
            nbf={"essential": True},
            iat={"essential": True},
        )

    def _principal(self, client_id: str, expires_at: int) -> Principal:
        client = self._clients.get(client_id)
        if client is None:
            raise BadTokenError("The token's client is no longer known.")
        return Principal(
            id=client.actor,
            client_id=client.client_id,
            kind=client.kind,
            email=client.email,
            roles=frozenset(client.roles),
            teams=frozenset(client.teams),
            expires_at=expires_at,
        )


_NOBODY = Client.model_validate({"client_id": "nobody", "client_secret": "sha256:" + "0" * 64})


def bearer(headers: Sequence[str]) -> str:
    """The token of an Authorization header. Raises BadTokenError when there is none, or more than one."""
    if not headers:
        raise BadTokenError("Send an access token: Authorization: Bearer <accessToken>.")
    if len(headers) > 1:
        raise BadTokenError("Send the Authorization header once.")
    scheme, _, token = headers[0].partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise BadTokenError('The Authorization header must read "Bearer <accessToken>".')
    return token.strip()
