"""Templates: JSON values with `{{ }}` blocks in their strings and keys (spec 6.3; docs/expressions.md).

A value is compiled once per workflow version: constant parts are shared by every rendering, the rest becomes closures.
What a block yields is data: braces in it are never evaluated again.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from headrace.core._template_blocks import Span, find_spans, is_spread, is_whole
from headrace.core._template_blocks import TemplateSyntaxError as TemplateSyntaxError
from headrace.core.errors import HeadraceError, pointer
from headrace.core.expression import EMPTY, Answer, Empty, Failure, Program, parse
from headrace.core.jq.values import kind_of
from headrace.core.json import Json

Rendered: TypeAlias = "Json | Empty"
Answers: TypeAlias = Mapping[str, Answer]
_Render: TypeAlias = Callable[[Json, Answers], Rendered]

_NO_ANSWERS: Answers = MappingProxyType({})
_DEEPEST = 128
_LONGEST_QUOTE = 120


class TemplateError(HeadraceError):
    """A template could not be rendered on this data. `pointer` is the failing string, in the template's value."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer
        self.message = message


@dataclass(frozen=True, slots=True)
class TemplateProblem:
    """A syntax error in a string or key: the JSON Pointer of the value, the character index, and what is wrong."""

    pointer: str
    index: int
    message: str


@dataclass(frozen=True, slots=True)
class Block:
    """A `{{ }}` block: where it is, the program between its braces, and whether it is the whole string."""

    pointer: str
    index: int
    text: str
    program: Program
    whole: bool
    is_key: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled value.

    `constant` says that there is no block in it; `programs` are its distinct programs in order of first occurrence,
    and `foreign` the texts among them whose answers `render` needs.
    """

    constant: bool
    programs: tuple[Program, ...]
    foreign: tuple[str, ...]
    _render: _Render = field(repr=False)

    def render(self, root: Json, answers: Answers = _NO_ANSWERS) -> Rendered:
        """The value on this data; EMPTY when the whole value is one block without output. Raises TemplateError."""
        return self._render(root, answers)


def compile_template(value: Json) -> Template:
    """The compiled value. Raises TemplateSyntaxError for the first malformed string."""
    programs = tuple(dict.fromkeys(block.program for block in blocks(value)))
    foreign = tuple(program.text for program in programs if program.native is None)
    render = _compile(value, "")
    if render is None:
        return Template(True, (), (), _always(value))
    return Template(False, programs, foreign, render)


def find_problems(value: Json, base_pointer: str = "") -> list[TemplateProblem]:
    """Every malformed string and key of the value, in order."""
    problems = []
    for text_pointer, text, _ in _texts(value, base_pointer):
        try:
            find_spans(text)
        except TemplateSyntaxError as error:
            problems.append(TemplateProblem(text_pointer, error.index, error.message))
    return problems


def blocks(value: Json, base_pointer: str = "") -> Iterator[Block]:
    """Every block of the value, in order; a key's block has the pointer of its pair. Raises TemplateSyntaxError."""
    for text_pointer, text, is_key in _texts(value, base_pointer):
        spans = _spans(text, text_pointer)
        whole = is_whole(text, spans)
        for span in spans:
            yield Block(text_pointer, span.start, span.text, parse(span.text), whole, is_key)


def _texts(value: Json, base_pointer: str) -> Iterator[tuple[str, str, bool]]:
    """Every string of the value and every key that is no spread, with its pointer and whether it is a key."""
    pending: list[tuple[str, Json, bool]] = [(base_pointer, value, False)]
    while pending:
        here, item, is_key = pending.pop()
        if isinstance(item, str):
            if not (is_key and is_spread(item)):
                yield here, item, is_key
        elif isinstance(item, list):
            pending.extend((here + pointer(at), item[at], False) for at in reversed(range(len(item))))
        elif isinstance(item, dict):
            for key in reversed(item):
                pending.append((here + pointer(key), item[key], False))
                pending.append((here + pointer(key), key, True))


def _spans(text: str, text_pointer: str) -> list[Span]:
    try:
        return find_spans(text)
    except TemplateSyntaxError as error:
        raise TemplateSyntaxError(error.index, error.message, text_pointer) from None


def _compile(value: Json, here: str, depth: int = 0) -> _Render | None:
    """The closure that renders the value, or None when the value is constant."""
    if depth > _DEEPEST:
        raise TemplateSyntaxError(0, f"The value is nested more than {_DEEPEST} levels deep.", here)
    if isinstance(value, str):
        return _compile_text(value, here)
    if isinstance(value, list):
        return _compile_array(value, here, depth)
    if isinstance(value, dict):
        return _compile_object(value, here, depth)
    return None


