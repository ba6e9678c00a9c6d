"""What this version accepts in a definition, but does not do yet: said when a workflow is saved, not when it fails."""

from headrace.core.authoring.findings import Findings
from headrace.core.definition import CHILD_TYPES, DELAY, Action, Input, Node, SelfServeTrigger
from headrace.core.json import JsonObject

PERFORMED = frozenset({"WEBHOOK", "KAFKA", "GITHUB", "GITLAB", "AZURE_DEVOPS", "UPSERT_ENTITY", "INTEGRATION_ACTION"})
"""The types of actions that the invoker of this version performs."""


def check_support(node: Node, findings: Findings) -> None:
    """Warn about a part of the node that has no effect in this version, or fails."""
    pointer = f"{node.pointer}/config"
    match node.config:
        case Action(type=type_) if type_ not in (*PERFORMED, *CHILD_TYPES, DELAY):
            message = f"{type_} actions are not performed by this version: a run that comes here fails."
            findings.warning(f"{pointer}/type", "not-yet", message, "Call the service with a WEBHOOK action.")
        case Input(config=config):
            _check_people(config, pointer, findings)
        case SelfServeTrigger(user_inputs={"properties": dict(properties)}):
            for name, definition in properties.items():
                if isinstance(definition, dict) and definition.get("encryption", "none") != "none":
                    message = "This version cannot keep a secret input: a start that gives it a value is refused."
                    where = f"{pointer}/userInputs/properties/{name}/encryption"
                    findings.warning(where, "not-yet", message, "Let the receiver hold the secret.")


def _check_people(config: JsonObject, pointer: str, findings: Findings) -> None:
    notifications = config.get("notifications")
    for index, notice in enumerate(notifications if isinstance(notifications, list) else ()):
        here = f"{pointer}/notifications/{index}"
        if isinstance(notice, dict) and notice.get("target") == "email":
            message = "This version sends no e-mail: nobody is told."
            findings.warning(f"{here}/target", "not-yet", message, "Call a webhook that sends it.")
        elif isinstance(notice, dict) and notice.get("agent"):
            message = "Notifications through an agent are not sent by this version: nobody is told."
            findings.warning(f"{here}/agent", "not-yet", message, "Call the receiver directly, or through a gateway.")
    responders = config.get("responders")
    if isinstance(responders, dict) and responders.get("usersQuery"):
        message = "This version does not evaluate usersQuery: it lets nobody respond."
        findings.warning(f"{pointer}/responders/usersQuery", "not-yet", message, "Name users, roles or teams.")
