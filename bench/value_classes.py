"""What freezing costs: the same value class made frozen by the interpreter, and frozen for the type checker (ADR 0004).

python -m bench.value_classes
"""

import timeit
from dataclasses import dataclass
from functools import partial
from typing import Any

from headrace.core.events import NodeCompleted
from headrace.core.value_class import value_class

ROUNDS = 7
CALLS = 100_000


def _fields() -> dict[str, Any]:
    return {
        "seq": 4, "at": 1_795_338_000_123, "node": "open-change", "node_run_id": "wfnr_aB3dE5fG7hI9jK1l",
        "type": "WEBHOOK", "result": "SUCCESS", "output": {"status": 200}, "stored": {"changeId": "CHG-1"},
    }  # fmt: skip


def _namespace() -> dict[str, Any]:
    """The annotations and defaults of NodeCompleted, as its author wrote them."""
    defaults = {field.name: field for field in NodeCompleted.__dataclass_fields__.values()}
    return {
        "__annotations__": {name: field.type for name, field in defaults.items()},
        "__module__": __name__,
        **{name: field for name, field in defaults.items() if name not in _fields()},
    }


def main() -> None:
    """Print microseconds per instance, the best of some rounds."""
    by_interpreter: Any = dataclass(frozen=True, slots=True)(type("NodeCompleted", (), _namespace()))
    by_type_checker: Any = value_class(type("NodeCompleted", (), _namespace()))
    given = _fields()
    for label, cls in (("frozen by the interpreter", by_interpreter), ("value_class", by_type_checker)):
        best = min(timeit.repeat(partial(cls, **given), number=CALLS, repeat=ROUNDS))
        print(f"{label:28} {best / CALLS * 1e6:6.2f} µs")


if __name__ == "__main__":
    main()
