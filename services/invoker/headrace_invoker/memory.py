"""What this process has in hand and what it finished of late: it must never call an attempt twice.

A request that comes again while its attempt is in hand is a twin: it is done when the attempt is, and not before, since
it may be the only record whose offset still guards the attempt (its partition was revoked and came back).

Of finished attempts only the ids are kept, and only the last ones: the result of each is published and its DONE is
durable. Whatever asks for an older one is inherited or marked, and finds the DONE in the store.
"""

from collections.abc import Iterable, Iterator

from headrace.ports.log import Record
from headrace.runtime.loop import Done
from headrace_invoker.job import Job

_GENERATION = 10_000


class Memory:
    """The jobs in hand, and the ids of the last 10,000 to 20,000 attempts that were finished."""

    def __init__(self) -> None:
        self._in_hand: dict[str, Job] = {}
        self._young: set[str] = set()
        self._old: set[str] = set()

    def knows(self, attempt: str, record: Record, done: Done) -> bool:
        """Whether the attempt is in hand or finished here; then the record is taken care of."""
        job = self._in_hand.get(attempt)
        if job is not None:
            job.twins.append(record)
            return True
        if attempt in self._young or attempt in self._old:
            done(record)
            return True
        return False

    def hold(self, job: Job) -> None:
        """The job is in hand from now on."""
        self._in_hand[job.request.id] = job

    def let_go(self, jobs: Iterable[Job]) -> None:
        """Forget jobs whose partition left before they began. None of their records is done, and none of them ever
        begins: the attempt may come back, as another job."""
        for job in jobs:
            job.has_left = True
            self._in_hand.pop(job.request.id, None)

    def finish(self, job: Job) -> None:
        """The job's result is published and its DONE durable: its records are done."""
        attempt = job.request.id
        del self._in_hand[attempt]
        self._young.add(attempt)
        if len(self._young) >= _GENERATION:
            self._young, self._old = set(), self._young
        job.done(job.record)
        for record in job.twins:
            job.done(record)

    def __iter__(self) -> Iterator[Job]:
        """The jobs in hand."""
        return iter(self._in_hand.values())
