"""Checks of single programs: does what they read exist, where they read it (spec 2.2, 6.1, 6.4)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.core.authoring import _flow_shapes as shapes
from headrace.core.authoring._flow_graph import Flow, branches
from headrace.core.authoring._flow_shapes import Shape
from headrace.core.authoring._flow_uses import Use, is_careful, without_strings
from headrace.core.authoring.findings import Findings, TextProblem, closest, did_you_mean, quoted
from headrace.core.definition import Definition, EventTrigger, Node, SelfServeTrigger
from headrace.core.errors import Problem
from headrace.core.expression import Path, parse

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OUTPUT_NAMES = re.compile(r"(?<![\w\])}])\.outputs\.([\w@:-]+)(?:\.([\w@:-]+))?")
_GO_HELPER = re.compile(
    r"(?:^|\|)\s*(?:(printf|lower|upper|replace|default|quote|toJson|fromJson|trimSuffix|trimPrefix)\b(?!\s*[:(])"
    r'|(date)\s+"")'
)
_GO_REMEDIES = {
    "printf": 'Put values into a string with \\(...): "\\(.a)-\\(.b)".',
    "lower": "Write ascii_downcase.",
    "upper": "Write ascii_upcase.",
    "replace": 'Write gsub("from"; "to").',
    "default": 'Write // "default" after the path.',
    "quote": "Write tojson.",
    "toJson": "Write tojson.",
    "fromJson": "Write fromjson.",
    "trimSuffix": 'Write rtrimstr("...").',
    "trimPrefix": 'Write ltrimstr("...").',
    "date": 'Write todateiso8601, or strftime("%Y-%m-%d").',
}
_CONTEXT = {"workflow": shapes.WORKFLOW, "workflowRun": shapes.WORKFLOW_RUN, "workflowNodeRun": shapes.NODE_RUN}


@dataclass(frozen=True, slots=True)
class References:
    """The checks of one definition, on the order of its graph."""

    definition: Definition
    flow: Flow
    findings: Findings
    _outputs: dict[frozenset[str], Mapping[str, Shape]] = field(default_factory=dict)

    def check(self, use: Use) -> None:
        """Everything that can be said for certain about one program."""
        if self._has_foreign_words(use):
            return
        outputs = self._outputs_at(use)
        if self._has_bare_names(use, outputs):
            return
        for path in use.paths:
            if path and isinstance(path[0], str):
                self._check_path(use, path, outputs)

    def _outputs_at(self, use: Use) -> Mapping[str, Shape]:
        starts = self.flow.starts[use.node.identifier]
        if starts not in self._outputs:
            self._outputs[starts] = shapes.outputs_shape(self.definition, starts)
        return self._outputs[starts]

    def warn(self, use: Use, code: str, message: str, hint: str) -> None:
        """A warning at the program: at its braces when it is a block of a template."""
        if use.index is None:
            self.findings.add(Problem(use.pointer, code, message, hint, "warning"))
        else:
            self.findings.add(TextProblem(use.pointer, code, message, hint, "warning", use.index))

    def _has_foreign_words(self, use: Use) -> bool:
        """Another language's words; then nothing else is worth saying about the program."""
        if use.place in ("filter", "condition", "label") and "{{" in use.bare:
            message = "A condition is JQ by itself; {{ }} belong into templates only."
            self.warn(use, "braces-in-condition", message, "Remove the braces.")
            return True
        helper = None if use.program.native is not None or "def " in use.bare else _GO_HELPER.search(use.bare)
        if helper is None:
            return False
        name = helper[1] or helper[2]
        message = f'"{name}" is a helper of Go templates; expressions are JQ.'
        self.warn(use, "go-template", message, _GO_REMEDIES[name])
        return True

    def _has_bare_names(self, use: Use, outputs: Mapping[str, Shape]) -> bool:
        """Names that JQ cannot read after a dot: it takes a hyphen for a minus."""
        for match in _OUTPUT_NAMES.finditer(use.bare):
            node, field = match[1], match[2]
            inner = outputs[node].fields if node in outputs else None
            for name, known, before in ((node, outputs, ".outputs"), (field, inner or {}, f".outputs.{node}")):
                if name and name in known and not _PLAIN.fullmatch(name):
                    message = f"JQ cannot read the name {quoted(name)} after a dot; it takes the hyphen for a minus."
                    if "-" not in name:
                        message = f"JQ cannot read the name {quoted(name)} after a dot."
                    self.warn(use, "name-needs-brackets", message, f'Write {before}["{name}"].')
                    return True
        return False

    def _check_path(self, use: Use, path: Path, outputs: Mapping[str, Shape]) -> None:
        root = str(path[0])
        if use.place == "filter":
            self._check_event_path(use, path)
        elif root == "outputs":
            self._check_output(use, path, outputs)
        elif root == "secrets":
            if use.place != "config":
                message = "Secrets can be read in the config of actions only."
                self.warn(use, "secrets-not-here", message, "Use the secret in the config, and keep it out of outputs.")
        elif root in _CONTEXT:
            self._descend(use, path, 1, _CONTEXT[root])
        elif root in ("item", "index") and use.per_item:
            return
        elif use.place == "variables":
            self._check_raw(use, path)
        else:
            self._unknown_root(use, root, [*_CONTEXT, "outputs", *(["secrets"] if use.place == "config" else [])])

    def _check_event_path(self, use: Use, path: Path) -> None:
        if not isinstance(use.node.config, EventTrigger):
            return
        if path[0] == "outputs":
            message = "The condition of a trigger reads the event itself; there are no outputs yet."
            self.warn(use, "outputs-in-filter", message, "Write .diff, .action or .context without .outputs before it.")
            return
        event = shapes.event_shape(use.node.config.event_type)
        if path[0] in (event.fields or {}):
            self._descend(use, path, 0, event)
            return
        message = f"The event has no {quoted(str(path[0]))}, so this is always null."
        hint = "Write .diff.after." if path[0] == "entity" else did_you_mean(str(path[0]), event.fields or {})
        self.warn(use, "unknown-root", message, hint)

    def _check_raw(self, use: Use, path: Path) -> None:
        raw = shapes.raw_shape(use.node)
        if raw.fields is None:
            return
        if path[0] == "result":
            self._descend(use, path, 1, raw)
        elif path[0] in raw.fields:
            self._descend(use, path, 0, raw)
        else:
            self._unknown_root(use, str(path[0]), [*raw.fields, "result", "outputs", *_CONTEXT])

    def _unknown_root(self, use: Use, root: str, known: list[str]) -> None:
        remedy = self._remedy(root)
        if remedy:
            message = f'".{root}" does not exist in workflows; it belongs to actions and automations.'
            self.warn(use, "foreign-root", message, remedy)
            return
        hint = did_you_mean(root, known)
        if root in ("response", "result"):
            hint = f"Name the node that gives it: .outputs.<node>{'.response' if root == 'response' else ''}."
        self.warn(use, "unknown-root", f'There is no ".{root}" here, so this is always null.', hint)

    def _remedy(self, root: str) -> str:
        """What to write instead of a root that only actions and automations have (spec 6.4)."""
        events = [node.identifier for node in self.definition.triggers if isinstance(node.config, EventTrigger)]
        forms = [node.identifier for node in self.definition.triggers if isinstance(node.config, SelfServeTrigger)]
        event, form = (events or ["trigger"])[0], (forms or ["trigger"])[0]
        entity = f"Write {_written(event)}.diff.after." if events else f"Write {_written(form)}.<the entity input>."
        return {
            "inputs": f"Write {_written(form)}.<input>.",
            "event": f"Write {_written(event)}.",
            "run": "Write .workflowRun.identifier.",
            "trigger": "Write .workflowRun.trigger.by, or .outputs.trigger for what the trigger gave.",
            "entity": entity,
            "action": f"Write {_written(event)}.action.",
        }.get(root, "")

    def _check_output(self, use: Use, path: Path, outputs: Mapping[str, Shape]) -> None:
        if len(path) < 2 or not isinstance(path[1], str):
            return
        name, here = path[1], use.node.identifier
        if name not in outputs:
            message = f"There is no node named {quoted(name)}, so this is always null."
            self.warn(use, "unknown-reference", message, did_you_mean(name, outputs))
            return
        if name == here and use.place in ("config", "condition", "variables"):
            hint = "Write .result for what it gave." if use.place == "variables" else "Read another node's output."
            self.warn(use, "self-reference", f"{quoted(name)} reads its own output, which is not there yet.", hint)
            return
        if name in self.definition.nodes and name != here and not self._check_order(use, path):
            return
        self._descend(use, path, 2, outputs[name])

    def _check_order(self, use: Use, path: Path) -> bool:
        """Whether the node that is read has run, at least sometimes; says so when not always."""
        name, here = str(path[1]), use.node.identifier
        if name not in self.flow.before[here]:
            message = (
                f"{quoted(name)} does not lead to {quoted(here)}: when this is read, its output need not be there."
            )
            self.warn(use, "reference-not-upstream", message, "Read a node that comes before, or connect them.")
            return False
        if not self.flow.starts[here] or name in self.flow.sure[here] or use.careful or _is_tested(use, path):
            return True
        if any(branches(self.definition.nodes[node]) for node in self._between(name, here)):
            return True
        message = f"{quoted(name)} runs only on some of the ways to {quoted(here)}; else this is null."
        hint = 'Say what to take then: // "default".'
        if self.definition.nodes[name].is_trigger:
            hint += " What the trigger that fired gave is .outputs.trigger."
        self.warn(use, "reference-on-some-paths", message, hint)
        return True

    def _between(self, first: str, last: str) -> list[str]:
        """Nodes after `first` and before `last`. A condition among them may ask again whether `first` has run."""
        return [node for node in self.flow.before[last] if first in self.flow.before[node]]

    def _descend(self, use: Use, path: Path, start: int, shape: Shape) -> None:
        """Follow the path through what is known, and report the first step that cannot be."""
        for at in range(start, len(path)):
            key, so_far = path[at], _written_path(path[:at])
            if shape.null == "always":
                if not use.careful:
                    message = f"{so_far} is always null for this kind of event."
                    self.warn(use, "always-null", message, _null_hint(so_far))
                return
            if shape.null == "on create" and not self._is_guarded(use, path, at):
                message = f"{so_far} is null when the entity was just created, which is among these events."
                hint = f"Ask for {so_far} != null first, or listen to ENTITY_UPDATED."
                self.warn(use, "null-on-create", message, hint)
            if shape.scalar:
                message = f"{so_far} is {shape.scalar}; it has nothing inside."
                self.warn(use, "not-an-object", message, "Read it as it is.")
                return
            if shape.fields is None or not isinstance(key, str):
                return
            if key not in shape.fields:
                message = f"{so_far} has no {quoted(key)}, so this is always null."
                self.warn(use, "unknown-path", message, _field_hint(key, shape, so_far))
                return
            shape = shape.fields[key]

    def _is_guarded(self, use: Use, path: Path, at: int) -> bool:
        """Whether something asks first if there was an entity before: this program, its trigger, or a condition."""
        if use.careful or _is_tested(use, path):
            return True
        prefix = path[: at - 2]
        if (*prefix, "action") in use.paths or path[:at] in use.paths:
            return True
        trigger = use.node if use.node.is_trigger else self._fired(use, prefix)
        if trigger is not None and isinstance(trigger.config, EventTrigger) and _filter_guards(trigger.config):
            return True
        befores = (self.definition.nodes[name] for name in self.flow.before[use.node.identifier])
        return any(branches(node) for node in befores)

    def _fired(self, use: Use, output: Path) -> Node | None:
        """The trigger whose output this is, when it can only be one."""
        starts = self.flow.starts[use.node.identifier]
        name = str(output[1]) if len(output) == 2 else ""
        if name == "trigger" and name not in self.definition.nodes and len(starts) == 1:
            name = next(iter(starts))
        return self.definition.nodes.get(name)


