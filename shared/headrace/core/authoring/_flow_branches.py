"""Branches that can never be taken, and filters that can never match: only where it is certain (spec 2.2, 4)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from headrace.core.authoring._flow_graph import Facts, Flow, same_scalar
from headrace.core.authoring._flow_uses import Use, uses
from headrace.core.authoring.findings import Findings, quoted
from headrace.core.definition import Condition, Definition, EventTrigger, Node, SelfServeTrigger
from headrace.core.expression import Failure, Path
from headrace.core.json import Json, JsonObject

_INPUT_ONLY = re.compile(r"\.outputs\.[A-Za-z_]\w*\.[A-Za-z_]\w*")
_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "ENTITY_CREATED": ("CREATE",),
    "ENTITY_UPDATED": ("UPDATE",),
    "ENTITY_DELETED": ("DELETE",),
    "ANY_ENTITY_CHANGE": ("CREATE", "UPDATE", "DELETE"),
    "TIMER_EXPIRED": ("TIMER_EXPIRED",),
}
_PYTHON_TYPES: Mapping[str, tuple[str, type]] = {"string": ("a string", str), "boolean": ("true or false", bool)}


@dataclass(frozen=True, slots=True)
class Branches:
    """The checks of one definition, on the order of its graph."""

    definition: Definition
    flow: Flow
    findings: Findings

    def check(self, node: Node) -> None:
        """Everything that can be said for certain about the conditions of one node."""
        match node.config:
            case EventTrigger() as trigger:
                for use in uses(node):
                    self._check_filter(use, trigger)
            case Condition() as condition:
                self._check_branches(node, condition)
            case _:
                pass

    def _check_filter(self, use: Use, trigger: EventTrigger) -> None:
        if use.place != "filter":
            return
        reason = self._why_never(use, {})
        if reason:
            alone = trigger.combinator == "and" or len(trigger.expressions) == 1
            effect = "the trigger never starts a run" if alone else "it lets no event through"
            self.findings.warning(
                use.pointer, "never-true", f"{reason}, so {effect}.", "Mend or remove the expression."
            )

    def _check_branches(self, node: Node, condition: Condition) -> None:
        facts = self.flow.facts[node.identifier]
        seen: dict[str, str] = {}
        final = ""
        conditions = [use for use in uses(node) if use.place == "condition"]
        for branch, use in zip(condition.branches, conditions, strict=True):
            text = use.text.strip()
            if final:
                reason = f"The branch {quoted(final)} before it is always taken"
            elif text in seen:
                reason = f"The branch {quoted(seen[text])} before it asks the same"
            else:
                reason = self._why_never(use, facts)
            if reason and text:
                hint = "Mend the expression, or remove the branch."
                self.findings.warning(use.pointer, "dead-branch", f"{reason}, so this branch is never taken.", hint)
            seen.setdefault(text, branch.identifier)
            if not final and _constant(use) is True:
                final = branch.identifier
        if final:
            self._check_fallback(node, final)

    def _check_fallback(self, node: Node, final: str) -> None:
        for edge in self.definition.edges:
            if edge.source == node.identifier and edge.fallback:
                message = f"The branch {quoted(final)} is always taken, so this fallback never is."
                self.findings.warning(edge.pointer, "dead-branch", message, "Remove it, or mend the branch.")

    def _why_never(self, use: Use, facts: Facts) -> str:
        """Why the expression cannot give true, as the beginning of a sentence; empty when it may."""
        constant = _constant(use)
        if isinstance(constant, Failure):
            return "The expression always fails"
        if constant is not None and constant is not True:
            return "The expression reads nothing and is never true"
        demanded: dict[Path, Json] = {}
        for path, value in use.program.equalities:
            if path in demanded and not same_scalar(demanded[path], value):
                return f"{_name(path)} cannot be {_shown(demanded[path])} and {_shown(value)} at once"
            if path in facts and not same_scalar(facts[path], value):
                return f"This node is only reached when {_name(path)} is {_shown(facts[path])}"
            demanded[path] = value
            reason = self._why_not(use, path, value)
            if reason:
                return reason
        return self._why_no_boolean(use)

    def _why_not(self, use: Use, path: Path, value: Json) -> str:
        """Why what is at `path` can never equal `value`."""
        if value is None:
            return ""
        source, inner = self._source(use, path)
        match source:
            case EventTrigger() as trigger:
                options = _event_options(trigger, inner)
            case SelfServeTrigger(user_inputs=form) if len(inner) == 1:
                definition = _input(form, inner[0])
                if definition.get("encryption", "none") != "none":
                    return ""
                words, wanted = _PYTHON_TYPES.get(str(definition.get("type")), ("", object))
                if not isinstance(value, wanted):
                    return f"{_name(path)} is {words} and never equals {_shown(value)}"
                enum = definition.get("enum")
                scalar = definition.get("type") in ("string", "number")
                options = tuple(enum) if isinstance(enum, list) and scalar else ()
            case _:
                options = ()
        if not options or any(same_scalar(option, value) for option in options):
            return ""
        return f"{_name(path)} can only be " + " or ".join(_shown(option) for option in options[:12])

    def _why_no_boolean(self, use: Use) -> str:
        """An input that is no boolean, taken for a condition by itself."""
        if use.place != "condition" or not _INPUT_ONLY.fullmatch(use.text.strip()) or len(use.paths) != 1:
            return ""
        source, inner = self._source(use, use.paths[0])
        if not isinstance(source, SelfServeTrigger) or len(inner) != 1:
            return ""
        kind = _input(source.user_inputs, inner[0]).get("type")
        return f"{_name(use.paths[0])} is a {kind}, not true or false" if kind in ("string", "number") else ""

    def _source(self, use: Use, path: Path) -> tuple[EventTrigger | SelfServeTrigger | None, Path]:
        """The trigger whose unmapped output the path reads, and the path inside it."""
        if use.place == "filter":
            return (use.node.config if isinstance(use.node.config, EventTrigger) else None), path
        if len(path) < 3 or path[0] != "outputs":
            return None, ()
        name, starts = str(path[1]), self.flow.starts[use.node.identifier]
        if name == "trigger" and name not in self.definition.nodes and len(starts) == 1:
            name = next(iter(starts))
        node = self.definition.nodes.get(name)
        if node is None or node.variables or not isinstance(node.config, EventTrigger | SelfServeTrigger):
            return None, ()
        return node.config, path[2:]


def _constant(use: Use) -> object:
    """What a program without any input gives; None when it reads something, or cannot be run here."""
    if use.program.native is None or use.program.paths:
        return None
    answer = use.program.native(None)
    return False if answer is None else answer


def _event_options(trigger: EventTrigger, path: Path) -> tuple[Json, ...]:
    match path:
        case ("action",):
            return _ACTIONS[trigger.event_type]
        case ("resourceType",):
            return ("entity",)
        case ("diff", "before" | "after", "blueprint") | ("context", "blueprintIdentifier"):
            return (trigger.blueprint,)
        case _:
            return ()


def _input(form: JsonObject, name: object) -> JsonObject:
    properties = form.get("properties")
    definition = properties.get(name) if isinstance(properties, dict) and isinstance(name, str) else None
    return definition if isinstance(definition, dict) else {}


def _name(path: Path) -> str:
    return "." + ".".join(str(key) for key in path)


def _shown(value: Json) -> str:
    if isinstance(value, str):
        return quoted(value)
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
