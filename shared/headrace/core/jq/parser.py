"""Parser of the total subset of JQ: precedence climbing over the tokens, with jq's own levels.

From loose to tight: `|` (right), `//` (right), `or`, `and` (left), comparisons (none), `+ -`, `* / %` (left), unary
minus, postfix. The comma is missing on purpose: a program of the subset has at most one output.
"""

from collections.abc import Container
from typing import cast

from headrace.core.jq.lexer import KEYWORDS, OutsideSubset, Token, TokenKind, scan
from headrace.core.jq.syntax import (
    Alternative,
    Attempt,
    Binary,
    Call,
    Choice,
    Constant,
    Identity,
    Index,
    Logic,
    MakeArray,
    MakeObject,
    Negate,
    Node,
    Operator,
    Pipe,
    Text,
)

_DEEPEST = 60
_COMPARISONS = frozenset(("==", "!=", "<", "<=", ">", ">="))
_CONSTANTS = {"null": None, "true": True, "false": False}


def parse_tree(text: str) -> Node:
    """The syntax tree of `text`, or OutsideSubset."""
    return _parse_all(scan(text), 0)


def _parse_all(tokens: list[Token], depth: int) -> Node:
    parser = _Parser(tokens, depth)
    node = parser.parse_pipe()
    if parser.current.kind != "end":
        raise OutsideSubset
    return node


