"""Events that start nothing, and come faster than the ledger keeps them: counted, and told to it once a second.

What was counted since then is lost with this process: the events themselves are in the log.
"""

from collections.abc import Sequence

from headrace.contracts.entity_change import EntityChange
from headrace.core.ledger_rate import Counted, LedgerRate
from headrace.core.times import iso
from headrace.ports.stores import COUNTED, LedgerEntry, LedgerStore, TriggerVerdict


class Counting:
    """Says which events get an entry of their own, and writes how many did not."""

    def __init__(self, ledger: LedgerStore, kept_per_second: int) -> None:
        self._ledger = ledger
        self._kept_per_second = kept_per_second
        self._rate = LedgerRate(kept_per_second)

    def keeps(self, change: EntityChange, verdicts: Sequence[TriggerVerdict], now: int) -> bool:
        """Whether the event gets an entry, at `now` (ms). If not, it was counted."""
        return not is_quiet(verdicts) or self._rate.keeps(change.blueprint, change.action, change.event_id, now)

    async def write(self) -> None:
        """Tell the ledger what was counted since the last time. Raises UnavailableError: it is told the next time."""
        told = self._rate.unwritten()
        if told:
            await self._ledger.record([self._entry(counted) for counted, _ in told])
            self._rate.written(told)

    def _entry(self, it: Counted) -> LedgerEntry:
        reason = (
            f"{it.events:,} events {it.action} of {it.blueprint} that started nothing were counted, not kept, from "
            f"{iso(it.since)} to {iso(it.until)}: more came than {self._kept_per_second} a second"
        )
        verdict = TriggerVerdict(COUNTED, 0, "", "counted", reason, detail={"events": it.events})
        return LedgerEntry(
            event_id=f"counted:{it.first}", at=it.since, action=it.action, blueprint=it.blueprint, entity="",
            considered=0, verdicts=(verdict,), event=b"{}", source="",
        )  # fmt: skip


def is_quiet(verdicts: Sequence[TriggerVerdict]) -> bool:
    """Whether an event said nothing to any trigger: errors, loops and whatever else is odd are always kept."""
    return not verdicts or all(it.verdict == "filtered" for it in verdicts)
