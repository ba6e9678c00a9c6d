"""The whole engine in one process: the same services as in production, on the embedded log and stores."""

import asyncio
import contextlib
import signal
from dataclasses import dataclass

import structlog

from headrace.adapters.clock import SystemClock, random_id
from headrace.adapters.embedded.catalog import EmbeddedCatalog
from headrace.adapters.embedded.claims import EmbeddedClaimStore
from headrace.adapters.embedded.definitions import EmbeddedDefinitionStore
from headrace.adapters.embedded.gates import EmbeddedGateStore
from headrace.adapters.embedded.journal import Journal
from headrace.adapters.embedded.ledger import EmbeddedLedger
from headrace.adapters.embedded.log import EmbeddedLog
from headrace.adapters.embedded.pending import EmbeddedPendingStore
from headrace.adapters.embedded.runs import EmbeddedRunStore
from headrace.adapters.embedded.schedules import EmbeddedScheduleStore
from headrace.adapters.jq.cage import JqCage
from headrace.adapters.jq.limits import Limits
from headrace.adapters.zones import find_zone
from headrace.contracts.topics import TopicNames
from headrace.ports.caller import SigningSecrets
from headrace.runtime.catalog_sweep import CatalogSweeper
from headrace.runtime.metrics import Metrics
from headrace.runtime.tasks import Tasks
from headrace_api.app import create_app
from headrace_api.ports import ApiPorts
from headrace_api.server import serve
from headrace_api.settings import ApiSettings, Client
from headrace_dev.keys import Keys, load_or_make
from headrace_dev.settings import DevSettings
from headrace_invoker.actions.wiring import make_performers, open_callers
from headrace_invoker.app import InvokerService
from headrace_invoker.handler import InvokerSettings
from headrace_orchestrator.app import OrchestratorService
from headrace_trigger.app import TriggerService
from headrace_trigger.explaining import TriggerExplainer
from headrace_trigger.handler import TriggerSettings
from headrace_trigger.schedules import Scheduler

DATABASE = "headrace.sqlite"

_log = structlog.get_logger("headrace.dev")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The generated admin pair for the API."""

    client_id: str
    client_secret: str


class Engine:
    """Trigger, orchestrator, invoker and API together. `start` and `stop` once each, in one event loop."""

    def __init__(self, settings: DevSettings) -> None:
        self.settings = settings
        if settings.data is not None:
            settings.data.mkdir(parents=True, exist_ok=True)
        self.keys: Keys = load_or_make(settings.data)
        self.credentials = Credentials(self.keys.client_id, self.keys.client_secret)
        self.clock = SystemClock()
        self.topics = TopicNames()
        self.metrics = Metrics()
        self.tasks = Tasks()
        self._open_stores(settings)
        self.evaluator = JqCage(Limits(children=settings.jq_processes))
        self.callers = open_callers(
            settings.egress.policy(), settings.actions(), lambda: self.clock.now() / 1000, self._signing
        )
        self.metrics.watch_circuits(lambda: self.callers.circuits.open(self.clock.monotonic()))
        self._wire()

    @property
    def signing_secret(self) -> str:
        """What outgoing webhooks are signed with."""
        given = self.settings.signing_secret
        return given.get_secret_value() if given else self.keys.signing_secret

    @property
    def _signing(self) -> SigningSecrets:
        return SigningSecrets((self.signing_secret,))

    @property
    def api_url(self) -> str:
        """Where the API listens, once started."""
        return self._server.url

    async def start(self) -> None:
        """Start every service. Returns when the API answers; raises when its port is taken."""
        self._server = await serve(self.app, self.settings.host, self.settings.port)
        self.trigger.start(self.tasks)
        CatalogSweeper(self.catalog, self.log, self.clock, self.topics).start(self.tasks)
        self.scheduler.start(self.tasks)
        self.orchestrator.start(self.tasks)
        self.invoker.start(self.tasks)
        _log.info("engine started", url=self.api_url, data=str(self.settings.data) if self.settings.data else "memory")

    async def stop(self) -> None:
        """Stop in the order in which work flows: no new requests, then events, then calls, then the rest."""
        await self._server.stop()
        await self.trigger.stop()
        await self.invoker.stop()
        await self.orchestrator.stop()
        await self.tasks.stop()
        await self.callers.close()
        await self.evaluator.close()
        await self.runs.close()
        await self.catalog.close()
        await self.log.close()
        if self._journal is not None:
            self._journal.close()
        _log.info("engine stopped")

    def _open_stores(self, settings: DevSettings) -> None:
        self._journal = Journal(settings.data / DATABASE) if settings.data is not None else None
        kept = settings.retention
        self.log = EmbeddedLog(
            self.clock, self._journal, partitions=settings.partitions, retention_records=kept.records_per_partition
        )
        self.runs = EmbeddedRunStore(self._journal, max_finished_runs=kept.finished_runs)
        self.definitions = EmbeddedDefinitionStore(self._journal)
        self.claims = EmbeddedClaimStore(
            self.clock,
            self._journal,
            max_claims=kept.claims,
            redeliverable_since=lambda: self.log.redeliverable_since(self.topics.node_requests),
        )
        self.catalog = EmbeddedCatalog(self._journal)
        self.schedules = EmbeddedScheduleStore(self._journal)
        self.pending = EmbeddedPendingStore(self._journal)
        self.gates = EmbeddedGateStore(self._journal)
        self.ledger = EmbeddedLedger(self._journal, max_entries=kept.ledger_entries)

    def _wire(self) -> None:
        clock, topics, metrics = self.clock, self.topics, self.metrics
        self.trigger = TriggerService(
            self.log,
            self.definitions,
            self.evaluator,
            self.ledger,
            self.gates,
            self.runs,
            clock,
            topics,
            metrics,
            TriggerSettings(kept_per_second=self.settings.ledger_kept_per_second),
        )
        self.scheduler = Scheduler(
            self.definitions, self.schedules, self.ledger, self.log, clock, find_zone, topics, metrics
        )
        self.orchestrator = OrchestratorService(
            self.log, self.runs, self.definitions, self.evaluator, clock, topics, metrics
        )
        performers = make_performers(
            self.callers, self.catalog, self.pending, self.log, clock, topics, self.settings.actions(), self._signing
        )
        self.invoker = InvokerService(
            self.log, self.claims, performers, clock, topics, metrics, random_id(),
            InvokerSettings(max_in_flight=self.settings.max_in_flight, alone=True),
        )  # fmt: skip
        ports = ApiPorts(
            log=self.log, runs=self.runs, definitions=self.definitions, ledger=self.ledger, catalog=self.catalog,
            pending=self.pending, gates=self.gates,
            evaluator=self.evaluator, clock=clock, topics=topics,
            explainer=TriggerExplainer(self.trigger.listeners, self.evaluator, self.ledger),
        )  # fmt: skip
        admin = Client(
            client_id=self.keys.client_id, client_secret=self.keys.client_secret, kind="user", user_id="dev",
            roles=("Admin",),
        )  # fmt: skip
        settings = ApiSettings(
            token_secret=self.keys.token_secret, clients=(admin, *self.settings.clients),
            integrations=self.settings.integrations,
        )  # fmt: skip
        self.app = create_app(ports, settings, metrics.registry)


async def run_until_signalled(engine: Engine) -> None:
    """Run a started engine until SIGINT or SIGTERM, or until one of its tasks dies of a bug, which is raised."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    failure = engine.tasks.failure()
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((waiting, failure), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        await engine.stop()
    if failure.done():
        raise failure.result()
