"""Whether a form makes sense, checked when the workflow is saved (spec 2.1.1-2.1.3)."""

from collections.abc import Iterable, Mapping

from headrace.core import errors, limits
from headrace.core.authoring.findings import Findings, did_you_mean, quoted
from headrace.core.authoring.input_values import FORMATS, check_value, pattern_fault
from headrace.core.json import Json, JsonObject

_FITTING: Mapping[str, frozenset[str]] = {
    "minLength": frozenset(("string",)),
    "maxLength": frozenset(("string",)),
    "pattern": frozenset(("string",)),
    "minimum": frozenset(("number",)),
    "maximum": frozenset(("number",)),
    "exclusiveMinimum": frozenset(("number",)),
    "exclusiveMaximum": frozenset(("number",)),
    "properties": frozenset(("object",)),
    "required": frozenset(("object",)),
    "patternProperties": frozenset(("object",)),
    "additionalProperties": frozenset(("object",)),
    "items": frozenset(("array",)),
    "minItems": frozenset(("array",)),
    "maxItems": frozenset(("array",)),
    "uniqueItems": frozenset(("array",)),
}
"""The types for which a field of an input definition means something."""

_RANGES = (
    ("minLength", "maxLength", False),
    ("minItems", "maxItems", False),
    ("minimum", "maximum", False),
    ("exclusiveMinimum", "maximum", True),
    ("minimum", "exclusiveMaximum", True),
    ("exclusiveMinimum", "exclusiveMaximum", True),
)


def check_form(form: JsonObject, where: str, findings: Findings) -> None:
    """What is wrong with a form whose shape is right already."""
    properties = _object(form.get("properties"))
    for name, definition in properties.items():
        here = f"{where}/properties{errors.pointer(name)}"
        _check_name(name, here, findings)
        if isinstance(definition, dict):
            check_definition(definition, here, findings)
            _check_names(definition.get("dependsOn"), properties, f"{here}/dependsOn", findings)
    _check_required(form, properties, where, findings)
    titles = _object(form.get("titles"))
    _check_names(form.get("order"), [*properties, *titles], f"{where}/order", findings)
    steps = form.get("steps")
    if isinstance(steps, list):
        if "order" in form:
            message = 'A form has "order" or "steps", not both.'
            findings.error(f"{where}/order", "order-with-steps", message, "Put the order into the steps.")
        for index, step in enumerate(steps):
            if isinstance(step, dict):
                here = f"{where}/steps/{index}"
                _check_names(step.get("order"), [*properties, *titles], f"{here}/order", findings)
                _check_validations(step, here, findings)
    _check_validations(form, where, findings)


def check_definition(definition: JsonObject, where: str, findings: Findings, depth: int = 0) -> None:
    """What is wrong with the definition of one input, or of the items or fields of one."""
    if depth > limits.INPUT_DEPTH:
        message = f"Inputs may be nested {limits.INPUT_DEPTH} levels deep."
        findings.error(where, "too-deep", message, "Make the form flatter.")
        return
    expected = str(definition.get("type", "string"))
    for name in definition:
        if name in _FITTING and expected not in _FITTING[name]:
            message = f"{quoted(name)} has no effect on an input of type {expected}."
            findings.warning(f"{where}/{name}", "unused-field", message, "Remove it, or change the type.")
    _check_format(definition, expected, where, findings)
    _check_encryption(definition, expected, where, findings)
    _check_bounds(definition, where, findings)
    _check_queries(definition, where, findings)
    sound = _check_pattern(definition, where, findings)
    if sound:
        _check_literals(definition, where, findings)
    _check_parts(definition, where, findings, depth)


def _check_name(name: str, where: str, findings: Findings) -> None:
    if not name.strip() or len(name) > limits.INPUT_NAME_LENGTH:
        message = f"The name of an input must have 1 to {limits.INPUT_NAME_LENGTH} characters, not only spaces."
        findings.error(where, "bad-input-name", message, "Give it a short name of letters, digits and underscores.")


def _check_names(names: Json, known: Iterable[str], where: str, findings: Findings) -> None:
    listed = list(known)
    for index, name in enumerate(names if isinstance(names, list) else ()):
        if isinstance(name, str) and name not in listed and not findings.full:
            message = f"There is no input named {quoted(name)}."
            findings.error(f"{where}/{index}", "unknown-input", message, did_you_mean(name, listed))


def _check_required(holder: JsonObject, properties: JsonObject, where: str, findings: Findings) -> None:
    required = holder.get("required")
    if isinstance(required, dict):
        _warn_of_query(f"{where}/required", "the inputs count as not required", findings)
    _check_names(required, properties, f"{where}/required", findings)


def _check_validations(holder: JsonObject, where: str, findings: Findings) -> None:
    if holder.get("validations"):
        _warn_of_query(f"{where}/validations", "they are not checked", findings)


