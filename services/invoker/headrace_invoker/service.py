"""The invoker as a process of its own, on Kafka and MongoDB."""

from typing import Annotated

from pydantic import Field, SecretStr

from headrace.adapters.clock import random_id
from headrace.adapters.http.settings import Egress
from headrace.adapters.mongo.catalog import MongoCatalog
from headrace.adapters.mongo.claims import MongoClaimStore
from headrace.adapters.mongo.pending import MongoPendingStore
from headrace.ports.caller import SigningSecrets
from headrace.production import ProductionSettings, WorkerProcess
from headrace.runtime.settings import Count
from headrace_invoker.actions.settings import ActionEnvironment
from headrace_invoker.actions.wiring import make_performers, open_callers
from headrace_invoker.app import InvokerService
from headrace_invoker.handler import GROUP
from headrace_invoker.settings import InvokerSettings


class InvokerEnvironment(ActionEnvironment, ProductionSettings):
    """What the process reads from its environment (docs/configuration.md)."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 8083
    signing_secret: Annotated[
        SecretStr,
        Field(
            min_length=16,
            description="Outgoing webhooks are signed with it: 16 characters or more, the same for every invoker. "
            "Make one: openssl rand -base64 32",
        ),
    ]
    max_in_flight: Count = 200
    lease_seconds: Annotated[float, Field(ge=5, le=3_600)] = 60.0
    egress: Egress = Egress()
    org_id: str = "headrace"


class InvokerProcess(WorkerProcess):
    """The invoker service with what it depends on."""

    name = "invoker"

    def __init__(self, settings: InvokerEnvironment) -> None:
        super().__init__(settings, GROUP)
        secrets = SigningSecrets((settings.signing_secret.get_secret_value(),))
        actions = settings.actions(settings.org_id)
        self._callers = open_callers(settings.egress.policy(), actions, lambda: self.clock.now() / 1000, secrets)
        self.metrics.watch_circuits(lambda: self._callers.circuits.open(self.clock.monotonic()))
        performers = make_performers(
            self._callers,
            MongoCatalog(self.database),
            MongoPendingStore(self.database),
            self.log,
            self.clock,
            self.topics,
            actions,
            secrets,
        )
        self.worker = InvokerService(
            self.log, MongoClaimStore(self.database, self.clock), performers, self.clock, self.topics, self.metrics,
            random_id(),
            InvokerSettings(max_in_flight=settings.max_in_flight, lease_seconds=settings.lease_seconds),
        )  # fmt: skip

    async def close(self) -> None:
        """See the protocol (headrace.runtime.service)."""
        await self._callers.close()
