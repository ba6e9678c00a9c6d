"""JQ's view of JSON values: order, equality, text, indexing and arithmetic, each exactly as libjq has it.

Every function here is total: it returns a value or raises Stop, and its cost is linear in its operands.
"""

import math
from collections.abc import Callable, Iterable
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, cast

from headrace.core.json import Json


class Stop(Exception):  # noqa: N818 - jq's error: control flow of a user's program, not ours
    """A runtime error of the program. The message is for the person who wrote it."""


class NoOutput(Exception):  # noqa: N818 - jq's backtracking
    """The program gives no output (`empty`, or an error under `?`)."""


_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
_NUMBERS = frozenset((int, float))
_LONGEST_QUOTE = 40
_LARGEST_EXACT = 1 << 53
LONGEST_REPETITION = 1 << 16


def kind_of(value: Json) -> str:
    """JQ's name for the type of a value."""
    return _KINDS.get(type(value), "object")


def describe(value: Json) -> str:
    """A value in an error message: its kind, and the value itself when it is short."""
    if type(value) in (list, dict):
        return kind_of(value)
    text = format_json(value)
    return f"{kind_of(value)} ({text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 3] + '...'})"


def is_true(value: Json) -> bool:
    """Everything but null and false counts as true."""
    return value is not None and value is not False


def equal(left: Any, right: Any) -> bool:
    """JQ's `==`: like Python's, but a boolean is never a number."""
    if left is right:
        return True
    kind = type(left)
    if kind is not type(right):
        return kind in _NUMBERS and type(right) in _NUMBERS and bool(left == right)
    if kind is dict:
        return len(left) == len(right) and all(key in right and equal(left[key], right[key]) for key in left)
    if kind is list:
        return len(left) == len(right) and all(map(equal, left, right))
    return bool(left == right)


def order_key(value: Any) -> Any:
    """A key that sorts as JQ orders: null, false, true, numbers, strings by codepoint, arrays, objects."""
    kind = type(value)
    if kind is str:
        return (4, value)
    if kind in _NUMBERS:
        return (3, value)
    if value is None:
        return (0,)
    if kind is bool:
        return (2,) if value else (1,)
    if kind is list:
        return (5, tuple(map(order_key, value)))
    keys = sorted(value)
    return (6, tuple(keys), tuple(order_key(value[key]) for key in keys))


def less(left: Any, right: Any) -> bool:
    """JQ's `<`."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return bool(left < right)
    return bool(order_key(left) < order_key(right))


def less_or_equal(left: Any, right: Any) -> bool:
    """JQ's `<=`."""
    return not less(right, left)


def format_json(value: Any) -> str:
    """JQ's `tojson` of a value whose numbers stand as the document or the program wrote them."""
    kind = type(value)
    if kind is str:
        return encode_basestring(value).replace("\x7f", "\\u007f")
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return str(value)
    if kind is float:
        return str(Decimal(repr(value)))
    if kind is list:
        return "[" + ",".join(map(format_json, value)) + "]"
    return "{" + ",".join([format_json(key) + ":" + format_json(item) for key, item in value.items()]) + "}"


def format_text(value: Json) -> str:
    """JQ's `tostring`: strings as they are, all else as JSON."""
    return value if isinstance(value, str) else format_json(value)


def index(target: Any, key: str | int) -> Json:
    """JQ's `target[key]`. A missing key or element is null, and so is anything of null."""
    kind = type(target)
    if kind is dict and isinstance(key, str):
        return cast(Json, target.get(key))
    if kind is list and isinstance(key, int):
        return cast(Json, target[key]) if -len(target) <= key < len(target) else None
    if target is None:
        return None
    raise Stop(f"Cannot index {kind_of(target)} with {format_json(key)}")


