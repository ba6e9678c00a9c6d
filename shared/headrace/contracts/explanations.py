"""How an explained expression is shown as JSON: the same in what the trigger and what the api explain."""

from headrace.core.explanation import Clause, ShownPart
from headrace.core.json import JsonObject


def clause_object(clause: Clause) -> JsonObject:
    """An expression, what it gave, the values that it saw, and its sub-expressions."""
    return {
        "expression": clause.expression,
        "answer": clause.answer,
        "holds": clause.holds,
        "values": [{"path": path, "value": value} for path, value in clause.values],
        "parts": [_part_object(part) for part in clause.parts],
    }


def _part_object(part: ShownPart) -> JsonObject:
    return {"expression": part.expression, "answer": part.answer, "parts": [_part_object(it) for it in part.parts]}
