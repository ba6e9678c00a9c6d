"""Expressions: JQ programs that users write in conditions and templates (spec 2.2, 4, 6.3).

A program in the *total subset* (docs/expressions.md) compiles to Python closures that cannot loop, cannot grow beyond
a fixed multiple of their input, and agree with libjq on every document. Whatever else users write is *foreign*: it
runs in a killable child process, behind the evaluator port, and never in a service.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Literal, TypeAlias

from headrace.core.jq.compiler import compile_tree
from headrace.core.jq.facts import read_paths, required_equalities
from headrace.core.jq.lexer import OutsideSubset
from headrace.core.jq.parser import parse_tree
from headrace.core.jq.paths import Run
from headrace.core.jq.syntax import Node
from headrace.core.jq.values import NoOutput, Stop
from headrace.core.json import Json

_LONGEST_NATIVE = 4096
_CACHED_PROGRAMS = 8192


class Empty(Enum):
    """The answer of a program that produced no output (jq's `empty`)."""

    EMPTY = "empty"


EMPTY = Empty.EMPTY

FailureKind = Literal["compile", "runtime", "time", "memory", "output", "crash"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A program that gave no value: what kind of failure, and a sentence for the person who wrote it."""

    kind: FailureKind
    message: str


Answer: TypeAlias = "Json | Empty | Failure"
"""What a program gives for an input: its first output, EMPTY when it has none, or a Failure. Never an exception."""

PathKey: TypeAlias = str | int
Path: TypeAlias = tuple[PathKey, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """A parsed expression.

    `native` is set when the program lies in the total subset: it may then run in a service's own process.
    Otherwise only the evaluator port (killable child processes) may run `text`.
    """

    text: str
    native: Callable[[Json], Answer] | None
    paths: tuple[Path, ...] = ()
    """Static paths that a native program reads from the root, for save-time checks and the trigger index."""
    equalities: tuple[tuple[Path, Json], ...] = ()
    """`path == literal` tests (scalars) every one of which must hold for a native program to give `true`."""


def parse(text: str) -> Program:
    """The program for `text`, cached. Never raises: what the total subset cannot parse becomes a foreign program."""
    if len(text) > _LONGEST_NATIVE:
        return Program(text, None)
    return _parse(text)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Programs to run on one document, which is given as JSON text. The unit of work of the evaluator port."""

    programs: tuple[str, ...]
    input: bytes


def run_tree(node: Node, root: Json) -> Answer:
    """What a part of a native program gives for an input. Raises OutsideSubset for what is none."""
    return _guard(compile_tree(node))(root)


@lru_cache(maxsize=_CACHED_PROGRAMS)
def _parse(text: str) -> Program:
    try:
        tree = parse_tree(text)
        run = compile_tree(tree)
    except (OutsideSubset, RecursionError):
        return Program(text, None)
    return Program(text, _guard(run), read_paths(tree), required_equalities(tree))


def _guard(run: Run) -> Callable[[Json], Answer]:
    """Turns the closures' control flow into answers."""

    def native(root: Json) -> Answer:
        try:
            answer: Answer = run(root)
        except Stop as stop:
            return Failure("runtime", str(stop))
        except NoOutput:
            return EMPTY
        except RecursionError:
            return Failure("runtime", "The values are nested too deeply")
        return answer

    return native
