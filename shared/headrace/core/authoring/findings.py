"""Collecting what is wrong with a document, and the words to say it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from headrace.core import limits
from headrace.core.errors import Problem, Severity
from headrace.core.json import Json


@dataclass(frozen=True, slots=True)
class TextProblem(Problem):
    """A problem inside a string value, at the character `index` of it."""

    index: int = 0


class Findings:
    """The problems of one document, in the order they were found; past `limits.PROBLEMS` they are only counted.

    The bound keeps a hostile document from costing more than a bad one.
    """

    def __init__(self) -> None:
        self._problems: dict[Problem, None] = {}
        self._left_out = 0
        self._errors = False

    @property
    def full(self) -> bool:
        return len(self._problems) >= limits.PROBLEMS

    @property
    def full_and_more(self) -> bool:
        """Whether looking further can only raise the count of those that are left out."""
        return self._left_out > 0

    @property
    def has_errors(self) -> bool:
        return self._errors

    def add(self, problem: Problem) -> None:
        self._errors = self._errors or problem.severity == "error"
        if not self.full:
            self._problems[problem] = None
        elif problem not in self._problems:
            self._left_out += 1

    def error(self, pointer: str, code: str, message: str, hint: str = "") -> None:
        self.add(Problem(pointer, code, message, hint, "error"))

    def warning(self, pointer: str, code: str, message: str, hint: str = "") -> None:
        self.add(Problem(pointer, code, message, hint, "warning"))

    def extend(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self.add(problem)

    def result(self) -> tuple[Problem, ...]:
        """All problems once each, closed by a line that says how many more there are."""
        problems = list(self._problems)
        if self._left_out:
            message = f"The document has at least {self._left_out} more problems; they are not listed."
            severity: Severity = "error" if self._errors else "warning"
            problems.append(Problem("", "too-many-problems", message, "Mend the listed ones and try again.", severity))
        return tuple(problems)


def closest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that a person who typed `name` most likely meant, or None."""
    if len(name) > limits.INPUT_NAME_LENGTH:
        return None
    plain = {_plain(candidate): candidate for candidate in candidates}
    found = get_close_matches(_plain(name), plain, n=1, cutoff=0.7)
    return plain[found[0]] if found else None


def did_you_mean(name: str, candidates: Sequence[str] | Iterable[str]) -> str:
    """The hint for a mistyped name: the closest candidate, else a short list of all, else empty."""
    names = list(candidates)
    match = closest(name, names)
    if match is not None:
        return f'Did you mean "{match}"?'
    if 0 < len(names) <= 12:
        return "Known are: " + ", ".join(f'"{known}"' for known in names) + "."
    return ""


def kind(value: Json) -> str:
    """What a JSON value is, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"


def quoted(name: str) -> str:
    """The name in quotes, cut when it is very long."""
    return f'"{name}"' if len(name) <= 80 else f'"{name[:77]}..."'


def _plain(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "")
