"""UPSERT_ENTITY actions (spec 3.7): an entity created, or the given fields of it changed.

In the built-in catalog, or in a remote one that speaks Port's API. To repeat an upsert is harmless for what it says: an
entity that says it already is not changed, and makes no event. Only what somebody else wrote to the same fields between
the two is written over.
"""

import asyncio
from typing import Protocol
from urllib.parse import quote

from headrace.core import ids
from headrace.core.catalog.change import Author
from headrace.core.catalog.entity import document_of
from headrace.core.commands import Failed, InvokeNode, Succeeded
from headrace.core.json import Json, JsonObject
from headrace.core.run import LogLine
from headrace.ports.caller import Caller
from headrace.ports.clock import Clock
from headrace.ports.errors import NotFoundError, UnavailableError
from headrace.runtime.catalog import CatalogWriter, InvalidEntityError, WriteOrigin, Written
from headrace_invoker.actions import inputs
from headrace_invoker.actions.answers import TroubleError
from headrace_invoker.actions.client import Client
from headrace_invoker.actions.patience import WAIT_SECONDS, patiently
from headrace_invoker.actions.settings import RemoteCatalog
from headrace_invoker.performance import Performance
from headrace_invoker.webhook import InvalidConfigError

AUTHOR = Author("headrace:workflow", "AUTOMATION")
_EARLY_SECONDS = 60
_HINT = "Check HEADRACE_REMOTE_CATALOG__CLIENT_ID and __CLIENT_SECRET."


class Entities(Protocol):
    """Where entities are."""

    async def upsert(self, request: InvokeNode, blueprint: str, mapping: JsonObject) -> Json:
        """The entity as it is now. Raises TroubleError."""
        ...


class EntityPerformer:
    """Performs UPSERT_ENTITY attempts."""

    def __init__(self, entities: Entities, clock: Clock) -> None:
        self._entities = entities
        self._clock = clock

    async def perform(self, request: InvokeNode, doubtful: bool) -> Performance:
        """Write the entity. A doubtful attempt is made too: see the module."""
        try:
            blueprint, mapping = read_order(request)
            entity = await self._entities.upsert(request, blueprint, mapping)
        except InvalidConfigError as error:
            return self._failed(Failed("invalid", str(error)))
        except TroubleError as trouble:
            once = trouble.unknown and request.delivery == "at_most_once"
            return self._failed(
                Failed(
                    "unknown-outcome" if once else trouble.kind, trouble.message, trouble.retryable and not once,
                    trouble.output, trouble.retry_after_seconds,
                )
            )  # fmt: skip
        name = entity.get("identifier") if isinstance(entity, dict) else None
        line = LogLine(self._clock.now(), "INFO", f'Wrote the entity "{name}" of blueprint "{blueprint}".')
        return Performance(Succeeded({"response": {"data": entity}}), (line,))

    def _failed(self, failed: Failed) -> Performance:
        return Performance(failed, (LogLine(self._clock.now(), "ERROR", failed.message),))


class BuiltInEntities:
    """The catalog of this installation. A store that does not answer is waited for, `wait_seconds` long."""

    def __init__(self, writer: CatalogWriter, clock: Clock, wait_seconds: float = WAIT_SECONDS) -> None:
        self._writer = writer
        self._clock = clock
        self._wait_seconds = wait_seconds

    async def upsert(self, request: InvokeNode, blueprint: str, mapping: JsonObject) -> Json:
        """See Entities."""
        origin = WriteOrigin(AUTHOR, request.causation, request.workflow, request.causation.traceparent)

        async def write() -> Written:
            return await self._writer.write(
                blueprint, mapping, "upsert-merge", origin, default_identifier=default_identifier(request)
            )

        try:
            written = await patiently(write, self._clock, self._wait_seconds)
        except UnavailableError as error:
            message = f"The catalog does not answer: {error}."
            raise TroubleError("connection", message, retryable=True, unknown=True) from None
        except NotFoundError as error:
            raise _refused(404, f"The entity was not written: {error}.") from None
        except InvalidEntityError as error:
            first = " ".join(f"{problem.pointer}: {problem.message}" for problem in error.problems[:3])
            raise _refused(422, f'The entity of blueprint "{blueprint}" was not written. {first}') from None
        return document_of(written.stored.entity)


