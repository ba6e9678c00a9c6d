"""Why did this (not) fire? What became of one event, read from the API's answer and put into words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from headrace_cli import tables, words
from headrace_cli.client import JsonDict

_ANSWERS = {
    "matched": ("✓ fired", "green"),
    "filtered": ("✗ did not fire", "yellow"),
    "error": ("✗ error", "bold red"),
    "unpublished": ("✗ not published", "yellow"),
    "loop": ("✗ loop cut", "bold red"),
    "older": ("· older version", "dim"),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one trigger said to the event. `clauses` are sentences: the test that said no, and the values it saw."""

    workflow: str
    version: int | None
    trigger: str
    verdict: str
    reason: str
    clauses: tuple[str, ...]
    run_id: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    event_id: str
    event: JsonDict
    considered: int
    verdicts: tuple[Verdict, ...]

    @property
    def run_ids(self) -> tuple[str, ...]:
        return tuple(verdict.run_id for verdict in self.verdicts if verdict.run_id)


def read(answer: JsonDict) -> Explanation:
    """The explanation in an answer of `GET /v1/events/{id}/explain`."""
    entry = answer.get("entry") or answer.get("explanation") or answer
    verdicts = [_verdict(each) for each in entry.get("verdicts") or () if isinstance(each, dict)]
    event = entry.get("event")
    considered = entry.get("considered")
    return Explanation(
        event_id=str(entry.get("eventId") or entry.get("identifier") or ""),
        event=event if isinstance(event, dict) else {},
        considered=considered if isinstance(considered, int) else len(verdicts),
        verdicts=tuple(verdicts),
    )


def head(explanation: Explanation) -> Text:
    text = Text(words.event(explanation.event) if explanation.event else "event", "bold")
    text.append(f"  {explanation.event_id}", "cyan")
    return text


def table(explanation: Explanation) -> Table:
    """Every trigger that was considered: its answer, and the clause that said no with the values it saw."""
    rows = []
    for verdict in explanation.verdicts:
        answer, style = _ANSWERS.get(verdict.verdict, (verdict.verdict, ""))
        version = "" if verdict.version is None else f" v{verdict.version}"
        why = "\n".join(verdict.clauses) or verdict.reason
        if verdict.run_id:
            why = f"run {verdict.run_id}"
        rows.append((Text(f"{verdict.workflow}{version}", "bold"), verdict.trigger, Text(answer, style), why))
    return tables.table(("WORKFLOW", "TRIGGER", "ANSWER", "WHY"), rows)


def nobody(explanation: Explanation) -> str:
    """The sentence for an event that no trigger was asked about one by one."""
    if explanation.considered:
        return (
            f"{explanation.considered} triggers listen to this kind of event; "
            "the values they ask for rule all of them out."
        )
    return f"No trigger listens to {_kind(explanation.event)}."


def short(explanation: Explanation) -> tuple[str, str]:
    """The answer and its reason in one line, for lists of events."""
    if not explanation.verdicts:
        return "· nobody asked", nobody(explanation)
    verdict = next((each for each in explanation.verdicts if each.run_id), explanation.verdicts[0])
    answer, _ = _ANSWERS.get(verdict.verdict, (verdict.verdict, ""))
    return answer, verdict.clauses[0] if verdict.clauses else verdict.reason


def _kind(event: JsonDict) -> str:
    action = str(event.get("action") or "this action")
    event_type = {"CREATE": "ENTITY_CREATED", "UPDATE": "ENTITY_UPDATED", "DELETE": "ENTITY_DELETED"}.get(action, action)
    return f"{event_type} of blueprint {words.subject(event).partition('/')[0]}"


def _verdict(entry: JsonDict) -> Verdict:
    version = entry.get("version")
    run_id = entry.get("runId") or entry.get("workflowRunIdentifier")
    return Verdict(
        workflow=str(entry.get("workflow") or entry.get("workflowIdentifier") or ""),
        version=version if isinstance(version, int) else None,
        trigger=str(entry.get("trigger") or entry.get("nodeIdentifier") or ""),
        verdict=str(entry.get("verdict") or ""),
        reason=str(entry.get("reason") or ""),
        clauses=tuple(_clauses(entry.get("detail"))),
        run_id=str(run_id) if run_id else None,
    )


def _clauses(detail: Any) -> list[str]:
    """A sentence for each clause that was not true."""
    if isinstance(detail, dict):
        detail = detail.get("clauses") or detail.get("expressions")
    clauses = [each for each in detail or () if isinstance(each, dict)] if isinstance(detail, list) else []
    return [_clause(each) for each in clauses if each.get("result", each.get("value")) is not True]


def _clause(clause: Mapping[str, Any]) -> str:
    expression = str(clause.get("expression") or clause.get("text") or "?")
    if clause.get("error"):
        return f"{expression}  failed: {clause['error']}"
    values = clause.get("values") or clause.get("saw")
    if isinstance(values, dict) and values:
        return f"{expression}  saw " + ", ".join(
            f"{path} = {words.cut(words.compact(value), 40)}" for path, value in values.items()
        )
    return f"{expression}  gave {words.cut(words.compact(clause.get('result', clause.get('value'))), 40)}"
