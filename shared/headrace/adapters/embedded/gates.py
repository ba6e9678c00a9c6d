"""The embedded store of gates: in memory, written through to the journal if there is one."""

from collections.abc import Sequence
from dataclasses import replace
from heapq import nsmallest
from typing import Final

from headrace.adapters.embedded.fence import accept
from headrace.adapters.embedded.journal import Journal
from headrace.contracts.documents import pack, unpack
from headrace.contracts.gate_documents import decode_gate, encode_gate
from headrace.ports.gates import StoredGate

_SAVE: Final = "INSERT OR REPLACE INTO gates (id, rev, saved_at, gate, outbox) VALUES (?, ?, ?, ?, ?)"
_MARK: Final = "UPDATE gates SET outbox = NULL WHERE id = ?"
_DELETE: Final = "DELETE FROM gates WHERE id = ?"
_LOAD: Final = "SELECT rev, saved_at, gate, outbox FROM gates ORDER BY saved_at"


class EmbeddedGateStore:
    """Gates in memory. Of those that are idle the last `max_idle` are kept."""

    def __init__(self, journal: Journal | None = None, *, max_idle: int = 10_000) -> None:
        self._journal = journal
        self._max_idle = max_idle
        self._gates: dict[str, StoredGate] = {}
        self._idle: dict[str, None] = {}
        self._due: dict[str, int] = {}
        self._unsent: dict[str, int] = {}
        for rev, saved_at, gate, outbox in journal.read(_LOAD) if journal is not None else ():
            self._keep(StoredGate(decode_gate(gate), rev, unpack(outbox or b""), saved_at))

    async def load(self, gate_ids: Sequence[str]) -> dict[str, StoredGate]:
        """See the port."""
        return {name: self._gates[name] for name in gate_ids if name in self._gates}

    async def save(self, writes: Sequence[StoredGate]) -> list[bool]:
        """See the port. Here UnavailableError means that nothing was written."""
        answers, accepted = accept(writes, lambda write: write.gate.id, self._gates)
        if not accepted:
            return answers
        surplus = len(self._idle) - self._max_idle
        old = [name for name in list(self._idle)[: max(0, surplus)] if name not in accepted]
        if self._journal is not None:
            rows = [
                (name, it.rev, it.saved_at, encode_gate(it.gate), pack(it.outbox) or None)
                for name, it in accepted.items()
            ]
            self._journal.write((_SAVE, rows), (_DELETE, [(name,) for name in old]))
        for name in old:
            self._forget(name)
        for write in accepted.values():
            self._keep(write)
        return answers

    async def mark_sent(self, revs: Sequence[tuple[str, int]]) -> None:
        """See the port."""
        held = [self._gates[name] for name, rev in revs if name in self._gates and self._gates[name].rev == rev]
        if held and self._journal is not None:
            self._journal.write((_MARK, [(it.gate.id,) for it in held]))
        for it in held:
            self._keep(replace(it, outbox=()))

    async def unsent(self, saved_before: int, limit: int) -> list[StoredGate]:
        """See the port."""
        return self._first(self._unsent, saved_before - 1, limit)

    async def due(self, now: int, limit: int) -> list[StoredGate]:
        """See the port."""
        return self._first(self._due, now, limit)

    def _first(self, times: dict[str, int], last: int, limit: int) -> list[StoredGate]:
        found = nsmallest(limit, ((at, name) for name, at in times.items() if at <= last))
        return [self._gates[name] for _, name in found]

    def _keep(self, stored: StoredGate) -> None:
        gate = stored.gate
        self._forget(gate.id)
        self._gates[gate.id] = stored
        if gate.due_at is not None:
            self._due[gate.id] = gate.due_at
        if stored.outbox:
            self._unsent[gate.id] = stored.saved_at
        elif gate.is_idle:
            self._idle[gate.id] = None

    def _forget(self, name: str) -> None:
        self._gates.pop(name, None)
        for known in (self._idle, self._due, self._unsent):
            known.pop(name, None)
