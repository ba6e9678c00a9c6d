"""Value classes: compared by their fields, hashable, and never changed once made."""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

ValueT = TypeVar("ValueT")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value_class(cls: type[ValueT]) -> type[ValueT]:
    """A frozen, slotted dataclass that the type checker guards, and not the interpreter.

    A run makes about a hundred of them, and a frozen dataclass assigns each field through `object.__setattr__`: that
    was a third of what deciding costs (ADR 0004). Off the hot path use `dataclass(frozen=True, slots=True)`.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
