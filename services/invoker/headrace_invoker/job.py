"""One request in this process, from its claim to its published result."""

from dataclasses import dataclass

from headrace.core.commands import InvokeNode
from headrace.ports.log import Message, Record
from headrace.ports.stores import Claim
from headrace.runtime.loop import Done


@dataclass(slots=True)
class Job:
    """A request with its record. `claim` is what we know the store to hold for it; None when it is not ours."""

    request: InvokeNode
    record: Record
    done: Done
    claim: Claim | None = None
    result: Message | None = None
