"""Where the `{{ }}` blocks of a string are (spec 6.3, rules 2, 3, 11 and 12)."""

import re
from dataclasses import dataclass

from headrace.core.errors import HeadraceError

_OPENING = re.compile(r"\{{2,}")
_INTERESTING = re.compile(r"""["'\\]|\{{2,}|\}{2,}""")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_LITERAL = re.compile(r"""(?:(?<=\s)|\A)'(?![\s"])(.*?)(?<![\s"])'(?=\s|\Z)""", re.DOTALL)
_SPREAD = re.compile(r"\s*\{\{\s*spreadValue\(\s*\)\s*\}\}\s*")
_BLANK = " \t\r\n"


class TemplateSyntaxError(HeadraceError):
    """A string's braces do not pair up. `index` is the character of the string where the trouble starts."""

    def __init__(self, index: int, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.index = index
        self.message = message
        self.pointer = pointer


@dataclass(frozen=True, slots=True)
class Span:
    """One block of a string: where its braces start and end, and the program between them."""

    start: int
    end: int
    text: str


def find_spans(text: str) -> list[Span]:
    """The blocks of a string, in order. Raises TemplateSyntaxError.

    Quotes count inside a block only, and there they hide braces; a backslash there hides the next character. Three or
    more braces in a row are one delimiter.
    """
    spans: list[Span] = []
    position = 0
    while "{{" in text:
        opening = _OPENING.search(text, position)
        _refuse_closing(text, position, opening.start() if opening else len(text))
        if opening is None:
            break
        closing = _find_closing(text, opening)
        program = rewrite_quotes(text[opening.end() : closing.start()]).strip(_BLANK)
        if not program:
            raise TemplateSyntaxError(opening.start(), f"The block at index {opening.start()} is empty.")
        spans.append(Span(opening.start(), closing.end(), program))
        position = closing.end()
    return spans


def is_whole(text: str, spans: list[Span]) -> bool:
    """Whether the string is one block and nothing else but space: then the value keeps its type."""
    return len(spans) == 1 and not text[: spans[0].start].strip() and not text[spans[0].end :].strip()


def is_spread(key: str) -> bool:
    """Whether an object's key is `{{ spreadValue() }}`, which merges the value's entries into the object."""
    return _SPREAD.fullmatch(key) is not None


def rewrite_quotes(program: str) -> str:
    """The program with 'single-quoted' strings in double quotes, where they stand free between spaces or ends.

    What is inside double quotes is left alone.
    """
    if "'" not in program:
        return program
    parts: list[str] = []
    position = 0
    while position < len(program):
        literal = _LITERAL.match(program, position)
        quoted = literal or _QUOTED.match(program, position)
        if literal:
            parts.append(f'"{literal[1]}"')
        else:
            parts.append(quoted[0] if quoted else program[position])
        position = quoted.end() if quoted else position + 1
    return "".join(parts)


def _refuse_closing(text: str, start: int, end: int) -> None:
    stray = text.find("}}", start, end)
    if stray >= 0:
        raise TemplateSyntaxError(stray, f"Found closing braces at index {stray} without opening ones.")


def _find_closing(text: str, opening: re.Match[str]) -> re.Match[str]:
    quote = ""
    position = opening.end()
    while match := _INTERESTING.search(text, position):
        position = match.end()
        found = match[0]
        if found == "\\":
            position += 1
        elif found in ('"', "'"):
            if not quote:
                quote = found
            elif quote == found:
                quote = ""
        elif quote:
            continue
        elif found[0] == "}":
            return match
        else:
            inner = match.start()
            message = f"Found opening braces at index {inner} inside the block that opens at index {opening.start()}."
            raise TemplateSyntaxError(inner, message)
    message = f"Found opening braces at index {opening.start()} without closing ones."
    raise TemplateSyntaxError(opening.start(), message)
