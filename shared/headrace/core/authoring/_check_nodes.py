"""Checks of single nodes, whatever the graph around them is (spec 1.4 rules 7 and 8, 2, 3, 5.1)."""

import re
from collections import Counter

from headrace.core import _delay, limits, schedule
from headrace.core.authoring import _cron_shape, _input_forms
from headrace.core.authoring._check_support import check_support
from headrace.core.authoring.findings import Findings, did_you_mean, quoted
from headrace.core.definition import (
    DELAY,
    Action,
    Condition,
    EventTrigger,
    Input,
    Node,
    ScheduleTrigger,
    SelfServeTrigger,
)
from headrace.core.json import Json, JsonObject

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_URL = re.compile(r"https?://[^/\s]", re.IGNORECASE)


def check_node(node: Node, findings: Findings) -> None:
    """What is wrong with this node by itself."""
    pointer = f"{node.pointer}/config"
    match node.config:
        case SelfServeTrigger() as trigger:
            _input_forms.check_form(trigger.user_inputs, f"{pointer}/userInputs", findings)
            _check_contexts(trigger, pointer, findings)
        case EventTrigger() as trigger:
            _check_event(trigger, pointer, findings)
        case ScheduleTrigger(cron):
            _check_schedule(cron, pointer, findings)
        case Action() as action:
            _check_action(action, pointer, findings)
        case Condition(branches):
            for branch in branches:
                _check_expression(branch.expression, f"{branch.pointer}/expression", findings)
        case Input() as step:
            _check_input(step, pointer, findings)
    check_support(node, findings)
    for index, link in enumerate(node.links):
        _check_url(link, f"{node.pointer}/links/{index}", findings)


def _check_expression(text: str, pointer: str, findings: Findings) -> None:
    if not text.strip():
        message = "The expression is blank; it can never give true."
        findings.error(pointer, "blank-expression", message, "Write a JQ expression, or remove the branch.")


def _check_contexts(trigger: SelfServeTrigger, pointer: str, findings: Findings) -> None:
    """Spec 2.1.6: an ENTITY context fills one entity input, each its own."""
    properties = trigger.user_inputs.get("properties")
    inputs = properties if isinstance(properties, dict) else {}
    used: set[str] = set()
    for index, context in enumerate(trigger.contexts):
        here = f"{pointer}/contexts/{index}"
        if context["on"] == "CREATE_ENTITY" and not context.get("blueprintIdentifier"):
            message = "A CREATE_ENTITY context must name the blueprint whose entities it creates."
            findings.error(f"{here}/blueprintIdentifier", "missing-field", message, 'Add "blueprintIdentifier".')
        if context["on"] != "ENTITY":
            continue
        name = context.get("userInput")
        definition = inputs.get(name) if isinstance(name, str) else None
        if not isinstance(definition, dict) or definition.get("format") != "entity":
            message = 'An ENTITY context must name, in "userInput", an input of format entity.'
            hint = did_you_mean(name, inputs) if isinstance(name, str) else ""
            findings.error(f"{here}/userInput", "unknown-input", message, hint)
        elif name in used:
            message = f"Two ENTITY contexts fill the input {quoted(str(name))}."
            findings.error(f"{here}/userInput", "duplicate-context", message, "Let each fill another input.")
        used.add(str(name))


def _check_event(trigger: EventTrigger, pointer: str, findings: Findings) -> None:
    for index, text in enumerate(trigger.expressions):
        _check_expression(text, f"{pointer}/condition/expressions/{index}", findings)
    here = f"{pointer}/event/propertyIdentifier"
    if trigger.event_type == "TIMER_EXPIRED" and trigger.property is None:
        message = "A TIMER_EXPIRED trigger must name the timer property."
        findings.error(here, "missing-field", message, 'Add "propertyIdentifier".')
    elif trigger.event_type != "TIMER_EXPIRED" and trigger.property is not None:
        message = (
            f'"propertyIdentifier" has no effect on {trigger.event_type}: every change of the entity starts a run.'
        )
        hint = "Compare .diff.before and .diff.after of that property in the condition instead."
        findings.warning(here, "unused-field", message, hint)


def _check_schedule(cron: str, pointer: str, findings: Findings) -> None:
    fault = _cron_shape.find_fault(cron)
    if fault is not None:
        hint = 'For example "0 9 * * 1-5": at 9:00 from Monday to Friday.'
        findings.error(f"{pointer}/cron", "bad-cron", fault, hint)
    elif not schedule.ever_fires(cron):
        message = "This schedule never comes: the months that it names do not have such a day."
        findings.error(f"{pointer}/cron", "bad-cron", message, "Name a day that exists.")
    elif _cron_shape.is_too_frequent(cron):
        message = f"This schedule is denser than one start in {limits.SCHEDULE_MINUTES} minutes."
        hint = "Headrace runs it as it stands; Port Workflows does not support it."
        findings.warning(f"{pointer}/cron", "schedule-too-dense", message, hint)


def _check_action(action: Action, pointer: str, findings: Findings) -> None:
    config = action.config
    if action.timeout_seconds is not None and action.synchronized:
        _check_timeout(action.timeout_seconds, pointer, findings)
    if action.type == "WEBHOOK":
        _check_method(config.get("method"), pointer, findings)
        _check_url(config.get("url"), f"{pointer}/url", findings)
    deferred = config.get("deferIntegrationInstallation") is True
    if action.type == "INTEGRATION_ACTION" and not config.get("installationId") and not deferred:
        hint = 'Name the installation, or set "deferIntegrationInstallation": true to save before it exists.'
        findings.error(f"{pointer}/installationId", "missing-field", '"installationId" is missing.', hint)
    if action.type == DELAY:
        _check_delay(config, pointer, findings)
    if action.type == "AZURE_DEVOPS":
        _check_azure(config, pointer, findings)