class RemoteEntities:
    """The catalog behind an API as Port's. Its access token is kept until it ends."""

    def __init__(self, settings: RemoteCatalog, caller: Caller, clock: Clock) -> None:
        self._settings = settings
        self._caller = caller
        self._clock = clock
        self._token: tuple[str, int] | None = None
        self._signing_in: asyncio.Task[str] | None = None

    async def upsert(self, request: InvokeNode, blueprint: str, mapping: JsonObject) -> Json:
        """See Entities. A token that is refused is replaced once. Raises InvalidConfigError."""
        if not blueprint.strip("."):  # in an address these are steps, not names
            raise InvalidConfigError(f'`blueprintIdentifier` is "{blueprint}": it must be a name. Check its template.')
        body: JsonObject = {"identifier": default_identifier(request), **mapping}
        path = f"/v1/blueprints/{quote(blueprint, safe='')}/entities?upsert=true&merge=true"
        token = await self._access_token(request)
        answer = await self._client(request, token).post(path, body, frozenset({401}))
        if answer.status == 401:
            token = await self._access_token(request, refused=token)
            answer = await self._client(request, token).post(path, body)
        entity = answer.object().get("entity")
        if not isinstance(entity, dict):
            raise answer.garbled("shows no entity")
        return entity

    async def _access_token(self, request: InvokeNode, refused: str | None = None) -> str:
        """A token that has not ended. All who need a new one at the same time get the same, or the same error."""
        if self._token is not None and self._token[0] != refused and self._token[1] > self._clock.now():
            return self._token[0]
        if self._signing_in is None:
            self._signing_in = asyncio.create_task(self._sign_in(request))
        return await asyncio.shield(self._signing_in)

    async def _sign_in(self, request: InvokeNode) -> str:
        settings = self._settings
        pair: JsonObject = {
            "clientId": settings.client_id,
            "clientSecret": settings.client_secret.get_secret_value() if settings.client_secret else "",
        }
        try:
            answer = await self._client(request).post("/v1/auth/access_token", pair)
            data = answer.object()
            token, seconds = answer.text(data, "accessToken"), answer.number(data, "expiresIn")
        except TroubleError as trouble:
            trouble.output = None  # an answer to credentials is not kept
            trouble.unknown = False  # to ask for a token again is harmless
            raise
        finally:
            self._signing_in = None
        self._token = (token, self._clock.now() + max(0, seconds - _EARLY_SECONDS) * 1000)
        return token

    def _client(self, request: InvokeNode, token: str | None = None) -> Client:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        url = self._settings.url or ""
        return Client(self._caller, self._clock, "the remote catalog", url, headers, _HINT, request.node_run_id)


def read_order(request: InvokeNode) -> tuple[str, JsonObject]:
    """The blueprint and the mapping of a rendered config. Raises InvalidConfigError."""
    config = request.config if isinstance(request.config, dict) else {}
    blueprint = inputs.text(config, "blueprintIdentifier")
    if blueprint is None:
        raise InvalidConfigError("`blueprintIdentifier` is empty: check its template.")
    mapping = dict(inputs.members(config, "mapping"))
    if mapping.get("identifier") is None:
        mapping.pop("identifier", None)
    for name in ("identifier", "title"):  # texts, of which a template makes a number where it reads one
        if type(mapping.get(name)) is int:
            mapping[name] = str(mapping[name])
    return blueprint, mapping


def default_identifier(request: InvokeNode) -> str:
    """The name of an entity whose author gave it none: always the same for a node run (spec 3.7)."""
    return ids.derive("entity", request.node_run_id)


def make_entities(settings: RemoteCatalog, caller: Caller, writer: CatalogWriter, clock: Clock) -> Entities:
    """The remote catalog when there is one, else the built-in one."""
    return RemoteEntities(settings, caller, clock) if settings.url else BuiltInEntities(writer, clock)


def _refused(status: int, message: str) -> TroubleError:
    """A write that the catalog refuses, with the answer that its API would give."""
    data: JsonObject = {"ok": False, "message": message}
    return TroubleError("status", message, output={"response": {"status": status, "data": data}})
