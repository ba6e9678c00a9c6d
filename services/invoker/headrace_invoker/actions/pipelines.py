"""Pipelines of others, whoever runs them: begun once, found again when that is in doubt, and followed to their end.

Nobody waits here. Each step answers at once, and says when to be asked again and what to be given back (`poll_state`):

* *send*: ask the third party to begin. When it is unknown whether it did (a connection that broke, a 5xx, nonsense),
  the next step is *ask*.
* *ask*: look for the pipeline by what we gave it to carry, our node run's id. Found: follow it. Not found, after a
  pause in which it would have shown: the answer is no; only then may it be sent again.
* *find*: the third party took it but did not say which one it is: look until it shows.
* *follow*: ask how it stands, pass its log on, until it is over.

An attempt that another process may have made before us begins with *ask*, and so does every attempt after the first.
Asking, finding and following change nothing and may happen any number of times.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from headrace.core.commands import Accepted, Failed, InvokeNode, Succeeded
from headrace.core.json import Json, JsonObject
from headrace.core.run import LogLevel, LogLine
from headrace.ports.clock import Clock
from headrace_invoker.actions.answers import TroubleError, UndecidableError
from headrace_invoker.performance import Performance
from headrace_invoker.webhook import InvalidConfigError

SETTLE_SECONDS = 10.0
"""How long after a doubtful request a pipeline that was begun shows for certain."""
FIND_SECONDS = 2.0
FIND_TRIES = 30
_GIVE_UP_SECONDS = 3_600.0
_GROWTH = 1.5
_MAX_PAUSE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Found:
    """A pipeline of the third party: what it takes to look at it again, and what the node run shows of it."""

    ids: JsonObject
    output: JsonObject
    external_id: str | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """It was begun. `found` is None when the third party did not say which one it is; `notes` help to find it."""

    found: Found | None
    notes: JsonObject


@dataclass(frozen=True, slots=True)
class View:
    """How a pipeline stands. `succeeded` is None while it is at work; `status` is the third party's word for it."""

    found: Found
    status: str
    succeeded: bool | None = None
    lines: Sequence[tuple[LogLevel, str]] = ()


class Pipeline(Protocol):
    """One node run's pipeline at a third party. Everything raises TroubleError."""

    who: str
    can_ask: bool
    """Whether `ask` has what it needs: credentials to read with, and something for the pipeline to carry."""
    follows: bool
    """Whether we look how it stands; if not, only a report ends the node run."""

    async def send(self) -> Sent:
        """Begin it: the only step that changes anything. One request at most may take effect."""
        ...

    async def ask(self, notes: JsonObject) -> Found | None:
        """The pipeline that was begun for this node run; None: there is none. Raises UndecidableError too."""
        ...

    async def look(self, ids: JsonObject) -> View:
        """How it stands, and what its log says since the `ids` of the last view."""
        ...


class Provider(Protocol):
    """Makes the pipeline of a request. Raises InvalidConfigError."""

    def open(self, request: InvokeNode) -> Pipeline: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a pipeline is looked at: first after `first_seconds`, then ever more rarely."""

    first_seconds: float = 5.0
    most_seconds: float = 60.0

    def after(self, looks: int) -> float:
        """Seconds from one look to the next; `looks` were made."""
        return min(self.first_seconds * _GROWTH ** min(looks, 64), self.most_seconds)


class PipelinePerformer:
    """Performs attempts and polls of one third party's pipelines."""

    def __init__(self, provider: Provider, clock: Clock, pace: Pace | None = None) -> None:
        self._provider = provider
        self._clock = clock
        self._pace = pace or Pace()

    async def perform(self, request: InvokeNode, doubtful: bool) -> Performance:
        """Take the next step of the request."""
        try:
            pipeline = self._provider.open(request)
        except InvalidConfigError as error:
            line = LogLine(self._clock.now(), "ERROR", str(error))
            return Performance(Failed("invalid", str(error)), (line,))
        step = _Step(request, pipeline, doubtful, self._clock, self._pace)
        match step.state.get("step"):
            case "ask":
                return await step.ask()
            case "send":
                return await step.send()
            case "find":
                return await step.find()
            case "follow":
                return await step.follow()
            case _:
                return await step.begin()


