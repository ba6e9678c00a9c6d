"""Why did this (not) fire? What became of one event, read from the API's answer and put into words."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from headrace_cli import tables, words
from headrace_cli.client import JsonDict

_ANSWERS = {
    "matched": ("✓ fires", "green"),
    "filtered": ("✗ does not fire", "yellow"),
    "error": ("✗ error", "bold red"),
    "loop": ("✗ loop cut", "bold red"),
    "older": ("· not asked", "dim"),
    "unpublished": ("· not published", "dim"),
    "missed": ("✗ missed", "yellow"),
    "waiting": ("… waits", "cyan"),
    "debounced": ("… gathers", "cyan"),
    "dropped": ("✗ dropped", "yellow"),
    "deduplicated": ("✓ fired before", "green"),
    "counted": ("· only counted", "dim"),
    "other-blueprint": ("· not asked", "dim"),
    "other-event": ("· not asked", "dim"),
}
_NEAREST_FIRST = {"matched": -2, "error": -1, "older": 1, "other-event": 2, "other-blueprint": 3}
"""Order of the verdicts: what fired first, what had nothing to do with the event last."""


NOBODY = "No workflow has an event trigger."


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
    verdicts: tuple[Verdict, ...]

    @property
    def run_ids(self) -> tuple[str, ...]:
        return tuple(verdict.run_id for verdict in self.verdicts if verdict.run_id)


def read(answer: JsonDict) -> Explanation:
    """The explanation in an answer of `GET /v1/events/{id}/explain`."""
    explained = answer.get("explanation", answer)
    verdicts = [_verdict(each) for each in explained.get("verdicts") or () if isinstance(each, dict)]
    event = explained.get("event")
    return Explanation(
        event_id=str(explained.get("eventId") or ""),
        event=event if isinstance(event, dict) else {},
        verdicts=tuple(sorted(verdicts, key=lambda each: _NEAREST_FIRST.get(each.verdict, 0))),
    )


def head(explanation: Explanation) -> Text:
    text = Text(words.event(explanation.event) if explanation.event else "event", "bold")
    text.append(f"  {explanation.event_id}".rstrip(), "cyan")
    return text


def table(explanation: Explanation, width: int) -> list[Text]:
    """Every trigger that was considered: its answer, and the clause that said no with the values it saw."""
    rows = []
    for verdict in explanation.verdicts:
        answer, style = _ANSWERS.get(verdict.verdict, (verdict.verdict, ""))
        version = "" if verdict.version is None else f" v{verdict.version}"
        why = "\n".join(verdict.clauses) or verdict.reason
        if verdict.run_id:
            why = f"run {verdict.run_id}" + ("" if verdict.verdict == "matched" else f"\n{verdict.reason}")
        rows.append((Text(f"{verdict.workflow}{version}", "bold"), verdict.trigger, Text(answer, style), why))
    return tables.table(("WORKFLOW", "TRIGGER", "ANSWER", "WHY"), rows, width, wrap=True)


def short(explanation: Explanation) -> tuple[str, str]:
    """The answer and its reason in one line, for lists of events."""
    if not explanation.verdicts:
        return "· not asked", NOBODY
    verdict = next((each for each in explanation.verdicts if each.run_id), explanation.verdicts[0])
    answer, _ = _ANSWERS.get(verdict.verdict, (verdict.verdict, ""))
    return answer, verdict.clauses[0] if verdict.clauses else verdict.reason


def _verdict(entry: JsonDict) -> Verdict:
    version = entry.get("version")
    run_id = entry.get("runId")
    clauses = entry.get("clauses") or ()
    return Verdict(
        workflow=str(entry.get("workflow") or ""),
        version=version if isinstance(version, int) else None,
        trigger=str(entry.get("trigger") or ""),
        verdict=str(entry.get("verdict") or ""),
        reason=str(entry.get("reason") or ""),
        clauses=tuple(_clause(each) for each in clauses if isinstance(each, dict) and each.get("holds") is not True),
        run_id=str(run_id) if run_id else None,
    )


def _clause(clause: JsonDict) -> str:
    """The test, and the values that it saw; what it gave, when that is more than a plain no."""
    text = str(clause.get("expression") or "?")
    values = [each for each in clause.get("values") or () if isinstance(each, dict)]
    saw = ", ".join(
        f"{_last_key(each.get('path'))} was {words.cut(words.compact(each.get('value')), 40)}" for each in values
    )
    answer = clause.get("answer")
    gave = f"  {answer}" if isinstance(answer, str) and answer not in ("true", "false") else ""
    return "\n".join([text + gave + (f"  ({saw})" if saw else ""), *_parts(clause, "  ")])


def _parts(of: JsonDict, indent: str) -> list[str]:
    """Its sub-expressions, each with what it gave; what has parts of its own before them."""
    lines = []
    for part in of.get("parts") or ():
        if isinstance(part, dict):
            answer = part.get("answer")
            gave = "not asked" if answer is None else words.cut(str(answer), 60)
            lines.append(f"{indent}{part.get('expression')}  → {gave}")
            lines += _parts(part, indent + "  ")
    return lines


def decisions(found: Sequence[JsonDict]) -> list[Text]:
    """How the condition nodes of a run were decided, branch by branch."""
    lines = []
    for decision in found:
        lines.append(Text.assemble((str(decision.get("node")), "bold"), f"  {decision.get('reason')}"))
        for branch in decision.get("branches") or ():
            clause = branch.get("clause")
            gave = "not asked" if clause is None else str(clause.get("answer"))
            mark, style = ("✓", "green") if branch.get("taken") else ("✗" if clause else "·", "dim")
            lines.append(Text(f"  {mark} {branch.get('identifier')}: {branch.get('expression')}  → {gave}", style))
            lines += [Text(line, "dim") for line in _clause(clause).split("\n")[1:]] if clause else []
            saw = [f"{each.get('path')} was {words.cut(words.compact(each.get('value')), 60)}" for each in
                   (clause or {}).get("values") or ()]  # fmt: skip
            lines += [Text(f"      {each}", "dim") for each in saw]
    return lines


def _last_key(path: object) -> str:
    """The end of a path: enough to know the value by, beside the expression that names it in full."""
    return str(path).rsplit(".", 1)[-1]
