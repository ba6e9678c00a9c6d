"""The root of our errors, and problems: what is wrong with a document, where, and what to do about it."""

from dataclasses import dataclass
from typing import Literal


class HeadraceError(Exception):
    """Root of every error that Headrace raises on purpose. The message says what happened and what to do."""


Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a document.

    `pointer` is a JSON Pointer (RFC 6901) to the offending value; `code` is stable and kebab-case
    (docs/errors.md lists them); `message` says what is wrong; `hint` says what to do, or is empty.
    An error keeps the document from being saved, a warning does not.
    """

    pointer: str
    code: str
    message: str
    hint: str = ""
    severity: Severity = "error"


def pointer(*parts: str | int) -> str:
    """The JSON Pointer of the given path, escaped as RFC 6901 says."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
