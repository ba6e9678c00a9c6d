"""Where a definition reads data: every condition, label and template block, and the paths that it reads."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from headrace.core.authoring import _check_texts
from headrace.core.definition import EventTrigger, Node
from headrace.core.expression import Path, Program, parse

Place = Literal["filter", "condition", "label", "config", "variables", "links"]
"""A filter is the condition of an event trigger: its root is the event itself."""

_QUOTED = re.compile(r'(\[\s*"[^"\\]*"\s*\])|"(?:[^"\\]|\\.)*"?', re.DOTALL)
_ROOT_PATH = re.compile(r'(?<![\w\])}?"$.@])((?:\.[A-Za-z_]\w*|\.?\[\s*"[^"\\]*"\s*\])+)')
_STEP = re.compile(r'\.?([A-Za-z_]\w*)|\.?\[\s*"([^"\\]*)"\s*\]')
_REBINDING = re.compile(r"\||[A-Za-z_]\w*\s*\(")
_CAREFUL = re.compile(
    r"//|\?|\bnull\b|\bif\b|\bselect\b|\bhas\b|\btry\b|\bempty\b|\bvalues\b|\blength\b|\btype\b|\bnot\b"
)


@dataclass(frozen=True, slots=True)
class Use:
    """One program of a definition. `index` is where its block starts in the string, when it is a block of one."""

    node: Node
    place: Place
    pointer: str
    program: Program
    bare: str
    """The text with its string literals emptied; names in brackets stay."""
    paths: tuple[Path, ...]
    index: int | None = None

    @property
    def text(self) -> str:
        return self.program.text

    @property
    def careful(self) -> bool:
        """Whether the program seems to reckon with null; then nothing is said about missing values."""
        return is_careful(self.bare)

    @property
    def per_item(self) -> bool:
        """Whether the program is evaluated for each item: then `.item` and `.index` are there."""
        inputs = f"{self.node.pointer}/config/inputs"
        return self.node.config.type == "FOR_EACH" and self.pointer.startswith(inputs)


def uses(node: Node) -> Iterator[Use]:
    """Every program of the node, in the author's order."""
    place: Place = "filter" if isinstance(node.config, EventTrigger) else "condition"
    for where, text in _check_texts.conditions(node):
        yield _use(node, place, where, parse(text))
    for where, text in _check_texts.labels(node):
        yield _use(node, "label", where, parse(text))
    for base, value in _check_texts.templates(node):
        part = base[len(node.pointer) + 1 :].partition("/")[0]
        kind: Place = "variables" if part == "variables" else "links" if part == "links" else "config"
        for block in _check_texts.sound_blocks(value, base):
            index = None if block.is_key else block.index
            yield _use(node, kind, block.pointer, block.program, index)


def is_careful(bare: str) -> bool:
    """Whether a program, its strings emptied, has words by which authors deal with null."""
    return _CAREFUL.search(bare) is not None


def without_strings(text: str) -> str:
    """The program with its string literals emptied; names in brackets stay."""
    if '"' not in text:
        return text
    return _QUOTED.sub(lambda match: match[1] or '""', text)


def _use(node: Node, place: Place, where: str, program: Program, index: int | None = None) -> Use:
    bare = without_strings(program.text)
    paths = program.paths if program.native is not None else _scan(bare)
    return Use(node, place, where, program, bare, paths, index)


def _scan(bare: str) -> tuple[Path, ...]:
    """Paths that a program surely reads from its root: those before anything could change what `.` means."""
    if re.search(r"\bdef\b", bare):
        return ()
    change = _REBINDING.search(bare)
    head = bare if change is None else bare[: change.start()]
    found = (match[1] for match in _ROOT_PATH.finditer(head))
    return tuple(tuple(step[1] or step[2] or "" for step in _STEP.finditer(path)) for path in found)
