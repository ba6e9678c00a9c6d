"""From a syntax tree back to text, for explanations: as one would write it, though not letter by letter as it was."""

import json
from typing import assert_never

from headrace.core.jq import syntax

_PIPE, _ALTERNATIVE, _OR, _AND, _COMPARISON, _SUM, _PRODUCT, _UNARY, _POSTFIX = range(9)
_LEVELS = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "%": _PRODUCT}


def write(node: syntax.Node) -> str:
    """The program of a tree."""
    return _write(node, _PIPE)


def _write(node: syntax.Node, least: int) -> str:
    """The text, in parentheses when it binds looser than what is around it needs."""
    level, text = _levelled(node)
    return text if level >= least else f"({text})"


def _levelled(node: syntax.Node) -> tuple[int, str]:
    match node:
        case syntax.Pipe(left, right):
            return _PIPE, f"{_write(left, _ALTERNATIVE)} | {_write(right, _PIPE)}"
        case syntax.Alternative(left, right):
            return _ALTERNATIVE, f"{_write(left, _OR)} // {_write(right, _ALTERNATIVE)}"
        case syntax.Logic(word, operands):
            level = _OR if word == "or" else _AND
            return level, f" {word} ".join(_write(operand, level + 1) for operand in operands)
        case syntax.Binary(operator, left, right):
            level = _LEVELS.get(operator, _COMPARISON)
            first = level + 1 if level == _COMPARISON else level
            return level, f"{_write(left, first)} {operator} {_write(right, level + 1)}"
        case syntax.Negate(operand):
            return _UNARY, f"-{_write(operand, _POSTFIX)}"
        case _:
            return _POSTFIX, _primary(node)


def _primary(
    node: syntax.Identity | syntax.Constant | syntax.Text | syntax.Index | syntax.MakeArray | syntax.MakeObject
    | syntax.Choice | syntax.Attempt | syntax.Call,
) -> str:  # fmt: skip
    match node:
        case syntax.Identity():
            return "."
        case syntax.Constant(value):
            return json.dumps(value, ensure_ascii=False)
        case syntax.Text(parts):
            return f'"{"".join(_text(part) for part in parts)}"'
        case syntax.Index():
            return _index(node)
        case syntax.MakeArray(items):
            return f"[{', '.join(_write(item, _ALTERNATIVE if len(items) > 1 else _PIPE) for item in items)}]"
        case syntax.MakeObject(pairs):
            return "{" + ", ".join(f"{_key(key)}: {_write(value, _ALTERNATIVE)}" for key, value in pairs) + "}"
        case syntax.Choice(test, yes, no):
            return f"if {write(test)} then {write(yes)} else {write(no)} end"
        case syntax.Attempt(body):
            return f"{_write(body, _POSTFIX)}?"
        case syntax.Call(name, arguments):
            return f"{name}({', '.join(map(write, arguments))})" if arguments else name
        case _:
            assert_never(node)


def _index(node: syntax.Index) -> str:
    mark = "?" if node.optional else ""
    target = "" if isinstance(node.target, syntax.Identity) else _write(node.target, _POSTFIX)
    key = node.key.value if isinstance(node.key, syntax.Constant) else None
    if isinstance(key, str) and key.isascii() and key.isidentifier():
        return f"{target}.{key}{mark}"
    return f"{target or '.'}[{write(node.key)}]{mark}"


def _key(node: syntax.Node) -> str:
    return write(node) if isinstance(node, syntax.Constant) else f"({write(node)})"


def _text(part: "str | syntax.Node") -> str:
    return json.dumps(part, ensure_ascii=False)[1:-1] if isinstance(part, str) else f"\\({write(part)})"
