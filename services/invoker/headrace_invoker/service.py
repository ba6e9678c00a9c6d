"""The invoker as a process of its own, on Kafka and MongoDB."""

from typing import Annotated

from pydantic import Field, SecretStr

from headrace.adapters.clock import SystemClock, random_id
from headrace.adapters.http.caller import HttpCaller
from headrace.adapters.http.settings import Egress
from headrace.adapters.kafka.log import KafkaLog
from headrace.adapters.kafka.settings import KafkaSettings
from headrace.adapters.kafka.topics import check_topics, topic_specs
from headrace.adapters.mongo.claims import MongoClaimStore
from headrace.adapters.mongo.database import MongoDatabase
from headrace.adapters.mongo.indexes import require_indexes
from headrace.adapters.mongo.settings import MongoSettings
from headrace.contracts.topics import TopicNames
from headrace.ports.caller import SigningSecrets
from headrace.runtime.health import HealthServer
from headrace.runtime.metrics import Metrics
from headrace.runtime.readiness import Readiness, WatchedLog
from headrace.runtime.service import Dependency
from headrace.runtime.settings import Count, ServiceSettings
from headrace.runtime.tasks import Tasks
from headrace_invoker.app import InvokerService
from headrace_invoker.handler import GROUP
from headrace_invoker.performance import Performers
from headrace_invoker.settings import InvokerSettings
from headrace_invoker.webhook import WebhookPerformer


class InvokerEnvironment(ServiceSettings):
    """What the process reads from its environment (docs/configuration.md)."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 8083
    kafka: KafkaSettings
    mongodb: MongoSettings
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


class InvokerProcess:
    """The invoker service, what it depends on, and the door for probes."""

    name = "invoker"

    def __init__(self, settings: InvokerEnvironment) -> None:
        self.settings = settings
        clock, metrics = SystemClock(), Metrics()
        self._topics = TopicNames(settings.topic_prefix)
        self._log = KafkaLog(settings.kafka, clock)
        self._database = MongoDatabase(settings.mongodb)
        self._caller = HttpCaller(
            settings.egress.policy(),
            now=lambda: clock.now() / 1000,
            secrets=SigningSecrets((settings.signing_secret.get_secret_value(),)),
        )
        watched = WatchedLog(self._log, GROUP, self._topics)
        performers = Performers({"WEBHOOK": WebhookPerformer(self._caller, clock)})
        self._invoker = InvokerService(
            watched, MongoClaimStore(self._database, clock), performers, clock, self._topics, metrics, random_id(),
            InvokerSettings(max_in_flight=settings.max_in_flight, lease_seconds=settings.lease_seconds),
        )  # fmt: skip
        self.readiness = Readiness()
        self.door = HealthServer(settings.host, settings.port, self.readiness, metrics.registry)
        self.dependencies = (
            Dependency("MongoDB", self._database.connect, self._database.ping, self._database.close),
            Dependency("Kafka", self._log.start, watched.check, self._log.close),
        )

    async def check(self) -> None:
        """See the protocol (headrace.runtime.service)."""
        await require_indexes(self._database)
        await check_topics(self.settings.kafka, topic_specs(self._topics))

    def start(self, tasks: Tasks) -> None:
        """See the protocol."""
        tasks.start(self._log.watch(), "kafka:watch")
        self._invoker.start(tasks)

    async def stop(self) -> None:
        """See the protocol."""
        await self._invoker.stop()

    async def close(self) -> None:
        """See the protocol."""
        await self._caller.close()
