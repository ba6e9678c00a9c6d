"""What a person or a caller gives to a self-serve trigger, checked before a run exists (spec 2.1.1-2.1.5)."""

from dataclasses import dataclass

from headrace.core import errors
from headrace.core.authoring.findings import Findings, did_you_mean, kind, quoted
from headrace.core.authoring.input_values import check_value
from headrace.core.errors import Problem
from headrace.core.json import Json, JsonObject


@dataclass(frozen=True, slots=True)
class Checked:
    """The inputs of a run, defaults filled in, in the order of the form; and what is wrong, by pointers into them.

    When there are problems no run may be started.
    """

    values: JsonObject
    problems: tuple[Problem, ...]


def validate(user_inputs: JsonObject, inputs: Json) -> Checked:
    """Check `inputs` against the form of a saved definition. Never raises.

    A null counts as not given. Parts of the form that are written as `{"jqQuery": ...}` count as absent.
    """
    findings = Findings()
    if inputs is None:
        inputs = {}
    if not isinstance(inputs, dict):
        findings.error("", "wrong-type", f"The inputs must be an object; this is {kind(inputs)}.")
        return Checked({}, findings.result())
    definitions = user_inputs.get("properties")
    known = definitions if isinstance(definitions, dict) else {}
    for name in inputs:
        if name not in known and not findings.full:
            message = f"{quoted(name)} is not an input of this trigger."
            findings.error(errors.pointer(name), "unknown-input", message, did_you_mean(name, known))
    required = _required(user_inputs)
    values: JsonObject = {}
    for name, definition in known.items():
        if not isinstance(definition, dict) or definition.get("disabled") is True:
            continue
        value = inputs.get(name)
        if value is not None and definition.get("encryption", "none") != "none":
            message = f"{quoted(name)} is secret, and this version cannot keep secrets: nothing was stored."
            findings.error(errors.pointer(name), "secret-input", message, "Let the receiver hold the secret.")
            continue
        if value is None:
            value = _default(definition)
        if value is not None:
            values[name] = value
            check_value(definition, value, errors.pointer(name), findings)
        elif name in required and definition.get("visible") is not False:
            message = f"{quoted(name)} is required."
            findings.error(errors.pointer(name), "missing-input", message, "Give it a value.")
    return Checked(values, findings.result())


def _required(user_inputs: JsonObject) -> frozenset[str]:
    names = user_inputs.get("required")
    return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()


def _default(definition: JsonObject) -> Json:
    """The literal default. `{"jqQuery": ...}` is one only for inputs that are not objects themselves."""
    default = definition.get("default")
    if isinstance(default, dict) and set(default) == {"jqQuery"}:
        return None
    return default
