"""What the engine wrote and published for some runs, for the floor to do again without an engine."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Recording:
    """Transactions as statements with their rows, and messages as topic and value."""

    runs: int = 0
    transactions: list[list[tuple[str, list[Any]]]] = field(default_factory=list)
    messages: list[tuple[str, bytes]] = field(default_factory=list)
