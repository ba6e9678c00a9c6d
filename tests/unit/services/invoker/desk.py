"""A node run in the hands of a performer: asked, polled when its time has come, as the core would have it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from headrace.adapters.embedded import EmbeddedCatalog, EmbeddedPendingStore
from headrace.adapters.http.policy import EgressPolicy
from headrace.core.commands import Accepted, Failed, InvokeNode, Origin, Outcome, Succeeded
from headrace.core.json import JsonObject
from headrace.core.run import Causation
from headrace.ports.caller import SigningSecrets
from headrace.ports.log import Log
from headrace_invoker.actions.settings import ActionSettings, AzureDevops, Github, Gitlab
from headrace_invoker.actions.wiring import Callers, make_performers, open_callers
from headrace_invoker.performance import Performers
from tests.conformance.samples import START, ManualClock
from tests.thirdparty import azure, github, gitlab
from tests.unit.services.invoker.workshop import TOPICS
from tests.unit.services.parts import Faulty

NODE_RUN = "wfnr_0123456789abcdef"
SECRETS = SigningSecrets(("signing-secret-of-the-house",))


def node_request(kind: str, config: JsonObject, **changes: Any) -> InvokeNode:
    """The first attempt of a node run."""
    made = InvokeNode(
        f"{NODE_RUN}:1", "wfr_0123456789abcdef", "flow", 3, "deploy", NODE_RUN, 1, kind, {"type": kind, **config},
        False, "fail", None, "at_least_once", Causation("e", "e"),
        origin=Origin("u_7", "SELF_SERVE_TRIGGER", START - 1_000, START),
    )  # fmt: skip
    return replace(made, **changes)


def settings_for(url: str, **changes: Any) -> ActionSettings:
    """Settings that send every action to one server, with its credentials."""
    parties: dict[str, Any] = {
        "github": Github(url=url, tokens={"Acme": github.TOKEN}),
        "gitlab": Gitlab(url=url, token=gitlab.TOKEN, trigger_tokens={gitlab.PROJECT: gitlab.TRIGGER_TOKEN}),
        "azure_devops": AzureDevops(url=url, token=azure.TOKEN, webhook_secret=azure.SECRET),
    }
    return ActionSettings(**{**parties, **changes})


@dataclass
class Desk:
    """`outcomes` and `lines` are those of all steps so far."""

    callers: Callers
    settings: ActionSettings
    log: Log
    clock: ManualClock = field(default_factory=ManualClock)
    catalog: Any = field(default_factory=lambda: Faulty(EmbeddedCatalog()))
    outcomes: list[Outcome] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    polls: list[float] = field(default_factory=list)
    pending: Any = field(default_factory=lambda: Faulty(EmbeddedPendingStore()))
    _made: Performers | None = None

    @classmethod
    def at(cls, url: str, log: Any = None, **changes: Any) -> Desk:
        """A desk whose performers reach a server on loopback through the real egress module."""
        chosen = settings_for(url, **changes)
        clock = ManualClock()
        return cls(open_callers(EgressPolicy(), chosen, lambda: clock.now() / 1000, SECRETS), chosen, log, clock)

    @property
    def last(self) -> Outcome:
        return self.outcomes[-1]

    @property
    def failed(self) -> Failed:
        """The last outcome, which must be a failure."""
        assert isinstance(self.last, Failed), self.last
        return self.last

    @property
    def done(self) -> Succeeded:
        """The last outcome, which must be a success."""
        assert isinstance(self.last, Succeeded), self.last
        return self.last

    @property
    def waiting(self) -> Accepted:
        """The last outcome, which must be that somebody else is at work."""
        assert isinstance(self.last, Accepted), self.last
        return self.last

    def _performers(self) -> Performers:
        if self._made is None:
            self._made = make_performers(
                self.callers, self.catalog, self.pending, self.log, self.clock, TOPICS, self.settings, SECRETS
            )
        return self._made

    async def ask(self, request: InvokeNode, doubtful: bool = False) -> Outcome:
        """One step."""
        performers = self._performers()
        once = doubtful and request.delivery == "at_most_once"
        assert not once or performers.asks(request), "the invoker would not hand it out"
        performance = await performers.perform(request, doubtful)
        self.outcomes.append(performance.outcome)
        self.lines += [line.message for line in performance.logs]
        return performance.outcome

    async def poll(self, request: InvokeNode, doubtful: bool = False) -> Outcome:
        """The next step, when it is due."""
        waiting = self.waiting
        assert waiting.poll_after_seconds is not None, "nobody is to ask again"
        self.polls.append(waiting.poll_after_seconds)
        self.clock.at += int(waiting.poll_after_seconds * 1000)
        number = len(self.polls)
        poll = replace(request, id=f"{request.id}:{number}", poll=number, poll_state=waiting.poll_state)
        return await self.ask(poll, doubtful)

    async def run(self, request: InvokeNode, doubtful: bool = False, until: str = "") -> Outcome:
        """All steps until the node run is over, or has come to a step."""
        await self.ask(request, doubtful)
        while isinstance(self.last, Accepted) and self.last.poll_after_seconds is not None:
            state = self.last.poll_state or {}
            if until and state.get("step") == until:
                break
            assert len(self.polls) < 200, "it does not end"
            await self.poll(request)
        return self.last

    async def close(self) -> None:
        await self.callers.close()
