"""What can be told about a program without running it: which paths it reads, which equalities it demands."""

from collections.abc import Iterator

from headrace.core.jq import syntax
from headrace.core.jq.compiler import path_keys
from headrace.core.jq.paths import PathKeys
from headrace.core.json import Json


def read_paths(node: syntax.Node) -> tuple[PathKeys, ...]:
    """The static paths that a program reads from its root, each once, in order of first appearance."""
    return tuple(dict.fromkeys(_paths(node, ())))


def required_equalities(node: syntax.Node) -> tuple[tuple[PathKeys, Json], ...]:
    """The `path == scalar` tests that all hold whenever the program gives `true`."""
    return tuple(_equalities(node, ()))


def _paths(node: syntax.Node, base: PathKeys | None) -> Iterator[PathKeys]:
    """`base` is the path of the current value from the root, or None when it is not simply a part of the root."""
    keys = _lenient_keys(node)
    if keys is not None:
        if base is not None:
            yield base + keys
        return
    match node:
        case syntax.Pipe(left, right):
            keys = _lenient_keys(left)
            if keys is None:
                yield from _paths(left, base)
                yield from _paths(right, None)
            else:
                yield from _paths(right, None if base is None else base + keys)
        case syntax.Call(name, arguments):
            yield from _call_paths(name, arguments, base)
        case _:
            for child in _children(node):
                yield from _paths(child, base)


def _call_paths(name: str, arguments: tuple[syntax.Node, ...], base: PathKeys | None) -> Iterator[PathKeys]:
    if base is not None and name != "empty":
        yield base
    for argument in arguments:
        yield from _paths(argument, None if name in ("map", "any", "all") else base)


def _children(node: syntax.Node) -> tuple[syntax.Node, ...]:
    match node:
        case syntax.Binary(_, left, right) | syntax.Alternative(left, right):
            return left, right
        case syntax.Logic(_, children) | syntax.MakeArray(children):
            return children
        case syntax.Negate(child) | syntax.Attempt(child):
            return (child,)
        case syntax.Index(target, key):
            return target, key
        case syntax.Choice(test, yes, no):
            return test, yes, no
        case syntax.MakeObject(pairs):
            return tuple(child for pair in pairs for child in pair)
        case syntax.Text(parts):
            return tuple(part for part in parts if not isinstance(part, str))
    return ()


def _lenient_keys(node: syntax.Node) -> PathKeys | None:
    """Like `path_keys`, and also through `?`, which changes what is answered but not what is read."""
    if isinstance(node, syntax.Attempt):
        return _lenient_keys(node.body)
    if isinstance(node, syntax.Index) and isinstance(node.key, syntax.Constant):
        target, step = _lenient_keys(node.target), path_keys(syntax.Index(syntax.Identity(), node.key))
        return None if target is None or step is None else target + step
    return path_keys(node)


def _equalities(node: syntax.Node, base: PathKeys) -> Iterator[tuple[PathKeys, Json]]:
    match node:
        case syntax.Logic("and", operands):
            for operand in operands:
                yield from _equalities(operand, base)
        case syntax.Pipe(left, right):
            keys = path_keys(left)
            if keys is not None:
                yield from _equalities(right, base + keys)
        case syntax.Binary("==", left, syntax.Constant(value)) | syntax.Binary("==", syntax.Constant(value), left):
            keys = path_keys(left)
            if keys is not None:
                yield base + keys, value
