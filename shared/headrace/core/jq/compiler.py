"""From syntax tree to Python closures, and the proof that running them in a service is safe.

A closure takes the current value and returns the output; it raises NoOutput or Stop instead of returning a marker, so
that combinators pay nothing for what rarely happens. Two bounds keep hostile programs out, since nothing in the subset
loops but values may double in each step of a pipe: `growth` and `work` of every node. Past a bound, the program is
foreign and runs in the cage.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from headrace.core.jq import operators, syntax, values
from headrace.core.jq.closure import Compiled, Given, combine
from headrace.core.jq.functions import CONTAINS, WITH_ARGUMENT, WITHOUT_ARGUMENT, Function
from headrace.core.jq.lexer import OutsideSubset
from headrace.core.jq.paths import PathKeys, Run, read_path
from headrace.core.jq.values import NoOutput, Stop, is_true, values_of

_MOST_GROWTH = 256
_MOST_WORK = 256
_MOST_DEPTH = 100
_CHARACTERS_PER_UNIT = 16
_FORMAT_GROWTH = 6


def compile_tree(node: syntax.Node) -> Run:
    """The closure for a program, or OutsideSubset."""
    return _compile(node, Given()).run


def path_keys(node: syntax.Node) -> PathKeys | None:
    """The keys of a pure path from the current value (`.`, `.a[0]`, `.a | .b`), or None for anything else."""
    if isinstance(node, syntax.Identity):
        return ()
    if isinstance(node, syntax.Pipe):
        left, right = path_keys(node.left), path_keys(node.right)
        return None if left is None or right is None else left + right
    if isinstance(node, syntax.Index) and not node.optional and isinstance(node.key, syntax.Constant):
        target, key = path_keys(node.target), node.key.value
        if target is not None and isinstance(key, str | int | float) and not isinstance(key, bool):
            return (*target, key if isinstance(key, str) else int(key))
    return None


def _compile(node: syntax.Node, given: Given) -> Compiled:
    keys = path_keys(node)
    if keys is not None:
        return Compiled(read_path(keys) if keys else lambda value: value, computed=given.computed)
    compiled = _compile_other(node, given)
    if compiled.growth > _MOST_GROWTH or compiled.work > _MOST_WORK or compiled.depth > _MOST_DEPTH:
        raise OutsideSubset
    return compiled


def _compile_other(node: syntax.Node, given: Given) -> Compiled:
    match node:
        case syntax.Binary(_, left, right):
            return operators.binary(node, _compile(left, given), _compile(right, given), given)
        case syntax.Logic(_, operands):
            return operators.logic(node, [_compile(operand, given) for operand in operands])
        case syntax.Negate(operand):
            return operators.negate(_compile(operand, given))
        case syntax.Alternative(left, right):
            return operators.alternative(_compile(left, given), _compile(right, given))
        case syntax.Choice(test, yes, no):
            return operators.choice(_compile(test, given), _compile(yes, given), _compile(no, given))
        case syntax.Attempt(body):
            return operators.attempt(_compile(body, given))
        case syntax.Constant():
            return _constant(node)
        case syntax.Text():
            return _text(node, given)
        case syntax.Index():
            return _index(node, given)
        case syntax.MakeArray():
            return _make_array(node, given)
        case syntax.MakeObject():
            return _make_object(node, given)
        case syntax.Pipe():
            return _pipe(node, given)
        case syntax.Call():
            return _call(node, given)
    raise OutsideSubset


def _constant(node: syntax.Constant) -> Compiled:
    value = node.value
    length = len(value) if isinstance(value, str) else 0
    return Compiled(lambda _: value, growth=1 + length // _CHARACTERS_PER_UNIT, known=values.kind_of(value))


def _text(node: syntax.Text, given: Given) -> Compiled:
    parts = [_compile(syntax.Constant(part) if isinstance(part, str) else part, given) for part in node.parts]
    if any(part.computed for part in parts):
        raise OutsideSubset
    backwards = tuple(part.run for part in reversed(parts))  # jq's order of evaluation

    def run(value: Any) -> str:
        return "".join([values.format_text(read(value)) for read in backwards][::-1])

    combined = combine(run, parts, "string", work=sum(part.growth for part in parts))
    return replace(combined, growth=_FORMAT_GROWTH * combined.growth)


def _index(node: syntax.Index, given: Given) -> Compiled:
    target, key = _compile(node.target, given), _compile(node.key, given)
    if key.known not in ("string", "number"):
        raise OutsideSubset  # an array or an object as key means search or slice
    read_target, read_key, optional = target.run, key.run, node.optional

    def run(value: Any) -> Any:
        wanted = read_key(value)
        whole = read_target(value)
        try:
            return values.index(whole, wanted if isinstance(wanted, str) else int(wanted))
        except Stop:
            if optional:
                raise NoOutput from None
            raise

    return replace(combine(run, (target, key)), growth=target.growth, computed=target.computed)


def _make_array(node: syntax.MakeArray, given: Given) -> Compiled:
    parts = [_compile(item, given) for item in node.items]
    runs = tuple(part.run for part in parts)

    def run(value: Any) -> list[Any]:
        made = []
        for read in runs:
            try:
                made.append(read(value))
            except NoOutput:
                continue
        return made

    return combine(run, parts, "array")


def _make_object(node: syntax.MakeObject, given: Given) -> Compiled:
    pairs = [(_compile(key, given), _compile(item, given)) for key, item in node.pairs]
    if any(key.known not in ("string", "") for key, _ in pairs):
        raise OutsideSubset
    runs = tuple((key.run, item.run) for key, item in pairs)

    def run(value: Any) -> dict[str, Any]:
        made = {}
        for read_key, read_item in runs:
            key = read_key(value)
            item = read_item(value)
            if not isinstance(key, str):
                raise Stop(f"Cannot use {values.describe(key)} as object key")
            made[key] = item
        return made

    return combine(run, [part for pair in pairs for part in pair], "object")


def _pipe(node: syntax.Pipe, given: Given) -> Compiled:
    left = _compile(node.left, given)
    right = _compile(node.right, replace(given, computed=left.computed))
    first, then = left.run, right.run
    return Compiled(
        lambda value: then(first(value)),
        growth=left.growth * right.growth,
        work=left.work + left.growth * right.work,
        depth=1 + max(left.depth, right.depth),
        known=right.known,
        computed=right.computed,
    )


def _call(node: syntax.Call, given: Given) -> Compiled:
    if not node.arguments:
        function = WITHOUT_ARGUMENT.get(node.name)
        return _known_call(function, None, given)
    if node.name in _OVER_ELEMENTS and len(node.arguments) == 1:
        return _elements_call(node, given)
    arguments = [_compile(argument, given) for argument in node.arguments]
    if node.name == "IN":
        return _in_call(arguments)
    if node.name == "contains":
        return _known_call(CONTAINS, _only_constant(node, arguments), given)
    if node.name == "join":
        _only_constant(node, arguments)
    return _known_call(WITH_ARGUMENT.get(node.name), arguments[0], given)


def _only_constant(node: syntax.Call, arguments: list[Compiled]) -> Compiled:
    """Two large operands of the document would take quadratic time."""
    if not _is_constant(node.arguments[0]):
        raise OutsideSubset
    return arguments[0]


def _is_constant(node: syntax.Node) -> bool:
    match node:
        case syntax.Constant():
            return True
        case syntax.MakeArray(items):
            return all(map(_is_constant, items))
        case syntax.MakeObject(pairs):
            return all(_is_constant(key) and _is_constant(value) for key, value in pairs)
    return False


def _known_call(function: Function | None, argument: Compiled | None, given: Given) -> Compiled:
    if function is None or ("formats" in function.traits and given.computed):
        raise OutsideSubset
    call: Callable[..., Any] = function.run
    work = 1 if "heavy" in function.traits else 0
    known = "string" if "string" in function.traits else "boolean" if "boolean" in function.traits else ""
    computed = not known and (given.computed or "computes" in function.traits)
    if argument is None:
        return Compiled(call, function.expansion, work, known=known, computed=computed)
    read = argument.run
    return Compiled(
        lambda value: call(value, read(value)),
        growth=function.expansion * argument.growth,
        work=work * argument.growth + argument.work,
        depth=1 + argument.depth,
        known=known,
        computed=computed,
    )


def _in_call(candidates: list[Compiled]) -> Compiled:
    """`IN(a, b)`: whether the current value is equal to one of them."""
    runs = tuple(candidate.run for candidate in candidates)

    def run(value: Any) -> bool:
        for read in runs:
            try:
                if values.equal(value, read(value)):
                    return True
            except NoOutput:
                continue
        return False

    work = sum(1 + candidate.growth for candidate in candidates)
    return replace(combine(run, candidates, "boolean", work), growth=1, computed=False)


def _elements_call(node: syntax.Call, given: Given) -> Compiled:
    """`map(f)`, `select(f)`, `any(f)`, `all(f)`."""
    over_elements = node.name != "select"
    body = _compile(node.arguments[0], replace(given, element=given.element or over_elements))
    return replace(
        combine(_OVER_ELEMENTS[node.name](body.run), (body,), work=1),
        known={"map": "array", "select": ""}.get(node.name, "boolean"),
        growth=body.growth + 1 if node.name == "map" else 1,
        computed=given.computed if node.name == "select" else body.computed and node.name == "map",
    )


def _map(read: Run) -> Run:
    def run(value: Any) -> list[Any]:
        made = []
        for item in values_of(value):
            try:
                made.append(read(item))
            except NoOutput:
                continue
        return made

    return run


def _select(read: Run) -> Run:
    def run(value: Any) -> Any:
        if is_true(read(value)):
            return value
        raise NoOutput

    return run


def _search(read: Run, sought: bool) -> Run:
    def run(value: Any) -> bool:
        for item in values_of(value):
            try:
                if is_true(read(item)) is sought:
                    return sought
            except NoOutput:
                continue
        return not sought

    return run


_OVER_ELEMENTS: dict[str, Callable[[Run], Run]] = {
    "map": _map,
    "select": _select,
    "any": lambda read: _search(read, True),
    "all": lambda read: _search(read, False),
}
