"""The closed list of functions that run natively: each total, each proved equal to libjq's by a differential test."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import chain
from types import MappingProxyType
from typing import Any, Literal

from headrace.core.jq.values import (
    NoOutput,
    Stop,
    add,
    as_number,
    describe,
    equal,
    format_json,
    format_text,
    index,
    is_true,
    kind_of,
    order_key,
    split,
    values_of,
)
from headrace.core.json import Json

_NUMBER_TEXT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_LONGEST_NUMBER = 400
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}
_BLANKS = " \t\n\r\f\v"

Trait = Literal["string", "boolean", "formats", "computes", "heavy"]


@dataclass(frozen=True, slots=True)
class Function:
    """A function of one input and at most one argument, with what the compiler must know of it.

    `string` and `boolean` tell the kind of every result; `formats` that numbers become text, so they must be as the
    document has them; `computes` that a number in the result is not as the document had it; `heavy` that the cost
    grows with the size of the input. `expansion` bounds how much larger than its input a result can be.
    """

    run: Callable[..., Json]
    traits: frozenset[Trait] = frozenset()
    expansion: int = 1


def _length(value: Any) -> Json:
    if value is None:
        return 0
    if isinstance(value, bool):
        raise Stop(f"{describe(value)} has no length")
    return abs(value) if isinstance(value, int | float) else len(value)


def _utf8_length(value: Json) -> Json:
    if not isinstance(value, str):
        raise Stop(f"{describe(value)} only strings have UTF-8 byte length")
    return len(value.encode("utf-8", "replace"))


def _keys(value: Json) -> Json:
    if isinstance(value, dict):
        return [*sorted(value)]
    return _keys_unsorted(value)


def _keys_unsorted(value: Json) -> Json:
    if isinstance(value, dict):
        return list(value)
    if isinstance(value, list):
        return list(range(len(value)))
    raise Stop(f"{describe(value)} has no keys")


def _has(value: Json, key: Json) -> Json:
    if isinstance(value, dict) and isinstance(key, str):
        return key in value
    if isinstance(value, list) and isinstance(key, int | float) and not isinstance(key, bool):
        return 0 <= int(key) < len(value)
    if value is None:
        return False
    raise Stop(f"Cannot check whether {kind_of(value)} has a {kind_of(key)} key")


def _to_number(value: Json) -> Json:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or len(value) > _LONGEST_NUMBER or not _NUMBER_TEXT.fullmatch(value):
        raise Stop(f"{describe(value)} cannot be parsed as a number")
    if value.lstrip("+-").isdigit():
        return int(value)
    return as_number(float(value))


def _text_only(function: str, change: Callable[[str], Json]) -> Callable[[Json], Json]:
    def run(value: Json) -> Json:
        if not isinstance(value, str):
            raise Stop(f"{function} input must be a string, not {kind_of(value)}")
        return change(value)

    return run


def _two_texts(function: str, change: Callable[[str, str], Json]) -> Callable[[Json, Json], Json]:
    def run(value: Json, argument: Json) -> Json:
        if not isinstance(value, str) or not isinstance(argument, str):
            raise Stop(f"{function}() requires string inputs, not {kind_of(value)} and {kind_of(argument)}")
        return change(value, argument)

    return run


def _contains(value: Any, part: Any) -> Json:
    if kind_of(value) != kind_of(part):
        raise Stop(f"{describe(value)} and {describe(part)} cannot have their containment checked")
    return _holds(value, part)


def _holds(value: Any, part: Any) -> bool:
    if isinstance(part, dict) and isinstance(value, dict):
        return all(key in value and _holds(value[key], part[key]) for key in part)
    if isinstance(part, list) and isinstance(value, list):
        return all(any(_holds(item, wanted) for item in value) for wanted in part)
    if isinstance(part, str) and isinstance(value, str):
        return part in value
    return equal(value, part)


def _join(value: Json, separator: Json) -> Json:
    items = list(values_of(value))
    texts: list[str] = []
    for item in items:
        if isinstance(item, list | dict):
            raise Stop(f"{describe(''.join(texts[:1]))} and {describe(item)} cannot be added")
        texts.append("" if item is None else format_text(item))
    if len(items) > 1 and separator is not None and not isinstance(separator, str):
        raise Stop(f"{describe(texts[0])} and {describe(separator)} cannot be added")
    return (separator if isinstance(separator, str) else "").join(texts)


def _add(value: Json) -> Json:
    items: list[Any] = [item for item in values_of(value) if item is not None]
    kinds = set(map(kind_of, items))
    if len(kinds) > 1:
        raise Stop(f"Values of different kinds ({', '.join(sorted(kinds))}) cannot be added")
    if kinds == {"string"}:
        return "".join(items)
    if kinds == {"array"}:
        return list(chain.from_iterable(items))
    if kinds == {"object"}:
        return {key: inner for item in items for key, inner in item.items()}
    total: Json = reduce(add, items, None)
    return total


def _sort(value: Json) -> Json:
    if not isinstance(value, list):
        raise Stop(f"{describe(value)} cannot be sorted, as it is not an array")
    return sorted(value, key=order_key)


def _unique(value: Json) -> Json:
    first_of: dict[Any, Json] = {}
    if not isinstance(value, list):
        raise Stop(f"{describe(value)} cannot be sorted, as it is not an array")
    for item in value:
        first_of.setdefault(order_key(item), item)
    return [first_of[key] for key in sorted(first_of)]


def _whole(rounding: Callable[[float], float]) -> Callable[[Json], Json]:
    def run(value: Json) -> Json:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Stop(f"{describe(value)} number required")
        return value if isinstance(value, int) else as_number(float(rounding(value)))

    return run


def _round(value: float) -> float:
    """Half away from zero, as C does it."""
    size = math.floor(abs(value))
    return math.copysign(size + (abs(value) - size >= 0.5), value)


def _keep(kinds: str) -> Callable[[Json], Json]:
    wanted = frozenset(kinds.split())

    def run(value: Json) -> Json:
        if kind_of(value) in wanted:
            return value
        raise NoOutput

    return run


def _empty(_: Json) -> Json:
    raise NoOutput


_STRING: frozenset[Trait] = frozenset(("string",))
_BOOLEAN: frozenset[Trait] = frozenset(("boolean",))
_SCAN: frozenset[Trait] = frozenset(("heavy",))
_FORMAT: frozenset[Trait] = frozenset(("string", "formats", "heavy"))
_COMPUTE: frozenset[Trait] = frozenset(("computes",))

WITHOUT_ARGUMENT: Mapping[str, Function] = MappingProxyType(
    {
        "add": Function(_add, frozenset(("heavy", "computes"))),
        "all": Function(lambda value: all(map(is_true, values_of(value))), _BOOLEAN | _SCAN),
        "any": Function(lambda value: any(map(is_true, values_of(value))), _BOOLEAN | _SCAN),
        "arrays": Function(_keep("array")),
        "ascii_downcase": Function(_text_only("ascii_downcase", lambda text: text.translate(_LOWER)), _STRING | _SCAN),
        "ascii_upcase": Function(_text_only("ascii_upcase", lambda text: text.translate(_UPPER)), _STRING | _SCAN),
        "booleans": Function(_keep("boolean")),
        "ceil": Function(_whole(math.ceil), _COMPUTE),
        "empty": Function(_empty),
        "first": Function(lambda value: index(value, 0)),
        "floor": Function(_whole(math.floor), _COMPUTE),
        "iterables": Function(_keep("array object")),
        "keys": Function(_keys, _SCAN, expansion=4),
        "keys_unsorted": Function(_keys_unsorted, _SCAN, expansion=4),
        "last": Function(lambda value: index(value, -1)),
        "length": Function(_length),
        "ltrim": Function(_text_only("ltrim", lambda text: text.lstrip(_BLANKS)), _STRING | _SCAN),
        "not": Function(lambda value: not is_true(value), _BOOLEAN),
        "nulls": Function(_keep("null")),
        "numbers": Function(_keep("number")),
        "objects": Function(_keep("object")),
        "round": Function(_whole(_round), _COMPUTE),
        "rtrim": Function(_text_only("rtrim", lambda text: text.rstrip(_BLANKS)), _STRING | _SCAN),
        "scalars": Function(_keep("null boolean number string")),
        "sort": Function(_sort, _SCAN),
        "strings": Function(_keep("string")),
        "tojson": Function(format_json, _FORMAT, expansion=6),
        "tonumber": Function(_to_number, _COMPUTE),
        "tostring": Function(format_text, _FORMAT, expansion=6),
        "trim": Function(_text_only("trim", lambda text: text.strip(_BLANKS)), _STRING | _SCAN),
        "type": Function(kind_of, _STRING),
        "unique": Function(_unique, _SCAN),
        "utf8bytelength": Function(_utf8_length, _SCAN),
        "values": Function(_keep("boolean number string array object")),
    }
)

WITH_ARGUMENT: Mapping[str, Function] = MappingProxyType(
    {
        "endswith": Function(_two_texts("endswith", str.endswith), _BOOLEAN),
        "has": Function(_has, _BOOLEAN),
        "join": Function(_join, _FORMAT, expansion=2),
        "ltrimstr": Function(_two_texts("ltrimstr", str.removeprefix), _STRING | _SCAN),
        "rtrimstr": Function(_two_texts("rtrimstr", str.removesuffix), _STRING | _SCAN),
        "split": Function(_two_texts("split", split), _SCAN, expansion=4),
        "startswith": Function(_two_texts("startswith", str.startswith), _BOOLEAN),
    }
)

CONTAINS = Function(_contains, _BOOLEAN | _SCAN)
"""Only with a constant argument: two large operands would take quadratic time."""