def values_of(value: Json) -> Iterable[Json]:
    """JQ's `.[]`: the elements of an array, or the values of an object in their order."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return value.values()
    raise Stop(f"Cannot iterate over {describe(value)}")


def add(left: Any, right: Any) -> Json:
    """JQ's `+`: numbers, strings, arrays, and objects (the right one wins); null changes nothing."""
    if left is None:
        return cast(Json, right)
    if right is None:
        return cast(Json, left)
    kind, other = type(left), type(right)
    if kind in _NUMBERS and other in _NUMBERS:
        return _compute(float.__add__, left, right)
    if kind is other and (kind is str or kind is list):
        return cast(Json, left + right)
    if kind is dict and other is dict:
        return {**left, **right}
    raise Stop(f"{describe(left)} and {describe(right)} cannot be added")


def subtract(left: Any, right: Any) -> Json:
    """JQ's `-`: numbers, and arrays without the elements of another."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return _compute(float.__sub__, left, right)
    if type(left) is list and type(right) is list:
        unwanted = set(map(order_key, right))
        return [item for item in left if order_key(item) not in unwanted]
    raise Stop(f"{describe(left)} and {describe(right)} cannot be subtracted")


def multiply(left: Any, right: Any) -> Json:
    """JQ's `*`: numbers, a string repeated (up to LONGEST_REPETITION characters), objects merged in depth."""
    kind, other = type(left), type(right)
    if kind in _NUMBERS and other in _NUMBERS:
        return _compute(float.__mul__, left, right)
    if kind is str and other in _NUMBERS:
        return _repeat(left, right)
    if kind in _NUMBERS and other is str:
        return _repeat(right, left)
    if kind is dict and other is dict:
        return _merge(left, right)
    raise Stop(f"{describe(left)} and {describe(right)} cannot be multiplied")


def divide(left: Any, right: Any) -> Json:
    """JQ's `/`: numbers, and strings split by strings."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        if right == 0:
            raise Stop(f"{describe(left)} and {describe(right)} cannot be divided because the divisor is zero")
        return _compute(float.__truediv__, left, right)
    if type(left) is str and type(right) is str:
        return split(left, right)
    raise Stop(f"{describe(left)} and {describe(right)} cannot be divided")


def remainder(left: Any, right: Any) -> Json:
    """JQ's `%`: of the numbers cut to integers, with the sign of the left one."""
    if type(left) not in _NUMBERS or type(right) not in _NUMBERS:
        raise Stop(f"{describe(left)} and {describe(right)} cannot be divided (remainder)")
    dividend, divisor = _cut(left), _cut(right)
    if divisor == 0:
        raise Stop(f"{describe(left)} and {describe(right)} cannot be divided (remainder) because the divisor is zero")
    result = abs(dividend) % abs(divisor)
    return -result if dividend < 0 else result


def negate(value: Any) -> Json:
    """JQ's unary minus."""
    if type(value) not in _NUMBERS:
        raise Stop(f"{describe(value)} cannot be negated")
    return cast(Json, -value if value else value)


def split(text: str, separator: str) -> Json:
    """JQ's `split/1`: nothing of the empty string, and its characters when the separator is empty."""
    if not text:
        return []
    return cast(Json, text.split(separator) if separator else list(text))


def as_number(value: float) -> int | float:
    """A computed number: an int when it is whole and exact, since that is what JSON then shows."""
    if not math.isfinite(value):
        raise Stop("The result is too large for a number")
    return int(value) if value.is_integer() and abs(value) <= _LARGEST_EXACT else value


def _compute(operation: Callable[[float, float], float], left: float, right: float) -> int | float:
    try:
        return as_number(operation(float(left), float(right)))
    except OverflowError:
        raise Stop("The result is too large for a number") from None


def _repeat(text: str, times: float) -> str | None:
    if times < 0:
        return None
    if len(text) * times > LONGEST_REPETITION:
        raise Stop(f"The repeated string is longer than {LONGEST_REPETITION} characters")
    return text * int(times)


def _merge(left: dict[str, Json], right: dict[str, Json]) -> dict[str, Json]:
    merged = dict(left)
    for key, value in right.items():
        mine = merged.get(key)
        merged[key] = _merge(mine, value) if isinstance(mine, dict) and isinstance(value, dict) else value
    return merged


def _cut(value: float) -> int:
    if abs(value) >= _LARGEST_EXACT:
        raise Stop(f"{describe(value)} is too large for a remainder")
    return int(value)
