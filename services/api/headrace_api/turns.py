"""Runs that wait for their turn: the gate where they do (core/gate.py)."""

from headrace.core.gate import Gate
from headrace.core.run import Run
from headrace.ports.gates import GateStore


async def gate_of(run: Run, gates: GateStore) -> Gate | None:
    """The gate that a run is held at; None for every other run, which costs nothing. Raises UnavailableError."""
    if run.gate is None or not run.is_held:
        return None
    stored = (await gates.load([run.gate])).get(run.gate)
    return None if stored is None else stored.gate
