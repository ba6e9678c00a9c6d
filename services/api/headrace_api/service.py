"""The API as a process of its own, on Kafka and MongoDB."""

from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from headrace.adapters.jq.cage import JqCage
from headrace.adapters.jq.limits import Limits
from headrace.adapters.mongo.catalog import MongoCatalog
from headrace.adapters.mongo.definitions import MongoDefinitionStore
from headrace.adapters.mongo.gates import MongoGateStore
from headrace.adapters.mongo.ledger import MongoLedger
from headrace.adapters.mongo.pending import MongoPendingStore
from headrace.adapters.mongo.runs import MongoRunStore
from headrace.ports.evaluator import Evaluator
from headrace.ports.stores import DefinitionStore, LedgerStore
from headrace.production import Production, ProductionSettings
from headrace.runtime.settings import Count
from headrace.runtime.tasks import Tasks
from headrace_api.app import create_app
from headrace_api.entrance import Entrance
from headrace_api.ports import ApiPorts, Explainer
from headrace_api.server import ApiServer
from headrace_api.settings import ApiOptions, ApiSettings, Client, Integrations

MakeExplainer = Callable[[DefinitionStore, Evaluator, LedgerStore], Explainer]
"""Gives the API the trigger's reasoning, which it must not import itself."""


class Admin(BaseModel):
    """The first client of an installation: it may do everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: Annotated[str, Field(min_length=1, max_length=200)] = "admin"
    client_secret: Annotated[SecretStr, Field(min_length=16)]


class ApiEnvironment(ProductionSettings):
    """What the process reads from its environment (docs/configuration.md)."""

    token_secret: Annotated[
        SecretStr,
        Field(
            description="Access tokens are signed with it: 32 characters or more, the same for every API process. "
            "Make one: openssl rand -base64 48"
        ),
    ]
    admin: Annotated[
        Admin,
        Field(
            description="Who may do everything: HEADRACE_ADMIN__CLIENT_SECRET, 16 characters or more, and "
            "HEADRACE_ADMIN__CLIENT_ID if it is not to be admin. Make a secret: openssl rand -base64 32"
        ),
    ]
    clients: tuple[Client, ...] = ()
    api: ApiOptions = ApiOptions()
    jq_processes: Count = 2
    integrations: Integrations = Integrations()

    @model_validator(mode="after")
    def _check(self) -> "ApiEnvironment":
        self.service_settings()
        return self

    def service_settings(self) -> ApiSettings:
        """What the api service is told."""
        admin = Client(
            client_id=self.admin.client_id, client_secret=self.admin.client_secret, kind="user",
            user_id=self.admin.client_id, roles=("Admin",),
        )  # fmt: skip
        # the models themselves, not their dumps: these would hide the secrets
        options = {name: getattr(self.api, name) for name in ApiOptions.model_fields}
        return ApiSettings(
            token_secret=self.token_secret, clients=(admin, *self.clients), integrations=self.integrations, **options
        )


class ApiProcess(Production):
    """The api service with what it depends on. It answers probes itself, from before it is connected."""

    name = "api"

    def __init__(self, settings: ApiEnvironment, make_explainer: MakeExplainer | None = None) -> None:
        super().__init__(settings)
        self._evaluator = JqCage(Limits(children=settings.jq_processes))
        definitions, ledger = MongoDefinitionStore(self.database), MongoLedger(self.database, self.clock)
        ports = ApiPorts(
            log=self.kafka, runs=MongoRunStore(self.database), definitions=definitions, ledger=ledger,
            catalog=MongoCatalog(self.database), pending=MongoPendingStore(self.database),
            gates=MongoGateStore(self.database), evaluator=self._evaluator, clock=self.clock, topics=self.topics,
            explainer=make_explainer(definitions, self._evaluator, ledger) if make_explainer else None,
            complaint=self.readiness.complaint,
        )  # fmt: skip
        app = create_app(ports, settings.service_settings(), self.metrics.registry)
        app.add_middleware(Entrance, readiness=self.readiness)
        self.door = ApiServer(app, settings.host, settings.port)
        # A broker that is away makes no difference to who only looks: what is to be published gets 503 by itself.
        self.dependencies = self.depending(check_kafka=_always)

    def start(self, tasks: Tasks) -> None:
        """See the protocol (headrace.runtime.service). Requests are served from now on."""

    async def stop(self) -> None:
        """See the protocol."""
        await self.door.stop()

    async def close(self) -> None:
        """See the protocol."""
        await self._evaluator.close()


async def _always() -> None:
    """Nothing to ask."""
