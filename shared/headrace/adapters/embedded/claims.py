"""The embedded claim store: the ClaimStore port in memory, written through to the journal when there is one."""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Final

from headrace.adapters.embedded.journal import Journal, Row
from headrace.ports.clock import Clock
from headrace.ports.errors import UnavailableError
from headrace.ports.stores import Claim

_SAVE: Final = (
    "INSERT OR REPLACE INTO claims (n, id, owner, fence, until, state, result, saved_at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_DELETE: Final = "DELETE FROM claims WHERE n = ?"
_EXPIRY_INTERVAL: Final = 1_000  # ms


class _Kept:
    """A claim and when it was saved last."""

    __slots__ = ("claim", "n", "saved_at")

    def __init__(self, n: int, claim: Claim, saved_at: int) -> None:
        self.n = n
        self.claim = claim
        self.saved_at = saved_at


class EmbeddedClaimStore:
    """Claims in memory.

    A claim must outlive every redelivery of the request it belongs to: without it the call would be made again. So it
    expires only when two things hold. It is settled (DONE, or its lease ended) and was not saved for
    `claim_retention_seconds`, or there are more than `max_claims` of them. And it was last saved before the oldest
    request that can still be redelivered was published, because a claim is never older than its request.
    `redeliverable_since` tells that instant, or None when there is no such request: give it
    `lambda: log.redeliverable_since(<node requests>)`. Without it, time alone decides: the retention must then be
    longer than any request can stay uncommitted, and `max_claims` is not enforced. Time in which the process did not
    run does not count.
    """

    def __init__(
        self,
        clock: Clock,
        journal: Journal | None = None,
        *,
        claim_retention_seconds: float = 3_600,
        max_claims: int = 100_000,
        redeliverable_since: Callable[[], int | None] | None = None,
    ) -> None:
        self._clock = clock
        self._journal = journal
        self._retention = int(claim_retention_seconds * 1_000)
        self._max_claims = max_claims
        self._redeliverable_since = redeliverable_since
        self._kept: dict[str, _Kept] = {}
        self._saves: deque[tuple[int, str]] = deque()  # when and which, oldest first; only a claim's last one counts
        self._last_n = 0
        self._last_save = 0
        self._next_expiry = 0
        if journal is not None:
            self._load(journal)

    async def load(self, claim_ids: Sequence[str]) -> dict[str, Claim]:
        """See the port."""
        kept = self._kept
        return {claim_id: kept[claim_id].claim for claim_id in claim_ids if claim_id in kept}

    async def save(self, writes: Sequence[tuple[Claim, Claim | None]]) -> list[bool]:
        """See the port. Here UnavailableError means that nothing was written."""
        answers = []
        accepted: dict[str, Claim] = {}
        for claim, expected in writes:
            kept = self._kept.get(claim.id)
            wins = (accepted.get(claim.id) or (kept and kept.claim)) == expected
            answers.append(wins)
            if wins:
                accepted[claim.id] = claim
        self._write(accepted.values())
        return answers

    async def record(self, claims: Sequence[Claim]) -> None:
        """See the port. Here UnavailableError means that nothing was written."""
        known = self._kept
        self._write([claim for claim in claims if claim.id not in known or _gives_way(known[claim.id].claim, claim)])

    def _write(self, claims: Collection[Claim]) -> None:
        """Make these what is kept, on disk and then in memory; their ids differ."""
        # a clock that was set back must not mix up the order of the saves
        now = self._last_save = max(self._last_save, self._clock.now())
        last_n = self._last_n
        rows: list[_Kept] = []
        for claim in claims:
            known = self._kept.get(claim.id)
            if known is None:
                last_n += 1
            rows.append(_Kept(last_n if known is None else known.n, claim, now))
        if self._journal is not None and rows:
            self._journal.write((_SAVE, [_row(kept) for kept in rows]))
        for kept in rows:
            self._kept[kept.claim.id] = kept
            self._saves.append((now, kept.claim.id))
        self._last_n = last_n
        if now >= self._next_expiry:
            self._next_expiry = now + _EXPIRY_INTERVAL
            self._expire(now)

    def _expire(self, now: int) -> None:
        """Forget the claims that nothing can ask for any more."""
        since = None if self._redeliverable_since is None else self._redeliverable_since()
        horizon = now if since is None else min(since, now)
        limit = now - self._retention
        surplus = 0 if self._redeliverable_since is None else len(self._kept) - self._max_claims
        passed: list[tuple[int, str]] = []
        doomed: list[_Kept] = []
        waiting: list[_Kept] = []
        while self._saves and self._saves[0][0] < horizon:
            saved_at, claim_id = self._saves[0]
            kept = self._kept.get(claim_id)
            if kept is not None and kept.saved_at == saved_at:
                if saved_at >= limit and len(doomed) >= surplus:
                    break
                is_settled = kept.claim.state == "DONE" or kept.claim.until < limit
                (doomed if is_settled else waiting).append(kept)
            passed.append(self._saves.popleft())
        if self._journal is not None and doomed:
            try:
                self._journal.write((_DELETE, [(kept.n,) for kept in doomed]))
            except UnavailableError:
                self._saves.extendleft(reversed(passed))
                return  # what the caller wanted is done; the next save tries again
        for kept in doomed:
            self._kept.pop(kept.claim.id, None)
        for kept in waiting:
            kept.saved_at = now
            self._saves.append((now, kept.claim.id))

    def _load(self, journal: Journal) -> None:
        columns = "n, saved_at, id, owner, fence, until, state, result"
        for n, saved_at, *claim in journal.read(f"SELECT {columns} FROM claims ORDER BY saved_at, n"):  # noqa: S608
            self._last_save = max(self._clock.now(), saved_at)
            # as if saved just now: the time in which nothing ran does not count, because nothing was redelivered in it
            kept = _Kept(n, Claim(*claim), self._last_save)
            self._kept[kept.claim.id] = kept
            self._saves.append((kept.saved_at, kept.claim.id))
            self._last_n = max(self._last_n, n)


def _gives_way(kept: Claim, to: Claim) -> bool:
    return kept.state != "DONE" and (to.state == "DONE" or to.owner == kept.owner)


def _row(kept: _Kept) -> Row:
    claim = kept.claim
    return (kept.n, claim.id, claim.owner, claim.fence, claim.until, claim.state, claim.result, kept.saved_at)