def _check_azure(config: JsonObject, pointer: str, findings: Findings) -> None:
    """Either an incoming webhook, or a pipeline of a project."""
    given = [name for name in ("webhook", "project", "pipelineId") if config.get(name) is not None]
    hint = 'Name a "webhook", or a "project" and its "pipelineId".'
    if not given or given == ["project"]:
        name = "pipelineId" if given else "webhook"
        findings.error(f"{pointer}/{name}", "missing-field", f'"{name}" is missing.', hint)
    elif given == ["pipelineId"]:
        findings.error(f"{pointer}/project", "missing-field", '"project" is missing.', hint)
    elif "webhook" in given and len(given) > 1:
        message = "The webhook is not called: project and pipelineId are given, and the pipeline is run instead."
        findings.warning(f"{pointer}/webhook", "unused-field", message, hint)


def _check_timeout(seconds: float, pointer: str, findings: Findings) -> None:
    if seconds > limits.SYNC_TIMEOUT_SECONDS:
        message = f'"timeoutSeconds" may be {limits.SYNC_TIMEOUT_SECONDS} at most when the node waits for the answer.'
        hint = 'For longer work set "synchronized": false and let the receiver report the result.'
        findings.error(f"{pointer}/timeoutSeconds", "out-of-range", message, hint)


def _check_method(method: Json, pointer: str, findings: Findings) -> None:
    if isinstance(method, str) and method not in METHODS and "{{" not in method:
        message = f"{quoted(method)} is not a method that a WEBHOOK can use: " + ", ".join(METHODS) + "."
        findings.error(f"{pointer}/method", "unknown-value", message, did_you_mean(method, METHODS))


def _check_url(url: Json, pointer: str, findings: Findings) -> None:
    """Only what is certain: the literal text before the first template."""
    if not isinstance(url, str):
        return
    start, braces, _ = url.strip().partition("{{")
    complete = bool(_URL.match(start)) or (braces and _is_scheme_start(start.lower()))
    if not complete:
        message = f"{quoted(url)} is not a URL that can be called."
        findings.warning(pointer, "bad-url", message, "Begin it with https:// or http:// and a host.")


def _is_scheme_start(text: str) -> bool:
    return any(scheme.startswith(text) for scheme in ("https://", "http://"))


def _check_input(step: Input, pointer: str, findings: Findings) -> None:
    user_inputs = step.config.get("userInputs")
    form: JsonObject = user_inputs if isinstance(user_inputs, dict) else {}
    _input_forms.check_form(form, f"{pointer}/userInputs", findings)
    _check_response_time(step, pointer, findings)
    names = _buttons(form)
    times = Counter(names)
    for index, name in enumerate(names):
        if times[name] > 1:
            message = f"Several buttons are named {quoted(name)}."
            here = f"{pointer}/userInputs/buttons/{index}/identifier"
            findings.error(here, "duplicate-button", message, "Give each its own name.")
    for branch in step.branches:
        if branch.identifier not in times and branch.identifier != step.timeout_outlet:
            message = f"The outlet {quoted(branch.identifier)} is not a button of the form."
            here = f"{branch.pointer}/identifier"
            findings.error(here, "unknown-button", message, did_you_mean(branch.identifier, names))


def _check_response_time(step: Input, pointer: str, findings: Findings) -> None:
    outlet, names = step.timeout_outlet, [branch.identifier for branch in step.branches]
    if outlet is not None and outlet not in names:
        message = f"The outlet {quoted(outlet)}, to be taken when time is up, is not an outlet of the node."
        findings.error(f"{pointer}/timeoutOutlet", "unknown-outlet", message, did_you_mean(outlet, names))
    if outlet is not None and step.timeout_seconds is None:
        message = '"timeoutOutlet" has no effect without "timeoutSeconds": people may take as long as they like.'
        findings.warning(f"{pointer}/timeoutOutlet", "unused-field", message, 'Add "timeoutSeconds".')


def _check_delay(config: JsonObject, pointer: str, findings: Findings) -> None:
    given = [name for name in ("seconds", "until") if config.get(name) is not None]
    if not given:
        hint = 'Say how long in "seconds", or name an instant in "until".'
        findings.error(f"{pointer}/seconds", "missing-field", '"seconds" is missing.', hint)
        return
    if len(given) == 2:
        message = '"seconds" has no effect: "until" is given, and says when the delay ends.'
        findings.warning(f"{pointer}/seconds", "unused-field", message, "Keep one of them.")
    until, seconds = config.get("until"), config.get("seconds")
    if isinstance(until, str) and "{{" not in until and _delay.instant(until) is None:
        message = f"{quoted(until)} is no instant."
        findings.error(f"{pointer}/until", "wrong-type", message, "Write it as in 2026-12-24T18:00:00Z.")
    fault = _delay.due_at({"seconds": seconds}, 0) if isinstance(seconds, int | float) else None
    if isinstance(fault, str):
        findings.error(f"{pointer}/seconds", "out-of-range", fault)


def _buttons(form: JsonObject) -> list[str]:
    buttons = form.get("buttons")
    listed = buttons if isinstance(buttons, list) else []
    return [str(button.get("identifier")) for button in listed if isinstance(button, dict)]
