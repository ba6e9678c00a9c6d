"""Workflow files: reading them, and judging them without a server, as the server would."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.adapters.zones import find_zone
from headrace.contracts import strict_json
from headrace.core import expression
from headrace.core.authoring import check, dialects, flow_check, source, zone_check
from headrace.core.definition import Definition
from headrace.core.errors import Problem
from headrace.core.json import Json
from headrace_cli.errors import Finding, UsageError
from headrace_cli.events_file import read_bytes


@dataclass(frozen=True, slots=True)
class WorkflowFile:
    """A file as it was read: exactly its bytes, so that line numbers mean the same to the server and to us."""

    name: str
    raw: bytes

    @property
    def text(self) -> str:
        return self.raw.decode("utf-8", "replace")


def find(names: Iterable[str]) -> list[WorkflowFile]:
    """The files named; folders stand for the `.json` files in them, `-` for standard input. Raises UsageError."""
    found: list[WorkflowFile] = []
    for name in names:
        folder = Path(name)
        if name == "-":
            found.append(WorkflowFile("<stdin>", read_bytes("-")))
        elif folder.is_dir():
            files = sorted(folder.glob("*.json"))
            if not files:
                raise UsageError(f"{name} holds no .json files.")
            found.extend(WorkflowFile(str(file), read_bytes(str(file))) for file in files)
        else:
            found.append(WorkflowFile(name, read_bytes(name)))
    return found


def judge(files: Sequence[WorkflowFile]) -> list[list[Finding]]:
    """What is wrong with each file: its form, its graph, its expressions, and JQ that does not compile."""
    readings = [_read(file) for file in files]
    foreign = {text for reading in readings for _, text in reading.foreign}
    failures = _compile(sorted(foreign)) if foreign else {}
    return [_findings(file, reading, failures) for file, reading in zip(files, readings, strict=True)]


@dataclass(frozen=True, slots=True)
class _Reading:
    """What could be read of a file. `broken` replaces all else when the file is no JSON."""

    problems: tuple[Problem, ...] = ()
    foreign: tuple[tuple[str, str], ...] = ()
    broken: Finding | None = None


def _read(file: WorkflowFile) -> _Reading:
    try:
        document = strict_json.parse(file.raw, unique_keys=True)
    except strict_json.BadJson as error:
        message = error.message.replace("The body", "The file")
        return _Reading(broken=Finding("malformed-json", message, line=error.line or 1, column=error.column or 1))
    return _judge(document)


def _judge(document: Json) -> _Reading:
    """The server's order: form, graph, and only when those hold, the flow of values through expressions."""
    parsed = dialects.parse(document)
    problems = list(parsed.problems)
    graph = parsed.definition or parsed.draft
    if graph is not None:
        problems += check.check(graph, parsed.unreadable)
        problems += zone_check.check_zones(graph, find_zone)
    if parsed.definition is not None and not any(problem.severity == "error" for problem in problems):
        problems += flow_check.check_flow(parsed.definition)
    return _Reading(tuple(dict.fromkeys(problems)), _foreign(graph))


def _foreign(graph: Definition | None) -> tuple[tuple[str, str], ...]:
    """The expressions that only libjq can judge, with their pointers."""
    found = check.expressions(graph) if graph is not None else []
    return tuple((at, text) for at, text in found if expression.parse(text).native is None)


def _compile(programs: list[str]) -> dict[str, str]:
    """Why programs do not compile. One killable child process does the work, as in the services."""
    from headrace.adapters.jq.cage import JqCage
    from headrace.adapters.jq.limits import Limits

    async def check_all() -> dict[str, str]:
        cage = JqCage(Limits(children=1))
        try:
            failures = await cage.check(programs)
        finally:
            await cage.close()
        pairs = zip(programs, failures, strict=True)
        return {text: failure.message for text, failure in pairs if failure is not None}

    return asyncio.run(check_all())


def _findings(file: WorkflowFile, reading: _Reading, failures: dict[str, str]) -> list[Finding]:
    if reading.broken is not None:
        return [reading.broken]
    places = source.positions(file.text)
    problems = list(reading.problems)
    for at, text in reading.foreign:
        if text in failures:
            shown = text if len(text) <= 80 else text[:77] + "..."
            message = f"The expression `{shown}` does not compile: {failures[text]}"
            problems.append(Problem(at, "bad-expression", message, "Expressions are JQ; see docs/expressions.md."))
    return [_placed(problem, *places.locate_problem(problem)) for problem in problems]


def _placed(problem: Problem, line: int, column: int) -> Finding:
    return Finding(
        problem.code, problem.message, problem.hint, problem.severity, line=line, column=column, pointer=problem.pointer
    )