def _filter_guards(trigger: EventTrigger) -> bool:
    """Whether the filter of the trigger may keep creations out."""
    if trigger.combinator == "or" and len(trigger.expressions) > 1:
        return False
    return any(_guards(text) for text in trigger.expressions)


def _guards(text: str) -> bool:
    bare = without_strings(text)
    if re.search(r"\.action\b", bare) or ("before" in bare and is_careful(bare)):
        return True
    return any(path[:2] == ("diff", "before") and value is not None for path, value in parse(text).equalities)


def _is_tested(use: Use, path: Path) -> bool:
    """Whether the program demands a value of this very path; a missing one then simply gives false."""
    return any(tested == path and value is not None for tested, value in use.program.equalities)


def _null_hint(so_far: str) -> str:
    other = so_far.replace("before", "\0").replace("after", "before").replace("\0", "after")
    return f"Read {other}."


def _field_hint(key: str, shape: Shape, so_far: str) -> str:
    if shape.fields is shapes.ENTITY.fields and closest(key, shape.fields or {}) is None:
        return f"A property of the entity is at {so_far}.properties.{key}."
    if key == "body" and "data" in (shape.fields or {}):
        return "The answer's content is in .data."
    return did_you_mean(key, shape.fields or {})


def _written(node: str) -> str:
    return _written_path(("outputs", node))


def _written_path(path: Path) -> str:
    text = ""
    for key in path:
        plain = isinstance(key, str) and _PLAIN.fullmatch(key)
        text += f".{key}" if plain else f'["{key}"]' if isinstance(key, str) else f"[{key}]"
    return text or "."
