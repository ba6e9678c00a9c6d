"""One request in this process, from its record to its finished offset."""

from dataclasses import dataclass, field
from typing import Literal

from headrace.core.commands import InvokeNode
from headrace.ports.log import Message, Record
from headrace.ports.stores import Claim
from headrace.runtime.loop import Done

Stage = Literal["waiting", "claiming", "calling", "reporting"]
"""Waiting: nothing was begun. Claiming: its claim is being written. Calling: the call may be out. Reporting: it has
its result."""


@dataclass(slots=True, eq=False)
class Job:
    """A request with its record. Only one job of an attempt exists in a process at a time; see Memory."""

    request: InvokeNode
    record: Record
    done: Done
    doubtful: bool = False
    """Another process may have made its call before."""
    stage: Stage = "waiting"
    has_left: bool = False
    """Its partition went to another member before its call began: it must never begin."""
    called_at: float | None = None
    """When the call began, by the monotonic clock."""
    claim: Claim | None = None
    """The last claim we know to have written for it."""
    result: Message | None = None
    is_published: bool = False
    is_recorded: bool = False
    twins: list[Record] = field(default_factory=list)
    """Further records that ask for the same attempt; they are done when it is."""

    @property
    def id(self) -> str:
        """The attempt's id, which is its claim's."""
        return self.request.id

    @property
    def has_begun(self) -> bool:
        """Whether its call was made, or its result is known."""
        return self.called_at is not None or self.stage == "reporting"

    @property
    def is_under_way(self) -> bool:
        """Whether there is something to wait for, unless nothing more may begin."""
        return self.stage != "waiting" and not (self.is_published and self.is_recorded)

    @property
    def is_eager(self) -> bool:
        """Whether its claim must be stored before the call, and its result before it is published."""
        return self.request.delivery == "at_most_once"