class _Parser:
    """One pass over a list of tokens. Every `parse_` method consumes what it returns."""

    def __init__(self, tokens: list[Token], depth: int) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = depth
        self.current = tokens[0]

    def parse_pipe(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise OutsideSubset
        node = self._parse_alternative()
        if self._take_mark("|"):
            node = Pipe(node, self.parse_pipe())
        self._depth -= 1
        return node

    def _parse_alternative(self) -> Node:
        operands = [self._parse_or()]
        while self._take_mark("//"):
            operands.append(self._parse_or())
        node = operands.pop()
        while operands:
            node = Alternative(operands.pop(), node)
        return node

    def _parse_or(self) -> Node:
        operands = [self._parse_and()]
        while self._take_name("or"):
            operands.append(self._parse_and())
        return operands[0] if len(operands) == 1 else Logic("or", tuple(operands))

    def _parse_and(self) -> Node:
        operands = [self._parse_comparison()]
        while self._take_name("and"):
            operands.append(self._parse_comparison())
        return operands[0] if len(operands) == 1 else Logic("and", tuple(operands))

    def _parse_comparison(self) -> Node:
        left = self._parse_sum()
        if not self._at_mark(_COMPARISONS):
            return left
        operator = self._take_operator()
        right = self._parse_sum()
        if self._at_mark(_COMPARISONS):
            raise OutsideSubset
        return Binary(operator, left, right)

    def _parse_sum(self) -> Node:
        node = self._parse_product()
        while self._at_mark(("+", "-")):
            node = Binary(self._take_operator(), node, self._parse_product())
        return node

    def _parse_product(self) -> Node:
        node = self._parse_unary()
        while self._at_mark(("*", "/", "%")):
            node = Binary(self._take_operator(), node, self._parse_unary())
        return node

    def _parse_unary(self) -> Node:
        if not self._take_mark("-"):
            return self._parse_term()
        operand = self._parse_term()
        if isinstance(operand, Constant) and type(operand.value) in (int, float) and operand.value:
            return Constant(-cast(float, operand.value))
        return Negate(operand)

    def _parse_term(self) -> Node:
        node = self._parse_primary()
        while True:
            key: Node
            if self.current.kind == "field":
                key = Constant(cast(str, self._take().value))
            elif self._take_mark("["):
                key = self._parse_bracket()
            elif self._take_mark("."):
                key = self._parse_after_dot()
            elif self._take_mark("?"):
                node = Attempt(node)
                continue
            else:
                return node
            node = Index(node, key, optional=self._take_mark("?"))

    def _parse_after_dot(self) -> Node:
        if self.current.kind == "string":
            return self._parse_string(self._take())
        self._expect_mark("[")
        return self._parse_bracket()

    def _parse_bracket(self) -> Node:
        key = self.parse_pipe()
        self._expect_mark("]")
        return key

    def _parse_primary(self) -> Node:
        token = self._take()
        if token.kind == "field":
            return Index(Identity(), Constant(cast(str, token.value)), optional=self._take_mark("?"))
        if token.kind == "number":
            return Constant(cast(int | float, token.value))
        if token.kind == "string":
            return self._parse_string(token)
        if token.kind == "name":
            return self._parse_name(cast(str, token.value))
        return self._parse_marked(token)

    def _parse_marked(self, token: Token) -> Node:
        if token.value == ".":
            if self.current.kind != "string" and not self._at_mark(("[",)):
                return Identity()
            return Index(Identity(), self._parse_after_dot(), optional=self._take_mark("?"))
        if token.value == "(":
            node = self.parse_pipe()
            self._expect_mark(")")
            return node
        if token.value == "[":
            return MakeArray(() if self._take_mark("]") else self._parse_values("]"))
        if token.value == "{":
            return self._parse_object()
        raise OutsideSubset

    def _parse_values(self, closer: str) -> tuple[Node, ...]:
        """`a, b, c` or `a | b`; a comma beside a pipe would give several outputs to one filter."""
        first = self.parse_pipe()
        nodes = [first]
        while self._take_mark(","):
            nodes.append(self.parse_pipe())
        if len(nodes) > 1 and any(isinstance(node, Pipe) for node in nodes):
            raise OutsideSubset
        self._expect_mark(closer)
        return tuple(nodes)

    def _parse_object(self) -> Node:
        pairs: list[tuple[Node, Node]] = []
        while not self._take_mark("}"):
            pairs.append(self._parse_pair())
            if not self._take_mark(","):
                self._expect_mark("}")
                break
        return MakeObject(tuple(pairs))

    def _parse_pair(self) -> tuple[Node, Node]:
        token = self._take()
        key: Node
        if token.value == "(" and token.kind == "mark":
            key = self.parse_pipe()
            self._expect_mark(")")
            self._expect_mark(":")
            return key, self.parse_pipe()
        if token.kind == "string":
            key = self._parse_string(token)
        elif token.kind == "name" and "::" not in cast(str, token.value):
            key = Constant(cast(str, token.value))
        else:
            raise OutsideSubset
        return key, self.parse_pipe() if self._take_mark(":") else Index(Identity(), key)

    def _parse_name(self, name: str) -> Node:
        if name in _CONSTANTS:
            return Constant(_CONSTANTS[name])
        if name == "if":
            return self._parse_choice()
        if name in KEYWORDS:
            raise OutsideSubset
        arguments: list[Node] = []
        if self._take_mark("("):
            arguments.extend(self._parse_values(")"))
            if len(arguments) > 1 and name != "IN":
                raise OutsideSubset
        return Call(name, tuple(arguments))

    def _parse_choice(self) -> Node:
        """What follows `if` or `elif`."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise OutsideSubset
        test = self.parse_pipe()
        self._expect_name("then")
        yes = self.parse_pipe()
        no: Node = Identity()
        if self._take_name("elif"):
            no = self._parse_choice()
        else:
            if self._take_name("else"):
                no = self.parse_pipe()
            self._expect_name("end")
        self._depth -= 1
        return Choice(test, yes, no)

    def _parse_string(self, token: Token) -> Node:
        parts = cast("tuple[str | list[Token], ...]", token.value)
        if len(parts) == 1:
            return Constant(cast(str, parts[0]))
        return Text(
            tuple(part if isinstance(part, str) else _parse_all(part, self._depth) for part in parts if part != "")
        )

    def _take(self) -> Token:
        token = self.current
        if token.kind == "end":
            raise OutsideSubset
        self._at += 1
        self.current = self._tokens[self._at]
        return token

    def _at_mark(self, marks: Container[str]) -> bool:
        return self.current.kind == "mark" and self.current.value in marks

    def _take_mark(self, mark: str) -> bool:
        return self._take_if("mark", mark)

    def _take_name(self, name: str) -> bool:
        return self._take_if("name", name)

    def _take_if(self, kind: TokenKind, value: str) -> bool:
        if self.current.kind != kind or self.current.value != value:
            return False
        self._take()
        return True

    def _expect_mark(self, mark: str) -> None:
        if not self._take_mark(mark):
            raise OutsideSubset

    def _expect_name(self, name: str) -> None:
        if not self._take_name(name):
            raise OutsideSubset

    def _take_operator(self) -> Operator:
        return cast(Operator, self._take().value)
