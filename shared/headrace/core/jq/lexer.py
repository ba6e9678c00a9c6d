"""Tokens of the JQ that runs natively. A text with anything else in it is outside the subset, which is no error."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from headrace.core.json import Json

TokenKind = Literal["name", "field", "number", "string", "mark", "end"]

_OTHER_KEYWORDS = ("as", "def", "module", "import", "include", "reduce", "foreach", "try", "catch", "label", "break")
KEYWORDS = frozenset(("if", "then", "else", "elif", "end", "and", "or", "__loc__", *_OTHER_KEYWORDS))

_SPACE = re.compile(r"(?:[ \t\r\n]+|#[^\n\r\\]*(?=[\n]|$))*")
_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_FIELD = re.compile(r"\.([a-zA-Z_][a-zA-Z_0-9]*)")
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z_0-9]*(?:::[a-zA-Z_][a-zA-Z_0-9]*)*")
_MARK = re.compile(r"\?//|//=|\.\.|==|!=|<=|>=|//|\|=|\+=|-=|\*=|/=|%=|[.?=;,:|+\-*/%$<>()\[\]{}]")
_TEXT = re.compile(r'[^"\\\x00]+')
_HEX = re.compile(r"[0-9a-fA-F]{4}")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_OPENERS = {"(": ")", "[": "]", "{": "}"}
_MOST_DIGITS = 17
_DEEPEST_INTERPOLATION = 8


class OutsideSubset(Exception):  # noqa: N818 - a verdict on a text, not a fault
    """Raised by lexer, parser and compiler alike: this text must go to the evaluator."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token. A string's value is its parts: literal text, and the tokens of each `\\(...)`."""

    kind: TokenKind
    value: "Json | tuple[str | list[Token], ...]"


def scan(text: str) -> list[Token]:
    """The tokens of a whole program, closed by one `end` token."""
    tokens, position = _scan(text, 0, "", 0)
    if position != len(text):
        raise OutsideSubset
    return tokens


def _scan(text: str, position: int, closer: str, depth: int) -> tuple[list[Token], int]:
    """Scans to just behind the bracket `closer` that nothing opened, or to the end of the text when there is none."""
    tokens: list[Token] = []
    open_brackets: list[str] = []
    while True:
        position = _skip_space(text, position)
        if position == len(text):
            if closer:
                raise OutsideSubset
            break
        if text[position] == '"':
            token, position = _scan_string(text, position + 1, depth)
        else:
            token, position = _scan_plain(text, position)
        if token.kind == "mark" and isinstance(token.value, str):
            if token.value in _OPENERS:
                open_brackets.append(_OPENERS[token.value])
            elif token.value == closer and not open_brackets:
                break
            elif token.value in ")]}" and (not open_brackets or open_brackets.pop() != token.value):
                raise OutsideSubset
        tokens.append(token)
    tokens.append(Token("end", None))
    return tokens, position


def _skip_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _scan_plain(text: str, position: int) -> tuple[Token, int]:
    if match := _FIELD.match(text, position):
        return Token("field", match[1]), match.end()
    if match := _NUMBER.match(text, position):
        return Token("number", _read_number(match[0])), match.end()
    if match := _NAME.match(text, position):
        return Token("name", match[0]), match.end()
    if match := _MARK.match(text, position):
        return Token("mark", match[0]), match.end()
    raise OutsideSubset


def _read_number(text: str) -> int | float:
    """The number, if Python's value prints as jq prints the literal (jq remembers how a literal was written)."""
    if len(text) > _MOST_DIGITS:
        raise OutsideSubset
    if text.isdigit():
        return int(text)
    value = float(text)
    if str(Decimal(text)) != str(Decimal(repr(value))):
        raise OutsideSubset
    return value


def _scan_string(text: str, position: int, depth: int) -> tuple[Token, int]:
    parts: list[str | list[Token]] = []
    plain: list[str] = []
    while True:
        if match := _TEXT.match(text, position):
            plain.append(match[0])
            position = match.end()
        character = text[position : position + 1]
        if character == '"':
            break
        if character != "\\":
            raise OutsideSubset
        if text.startswith("(", position + 1):
            if depth == _DEEPEST_INTERPOLATION:
                raise OutsideSubset
            parts.append("".join(plain))
            plain.clear()
            tokens, position = _scan(text, position + 2, ")", depth + 1)
            parts.append(tokens)
        else:
            escaped, position = _read_escape(text, position + 1)
            plain.append(escaped)
    parts.append("".join(plain))
    return Token("string", tuple(parts)), position + 1


def _read_escape(text: str, position: int) -> tuple[str, int]:
    letter = text[position : position + 1]
    if letter != "u":
        if letter not in _ESCAPES:
            raise OutsideSubset
        return _ESCAPES[letter], position + 1
    code = _read_hex(text, position + 1)
    position += 5
    if 0xD800 <= code < 0xDC00 and text.startswith("\\u", position):
        low = _read_hex(text, position + 2)
        if not 0xDC00 <= low < 0xE000:
            raise OutsideSubset
        return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)), position + 6
    if 0xD800 <= code < 0xE000:
        raise OutsideSubset
    return chr(code), position


def _read_hex(text: str, position: int) -> int:
    match = _HEX.match(text, position)
    if not match:
        raise OutsideSubset
    return int(match[0], 16)
