"""What performing an attempt gives: an outcome for the run, and lines for its log."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from headrace.core.commands import Failed, InvokeNode, Outcome
from headrace.core.run import LogLine


@dataclass(frozen=True, slots=True)
class Performance:
    """The outcome of one attempt and what it has to say."""

    outcome: Outcome
    logs: tuple[LogLine, ...] = ()


class Performer(Protocol):
    """Performs attempts of one type of action. Never raises for what a workflow or a receiver did wrong."""

    async def perform(self, request: InvokeNode) -> Performance: ...


class Performers:
    """The performers by action type; a type without one fails with a sentence that says so."""

    def __init__(self, performers: Mapping[str, Performer]) -> None:
        self._performers = dict(performers)

    async def perform(self, request: InvokeNode) -> Performance:
        """Perform the attempt."""
        performer = self._performers.get(request.type)
        if performer is None:
            known = ", ".join(sorted(self._performers))
            message = f"This engine cannot perform {request.type} actions yet; it can perform: {known}."
            return Performance(Failed("unsupported", message))
        return await performer.perform(request)
