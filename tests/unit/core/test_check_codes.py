"""docs/errors.md lists every problem code with its severity, and nothing else."""

import ast
import re
from pathlib import Path

import pytest

from headrace.core.authoring import check, inputs
from headrace.core.errors import Problem
from tests.unit.core import test_check, test_dialects, test_document, test_flow_check, test_inputs

ROOT = Path(__file__).parents[3]
MODULES = sorted((ROOT / "shared/headrace/core/authoring").glob("*.py"))
FROM_ELSEWHERE = {
    "bad-expression",
    "malformed-json",
    "reserved-identifier",
    "identifier-mismatch",
    "unknown-workflow",
    "unknown-time-zone",
    "wake-cycle",
}
"""Codes that the api and the command line add, which read text and ask the evaluator whether programs compile."""

CODE = re.compile(r"[a-z]+(-[a-z]+)+")
REPORTING = {"error", "warning", "warn", "complain", "Problem", "TextProblem"}


def documented() -> dict[str, str]:
    rows = re.findall(r"^\| `([a-z-]+)` \| ([a-z ]+) \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    assert len(rows) == len(dict(rows)), "a code is listed twice"
    return dict(rows)


def codes_in(path: Path) -> set[str]:
    """The codes that a module reports: kebab-case strings among the arguments of reporting calls and in tuples."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        strings: list[ast.expr] = []
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            strings = node.args[:3] if name in REPORTING else []
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            strings = node.value.elts[:1]
        found |= {
            str(item.value) for item in strings if isinstance(item, ast.Constant) and CODE.fullmatch(str(item.value))
        }
    return found


def test_every_code_is_documented_and_every_documented_code_is_used() -> None:
    used = {"cycle"}.union(*(codes_in(path) for path in MODULES))

    assert used | FROM_ELSEWHERE == set(documented())


def reported() -> list[Problem]:
    cases = [document for _, document, _ in test_document.CASES + test_check.CASES + test_flow_check.DOUBTS]
    problems = [problem for document in cases for problem in check.examine(document).problems]
    for definition, value, _, _ in test_inputs.BAD:
        problems += inputs.validate(test_inputs.form(x=definition), {"x": value}).problems
    return problems


def test_problems_have_the_severity_that_is_documented() -> None:
    severities = documented()

    for problem in reported():
        assert problem.severity in severities[problem.code], problem


def test_messages_are_whole_sentences() -> None:
    for problem in reported():
        assert not problem.message[0].islower(), problem
        assert problem.message.endswith("."), problem
        assert not problem.hint or problem.hint[-1] in '."?>', problem


@pytest.mark.parametrize("module", [test_document, test_dialects, test_check, test_flow_check])
def test_cases_expect_documented_codes_only(module: object) -> None:
    text = Path(str(getattr(module, "__file__", ""))).read_text()
    expected = set(re.findall(r'\{?\("([a-z]+-[a-z-]+)", f?"/', text))

    assert expected
    assert expected <= set(documented())
