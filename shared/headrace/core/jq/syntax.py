"""The syntax tree of a JQ program in the total subset. Each node has at most one output for each input."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from headrace.core.json import Json

Operator = Literal["==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%"]


@dataclass(frozen=True, slots=True)
class Identity:
    """`.`"""


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal scalar."""

    value: Json


@dataclass(frozen=True, slots=True)
class Text:
    """A string with `\\(...)` in it."""

    parts: tuple["str | Node", ...]


@dataclass(frozen=True, slots=True)
class Index:
    """`target.key` or `target[key]`; when `optional`, its own error (not its target's) gives no output."""

    target: "Node"
    key: "Node"
    optional: bool = False


@dataclass(frozen=True, slots=True)
class MakeArray:
    """`[item, ...]`; an item without output leaves no gap."""

    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class MakeObject:
    """`{key: value, ...}`"""

    pairs: tuple[tuple["Node", "Node"], ...]


@dataclass(frozen=True, slots=True)
class Pipe:
    """`left | right`"""

    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Binary:
    """Comparison or arithmetic."""

    operator: Operator
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Logic:
    """`and` or `or` over two or more operands, left to right."""

    word: Literal["and", "or"]
    operands: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Negate:
    """Unary minus."""

    operand: "Node"


@dataclass(frozen=True, slots=True)
class Alternative:
    """`left // right`"""

    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Choice:
    """`if test then yes else no end`"""

    test: "Node"
    yes: "Node"
    no: "Node"


@dataclass(frozen=True, slots=True)
class Attempt:
    """`body?`: an error gives no output."""

    body: "Node"


@dataclass(frozen=True, slots=True)
class Call:
    """A function call. Only IN has several arguments: the values that its one argument gives."""

    name: str
    arguments: tuple["Node", ...]


Node: TypeAlias = (
    Identity
    | Constant
    | Text
    | Index
    | MakeArray
    | MakeObject
    | Pipe
    | Binary
    | Logic
    | Negate
    | Alternative
    | Choice
    | Attempt
    | Call
)