def _compile_text(text: str, here: str) -> _Render | None:
    spans = _spans(text, here)
    if not spans:
        return None
    if is_whole(text, spans):
        return _compile_block(spans[0].text, here)
    pieces: list[tuple[str, _Render]] = []
    position = 0
    for span in spans:
        pieces.append((text[position : span.start], _compile_block(span.text, here)))
        position = span.end
    rest = text[position:]

    def render(root: Json, answers: Answers) -> Rendered:
        parts = []
        for before, block in pieces:
            parts.append(before)
            parts.append(_to_text(block(root, answers)))
        parts.append(rest)
        return "".join(parts)

    return render


def _to_text(value: Rendered) -> str:
    if isinstance(value, str):
        return value
    if value is EMPTY:
        return ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _compile_block(text: str, here: str) -> _Render:
    native = parse(text).native
    if native is None:

        def render_foreign(root: Json, answers: Answers) -> Rendered:
            answer = answers.get(text, _NOT_EVALUATED)
            if isinstance(answer, Failure):
                raise _failed(here, text, answer)
            return answer

        return render_foreign

    def render_native(root: Json, answers: Answers) -> Rendered:
        answer = native(root)
        if isinstance(answer, Failure):
            raise _failed(here, text, answer)
        return answer

    return render_native


_NOT_EVALUATED = Failure("crash", "the evaluator gave no answer")


def _failed(here: str, text: str, failure: Failure) -> TemplateError:
    shown = text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 3] + "..."
    return TemplateError(here, f"{{{{ {shown} }}}} failed: {failure.message}")


def _compile_array(items: list[Json], here: str, depth: int) -> _Render | None:
    renders = [(at, _compile(item, here + pointer(at), depth + 1)) for at, item in enumerate(items)]
    changing = [(at, render) for at, render in renders if render is not None]
    if not changing:
        return None

    def render(root: Json, answers: Answers) -> Rendered:
        made = items.copy()
        for at, render_item in changing:
            value = render_item(root, answers)
            made[at] = None if isinstance(value, Empty) else value
        return made

    return render


def _compile_object(pairs: dict[str, Json], here: str, depth: int) -> _Render | None:
    values = {key: _compile(value, here + pointer(key), depth + 1) for key, value in pairs.items()}
    if any("{{" in key for key in pairs):
        return _compile_changing_keys(pairs, values, here)
    changing = [(key, render) for key, render in values.items() if render is not None]
    if not changing:
        return None

    def render(root: Json, answers: Answers) -> Rendered:
        made = pairs.copy()
        for key, render_value in changing:
            value = render_value(root, answers)
            if isinstance(value, Empty):
                del made[key]
            else:
                made[key] = value
        return made

    return render


def _compile_changing_keys(pairs: dict[str, Json], values: Mapping[str, _Render | None], here: str) -> _Render:
    """An object with a block in a key: pairs are added one by one, a later one replacing an earlier of its name."""
    steps = []
    for key, constant in pairs.items():
        render_value = values[key] or _always(constant)
        if is_spread(key):
            steps.append(_compile_spread(render_value, here + pointer(key)))
        else:
            steps.append(_compile_pair(key, render_value, here + pointer(key)))

    def render(root: Json, answers: Answers) -> Rendered:
        made: dict[str, Json] = {}
        for step in steps:
            step(made, root, answers)
        return made

    return render


_Step: TypeAlias = Callable[[dict[str, Json], Json, Answers], None]


def _compile_spread(render_value: _Render, here: str) -> _Step:
    def add(made: dict[str, Json], root: Json, answers: Answers) -> None:
        value = render_value(root, answers)
        if not isinstance(value, dict):
            given = "nothing" if isinstance(value, Empty) else kind_of(value)
            raise TemplateError(here, f"The value of {{{{ spreadValue() }}}} must be an object, but it is: {given}.")
        made.update(value)

    return add


def _compile_pair(key: str, render_value: _Render, here: str) -> _Step:
    render_key = _compile_text(key, here)

    def add(made: dict[str, Json], root: Json, answers: Answers) -> None:
        name = render_key(root, answers) if render_key else key
        if name is None or isinstance(name, Empty) or (name == "" and render_key):
            return
        if not isinstance(name, str):
            raise TemplateError(here, f"The key {key} must give a string or null, but it gives: {kind_of(name)}.")
        value = render_value(root, answers)
        if not isinstance(value, Empty):
            made[name] = value

    return add


def _always(value: Json) -> _Render:
    return lambda root, answers: value