class _Step:
    """One step of one node run's pipeline."""

    def __init__(self, request: InvokeNode, pipeline: Pipeline, doubtful: bool, clock: Clock, pace: Pace) -> None:
        self.state: JsonObject = dict(request.poll_state or {})
        self._request = request
        self._pipeline = pipeline
        self._doubtful = doubtful
        self._clock = clock
        self._pace = pace
        self._lines: list[LogLine] = []

    async def begin(self) -> Performance:
        """The first step of an attempt."""
        if not self._doubtful and self._request.attempt == 1:
            return await self._send()
        if self._pipeline.can_ask:
            self._say("INFO", f"{self._pipeline.who} may have been asked before: looking for what it made of it")
            return await self.ask()
        if self._doubtful and self._request.delivery == "at_most_once":
            return self._unknown("Another process may have begun it, and there is no way to ask.")
        return await self._send()

    async def ask(self) -> Performance:
        """Has it been begun? Repeat it only if not."""
        self.state["step"] = "ask"  # also should asking fail: the next process must not take it for decided
        if self._doubtful:
            self.state.pop("settled", None)
        try:
            found = await self._pipeline.ask({})
        except UndecidableError as error:
            return self._unknown(str(error))
        except TroubleError as trouble:
            return self._later(trouble, "whether it was begun")
        if found is not None:
            self._say("INFO", f"{self._pipeline.who} has begun it already")
            return self._take(found)
        if not self.state.get("settled"):
            self._say("INFO", f"{self._pipeline.who} does not show it; asking once more in {SETTLE_SECONDS:.0f} s")
            return self._wait(SETTLE_SECONDS, {**self._kept("why"), "step": "ask", "settled": True})
        why = self.state.get("why")
        if isinstance(why, dict):
            message = f"{why.get('message')} It was not begun."
            return self._end(Failed("connection", message, retryable=True))
        # a request of its own: whoever sends looks at its heartbeat right before
        return self._wait(0.0, {"step": "send"})

    async def send(self) -> Performance:
        """It was not begun: begin it."""
        return await (self.ask() if self._doubtful else self._send())

    async def find(self) -> Performance:
        """It was begun: which one is it?"""
        tries = _number(self.state.get("tries"))
        notes = self.state.get("notes")
        try:
            found = await self._pipeline.ask(notes if isinstance(notes, dict) else {})
        except UndecidableError as error:
            return self._unknown(str(error))
        except TroubleError as trouble:
            return self._later(trouble, "which one it is")
        if found is not None:
            return self._take(found)
        if tries >= FIND_TRIES:
            return self._unknown(f"{self._pipeline.who} took it, and shows nothing of it after {tries} looks.")
        return self._wait(FIND_SECONDS, {"step": "find", "tries": tries + 1, "notes": notes})

    async def follow(self) -> Performance:
        """How does it stand?"""
        ids = self.state.get("ids")
        try:
            view = await self._pipeline.look(ids if isinstance(ids, dict) else {})
        except TroubleError as trouble:
            return self._later(trouble, "how it stands")
        for level, text in view.lines:
            self._say(level, text)
        found = view.found
        output: JsonObject = {**found.output, "status": view.status}
        if view.succeeded is None:
            looks = _number(self.state.get("looks")) + 1
            state: JsonObject = {"step": "follow", "ids": found.ids, "looks": looks}
            return self._wait(self._pace.after(looks), state, replace(found, output=output))
        self._say("INFO" if view.succeeded else "WARN", f"{self._pipeline.who}: it is over with {view.status}")
        if view.succeeded:
            return self._end(Succeeded(output))
        message = f"The pipeline at {self._pipeline.who} ended with {view.status}."
        return self._end(Failed("status", message, output=output))

    async def _send(self) -> Performance:
        try:
            sent = await self._pipeline.send()
        except TroubleError as trouble:
            return self._not_sent(trouble)
        if sent.found is None:
            self._say("INFO", f"{self._pipeline.who} took it; looking for which one it is")
            return self._wait(FIND_SECONDS, {"step": "find", "tries": 1, "notes": sent.notes})
        return self._take(sent.found)

    def _not_sent(self, trouble: TroubleError) -> Performance:
        self._say("WARN", trouble.message)
        if trouble.unknown and self._pipeline.can_ask:
            self._say("INFO", f"Asking {self._pipeline.who} in {SETTLE_SECONDS:.0f} s whether it was begun")
            why: JsonObject = {"kind": trouble.kind, "message": trouble.message}
            return self._wait(SETTLE_SECONDS, {"step": "ask", "settled": True, "why": why})
        if trouble.unknown and self._request.delivery == "at_most_once":
            return self._unknown(trouble.message)
        return self._end(
            Failed(trouble.kind, trouble.message, trouble.retryable, trouble.output, trouble.retry_after_seconds)
        )

    def _take(self, found: Found) -> Performance:
        """The pipeline is known: follow it, or wait for a report."""
        self._say("INFO", f"{self._pipeline.who}: {found.link or found.external_id or 'begun'}")
        if not self._pipeline.follows:
            return self._end(_accepted(found))
        return self._wait(self._pace.first_seconds, {"step": "follow", "ids": found.ids, "looks": 0}, found)

    def _later(self, trouble: TroubleError, what: str) -> Performance:
        """Asking failed. It is repeated for an hour at most, and longer only if the third party says so."""
        now = self._clock.now()
        since = _number(self.state.get("failingSince")) or now
        if not trouble.retryable or now - since > _GIVE_UP_SECONDS * 1000:
            message = f"{self._pipeline.who} did not say {what}. {trouble.message}"
            self._say("ERROR", message)
            return self._end(Failed("unknown-outcome", message, output=trouble.output))
        failures = _number(self.state.get("failures")) + 1
        pause = min(self._pace.first_seconds * 2 ** min(failures - 1, 16), _MAX_PAUSE_SECONDS)
        pause = max(pause, trouble.retry_after_seconds or 0.0)
        self._say("WARN", f"{trouble.message} Asking again in {pause:.0f} s")
        return self._wait(pause, {**self.state, "failingSince": since, "failures": failures})

    def _unknown(self, why: str) -> Performance:
        message = f"Whether {self._pipeline.who} has begun it, or which one it is, is unknown. {why}"
        self._say("ERROR", message)
        return self._end(Failed("unknown-outcome", message))

    def _wait(self, seconds: float, state: JsonObject, found: Found | None = None) -> Performance:
        accepted = _accepted(found) if found else Accepted({})
        return self._end(replace(accepted, poll_after_seconds=seconds, poll_state=state))

    def _kept(self, *names: str) -> JsonObject:
        return {name: self.state[name] for name in names if name in self.state}

    def _end(self, outcome: Accepted | Succeeded | Failed) -> Performance:
        return Performance(outcome, tuple(self._lines))

    def _say(self, level: LogLevel, message: str) -> None:
        self._lines.append(LogLine(self._clock.now(), level, message))


def _accepted(found: Found) -> Accepted:
    return Accepted(found.output, found.external_id, (found.link,) if found.link else None)


def _number(value: Json) -> int:
    return value if type(value) is int else 0
