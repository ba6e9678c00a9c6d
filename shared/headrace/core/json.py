"""The JSON values that flow through the engine.

Values are plain Python objects and are never mutated once they are part of a run; whoever changes one copies it first.
"""

from collections.abc import Mapping
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = dict[str, Json]
ReadOnlyObject: TypeAlias = Mapping[str, Json]
