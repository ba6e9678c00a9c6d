"""What this version accepts in a definition, but does not do yet: said when a workflow is saved, not when it fails."""

from headrace.core.authoring.findings import Findings
from headrace.core.definition import CHILD_TYPES, Action, Node, SelfServeTrigger

PERFORMED = frozenset({"WEBHOOK", "KAFKA", "GITHUB", "GITLAB", "AZURE_DEVOPS"})
"""The types of actions that the invoker of this version performs."""


def check_support(node: Node, findings: Findings) -> None:
    """Warn about a part of the node that has no effect in this version, or fails."""
    pointer = f"{node.pointer}/config"
    match node.config:
        case Action(type=type_) if type_ not in PERFORMED and type_ not in CHILD_TYPES:
            message = f"{type_} actions are not performed by this version: a run that comes here fails."
            findings.warning(f"{pointer}/type", "not-yet", message, "Call the service with a WEBHOOK action.")
        case Action(config={"agent": True}):
            message = "Webhooks through an agent are not performed by this version: a run that comes here fails."
            findings.warning(
                f"{pointer}/agent", "not-yet", message, "Call the receiver directly, or through a gateway."
            )
        case SelfServeTrigger(user_inputs={"properties": dict(properties)}):
            for name, definition in properties.items():
                if isinstance(definition, dict) and definition.get("encryption", "none") != "none":
                    message = "This version cannot keep a secret input: a start that gives it a value is refused."
                    where = f"{pointer}/userInputs/properties/{name}/encryption"
                    findings.warning(where, "not-yet", message, "Let the receiver hold the secret.")
