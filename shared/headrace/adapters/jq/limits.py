"""What one program may use."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The cage's settings. The defaults suit a service that evaluates conditions of events."""

    children: int = 2
    deadline_seconds: float = 0.25
    memory_bytes: int = 256 << 20
    input_bytes: int = 1 << 20
    output_bytes: int = 256 << 10
    program_bytes: int = 64 << 10
    recycle_after: int = 10_000
    """Evaluations after which a child is replaced: libjq has leaked before."""
    quarantine_seconds: float = 60.0
    start_seconds: float = 20.0
    """How long a new child may take to report that it is ready."""
