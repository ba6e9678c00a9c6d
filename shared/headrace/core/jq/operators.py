"""Closures for JQ's operators. Operands are evaluated in jq's order, which decides between an error and no output."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from headrace.core.jq import syntax, values
from headrace.core.jq.closure import Compiled, Given, combine
from headrace.core.jq.lexer import OutsideSubset
from headrace.core.jq.paths import Run, match_literal
from headrace.core.jq.values import NoOutput, Stop, is_true
from headrace.core.json import Json

_REPETITION_GROWTH = 32
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": values.equal,
    "!=": lambda left, right: not values.equal(left, right),
    "<": values.less,
    "<=": values.less_or_equal,
    ">": lambda left, right: values.less(right, left),
    ">=": lambda left, right: values.less_or_equal(right, left),
}
_COMPUTE: dict[str, Callable[[Any, Any], Json]] = {
    "+": values.add,
    "-": values.subtract,
    "*": values.multiply,
    "/": values.divide,
    "%": values.remainder,
}


def binary(node: syntax.Binary, left: Compiled, right: Compiled, given: Given) -> Compiled:
    """Comparison or arithmetic."""
    if node.operator in _COMPARE:
        return _compare(node, left, right)
    compute, first, second = _COMPUTE[node.operator], left.run, right.run

    def run(value: Any) -> Json:
        other = second(value)  # jq evaluates the right operand first
        return compute(first(value), other)

    known = _known_result(node.operator, left.known, right.known)
    combined = combine(run, (left, right), known, work=left.growth + right.growth)
    if node.operator == "*" and known != "number":  # may repeat a string
        if given.element:
            raise OutsideSubset
        combined = replace(combined, growth=combined.growth + _REPETITION_GROWTH)
    return replace(combined, computed=known != "string")


def _known_result(operator: str, left: str, right: str) -> str:
    if operator == "%" or (operator in "-/" and "number" in (left, right)) or left == right == "number":
        return "number"
    if operator == "+" and "string" in (left, right):
        return "string"
    return ""


def _compare(node: syntax.Binary, left: Compiled, right: Compiled) -> Compiled:
    compare, first, second = _COMPARE[node.operator], left.run, right.run

    def compare_both(value: Any) -> bool:
        other = second(value)
        return compare(first(value), other)

    run: Run = compare_both
    work = left.growth + right.growth
    if node.operator in ("==", "!=") and isinstance(node.right, syntax.Constant):
        run, work = match_literal(first, node.right.value, node.operator == "=="), 0
    elif node.operator in ("==", "!=") and isinstance(node.left, syntax.Constant):
        run, work = match_literal(second, node.left.value, node.operator == "=="), 0
    return replace(combine(run, (left, right), "boolean", work), growth=1, computed=False)


def negate(operand: Compiled) -> Compiled:
    """Unary minus."""
    read = operand.run
    return replace(combine(lambda value: values.negate(read(value)), (operand,), "number"), growth=1)


def logic(node: syntax.Logic, operands: Sequence[Compiled]) -> Compiled:
    """`and`, `or`: left to right, and no further than needed."""
    run = _logic(node, [part.run for part in operands])
    return replace(combine(run, operands, "boolean"), growth=1, computed=False)


def _logic(node: syntax.Logic, runs: Sequence[Run]) -> Run:
    if len(runs) > 2:
        everything = tuple(runs)
        if node.word == "and":
            return lambda value: all(is_true(run(value)) for run in everything)
        return lambda value: any(is_true(run(value)) for run in everything)
    first, second = runs
    if node.word == "and":

        def run_and(value: Any) -> bool:
            test = first(value)
            if test is None or test is False:
                return False
            test = second(value)
            return test is not None and test is not False

        return run_and

    def run_or(value: Any) -> bool:
        test = first(value)
        if test is not None and test is not False:
            return True
        test = second(value)
        return test is not None and test is not False

    return run_or


def alternative(left: Compiled, right: Compiled) -> Compiled:
    """`left // right`: right where left is null, false or nothing. This libjq lets an error of left through."""
    first, second = left.run, right.run

    def run(value: Any) -> Any:
        try:
            preferred = first(value)
        except NoOutput:
            return second(value)
        return second(value) if preferred is None or preferred is False else preferred

    return combine(run, (left, right), left.known if left.known == right.known else "")


def choice(test: Compiled, yes: Compiled, no: Compiled) -> Compiled:
    """`if test then yes else no end`"""
    check, first, second = test.run, yes.run, no.run

    def run(value: Any) -> Any:
        tested = check(value)
        return second(value) if tested is None or tested is False else first(value)

    known = yes.known if yes.known == no.known else ""
    return replace(combine(run, (test, yes, no), known), computed=yes.computed or no.computed)


def attempt(body: Compiled) -> Compiled:
    """`body?`"""
    read = body.run

    def run(value: Any) -> Any:
        try:
            return read(value)
        except Stop:
            raise NoOutput from None

    return replace(combine(run, (body,), body.known), growth=body.growth)
