"""An expression taken apart: each sub-expression with the value that it gave (issue 5, explain).

Only programs of the total subset can be taken apart; of others we know the answer alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from headrace.core import expression
from headrace.core.expression import Answer, Failure
from headrace.core.jq import syntax
from headrace.core.jq.compiler import path_keys
from headrace.core.jq.lexer import OutsideSubset
from headrace.core.jq.parser import parse_tree
from headrace.core.jq.writing import write
from headrace.core.json import Json

_MOST_PARTS = 60


@dataclass(frozen=True, slots=True)
class Part:
    """A sub-expression and what it gave. One that was not `asked` did not matter: `false and` needs nothing more."""

    expression: str
    answer: Answer
    asked: bool = True
    parts: tuple["Part", ...] = ()


def break_down(text: str, root: Json) -> tuple[Part, ...]:
    """The sub-expressions of a program on its input; none where the values of its paths say all there is to say."""
    try:
        tree = parse_tree(text)
        if expression.parse(text).native is None or _is_plain(tree):
            return ()
        return tuple(_Taker().parts(tree, root))
    except (OutsideSubset, RecursionError):
        return ()


class _Taker:
    """Takes one program apart, up to a number of parts."""

    def __init__(self) -> None:
        self._left = _MOST_PARTS

    def parts(self, node: syntax.Node, value: Json) -> Iterator[Part]:
        """The parts of a node whose input is `value`."""
        match node:
            case syntax.Logic(word, operands):
                yield from self._operands(word, operands, value)
            case syntax.Binary(_, left, right):
                yield from (self.part(side, value) for side in (left, right) if not isinstance(side, syntax.Constant))
            case syntax.Negate(operand):
                yield self.part(operand, value)
            case syntax.Alternative(left, right):
                yield (first := self.part(left, value))
                yield self.part(right, value) if _is_no(first.answer) else _unasked(right)
            case syntax.Choice(test, yes, no):
                yield (asked := self.part(test, value))
                if not isinstance(asked.answer, Failure | expression.Empty):
                    yield self.part(no if _is_no(asked.answer) else yes, value)
            case syntax.Pipe(left, right) if path_keys(node) is None:
                yield (first := self.part(left, value))
                if not isinstance(first.answer, Failure | expression.Empty):
                    yield self.part(right, first.answer)

    def part(self, node: syntax.Node, value: Json) -> Part:
        """A node with what it gave, and its own parts."""
        self._left -= 1
        answer = expression.run_tree(node, value)
        return Part(write(node), answer, parts=tuple(self.parts(node, value)) if self._left > 0 else ())

    def _operands(self, word: str, operands: tuple[syntax.Node, ...], value: Json) -> Iterator[Part]:
        decided = False
        for operand in operands:
            if decided:
                yield _unasked(operand)
                continue
            yield (part := self.part(operand, value))
            decided = isinstance(part.answer, Failure) or _is_no(part.answer) == (word == "and")


def _unasked(node: syntax.Node) -> Part:
    return Part(write(node), None, asked=False)


def _is_no(answer: Answer) -> bool:
    """What counts as no: also what gave nothing, where jq looks for an alternative."""
    return answer is None or answer is False or isinstance(answer, Failure | expression.Empty)


def _is_plain(node: syntax.Node) -> bool:
    """Whether it is a path, or compares paths and literals: then the values that it read are the whole story."""
    sides = (node.left, node.right) if isinstance(node, syntax.Binary) else (node,)
    return all(isinstance(side, syntax.Constant) or path_keys(side) is not None for side in sides)
