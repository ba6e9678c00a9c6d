"""What performing an attempt gives: an outcome for the run, and lines for its log."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from headrace.core.commands import Failed, InvokeNode, Outcome
from headrace.core.installations import installation_of
from headrace.core.run import LogLine


@dataclass(frozen=True, slots=True)
class Performance:
    """The outcome of one attempt and what it has to say."""

    outcome: Outcome
    logs: tuple[LogLine, ...] = ()


class Performer(Protocol):
    """Performs attempts of one type of action. Never raises for what a workflow or a receiver did wrong."""

    async def perform(self, request: InvokeNode, doubtful: bool) -> Performance:
        """Perform the attempt, or the poll. `doubtful`: another process may have made this very call before."""
        ...


class Performers:
    """The performers by action type; a type without one fails with a sentence that says so.

    `asking` names the types whose performers ask the receiver what became of a doubtful attempt before they repeat it:
    they are given even those that must not be made twice. So are those that only offer the work to an installation.
    """

    def __init__(self, performers: Mapping[str, Performer], asking: frozenset[str] = frozenset()) -> None:
        self._performers = dict(performers)
        self._asking = asking

    def asks(self, request: InvokeNode) -> bool:
        """Whether a doubtful attempt of this kind is in good hands."""
        return request.type in self._asking or installation_of(request.type, request.config) is not None

    async def perform(self, request: InvokeNode, doubtful: bool = False) -> Performance:
        """Perform the attempt, or the poll; see Performer."""
        performer = self._performers.get(request.type)
        if performer is None:
            known = ", ".join(sorted(self._performers))
            message = f"This engine cannot perform {request.type} actions yet; it can perform: {known}."
            return Performance(Failed("unsupported", message))
        return await performer.perform(request, doubtful)
