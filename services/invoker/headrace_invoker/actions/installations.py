"""Work for installations outside: INTEGRATION_ACTION, and webhooks through an agent (spec 3.8, 3.2.1, 7.6).

The work is offered: kept as pending, for who asks the API (claim, acknowledge, report), and published to the topic of
the installation where it has one. Whoever learned of it from the topic acknowledges it as well before it begins, so of
all who know of it one does it.

To offer the same attempt again changes nothing, so it is done until the store and the log have answered, and again
after a crash. A next attempt takes the place of the one before, whatever becomes of that at the same moment; from then
on only the next one can be claimed.
"""

from collections.abc import Mapping

from headrace.core.commands import Accepted, Failed, InvokeNode
from headrace.core.errors import HeadraceError
from headrace.core.installations import AGENT, by_agent, installation_of
from headrace.core.json import Json
from headrace.core.run import LogLine
from headrace.ports.caller import SigningSecrets
from headrace.ports.clock import Clock
from headrace.ports.errors import UnavailableError
from headrace.ports.log import Log
from headrace.ports.pending import PendingStore, PendingWork
from headrace_invoker.actions.kafka import build_message
from headrace_invoker.actions.patience import WAIT_SECONDS, patiently
from headrace_invoker.performance import Performance, Performer


class InstallationPerformer:
    """Offers attempts to installations. `topics` are the full names of the topics of those that have one."""

    def __init__(
        self,
        pending: PendingStore,
        log: Log,
        clock: Clock,
        topics: Mapping[str, str],
        org_id: str,
        secrets: SigningSecrets,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._pending = pending
        self._log = log
        self._clock = clock
        self._topics = topics
        self._org_id = org_id
        self._secrets = secrets
        self._wait_seconds = wait_seconds

    async def perform(self, request: InvokeNode, doubtful: bool) -> Performance:
        """Offer the attempt; its end is reported by who takes it."""
        installation = installation_of(request.type, request.config)
        if installation is None:
            return self._failed("invalid", "The action names no installation: give it an installationId.")

        async def tell() -> None:
            await self._offer(request, installation)
            await self._publish(request, installation)

        try:
            await patiently(tell, self._clock, self._wait_seconds)
        except UnavailableError as error:
            message = f"The work could not be offered to {installation}: {error}"
            if request.delivery == "at_most_once":
                return self._failed("unknown-outcome", f"{message} Somebody may have taken it all the same.")
            return self._failed("connection", message, retryable=True)
        except HeadraceError as error:
            return self._failed("refused", f"The work could not be offered to {installation}: {error}")
        line = LogLine(self._clock.now(), "INFO", f"offered to the installation {installation}")
        return Performance(Accepted({}), (line,))

    async def _offer(self, request: InvokeNode, installation: str) -> None:
        """Keep the attempt as pending, unless it is so already."""
        while True:
            held = (await self._pending.load([request.node_run_id])).get(request.node_run_id)
            if held is not None and held.attempt >= request.attempt:
                return
            rev = 0 if held is None else held.rev + 1
            now = self._clock.now()
            new = PendingWork(request.node_run_id, request.run_id, request.attempt, installation, now, rev, now)
            if (await self._pending.save([new]))[0]:
                return

    async def _publish(self, request: InvokeNode, installation: str) -> None:
        topic = self._topics.get(installation)
        if topic is None:
            return
        config: Json = request.config
        payload: Json = {"action": {"invocationMethod": config}} if installation == AGENT else config
        seconds = self._clock.now() // 1000
        await self._log.publish([build_message(request, payload, topic, self._org_id, self._secrets, seconds)])

    def _failed(self, kind: str, message: str, retryable: bool = False) -> Performance:
        line = LogLine(self._clock.now(), "ERROR", message)
        return Performance(Failed(kind, message, retryable), (line,))  # type: ignore[arg-type]


class WebhookRouter:
    """Performs WEBHOOK attempts: through the agent those that ask for it, all others itself."""

    def __init__(self, direct: Performer, agent: Performer) -> None:
        self._direct = direct
        self._agent = agent

    async def perform(self, request: InvokeNode, doubtful: bool) -> Performance:
        """See Performer."""
        performer = self._agent if by_agent(request.type, request.config) else self._direct
        return await performer.perform(request, doubtful)