def _warn_of_query(where: str, effect: str, findings: Findings) -> None:
    message = f"JQ in forms is not evaluated yet; {effect}."
    findings.warning(where, "jq-inputs-later", message, "Write a literal value, or check it in a CONDITION node.")


def _check_queries(definition: JsonObject, where: str, findings: Findings) -> None:
    for name in ("default", "enum", "visible", "readOnly", "disabled", "pattern", "minItems", "maxItems"):
        value = definition.get(name)
        if isinstance(value, dict) and set(value) == {"jqQuery"}:
            _warn_of_query(f"{where}/{name}", f'"{name}" counts as absent', findings)


def _check_format(definition: JsonObject, expected: str, where: str, findings: Findings) -> None:
    name = definition.get("format")
    known = FORMATS.get(expected, frozenset())
    if isinstance(name, str) and name not in known:
        message = f"There is no format {quoted(name)} for inputs of type {expected}."
        hint = did_you_mean(name, sorted(known)) or "Remove it, or change the type."
        findings.error(f"{where}/format", "unknown-format", message, hint)
    if name == "entity" and not definition.get("blueprint"):
        message = "An entity input must name the blueprint to pick from."
        findings.error(f"{where}/blueprint", "missing-field", message, 'Add "blueprint".')


def _check_encryption(definition: JsonObject, expected: str, where: str, findings: Findings) -> None:
    if definition.get("encryption", "none") == "none":
        return
    if expected not in ("string", "object") or definition.get("format", "none") not in ("none", "multi-line"):
        message = "Only plain or multi-line inputs of type string or object can be encrypted."
        findings.error(f"{where}/encryption", "bad-encryption", message, 'Remove "encryption", or the format.')
    for name in ("default", "enum"):
        if name in definition:
            message = f'An encrypted input cannot have "{name}": it would be readable in the definition.'
            findings.error(f"{where}/{name}", "bad-encryption", message, f'Remove "{name}".')


def _check_bounds(definition: JsonObject, where: str, findings: Findings) -> None:
    for low_name, high_name, strict in _RANGES:
        low, high = definition.get(low_name), definition.get(high_name)
        if isinstance(low, int | float) and isinstance(high, int | float) and (low > high or (strict and low == high)):
            message = f'No value can fit: "{low_name}" is {low} and "{high_name}" is {high}.'
            findings.error(f"{where}/{low_name}", "empty-range", message, "Swap or widen them.")


def _check_pattern(definition: JsonObject, where: str, findings: Findings) -> bool:
    pattern = definition.get("pattern")
    fault = pattern_fault(pattern) if isinstance(pattern, str) else None
    if fault is not None:
        hint = "Look-around and back-references are not available, because they can take for ever."
        findings.error(f"{where}/pattern", "bad-pattern", fault, hint)
    return fault is None


def _check_literals(definition: JsonObject, where: str, findings: Findings) -> None:
    """Values that the author wrote must fit the definition themselves."""
    options = definition.get("enum")
    if isinstance(options, list):
        if not options:
            findings.error(f"{where}/enum", "empty-enum", "The enum is empty: no value can fit.", "List the values.")
        rule = {name: value for name, value in definition.items() if name not in ("enum", "default")}
        of_items = definition.get("type") == "array"
        item_rule = _object(definition.get("items")) if of_items else rule
        for index, option in enumerate(options):
            fault = _fault(rule if isinstance(option, list) else item_rule, option) if item_rule else None
            if fault is not None and not findings.full:
                findings.error(f"{where}/enum/{index}", "bad-enum-value", f"This value does not fit: {fault}")
    default = definition.get("default")
    if default is None or (isinstance(default, dict) and set(default) == {"jqQuery"}):
        return
    fault = _fault(definition, default)
    if fault is not None:
        findings.error(f"{where}/default", "bad-default", f"The default does not fit the input: {fault}")


def _fault(definition: JsonObject, value: Json) -> str | None:
    trial = Findings()
    check_value(definition, value, "", trial)
    problems = trial.result()
    return problems[0].message if problems else None


def _check_parts(definition: JsonObject, where: str, findings: Findings, depth: int) -> None:
    items = definition.get("items")
    if isinstance(items, dict):
        check_definition(items, f"{where}/items", findings, depth + 1)
    properties = _object(definition.get("properties"))
    if properties or isinstance(definition.get("required"), list):
        _check_required(definition, properties, where, findings)
    for name, inner in properties.items():
        if isinstance(inner, dict):
            check_definition(inner, f"{where}/properties{errors.pointer(name)}", findings, depth + 1)
    for pattern in _object(definition.get("patternProperties")):
        fault = pattern_fault(pattern)
        if fault is not None:
            here = f"{where}/patternProperties{errors.pointer(pattern)}"
            findings.error(here, "bad-pattern", fault, "Look-around and back-references are not available.")


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}
