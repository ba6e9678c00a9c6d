"""The texts of a definition that hold templates or JQ: finding them, and the faults of their form (spec 1.4 rule 9)."""

from collections.abc import Iterator

from headrace.core import template
from headrace.core.authoring.findings import Findings, TextProblem
from headrace.core.definition import Action, Condition, Definition, EventTrigger, Input, Node, SelfServeTrigger
from headrace.core.errors import pointer
from headrace.core.json import Json
from headrace.core.template import Block, TemplateSyntaxError


def templates(node: Node) -> Iterator[tuple[str, Json]]:
    """The values of a node that are rendered, with their pointers: config before it runs, the rest after (spec 6.1)."""
    match node.config:
        case Action(_, config):
            yield f"{node.pointer}/config", config
        case Input(_, config):
            for field in ("description", "notifications"):
                if field in config:
                    yield f"{node.pointer}/config/{field}", config[field]
        case _:
            pass
    if node.variables:
        yield f"{node.pointer}/variables", dict(node.variables)
    for index, link in enumerate(node.links):
        yield f"{node.pointer}/links/{index}", link


def conditions(node: Node) -> Iterator[tuple[str, str]]:
    """The JQ conditions of a node, with their pointers."""
    match node.config:
        case EventTrigger(expressions=texts):
            for index, text in enumerate(texts):
                yield f"{node.pointer}/config/condition/expressions/{index}", text
        case Condition(branches):
            for branch in branches:
                yield f"{branch.pointer}/expression", branch.expression
        case _:
            pass


def labels(node: Node) -> Iterator[tuple[str, str]]:
    """The JQ texts of status labels, with their pointers."""
    if isinstance(node.config, Condition | Input):
        for branch in node.config.branches:
            for field, label in (
                ("statusLabel", branch.status_label),
                ("workflowStatusLabel", branch.workflow_status_label),
            ):
                text = label.get("text") if label else None
                if isinstance(text, str):
                    yield f"{branch.pointer}/{field}/text", text


def check_texts(node: Node, findings: Findings) -> None:
    """Braces that do not fit together."""
    for base, value in templates(node):
        for fault in template.find_problems(value, base):
            hint = "Write {{ and }} in pairs, one block after the other."
            findings.add(TextProblem(fault.pointer, "template-syntax", fault.message, hint, "error", fault.index))


def expressions(definition: Definition) -> list[tuple[str, str]]:
    """Every JQ program of the definition with its pointer, in the author's order; blank ones are left out."""
    found: list[tuple[str, str]] = []
    for node in definition.nodes.values():
        found.extend(conditions(node))
        found.extend(labels(node))
        found.extend(_form_queries(node))
        for base, value in templates(node):
            found.extend((block.pointer, block.program.text) for block in sound_blocks(value, base))
    return [(where, text) for where, text in found if text.strip()]


def sound_blocks(value: Json, base: str) -> Iterator[Block]:
    """The blocks of all strings that are well-formed; `template.blocks` stops at the first that is not."""
    try:
        yield from list(template.blocks(value, base))
    except TemplateSyntaxError:
        broken = {problem.pointer for problem in template.find_problems(value, base)}
        for where, item in _walk(value, base):
            if isinstance(item, str) and where not in broken:
                yield from template.blocks(item, where)


def _form_queries(node: Node) -> Iterator[tuple[str, str]]:
    """The JQ of a form: `{"jqQuery": ...}` anywhere, and the constraints of validations (spec 2.1.1-2.1.4)."""
    match node.config:
        case SelfServeTrigger(user_inputs=form):
            yield from _queries(form, f"{node.pointer}/config/userInputs")
        case Input(_, config):
            yield from _queries(config.get("userInputs"), f"{node.pointer}/config/userInputs")
        case _:
            pass


def _queries(value: Json, base: str) -> Iterator[tuple[str, str]]:
    for where, item in _walk(value, base):
        for key in ("jqQuery", "constraint"):
            text = item.get(key) if isinstance(item, dict) else None
            if isinstance(text, str):
                yield f"{where}/{key}", text


def _walk(value: Json, base: str) -> Iterator[tuple[str, Json]]:
    """All values inside `value` with their pointers, in order, itself included."""
    stack: list[tuple[str, Json]] = [(base, value)]
    while stack:
        where, item = stack.pop()
        yield where, item
        children: list[tuple[str, Json]] = []
        if isinstance(item, dict):
            children = [(where + pointer(key), child) for key, child in item.items()]
        elif isinstance(item, list):
            children = [(f"{where}/{index}", child) for index, child in enumerate(item)]
        stack.extend(reversed(children))
