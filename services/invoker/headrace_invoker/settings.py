"""What the invoker can be told, and what all of its parts need to know."""

from collections.abc import Callable
from dataclasses import dataclass

from headrace.contracts.topics import TopicNames
from headrace.ports.clock import Clock
from headrace.ports.log import Log
from headrace.ports.stores import ClaimStore
from headrace.runtime.metrics import Metrics


@dataclass(frozen=True, slots=True)
class InvokerSettings:
    """`max_in_flight` calls per process; `max_unfinished` of them and of results that wait for the log or the store.

    A call that is out for `claim_after_seconds` gets a claim. A lease is renewed when a third of it is over. Results
    are stored together that come within `gather_seconds`. `drain_seconds` is the longest wait for calls before their
    partitions are given away or the process ends: shorter than the group's rebalance time-out.

    `alone` says that no other process works on these claims: a lease of somebody else is that of a predecessor who is
    gone, and is not waited for.
    """

    max_in_flight: int = 200
    max_unfinished: int = 2_000
    lease_seconds: float = 60.0
    claim_after_seconds: float = 0.2
    gather_seconds: float = 0.02
    drain_seconds: float = 20.0
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The ports and names that the parts of an invoker share. `owner` must be unique per process.

    `is_fresh` says whether nobody else can hold our partitions yet (Consumer.is_fresh).
    """

    claims: ClaimStore
    log: Log
    clock: Clock
    topics: TopicNames
    metrics: Metrics
    owner: str
    is_fresh: Callable[[], bool]
    settings: InvokerSettings
