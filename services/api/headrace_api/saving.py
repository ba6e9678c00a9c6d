"""What a workflow document goes through before it is stored: form, graph, expressions, compilation of foreign JQ."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from headrace.adapters.zones import find_zone
from headrace.core import expression
from headrace.core.authoring import check, dialects, flow_check, zone_check
from headrace.core.errors import Problem
from headrace.core.expression import Failure
from headrace.core.json import Json, JsonObject
from headrace.ports.evaluator import Evaluator
from headrace_api.author_documents import canonical, patched, without
from headrace_api.presenters import SERVER_FIELDS
from headrace_api.reading import Body

ResultT = TypeVar("ResultT")

_LARGE_BYTES = 65_536

RESERVED = frozenset(("runs", "nodes", "validate", "self-service-triggers"))
"""Identifiers that would hide behind other routes of /v1/workflows."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found. The document may be stored when `errors` is empty."""

    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "warning")


async def judge(body: Body, document: Json, evaluator: Evaluator, identifier: str | None = None) -> Verdict:
    """Everything that is wrong with a document that came as, or from, `body`, all at once (spec 1.4).

    `identifier` is the one that it must have, because it replaces the workflow of that name. Raises
    EvaluatorUnavailableError. Large documents are judged in a thread, so that nobody else waits for them.
    """
    problems, foreign = await _aside(body, partial(_examine, document, identifier))
    if foreign:
        problems += await _compile(foreign, evaluator)
    return Verdict(tuple(dict.fromkeys(problems)))


async def present(body: Body, problems: tuple[Problem, ...]) -> list[JsonObject]:
    """The problems for an answer; their places in a large body are looked up in a thread."""
    return await _aside(body, partial(body.present, problems))


async def _aside(body: Body, work: Callable[[], ResultT]) -> ResultT:
    """Do the work here, or in a thread when the body is large."""
    return await asyncio.to_thread(work) if len(body.raw) > _LARGE_BYTES else work()


def _examine(document: Json, identifier: str | None) -> tuple[list[Problem], list[tuple[str, str]]]:
    """What can be said here, and the programs outside the total subset, which only the evaluator may look at."""
    parsed = dialects.parse(document)
    problems = [*_about_name(document, identifier), *parsed.problems]
    graph = parsed.definition or parsed.draft
    if graph is None:
        return problems, []
    problems += check.check(graph, parsed.unreadable)
    problems += zone_check.check_zones(graph, find_zone)
    if parsed.definition is not None and not any(problem.severity == "error" for problem in problems):
        problems += flow_check.check_flow(parsed.definition)
    return problems, [(at, text) for at, text in check.expressions(graph) if expression.parse(text).native is None]


def _about_name(document: Json, identifier: str | None) -> list[Problem]:
    named = document.get("identifier") if isinstance(document, dict) else None
    if isinstance(named, str) and named in RESERVED:
        message = f'"{named}" is reserved: a route of the API has this name.'
        return [Problem("/identifier", "reserved-identifier", message, "Take another identifier.")]
    if identifier is not None and isinstance(document, dict) and named != identifier:
        message = f'The identifier must stay "{identifier}": a workflow cannot be renamed.'
        return [Problem("/identifier", "identifier-mismatch", message, "Leave it out, or create a new workflow.")]
    return []


def strip(document: JsonObject) -> JsonObject:
    """The document without what the server added when it was read."""
    return without(SERVER_FIELDS, document)


def same(left: JsonObject, right: JsonObject, open_runs_default: bool) -> bool:
    """Whether two documents say the same: fields left out, null and at their default are one."""
    return _plain(left, open_runs_default) == _plain(right, open_runs_default)


def merge(current: JsonObject, patch: JsonObject) -> JsonObject:
    """PATCH (spec 10, row 4): each top-level field replaces the old one as a whole, null removes it."""
    return patched(current, strip(patch))


def _plain(document: JsonObject, open_runs_default: bool) -> bytes:
    kept: JsonObject = {name: value for name, value in strip(document).items() if value is not None}
    kept.setdefault("connections", [])
    kept.setdefault("allowAnyoneToViewRuns", open_runs_default)
    return canonical(kept)


async def _compile(foreign: list[tuple[str, str]], evaluator: Evaluator) -> list[Problem]:
    """The programs that libjq does not compile."""
    texts = list(dict.fromkeys(text for _, text in foreign))
    failures = dict(zip(texts, await evaluator.check(texts), strict=True))
    return [_uncompiled(at, text, failures[text]) for at, text in foreign if failures[text] is not None]


def _uncompiled(at: str, text: str, failure: Failure | None) -> Problem:
    shown = text if len(text) <= 80 else text[:77] + "..."
    reason = failure.message if failure is not None else ""
    hint = "Expressions are JQ; see docs/expressions.md."
    return Problem(at, "bad-expression", f"The expression `{shown}` does not compile: {reason}", hint)
