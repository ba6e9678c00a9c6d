"""Where the values of a JSON text stand: line and column of every JSON Pointer, and of characters inside strings.

Works on any text, broken or not: what cannot be found is placed at the nearest value around it.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass, field

from headrace.core import errors
from headrace.core.authoring.findings import TextProblem, quoted
from headrace.core.errors import Problem

_TOKEN = re.compile(
    r'(?P<string>"[^"\\]*(?:\\.[^"\\]*)*"?)|(?P<mark>[{}\[\]:,])|(?P<literal>[^\s{}\[\]:,"]+)', re.DOTALL
)
_CHARACTER = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|.", re.DOTALL
)
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LINE_END = re.compile(r"\r\n?|\n")


@dataclass(slots=True)
class _Value:
    """A value of the text: where it starts, where its key starts, and what it holds."""

    start: int
    key_start: int
    children: dict[str, "_Value"] = field(default_factory=dict)


@dataclass(slots=True)
class _Open:
    """A container whose end has not been seen yet."""

    value: _Value
    name: str
    is_object: bool
    key: str | None = None
    key_start: int = 0
    after_colon: bool = False
    count: int = 0


class Positions:
    """The places of one text. Lines and columns begin at 1; a column counts characters."""

    def __init__(self, text: str, root: _Value | None, duplicates: tuple[Problem, ...]) -> None:
        self._text = text
        self._root = root
        self._line_starts = _line_starts(text)
        self.duplicates = duplicates
        """A problem `duplicate-key` for every key that its object already had."""

    def locate(self, pointer: str, index: int | None = None, *, key: bool = False) -> tuple[int, int]:
        """Line and column of the value at `pointer`, or of its key, or of the character `index` of a string value.

        A pointer to nothing gives the place of the innermost value around it that exists.
        """
        value = found = self._root
        for part in pointer.split("/")[1:]:
            if value is None:
                break
            value = value.children.get(part.replace("~1", "/").replace("~0", "~"))
            found = value or found
        if found is None:
            return 1, 1
        offset = found.key_start if key and value is not None else found.start
        if value is not None and index is not None:
            offset = self._inside(found.start, index)
        return _place_of(offset, self._line_starts)

    def locate_problem(self, problem: Problem) -> tuple[int, int]:
        """Where to point a reader: the very character, the key of a field that should not be there, or the value."""
        if isinstance(problem, TextProblem):
            return self.locate(problem.pointer, problem.index)
        return self.locate(problem.pointer, key=problem.code in ("unknown-field", "duplicate-key"))

    def _inside(self, start: int, index: int) -> int:
        """Offset of the character `index` of the string that starts at `start`, escapes counted as what they mean."""
        if self._text[start : start + 1] != '"':
            return start
        at = start + 1
        for _ in range(index):
            match = _CHARACTER.match(self._text, at)
            if match is None or match[0] == '"':
                break
            at = match.end()
        return at


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Line and column of a character of the text."""
    return _place_of(offset, _line_starts(text))


def _line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in _LINE_END.finditer(text))]


def _place_of(offset: int, line_starts: list[int]) -> tuple[int, int]:
    line = bisect_right(line_starts, offset)
    return line, offset - line_starts[line - 1] + 1


def positions(text: str) -> Positions:
    """The places of all values of `text`, in one pass."""
    scan = _Scan()
    for match in _TOKEN.finditer(text):
        scan.take(match.lastgroup, match[0], match.start())
    return Positions(text, scan.root, tuple(scan.duplicates))


class _Scan:
    """The pass over the tokens of a text."""

    def __init__(self) -> None:
        self.root: _Value | None = None
        self.duplicates: list[Problem] = []
        self._open: list[_Open] = []

    def take(self, group: str | None, token: str, start: int) -> None:
        top = self._open[-1] if self._open else None
        if group != "mark":
            if group == "string" and top is not None and top.is_object and not top.after_colon:
                top.key, top.key_start = decode(token), start
            else:
                self._place(start)
            return
        mark = token
        if mark in "{[":
            name, value = self._place(start)
            self._open.append(_Open(value, name, mark == "{"))
        elif mark in "}]":
            if self._open:
                self._open.pop()
        elif mark == ":" and top is not None:
            top.after_colon = top.key is not None
        elif mark == "," and top is not None:
            top.key, top.after_colon = None, False
            top.count += 1

    def _place(self, start: int) -> tuple[str, _Value]:
        """Enter a value into the container that is open; returns its name there and itself."""
        if not self._open:
            value = _Value(start, start)
            self.root = self.root or value
            return "", value
        top = self._open[-1]
        name = top.key if top.is_object else str(top.count)
        value = _Value(start, top.key_start if top.is_object else start)
        if name is None:
            return "", value
        if top.is_object and name in top.value.children:
            pointer = errors.pointer(*(level.name for level in self._open[1:]), name)
            message = f"The key {quoted(name)} stands in this object more than once; only the last one would count."
            self.duplicates.append(Problem(pointer, "duplicate-key", message, "Keep one of them."))
        top.value.children[name] = value
        top.key, top.after_colon = None, False
        return name, value


def decode(token: str) -> str:
    """The text of a JSON string token, quotes included; what is no valid escape stays as it is."""
    inner = token[1:-1] if len(token) > 1 and token.endswith('"') else token[1:]
    if "\\" not in inner:
        return inner
    return "".join(_decode_character(match[0]) for match in _CHARACTER.finditer(inner))


def _decode_character(text: str) -> str:
    if len(text) == 12:
        high, low = int(text[2:6], 16), int(text[8:12], 16)
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    if len(text) == 6:
        return chr(int(text[2:], 16))
    return _ESCAPES.get(text[1], text[1]) if len(text) == 2 else text


def literals(text: str) -> list[tuple[int, str]]:
    """Every token of `text` that is neither a string nor a bracket: numbers, true, false, null; with their offsets."""
    return [(match.start(), match[0]) for match in _TOKEN.finditer(text) if match.lastgroup == "literal"]
