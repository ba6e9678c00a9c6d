"""Problems written as a good compiler writes them: place, code, message, the line with a caret, and what to do."""

import re
from collections.abc import Iterable, Sequence

from rich.text import Text

from headrace_cli.client import JsonDict
from headrace_cli.errors import Finding

_LINE_WIDTH = 110
"""Longer source lines are shown in part, around the caret."""
_STYLES = {"error": "bold red", "warning": "bold yellow"}
_TOKEN = re.compile(r'\{\{.*?\}\}|"(?:[^"\\\n]|\\.)*"?|[^\s,:\[\]{}"]+|[\[\]{}]')


def lines(file: str, text: str, findings: Iterable[Finding]) -> list[Text]:
    """All findings of one file, in the order of their places."""
    source = text.splitlines()
    result: list[Text] = []
    for finding in sorted(findings, key=lambda each: (each.line, each.column)):
        result.extend(_block(file, source, finding))
    return result


def summary(findings: Sequence[Finding], files: int) -> Text:
    """The last line: what was found in how many files."""
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    where = _counted(files, "file")
    if not findings:
        return Text(f"✓ {where} checked, no problems", "green")
    parts = [_counted(number, word) for number, word in ((errors, "error"), (warnings, "warning")) if number]
    return Text(f"{'✗' if errors else '!'} {' and '.join(parts)} in {where}", _STYLES["error" if errors else "warning"])


def as_json(file: str, finding: Finding) -> JsonDict:
    return {
        "file": file,
        "line": finding.line,
        "column": finding.column,
        "pointer": finding.pointer,
        "severity": finding.severity,
        "code": finding.code,
        "message": finding.message,
        "hint": finding.hint,
    }


def _block(file: str, source: Sequence[str], finding: Finding) -> list[Text]:
    place = f"{file}:{finding.line}:{finding.column}" if finding.line else file
    head = Text(f"{place}: ", "bold")
    head.append(f"{finding.severity}[{finding.code}]", _STYLES[finding.severity])
    head.append(f": {finding.message}", "bold")
    result = [head]
    if 0 < finding.line <= len(source):
        result.extend(_excerpt(source[finding.line - 1], finding))
    if finding.hint:
        hint = Text(f"{' ' * 6} = ", "dim")
        hint.append(f"hint: {finding.hint}", "cyan")
        result.append(hint)
    return result


def _excerpt(line: str, finding: Finding) -> list[Text]:
    """The source line and the caret under the offending value."""
    column = min(max(finding.column, 1), len(line) + 1) - 1
    token = _TOKEN.match(line, column)
    length = max(len(token.group()), 1) if token else 1
    start = max(column - _LINE_WIDTH // 2, 0) if len(line) > _LINE_WIDTH else 0
    shown = line[start : start + _LINE_WIDTH]
    if start:
        shown = "…" + shown[1:]
    if start + _LINE_WIDTH < len(line):
        shown = shown[:-1] + "…"
    before = "".join("\t" if char == "\t" else " " for char in line[start:column])
    code = Text(f"{finding.line:>5} | ", "dim")
    code.append(shown)
    caret = Text(f"{' ' * 5} | ", "dim")
    caret.append(before + "^" * min(length, max(len(shown) - len(before), 1)), _STYLES[finding.severity])
    return [code, caret]


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
