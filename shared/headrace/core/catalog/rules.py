"""Search rules, read: `{combinator, rules}` with rules about properties and relations (spec 2.1.3, "Dataset")."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from headrace.core.authoring.findings import Findings, did_you_mean, kind, quoted
from headrace.core.errors import Problem, pointer
from headrace.core.json import Json, JsonObject

Combinator = Literal["and", "or"]
ValueKind = Literal["any", "text", "list", "scalar", "range", "none"]

OPERATORS: Mapping[str, ValueKind] = {
    "=": "any",
    "!=": "any",
    "contains": "any",
    "containsAny": "list",
    "doesNotContains": "any",
    "beginsWith": "text",
    "doesNotBeginsWith": "text",
    "endsWith": "text",
    "doesNotEndsWith": "text",
    "in": "list",
    "notIn": "list",
    "isEmpty": "none",
    "isNotEmpty": "none",
    ">": "scalar",
    ">=": "scalar",
    "<": "scalar",
    "<=": "scalar",
    "between": "range",
    "notBetween": "range",
}
"""Every operator, and which values go with it."""

META = (
    "$identifier", "$title", "$blueprint", "$team", "$icon", "$createdAt", "$updatedAt", "$createdBy", "$updatedBy",
)  # fmt: skip
DEPTH = 10
RULES = 200

_WANTED: Mapping[ValueKind, str] = {
    "text": "a string",
    "list": "a list",
    "scalar": "a string or a number",
    "range": 'an object with "from" and "to", strings or numbers',
}


@dataclass(frozen=True, slots=True)
class PropertyRule:
    property: str
    operator: str
    value: Json


@dataclass(frozen=True, slots=True)
class RelationRule:
    """About the entities that a relation leads to: their identifiers, or their titles with `by_title`."""

    relation: str
    by_title: bool
    operator: str
    value: Json


@dataclass(frozen=True, slots=True)
class RelatedTo:
    """Whether a relation leads to one of these entities, or from one of them to here."""

    blueprint: str
    identifiers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """All rules, or one of them. Without rules it holds for everything."""

    combinator: Combinator
    rules: "tuple[Rule, ...]"


Rule = PropertyRule | RelationRule | RelatedTo | Group


def parse_rules(document: Json, where: str = "") -> tuple[Group, tuple[Problem, ...]]:
    """The rules of a search, and everything that is wrong with them; do not use them then."""
    reading = _Reading(Findings())
    group = reading.group(document, where, 0)
    return group, reading.findings.result()


class _Reading:
    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self._rules = 0

    def group(self, value: Json, where: str, depth: int) -> Group:
        """The group at a place; an empty one where there is none."""
        if not isinstance(value, dict):
            self.findings.error(where, "wrong-type", f"Rules are an object with a combinator, not {kind(value)}.")
            return Group("and", ())
        if depth > DEPTH:
            self.findings.error(where, "too-deep", f"Rules are nested deeper than {DEPTH} levels.")
            return Group("and", ())
        self._only(value, ("combinator", "rules"), where)
        combinator, rules = value.get("combinator"), value.get("rules")
        if combinator not in ("and", "or"):
            code = "missing-field" if combinator is None else "unknown-value"
            self.findings.error(where + "/combinator", code, 'The combinator must be "and" or "or".')
        if not isinstance(rules, list):
            code = "missing-field" if rules is None else "wrong-type"
            self.findings.error(where + "/rules", code, f'"rules" must be a list; it is {kind(rules)}.')
            rules = []
        found = [self._rule(rule, f"{where}/rules/{index}", depth) for index, rule in enumerate(rules)]
        return Group("or" if combinator == "or" else "and", tuple(rule for rule in found if rule is not None))

    def _rule(self, value: Json, where: str, depth: int) -> Rule | None:
        self._rules += 1
        if self._rules > RULES:
            if self._rules == RULES + 1:
                self.findings.error(where, "too-many", f"A search may have {RULES} rules.")
            return None
        if not isinstance(value, dict):
            self.findings.error(where, "wrong-type", f"A rule must be an object; it is {kind(value)}.")
        elif "combinator" in value or "rules" in value:
            return self.group(value, where, depth + 1)
        elif value.get("operator") == "relatedTo":
            return self._related_to(value, where)
        elif "scorecard" in value:
            self.findings.error(where, "unsupported-rule", "The catalog has no scorecards.", "Remove the rule.")
        elif "property" in value:
            return self._property(value, where)
        elif "relation" in value:
            return self._relation(value, where)
        else:
            hint = "It needs property or relation, with operator and value; or combinator and rules."
            self.findings.error(where, "missing-field", "It is not clear what the rule is about.", hint)
        return None

    def _property(self, rule: JsonObject, where: str) -> Rule | None:
        self._only(rule, ("property", "operator", "value"), where)
        name = rule["property"]
        if not isinstance(name, str) or not name:
            self.findings.error(where + "/property", "wrong-type", f'"property" must be a name; it is {kind(name)}.')
            return None
        if name.startswith("$") and name not in META:
            message = f"{quoted(name)} is no property of all entities."
            self.findings.error(where + "/property", "unknown-property", message, did_you_mean(name, META))
            return None
        operator = self._operator(rule, where)
        return None if operator is None else PropertyRule(name, operator, rule.get("value"))

    def _relation(self, rule: JsonObject, where: str) -> Rule | None:
        self._only(rule, ("relation", "targetProperty", "operator", "value"), where)
        name, target = rule["relation"], rule.get("targetProperty", "$identifier")
        if not isinstance(name, str) or not name:
            self.findings.error(where + "/relation", "wrong-type", f'"relation" must be a name; it is {kind(name)}.')
            return None
        if target not in ("$identifier", "$title"):
            message = '"targetProperty" must be $identifier or $title.'
            self.findings.error(where + "/targetProperty", "unknown-value", message)
            return None
        operator = self._operator(rule, where)
        return None if operator is None else RelationRule(name, target == "$title", operator, rule.get("value"))

    def _related_to(self, rule: JsonObject, where: str) -> Rule | None:
        self._only(rule, ("operator", "blueprint", "value"), where)
        blueprint, value = rule.get("blueprint"), rule.get("value")
        values = value if isinstance(value, list) else [value]
        if not isinstance(blueprint, str) or not blueprint:
            self.findings.error(where + "/blueprint", "missing-field", "A rule of relatedTo needs a blueprint.")
        elif not all(isinstance(item, str) for item in values) or len(values) > RULES:
            message = f"A rule of relatedTo needs the identifier of an entity, or a list of at most {RULES}."
            self.findings.error(where + "/value", "wrong-type", message)
        else:
            return RelatedTo(blueprint, tuple(str(item) for item in values))
        return None

    def _operator(self, rule: JsonObject, where: str) -> str | None:
        """The operator, if it is one and the value goes with it."""
        operator, value = rule.get("operator"), rule.get("value")
        if not isinstance(operator, str) or operator not in OPERATORS:
            shown = quoted(operator) if isinstance(operator, str) else kind(operator)
            hint = did_you_mean(operator, OPERATORS) if isinstance(operator, str) else ""
            code = "missing-field" if operator is None else "unknown-value"
            self.findings.error(where + "/operator", code, f"There is no operator {shown}.", hint)
            return None
        wanted = OPERATORS[operator]
        if isinstance(value, dict) and "jqQuery" in value:
            message = "A value that is computed has a meaning in forms only, not in a search."
            self.findings.error(where + "/value", "unsupported-rule", message, "Give the value itself.")
        elif wanted not in ("any", "none") and not _fits(value, wanted):
            message = f'The operator "{operator}" needs {_WANTED[wanted]}; it is {kind(value)}.'
            self.findings.error(where + "/value", "wrong-type", message)
        else:
            return operator
        return None

    def _only(self, value: JsonObject, known: tuple[str, ...], where: str) -> None:
        for name in value:
            if name not in known and not self.findings.full:
                message = f"{quoted(name)} is not a field of this rule."
                self.findings.error(where + pointer(name), "unknown-field", message, did_you_mean(name, known))


def _fits(value: Json, wanted: ValueKind) -> bool:
    match wanted:
        case "text":
            return isinstance(value, str)
        case "list":
            return isinstance(value, list)
        case "range":
            return isinstance(value, dict) and value.keys() == {"from", "to"} and all(map(_is_scalar, value.values()))
        case _:
            return _is_scalar(value)


def _is_scalar(value: Json) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
